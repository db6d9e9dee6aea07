// The law of a flow head: a monotone map S, which reads the context and earlier u, bends u before an independent head's Pick.
//   t = Pick(S(u), P),   P(t = j | u_<k) = S^-1(F_j) - S^-1(F_{j-1}), F the CDF of P: exact, whatever S is
// S = identity leaves P as it is. With a spline of one knot per token any law can be reached; with fewer, tokens move in groups that
// are neighbours in the order of P, so that order is the caller's choice. Refuses: maps that are not of [0, 1].

using Ptp.Core.Paper;

namespace Ptp.Core.Heads.Flows;

/// <summary>An independent law whose u is bent.</summary>
public static class WarpedPick
{
    private static readonly double s_largest = Math.BitDecrement(1.0);

    /// <summary>The token.</summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="map">S.</param>
    /// <param name="parameters">Of S, [P].</param>
    /// <param name="marginal">P, [V].</param>
    public static int Token(double u, MonotoneMap map, Span<double> parameters, ReadOnlySpan<float> marginal)
    {
        Guard.UnitInterval(u);
        RequireUnit(map);

        // S fixes 0 and 1; rounding may reach 1, which belongs to no cell.
        return Pick.Token(Math.Clamp(map.Apply(u, parameters).Value, 0, s_largest), marginal);
    }

    /// <summary>The probability of each token over a uniform u.</summary>
    /// <param name="map">S.</param>
    /// <param name="parameters">Of S, [P].</param>
    /// <param name="marginal">P, [V].</param>
    /// <param name="law">Receives the law, [V].</param>
    public static void Law(MonotoneMap map, Span<double> parameters, ReadOnlySpan<float> marginal, Span<double> law)
    {
        RequireUnit(map);
        var last = marginal.Length - 1;
        while (last >= 0 && !(marginal[last] > 0f))
        {
            last--;
        }

        // The running sum of Cell.Of; the last possible token owns what rounding leaves.
        var (inverse, sum, left) = (map.Inverse, 0.0, 0.0);
        for (var token = 0; token < marginal.Length; token++)
        {
            if (!(marginal[token] > 0f) || token > last)
            {
                law[token] = 0;
                continue;
            }

            sum += marginal[token];
            var right = token == last ? 1.0 : inverse.Apply(Math.Min(sum, 1), parameters).Value;
            (law[token], left) = (right - left, right);
        }
    }

    /// <summary>
    /// S itself where it has one knot per token: piecewise linear, from the edges of the cells of Q to those of P, so that
    /// Pick(S(u), P) = Pick(u, Q): what a <see cref="FlowHead"/> does to u when it turns P into Q.
    /// </summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="bent">Q, [V]; positive only where P is.</param>
    /// <param name="marginal">P, [V].</param>
    public static double Bend(double u, ReadOnlySpan<float> bent, ReadOnlySpan<float> marginal)
    {
        var token = Pick.Token(u, bent);
        var (from, to) = (Cell.Of(token, bent), Cell.Of(token, marginal));
        Guard.Require(to.Width > 0, "Bend u", $"a law that gives token {token} a probability of {bent[token]}",
            "one that is positive only where the marginal is", "A monotone map cannot reach a cell without width.");
        var place = to.Left + (u - from.Left) / from.Width * to.Width;
        return Math.Clamp(place, to.Left, Math.BitDecrement(to.Right));
    }

    private static void RequireUnit(MonotoneMap map) => Guard.Require(
        map.Kind is MonotoneKind.UnitSpline or MonotoneKind.UnitLinear, "Bend u", $"a map of kind {map.Kind}",
        "a map of [0, 1] that fixes its ends", "Take UnitSpline or UnitLinear.");
}
