// Beta(b, b) noise: where inside its cell a training u lies (paper's appendix on sampling auxiliaries).
// Ratio of two Gamma(b) variates by squeeze-free rejection, kept as logarithms so that small b cannot give 0 / 0.
// Refuses: b that is not positive and finite.

namespace Ptp.Core.Paper;

/// <summary>Symmetric Beta noise: b = 1 is uniform, b below 1 prefers the borders of the cell, above 1 its middle.</summary>
[Paper("Sampling of auxiliary variables")]
public static class BetaNoise
{
    /// <summary>One draw in [0, 1).</summary>
    /// <param name="b">Both parameters of the Beta law.</param>
    /// <param name="noise">Where randomness comes from.</param>
    public static double Sample(double b, RandomStream noise)
    {
        ArgumentNullException.ThrowIfNull(noise);
        if (b == 1)
        {
            return noise.NextDouble();
        }

        if (!(double.IsFinite(b) && b > 0))
        {
            throw new PtpException(
                "Draw Beta(b, b) noise", $"b = {Guard.Text(b)}", "a positive number", "Use 1 for uniform noise.");
        }

        var difference = LogGamma(b, noise) - LogGamma(b, noise);
        return Math.Min(1 / (1 + Math.Exp(difference)), Math.BitDecrement(1.0));
    }

    /// <summary>The logarithm of a Gamma(b) variate: Marsaglia and Tsang's rejection for b + 1, then a power of a uniform.</summary>
    private static double LogGamma(double b, RandomStream noise)
    {
        var shape = b < 1 ? b + 1 : b;
        var d = shape - 1.0 / 3;
        var c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            var x = noise.NextGaussian();
            var root = 1 + c * x;
            if (root <= 0)
            {
                continue;
            }

            var v = root * root * root;
            if (Math.Log(1 - noise.NextDouble()) < 0.5 * x * x + d - d * v + d * Math.Log(v))
            {
                var log = Math.Log(d * v);
                return b < 1 ? log + Math.Log(1 - noise.NextDouble()) / b : log;
            }
        }
    }
}
