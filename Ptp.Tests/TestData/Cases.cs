// A loop over seeds: a property whose failure names the seed that replays it.
// Source: seeds 1, 2, ... or those from the variable PTP_SEED on.
// Not here: shrinking. Generators draw small cases to begin with.

using System.Globalization;
using Xunit.Sdk;

namespace Ptp.Tests;

internal static class Cases
{
    private static readonly int s_first =
        int.TryParse(Environment.GetEnvironmentVariable("PTP_SEED"), CultureInfo.InvariantCulture, out var seed) ? seed : 1;

    /// <summary>Runs <paramref name="body"/> on <paramref name="count"/> seeds.</summary>
    public static void Run(int count, Action<Random> body) => RunSeeds(count, seed => body(new Random(seed)));

    public static void RunSeeds(int count, Action<int> body)
    {
        for (var seed = s_first; seed < s_first + count; seed++)
        {
            try
            {
                body(seed);
            }
            catch (Exception error)
            {
                throw new XunitException($"Seed {seed} (replay with PTP_SEED={seed}): {error.Message}", error);
            }
        }
    }
}
