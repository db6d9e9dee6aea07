// The cheapest flow head: a Gaussian copula over u, N (N + 1) / 2 numbers and no network at all.
//   e_k = Phi^-1(u_k),  v_k = S_k(u_k) = Phi(sum_{i <= k} L_ki e_i),  rows of L of length 1: every v_k is uniform, so margins stay as they are
//   P(t_k = j | u_<k) = S_k^-1(F_j) - S_k^-1(F_j-1),  S_k^-1(v) = Phi((Phi^-1(v) - m_k) / L_kk),  m_k = sum_{i<k} L_ki e_i
// L is the Cholesky factor of the correlations; cell order decides what they mean. Refuses: an end of a cell outside [0, 1].

using Ptp.Core.Heads.Flows;

namespace Ptp.Core.Heads;

/// <summary>Correlated picks.</summary>
public sealed class GaussianCopula
{
    private const double LeastMass = 1e-300;
    private readonly double[] _weights; // w_ki, i < k, row by row; L_k = (w_k, 1) / |(w_k, 1)|

    /// <summary>Independent picks: L = 1.</summary>
    /// <param name="length">N, tokens; the first keeps its u.</param>
    public GaussianCopula(int length)
    {
        Guard.Require(length is > 0 and <= 256, "Make a copula", $"{length} tokens", "1 to 256", "As many as a draft has.");
        Length = length;
        _weights = new double[length * (length - 1) / 2];
    }

    /// <summary>N.</summary>
    public int Length { get; }

    /// <summary>What is trained, w_10, w_20, w_21, ...: row k of L is (w_k0, .., w_k,k-1, 1) made to length 1.</summary>
    public Span<double> Weights => _weights;

    /// <summary>Mean m_k and deviation L_kk of the normal number whose CDF is v_k, given the noise before.</summary>
    /// <param name="noise">Phi^-1(u_i), i &lt; k, [k].</param>
    public (double Mean, double Deviation) Given(ReadOnlySpan<double> noise)
    {
        var row = Row(noise.Length);
        var (sum, square) = (0.0, 1.0);
        for (var i = 0; i < row.Length; i++)
        {
            sum += row[i] * noise[i];
            square += row[i] * row[i];
        }

        var length = Math.Sqrt(square);
        return (sum / length, 1 / length);
    }

    /// <summary>True if noise says nothing of number k: S_k is the identity, and no rounding by Phi and back touches it.</summary>
    public bool IsIndependent(ReadOnlySpan<double> noise) => IsIdentity(Given(noise));

    /// <summary>S_k(u).</summary>
    public double Bend(double u, ReadOnlySpan<double> noise)
    {
        var (mean, deviation) = Given(noise);
        return IsIdentity((mean, deviation)) || u is <= 0 or >= 1 ? u : Normal.Cdf(mean + deviation * Normal.Quantile(u));
    }

    /// <summary>S_k^-1(v).</summary>
    public double Unbend(double v, ReadOnlySpan<double> noise)
    {
        var (mean, deviation) = Given(noise);
        return IsIdentity((mean, deviation)) || v is <= 0 or >= 1 ? v : Normal.Cdf((Normal.Quantile(v) - mean) / deviation);
    }

    /// <summary>P(t_k | u_&lt;k) of a cell [left, right) of the independent law, and the gradient of its log.</summary>
    /// <param name="left">F(t - 1).</param>
    /// <param name="right">F(t).</param>
    /// <param name="noise">Phi^-1(u_i), i &lt; k, [k].</param>
    /// <param name="gradient">d log P / d w_k, [k], added to.</param>
    public double Probability(double left, double right, ReadOnlySpan<double> noise, Span<double> gradient)
    {
        Guard.Require(left >= 0 && right <= 1 && left < right, "Weigh a cell", $"[{Guard.Text(left)}, {Guard.Text(right)})",
            "ends between 0 and 1, in order", "Take the token's cell, see Cell.Of.");
        var (mean, deviation) = Given(noise);
        var (a, b) = (End(left), End(right));
        var mass = a > 0 ? Normal.Cdf(-a) - Normal.Cdf(-b) : Normal.Cdf(b) - Normal.Cdf(a); // small numbers keep their digits
        var p = Math.Max(mass, LeastMass);
        var (da, db) = (double.IsInfinity(a) ? 0 : Normal.Density(a), double.IsInfinity(b) ? 0 : Normal.Density(b));
        var dMean = -(db - da) / (deviation * p);
        var dDeviation = -((double.IsInfinity(b) ? 0 : b * db) - (double.IsInfinity(a) ? 0 : a * da)) / (deviation * p);

        // m = sum w e / r, L_kk = 1 / r, r^2 = 1 + sum w^2
        var row = Row(noise.Length);
        for (var i = 0; i < row.Length; i++)
        {
            gradient[i] += dMean * (noise[i] * deviation - mean * row[i] * deviation * deviation) - dDeviation * row[i] * Math.Pow(deviation, 3);
        }

        return p;

        double End(double v) => v <= 0 ? double.NegativeInfinity
            : v >= 1 ? double.PositiveInfinity : (Normal.Quantile(v) - mean) / deviation;
    }

    private static bool IsIdentity((double Mean, double Deviation) given) => given is { Mean: 0, Deviation: 1 };

    private ReadOnlySpan<double> Row(int k)
    {
        Guard.Require(k < Length, "Correlate picks", $"{k} numbers before", $"fewer than {Length}", "Make a copula of that length.");
        return _weights.AsSpan(k * (k - 1) / 2, k);
    }
}
