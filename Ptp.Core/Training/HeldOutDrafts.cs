// Drafts on texts whose u are known and which were not trained on: what was stated of each token, and whether it was right.
//   a chain: its tokens up to the first wrong one; a tree: the children of every true path's nodes, at the adapter's doubt
// Source: what confidences of drafts are used for, which is always "right if all before are". Refuses: texts without their own u.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Collects checked draft tokens and calibrates a model with them.</summary>
public static class HeldOutDrafts
{
    private const int Children = 4;

    /// <summary>Fits <see cref="SlotModel.Confidence"/> and, for gated categorical slots, <see cref="SlotModel.TreeConfidence"/>.</summary>
    /// <param name="ptp">The model.</param>
    /// <param name="verifier">Its base.</param>
    /// <param name="texts">Completions that the base wrote from known u, not trained on.</param>
    /// <param name="every">Tokens from one draft to the next.</param>
    public static void Calibrate(SlotModel ptp, Transformer verifier, IReadOnlyList<Completion> texts, int every = 7)
    {
        var (chains, trees) = (Chains(ptp, verifier, texts, every), Trees(ptp, verifier, texts, every));
        ptp.Confidence = chains.Count > 0 ? ConfidenceCalibration.Fit(chains) : ptp.Confidence;
        ptp.TreeConfidence = trees.Count > 0 ? ConfidenceCalibration.Fit(trees) : ptp.TreeConfidence;
    }

    /// <summary>Tokens of chains, with the confidences that the drafter states.</summary>
    public static IReadOnlyList<CheckedToken> Chains(SlotModel ptp, Transformer verifier, IReadOnlyList<Completion> texts, int every)
    {
        var (drafter, checkedTokens) = (ptp.NewDrafter(), new List<CheckedToken>());
        ForEachPlace(ptp, verifier, texts, every, (session, text, g, left) =>
        {
            var draft = drafter.Propose(session, text.U, g, Math.Min(left, ptp.Slots));
            // Where drafting yields the first law, its first token is known and nothing is asked of it.
            for (var slot = draft.KnowsFirstLaw ? 1 : 0; slot < draft.Tokens.Length; slot++)
            {
                var right = draft.Tokens[slot] == text.Tokens[text.PromptLength + g + slot];
                checkedTokens.Add(new CheckedToken(Bounded(draft.Confidences[slot]), right));
                if (!right)
                {
                    break;
                }
            }
        }, drafter);
        return checkedTokens;
    }

    /// <summary>Children that a draft tree would weigh behind true tokens; empty for models that have no trees.</summary>
    public static IReadOnlyList<CheckedToken> Trees(SlotModel ptp, Transformer verifier, IReadOnlyList<Completion> texts, int every)
    {
        var checkedTokens = new List<CheckedToken>();
        if (!ptp.HasTrees)
        {
            return checkedTokens;
        }

        var reader = new CategoricalReader(ptp);
        var (tokens, chances) = (new int[Children], new float[Children]);
        ForEachPlace(ptp, verifier, texts, every, (session, text, g, left) =>
        {
            var count = Math.Min(left, ptp.Slots);
            var (first, hidden) = reader.Call(session, text.U, g, count);
            if (count > 1)
            {
                reader.Start(session, hidden.Slice(1, count - 1), first);
                for (var slot = 0; slot + 1 < count; slot++)
                {
                    var path = text.Tokens.AsSpan(text.PromptLength + g + 1, slot);
                    var best = new BestGuesses(tokens, chances);
                    reader.Guess(session, text.U, g + 1 + slot, slot, path, ptp.Doubt, ref best);
                    for (var i = 0; i < best.Count; i++)
                    {
                        checkedTokens.Add(new CheckedToken(Bounded(chances[i]), tokens[i] == text.Tokens[text.PromptLength + g + 1 + slot]));
                    }
                }
            }
        }, null);
        return checkedTokens;
    }

    private static double Bounded(float confidence) => float.IsFinite(confidence) ? Math.Clamp(confidence, 0, 1) : 0;

    private static void ForEachPlace(
        SlotModel ptp, Transformer verifier, IReadOnlyList<Completion> texts, int every,
        Action<ModelSession, Completion, int, int> visit, IDrafter? drafter)
    {
        Guard.Require(every > 0 && texts.All(t => t.U.Width == ptp.NumbersPerToken), "Draft on held-out text",
            $"texts of {string.Join(", ", texts.Select(t => t.U.Width).Distinct())} numbers per token, every {every} tokens",
            $"{ptp.NumbersPerToken} numbers ({ptp.Rule.Name}), a step of 1 or more", "Sample the texts with the adapter's own pick rule.");
        var session = new ModelSession(verifier, ptp.Law, ptp.Rule);
        foreach (var text in texts)
        {
            for (var at = text.PromptLength; at < text.Tokens.Length; at += every)
            {
                session.Start(text.Tokens[..at]);
                drafter?.Start(text.Tokens[..at]);
                visit(session, text, at - text.PromptLength, text.Tokens.Length - at);
            }
        }
    }
}
