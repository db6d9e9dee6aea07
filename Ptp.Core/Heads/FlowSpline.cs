// S of a flow head as a rational-quadratic spline of [0, 1] with K bins, whose 3 K + 1 numbers a small network gives per slot:
//   P(t = j | u_<k) = S^-1(F_j) - S^-1(F_{j-1}),   d log P(t) / dp = (dS^-1(F_t)/dp - dS^-1(F_{t-1})/dp) / P(t),   F in a chosen order
// With fewer knots than tokens, neighbours in that order move together. Zeros leave the law as it is, to the bit. Refuses: no order.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>Laws and losses under a spline.</summary>
internal sealed class FlowSpline
{
    private readonly int[] _order; // token at each place
    private readonly int[] _places;
    private readonly float[] _ordered;
    private readonly double[] _bent;
    private readonly double[] _numbers;

    /// <summary>A spline.</summary>
    /// <param name="bins">K.</param>
    /// <param name="order">Ids in the order of their cells, [V].</param>
    public FlowSpline(int bins, int[] order)
    {
        (Map, _order, _places) = (MonotoneMap.UnitSpline(bins), order, new int[order.Length]);
        (_ordered, _bent, _numbers) = (new float[order.Length], new double[order.Length], new double[Map.ParameterCount]);
        for (var place = 0; place < order.Length; place++)
        {
            _places[order[place]] = place;
        }
    }

    /// <summary>S.</summary>
    public MonotoneMap Map { get; }

    /// <summary>Bends a law in place.</summary>
    /// <param name="parameters">Of S, [P], finite.</param>
    /// <param name="law">[V].</param>
    public void Bend(ReadOnlySpan<float> parameters, Span<float> law)
    {
        if (parameters.ContainsAnyExcept(0f))
        {
            Take(parameters, law);
            WarpedPick.Law(Map, _numbers, _ordered, _bent);
            for (var place = 0; place < _order.Length; place++)
            {
                law[_order[place]] = (float)_bent[place];
            }
        }
    }

    /// <summary>log P of a token; minus infinity if its cell has no width.</summary>
    /// <param name="token">Its id.</param>
    /// <param name="parameters">Of S, [P], finite.</param>
    /// <param name="law">The law that is bent, [V].</param>
    /// <param name="weight">Of the gradient.</param>
    /// <param name="gradient">Receives weight times d log P / d parameters, [P].</param>
    public double LogProbability(int token, ReadOnlySpan<float> parameters, ReadOnlySpan<float> law, double weight, Span<float> gradient)
    {
        Take(parameters, law);
        var cell = Cell.Of(_places[token], _ordered);
        var (inverse, sums) = (Map.Inverse, new double[_numbers.Length]);
        var mass = inverse.Apply(cell.Right, _numbers).Value - inverse.Apply(cell.Left, _numbers).Value;
        gradient.Clear();
        if (!(mass > 0))
        {
            return double.NegativeInfinity;
        }

        // The ends of [0, 1] are fixed, whatever the parameters.
        foreach (var (end, sign) in (ReadOnlySpan<(double, int)>)[(cell.Right, 1), (cell.Left, -1)])
        {
            if (end is > 0 and < 1)
            {
                inverse.Backward(end, _numbers, sign * weight / mass, 0, sums);
            }
        }

        for (var i = 0; i < sums.Length; i++)
        {
            gradient[i] = (float)sums[i];
        }

        return Math.Log(mass);
    }

    private void Take(ReadOnlySpan<float> parameters, ReadOnlySpan<float> law)
    {
        for (var i = 0; i < _numbers.Length; i++)
        {
            _numbers[i] = parameters[i];
        }

        for (var place = 0; place < _order.Length; place++)
        {
            _ordered[place] = law[_order[place]];
        }
    }
}
