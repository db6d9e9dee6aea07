// A system of the family at work: it decodes texts beside plain decoding and remembers whether they were the same.
// The first text is decoded once before, untimed. Definitions of the figures: DecodeStats.
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

    /// <summary>Whether the promise was kept; null where there is none.</summary>
    public bool? Holds { get; private set; }

    /// <summary>One text by each system in turn; the first is plain decoding.</summary>
    public static void Decode(IReadOnlyList<ComparedSystem> systems, Decoding decoding, int[] prompt, int task, int text)
    {
        Decoded? plain = null;
        foreach (var run in systems)
        {
            if (text == 0)
            {
                run.Decode(prompt, decoding); // compiled in tiers, pages touched: that is not the system's time
            }

            var decoded = run.Decode(prompt, decoding, text);
            plain ??= decoded;
            run._same &= decoded.Tokens.SequenceEqual(plain.Tokens) && decoded.Stop == plain.Stop;
            run.Stats.Add(decoded.Stats);
            run._tasks[task].Add(decoded.Stats);
        }
    }

    /// <summary>Asks whether the promise was kept.</summary>
    public void Check(IBackend backend) => Holds = Stats.Tokens == 0 ? null : system.Holds(law, _same, backend);

    private Decoded Decode(int[] prompt, Decoding decoding, int text = 0) => decoder.Decode(prompt, decoding.U(text), decoding.Limits);
}
