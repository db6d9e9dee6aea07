// Many generated cases of "same u, same tokens", every drafter in turn, PTP's own or the family's; what `ptp soak` and the tests run.
// Source: PTP section 5.1. Case i of a run is a function of seed + i, so one failing line is enough to replay it.
// Refuses: a negative count. Not here: timing.

using System.Collections.Concurrent;
using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>What a soak found.</summary>
/// <param name="Cases">Cases run.</param>
/// <param name="Tokens">Tokens that plain decoding and the decoder under test agreed on, or should have.</param>
/// <param name="Failures">One line per failure: the case, its seed, the difference.</param>
public sealed record SoakReport(int Cases, long Tokens, IReadOnlyList<string> Failures);

/// <summary>The exactness of path-exact decoding, by generated cases.</summary>
public static class ExactnessSoak
{
    private const int MostFailures = 20;

    /// <summary>Runs cases on all cores.</summary>
    /// <param name="seed">Seed of the first case; case i has seed + i.</param>
    /// <param name="cases">How many.</param>
    /// <param name="progress">Told how many are done, from any thread.</param>
    /// <param name="family">True for the systems that PTP is compared with: training-free drafters, small models and heads.</param>
    /// <param name="device">Where to compute, one case after the other; of the CPU its threads, a case each; null = a case per core.</param>
    /// <param name="cancellation">Stops between cases; the report counts what was done.</param>
    public static SoakReport Run(
        ulong seed, int cases, Action<int>? progress = null, bool family = false, IBackend? device = null,
        CancellationToken cancellation = default)
    {
        Guard.Require(cases >= 0, "Soak the decoders", $"{cases} cases", "0 or more", "Give a positive count.");
        // One thread per case; every sixteenth case shares a pool with others, which must change nothing either.
        using var alone = new CpuBackend(1);
        using var pooled = new CpuBackend(Math.Max(2, Environment.ProcessorCount));
        var side = device is null ? -1 : (device as CpuBackend)?.Threads ?? 1; // cases side by side
        var failures = new ConcurrentBag<string>();
        var (done, tokens) = (0, 0L);
        Parallel.For(0, cases, new ParallelOptions { MaxDegreeOfParallelism = side }, (i, state) =>
        {
            if (cancellation.IsCancellationRequested || failures.Count >= MostFailures)
            {
                state.Stop();
                return;
            }

            var drawn = new ExactnessCase(device is not (null or CpuBackend) ? device : i % 16 == 15 ? pooled : alone, seed + (ulong)i);
            var (name, decoder) = family ? FamilyCase.Any(drawn) : ($"{KindOf(drawn.Seed)}", drawn.ErrorCorrected(drawn.Drafter(KindOf(drawn.Seed))));
            if (drawn.Difference(decoder) is { } difference)
            {
                failures.Add($"{name}, {drawn}: {difference}");
            }

            Interlocked.Add(ref tokens, drawn.Expected.Tokens.Length);
            var count = Interlocked.Increment(ref done); // counted whether or not anybody watches
            progress?.Invoke(count);
        });
        return new SoakReport(done, tokens, [.. failures.Order(StringComparer.Ordinal)]);
    }

    /// <summary>The drafter that the soak gives to the case of a seed.</summary>
    public static DrafterKind KindOf(ulong seed) =>
        (DrafterKind)(seed % (ulong)Enum.GetValues<DrafterKind>().Length);
}
