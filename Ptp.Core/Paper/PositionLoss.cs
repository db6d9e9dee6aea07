// -log P of each token behind a split, by position: what perplexity by position is made of (PTP section 3.5, its table of perplexities).
//   C-PTP: -log P_theta(t_k | t_<i, u_i..u_{k-1}) at u inferred from the model itself;   next-token model: -log P(t_k | t_<k)
// Refuses: nothing itself; Inversion refuses slots whose laws depend on more than earlier u. Impossible tokens cost infinity.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>Mean losses by position behind a split.</summary>
public static class PositionLoss
{
    /// <summary>Of a C-PTP model, in nats; the mean over texts for the first token behind the split, the second, ...; [N].</summary>
    /// <param name="ptp">Categorical slots, alone or with a sampler head that reads tokens.</param>
    /// <param name="texts">Texts, all with N predicted tokens.</param>
    /// <param name="noise">Seed of the places in the cells.</param>
    public static double[] OfSlots(SlotModel ptp, SplitTexts texts, ulong noise) =>
        Mean(texts, new Inversion(ptp).Sequential(texts, noise).LogLikelihood);

    /// <summary>Of a model that sees the tokens, in nats, [N].</summary>
    /// <param name="model">A next-token model.</param>
    /// <param name="texts">Texts, all with N predicted tokens.</param>
    /// <param name="law">From logits to law.</param>
    public static double[] OfNextToken(Transformer model, SplitTexts texts, SamplingOptions law)
    {
        var tape = new Tape(model.Backend);
        var (row, transform) = (new float[model.Config.VocabularySize], new LogitsTransform(law, model.Config.VocabularySize));
        var logLikelihood = new List<double>();
        for (var text = 0; text < texts.Texts.Count; text++)
        {
            var tokens = texts.Texts[text];
            tape.Reset();
            var logits = model.Forward(
                tape, tokens, new CallRows([.. Enumerable.Range(0, tokens.Length)], Visibility.Causal(0, tokens.Length))).Value;
            for (var place = texts.Starts[text]; place < tokens.Length; place++)
            {
                model.Backend.Download(logits.Slice(place - 1, 1), row);
                transform.ToLaw(row, row);
                logLikelihood.Add(Math.Log(row[tokens[place]]));
            }
        }

        return Mean(texts, logLikelihood);
    }

    /// <summary>Means by position of log-likelihoods, as losses, [N].</summary>
    /// <param name="texts">Texts, all with N predicted tokens.</param>
    /// <param name="logLikelihood">Of every predicted token, text by text, [P].</param>
    public static double[] Mean(SplitTexts texts, IReadOnlyList<double> logLikelihood)
    {
        var length = texts.Predicted(0);
        Guard.Require(Enumerable.Range(0, texts.Texts.Count).All(text => texts.Predicted(text) == length), "Average losses by position",
            "texts with different numbers of predicted tokens", $"{length} behind each split", "Cut them to one length.");
        var sums = new double[length];
        foreach (var (index, (_, slot)) in texts.Tokens().Index())
        {
            sums[slot] -= logLikelihood[index] / texts.Texts.Count;
        }

        return sums;
    }
}
