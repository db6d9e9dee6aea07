// Why u picked each token of a finished text: its u, its cell [F(t-1), F(t)) under the verifying law (Eq. 9), its probability.
// One more pass of the base model over the text, after decoding, so that showing a text costs its decoding nothing. Rows do not
// depend on their call, so these are the laws that verified it, to the bit. Refuses: a text that u does not pick.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>A token under a law.</summary>
/// <param name="Probability">P(token).</param>
/// <param name="Cell">Its cell, if the rule is the inverse CDF.</param>
internal readonly record struct Share(double Probability, CellBounds? Cell);

/// <summary>Why a token was picked.</summary>
/// <param name="U">Its number, if the rule takes just one.</param>
/// <param name="Picked">The committed token under the verifying law.</param>
/// <param name="Rejected">The draft token it replaced, under the same law; null if there is none.</param>
internal readonly record struct PickFacts(double? U, Share Picked, Share? Rejected);

/// <summary>Runs the verifier over a text again.</summary>
internal static class PickReplay
{
    private const int Rows = 64;

    /// <summary>Facts of every token, in order.</summary>
    /// <param name="decoding">Model, law, rule and seed of the text.</param>
    /// <param name="prompt">Ids before it.</param>
    /// <param name="rounds">All rounds of it.</param>
    /// <param name="progress">Told how far it is.</param>
    public static PickFacts[] Explain(
        Decoding decoding, IReadOnlyList<int> prompt, IReadOnlyList<ShownRound> rounds, Progress progress)
    {
        int[] tokens = [.. rounds.SelectMany(r => r.Tokens)];
        var facts = new PickFacts[tokens.Length];
        var rejected = rounds.SelectMany(r => Enumerable.Range(0, r.Tokens.Length).Where(r.Rejects)
            .Select(i => (At: r.Start + i, Token: r.Draft[i]))).ToDictionary(r => r.At, r => r.Token);
        var session = new ModelSession(decoding.Model.Model, decoding.Law, decoding.Rule);
        var u = decoding.U();
        session.Start(prompt);
        int[] inputs = [prompt[^1], .. tokens];
        for (var from = 0; from < tokens.Length; from += Rows)
        {
            var count = Math.Min(Rows, tokens.Length - from);
            session.Verify(inputs.AsSpan(from, count));
            for (var row = 0; row < count; row++)
            {
                var g = from + row;
                var picked = session.Pick(row, u, g);
                Guard.Require(picked == tokens[g], "Show why a token was picked", $"token {g} with id {tokens[g]}",
                    $"id {picked}, which u picks from the model's law", "Decode the text again; a decoder that differs is not exact.");
                facts[g] = new PickFacts(
                    u.Width == 1 ? u.At(g, 0) : null, Of(decoding.Rule, picked, session.Law(row)),
                    rejected.TryGetValue(g, out var token) ? Of(decoding.Rule, token, session.Law(row)) : null);
            }

            progress.Report(from + count, tokens.Length);
        }

        return facts;
    }

    private static Share Of(PickRule rule, int token, ReadOnlySpan<float> law) =>
        new(law[token], rule is InverseCdf ? Cell.Of(token, law) : null);
}
