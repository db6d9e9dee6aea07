// Pearson's chi-square of counts against a law, and the value it exceeds by chance once in a thousand million times.
// Source: the tail bound of Laurent and Massart (2000). Cells that expect fewer than five are pooled, as the bound is for large counts.
// Not here: which counts.

namespace Ptp.Tests;

internal static class GoodnessOfFit
{
    private const double LogAlarm = 20.723; // ln 1e9
    private const double LeastExpected = 5;

    /// <summary>The alarm for so many degrees of freedom.</summary>
    public static double Limit(int freedom) => freedom + 2 * Math.Sqrt(freedom * LogAlarm) + 2 * LogAlarm;

    /// <summary>Null if the counts can be draws from the law, else what speaks against it.</summary>
    public static string? Fault(IReadOnlyList<int> counts, IReadOnlyList<double> law)
    {
        var total = counts.Sum();
        var (chi, freedom, rare, rareExpected) = (0.0, 0, 0, 0.0);
        for (var cell = 0; cell < counts.Count; cell++)
        {
            var expected = total * law[cell];
            if (expected < LeastExpected)
            {
                (rare, rareExpected) = (rare + counts[cell], rareExpected + expected);
                continue;
            }

            chi += (counts[cell] - expected) * (counts[cell] - expected) / expected;
            freedom++;
        }

        // Rare cells together are Poisson, well below mean + 7 deviations + 20.
        return chi > Limit(freedom) ? $"chi-square {chi:F1} over {Limit(freedom):F1}"
            : rare > rareExpected + 7 * Math.Sqrt(rareExpected) + 20 ? $"{rare} rare draws, {rareExpected:F1} expected"
            : null;
    }
}
