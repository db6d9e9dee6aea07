// From numbers to tokens: maps that are many to one, with a stochastic inverse, so that log P(x) >= E_q[log p(v) - log q(v | x)].
//   Pick: v = u in [0, 1), x = Pick(v, P); q uniform in the cell of x: the bound is log P(x) itself, no gap
//   dequantisation (Theis 2016): x = floor v; q uniform in [x, x + 1)
//   argmax (Hoogeboom 2021): x = argmax_j v_j; v_x = e_x, v_j = v_x - softplus(v_x - e_j): log q(v | x) = log q(e) - sum_j log sigma(v_x - e_j)
// PTP's u -> t is the first; flows over tokens use the others, which pay a gap. Refuses: places outside [0, 1), ids outside the vocabulary.

using Ptp.Core.Paper;

namespace Ptp.Core.Heads.Flows;

/// <summary>Surjections from numbers to whole ones.</summary>
public static class Surjections
{
    /// <summary>A u in the cell of a token and log q(u | token), which is -log P(token); null if the token has no cell.</summary>
    /// <param name="token">An id below V.</param>
    /// <param name="law">P, [V].</param>
    /// <param name="place">Uniform, in [0, 1).</param>
    public static (double U, double LogQ)? FromPick(int token, ReadOnlySpan<float> law, double place)
    {
        Guard.UnitInterval(place);
        var cell = Cell.Of(token, law);
        return cell.Width > 0 ? (Math.Min(cell.Left + place * cell.Width, Math.BitDecrement(cell.Right)), -Math.Log(cell.Width)) : null;
    }

    /// <summary>A number v with floor v = x; log q is 0.</summary>
    /// <param name="x">Any whole number.</param>
    /// <param name="place">Uniform, in [0, 1).</param>
    public static double Dequantise(int x, double place)
    {
        Guard.UnitInterval(place);
        return Math.Min(x + place, Math.BitDecrement(x + 1.0));
    }

    /// <summary>floor v.</summary>
    public static int Quantise(double v) => (int)Math.Floor(v);

    /// <summary>The place of the largest number; of equal ones the first.</summary>
    public static int Argmax(ReadOnlySpan<double> v)
    {
        var best = 0;
        for (var j = 1; j < v.Length; j++)
        {
            best = v[j] > v[best] ? j : best;
        }

        return best;
    }

    /// <summary>Numbers whose largest stands at <paramref name="x"/>.</summary>
    /// <param name="x">A place below V.</param>
    /// <param name="noise">e, [V].</param>
    /// <param name="v">Receives them, [V].</param>
    /// <returns>log|det dv/de|, so that log q(v | x) = log q(e) less this.</returns>
    public static double FromArgmax(int x, ReadOnlySpan<double> noise, Span<double> v)
    {
        Guard.Require((uint)x < (uint)noise.Length && v.Length == noise.Length, "Invert an argmax", $"place {x} of {noise.Length} numbers",
            "a place among them", "Give one number per token.");
        var log = 0.0;
        for (var j = 0; j < noise.Length; j++)
        {
            var gap = noise[x] - noise[j];
            v[j] = j == x ? noise[x] : noise[x] - Smooth.Softplus<double, HostMath<double>>(gap);
            log += j == x ? 0 : -Smooth.Softplus<double, HostMath<double>>(-gap); // log sigma(gap)
        }

        return log;
    }
}
