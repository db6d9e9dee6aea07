// How often the i-th guess of a head is right at depth k, given that the path before it is: what static trees are shaped by.
//   acc(k, i) over places of the base's own texts, guesses ranked under the law and the u that made them (Medusa, section 2.3)
// Measured through the head's own steps, so it holds for every architecture. Refuses: texts without their u.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>Calibration of heads.</summary>
public static class HeadCalibration
{
    private const double Doubt = 0.6;
    private const int Ranks = 10;

    /// <summary>acc(k, i), [K][ranks].</summary>
    /// <param name="head">The head.</param>
    /// <param name="texts">Texts with the u of their generated tokens.</param>
    /// <param name="law">The law they were drawn from.</param>
    /// <param name="rule">How u picked.</param>
    /// <param name="places">Places to measure at.</param>
    /// <param name="seed">Seed of their choice.</param>
    /// <param name="proposals">How guesses come from laws; not drawn.</param>
    public static double[][] Accuracy(
        DraftHead head, IReadOnlyList<Completion> texts, SamplingOptions law, PickRule rule, int places, ulong seed,
        HeadProposals proposals = HeadProposals.SharedU)
    {
        var session = new ModelSession(head.Network, law, rule);
        var steps = head.NewSteps();
        var guesses = new HeadGuesses(head, rule, proposals, Doubt);
        var (right, tried) = (new int[steps.Slots][], new int[steps.Slots]);
        for (var depth = 0; depth < right.Length; depth++)
        {
            right[depth] = new int[Ranks];
        }

        var random = new RandomStream(seed, "places of calibration");
        Span<int> tokens = stackalloc int[Ranks];
        Span<float> chances = stackalloc float[Ranks];
        for (var place = 0; place < places; place++)
        {
            var text = texts[random.NextInt(texts.Count)];
            if (text.Tokens.Length <= Math.Max(2, text.PromptLength))
            {
                continue;
            }

            var known = Math.Max(2, text.PromptLength + random.NextInt(text.Tokens.Length - text.PromptLength));
            session.Start(text.Tokens[..known]);
            session.KeepStates(head.Layers);
            var count = Math.Min(steps.Slots, text.Tokens.Length - known);
            if (count <= 0)
            {
                continue;
            }

            var g = known - text.PromptLength;
            var exact = steps.Begin(session, text.U, g, count);
            var skipped = exact is null ? 0 : 1;
            var nodes = new DraftNodes(text.Tokens[known - 1 + skipped]);
            for (var depth = 0; depth < count - skipped; depth++)
            {
                var target = text.Tokens[known + skipped + depth];
                var found = guesses.Find(session, text.U, g + skipped + depth, steps.Laws(nodes, [depth]), tokens, chances, out _);
                var rank = tokens[..found].IndexOf(target);
                tried[depth]++;
                if (rank >= 0)
                {
                    right[depth][rank]++;
                }

                nodes.Add(depth, target, 1f);
            }
        }

        return [.. right.Select((row, depth) => row.Select(count => (double)count / Math.Max(1, tried[depth])).ToArray())];
    }
}
