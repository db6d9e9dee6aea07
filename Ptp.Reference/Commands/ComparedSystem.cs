// A system of the family at work: it decodes texts beside plain decoding and remembers whether they were the same, and how fast it was.
//   speed-up of a text = (plain decoding just before + just after) / 2 / the system between them, in ms per token; then the median of texts
// The first text is decoded once before, untimed. Definitions of the other figures: DecodeStats.
// Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>A system at work.</summary>
/// <param name="system">Which.</param>
/// <param name="decoder">Its decoder.</param>
/// <param name="law">The law of the texts.</param>
/// <param name="tasks">Corpora.</param>
internal sealed class ComparedSystem(FamilySystem system, IDecoder decoder, SamplingOptions law, int tasks)
{
    private readonly DecodeStats[] _tasks = [.. Enumerable.Range(0, tasks).Select(_ => new DecodeStats())];
    private bool _same = true;

    public FamilySystem System => system;

    public SamplingOptions Law => law;

    /// <summary>Pooled over all texts.</summary>
    public DecodeStats Stats { get; } = new();

    /// <summary>Accepted per round: mean over corpora.</summary>
    public double MeanOfTasks => _tasks.Where(t => t.Rounds > 0).Average(t => t.AcceptedPerRound);

    /// <summary>How many times as fast as its neighbours in plain decoding, a text each.</summary>
    public PairedRatios Speedups { get; } = new();

    /// <summary>Whether the promise was kept; null where there is none.</summary>
    public bool? Holds { get; private set; }

    /// <summary>One text by each system in turn, and by plain decoding before and after each.</summary>
    /// <param name="systems">The first is plain decoding, which is compared with itself as well.</param>
    /// <param name="decoding">Law, u and limits.</param>
    /// <param name="prompt">What to continue.</param>
    /// <param name="task">Its corpus.</param>
    /// <param name="text">Its number.</param>
    public static void Decode(IReadOnlyList<ComparedSystem> systems, Decoding decoding, int[] prompt, int task, int text)
    {
        if (text == 0)
        {
            foreach (var run in systems)
            {
                run.Decode(prompt, decoding); // compiled in tiers, pages touched: that is not the system's time
            }
        }

        var before = systems[0].Decode(prompt, decoding, text);
        foreach (var run in systems)
        {
            var decoded = run.Decode(prompt, decoding, text);
            var after = systems[0].Decode(prompt, decoding, text);
            run._same &= decoded.Tokens.SequenceEqual(before.Tokens) && decoded.Stop == before.Stop;
            run.Stats.Add(decoded.Stats);
            run._tasks[task].Add(decoded.Stats);
            if (decoded.Stats.Tokens > 0 && before.Stats.Tokens > 0)
            {
                run.Speedups.Add(
                    (before.Stats.MillisecondsPerToken + after.Stats.MillisecondsPerToken) / 2, decoded.Stats.MillisecondsPerToken);
            }

            before = after;
        }
    }

    /// <summary>Asks whether the promise was kept.</summary>
    public void Check(IBackend backend) => Holds = Stats.Tokens == 0 ? null : system.Holds(law, _same, backend);

    private Decoded Decode(int[] prompt, Decoding decoding, int text = 0) => decoder.Decode(prompt, decoding.U(text), decoding.Limits);
}
