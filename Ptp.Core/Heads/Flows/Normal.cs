// The standard normal law: density, CDF and quantile in double, for flows whose noise is normal and for copulas.
//   Phi(x) = erfc(-x / sqrt 2) / 2: its series near 0, Laplace's continued fraction in the tails; Phi^-1 by Newton on log Phi
// Accurate to some 1e-14 relative in the lower tail (upper: Phi(-x) = 1 - Phi(x)). Refuses: probabilities outside (0, 1).

namespace Ptp.Core.Heads.Flows;

/// <summary>The standard normal law.</summary>
public static class Normal
{
    private const double Near = 2.5;
    private const int Fractions = 60;
    private const double RootTwoPi = 2.5066282746310002;

    /// <summary>exp(-x^2 / 2) / sqrt(2 pi).</summary>
    public static double Density(double x) => Math.Exp(-0.5 * x * x) / RootTwoPi;

    /// <summary>log of <see cref="Density"/>.</summary>
    public static double LogDensity(double x) => -0.5 * x * x - Math.Log(RootTwoPi);

    /// <summary>P(X &lt;= x).</summary>
    public static double Cdf(double x)
    {
        if (x > 0)
        {
            return 1 - Cdf(-x);
        }

        if (double.IsNegativeInfinity(x))
        {
            return 0;
        }

        return x > -Near ? 0.5 + Density(x) * Series(x) : Density(x) * Fraction(-x);
    }

    /// <summary>x with P(X &lt;= x) = p.</summary>
    /// <param name="p">A number in (0, 1).</param>
    public static double Quantile(double p)
    {
        Guard.Require(p is > 0 and < 1, "Ask for a normal quantile", Guard.Text(p), "a probability between 0 and 1",
            "Keep 0 and 1 apart: they belong to minus and plus infinity.");
        if (p > 0.5)
        {
            return -Quantile(1 - p);
        }

        // The tail's leading term to begin with; log Phi is concave, so Newton from the left never overshoots.
        var x = -Math.Sqrt(-2 * Math.Log(2 * p));
        for (var step = 0; step < 50; step++)
        {
            var cdf = Cdf(x);
            var change = Math.Log(cdf / p) * cdf / Density(x);
            x -= change;
            if (Math.Abs(change) <= 1e-15 * Math.Max(1, Math.Abs(x)))
            {
                break;
            }
        }

        return x;
    }

    /// <summary>x + x^3 / 3 + x^5 / 15 + ...: (Phi(x) - 1/2) / density.</summary>
    private static double Series(double x)
    {
        var (term, sum) = (x, x);
        for (var odd = 3; Math.Abs(term) > 1e-17 * Math.Abs(sum); odd += 2)
        {
            term *= x * x / odd;
            sum += term;
        }

        return sum;
    }

    /// <summary>1 / (x + 1 / (x + 2 / (x + ...))): Phi(-x) / density, x large.</summary>
    private static double Fraction(double x)
    {
        var tail = x;
        for (var i = Fractions; i > 0; i--)
        {
            tail = x + i / tail;
        }

        return 1 / tail;
    }
}
