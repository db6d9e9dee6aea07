// Which tokens a head's law proposes, the best first: three ways, which differ in what verifiers may do with them.
//   SharedU: what u probably picks from it (a point mass given u: for rules that compare with u's own pick)
//   Ranked: the likeliest tokens whatever u is (Medusa, EAGLE-2: point masses for every rule)
//   Drawn: without replacement, with the text's dice (EAGLE-1: the ratio rule needs the law too). Refuses: nothing.

using System.Numerics.Tensors;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Tensor = Ptp.Core.Tensors.Tensor;

namespace Ptp.Core.Heads;

/// <summary>How proposals come from laws.</summary>
public enum HeadProposals
{
    /// <summary>The tokens that u most probably picks; for path-exact rules, whose texts they make longest.</summary>
    SharedU,

    /// <summary>The likeliest tokens, whatever u is.</summary>
    Ranked,

    /// <summary>Tokens drawn from the law without replacement, with dice of their own.</summary>
    Drawn,
}

/// <summary>Proposals of one head.</summary>
/// <param name="head">The head.</param>
/// <param name="rule">How u picks a token.</param>
/// <param name="proposals">How proposals come from laws.</param>
/// <param name="softness">For shared u: how far the laws may be off, see <see cref="PickGuess"/>.</param>
internal sealed class HeadGuesses(DraftHead head, PickRule rule, HeadProposals proposals, double softness)
{
    /// <summary>Most tokens that are asked for at once.</summary>
    public const int Most = 16;

    private readonly LogitsTransform _plain = new(new SamplingOptions(), head.Network.Config.VocabularySize);
    private readonly float[] _law = new float[head.Network.Config.VocabularySize];
    private readonly float[] _u = new float[rule.NumbersPerToken(head.Network.Config.VocabularySize)];

    /// <summary>Finds the best tokens.</summary>
    /// <param name="session">The text, its law and its dice.</param>
    /// <param name="u">Auxiliaries.</param>
    /// <param name="g">Index of the token.</param>
    /// <param name="logits">The head's, [1, V].</param>
    /// <param name="tokens">Receives ids.</param>
    /// <param name="chances">Receives the chance that the head gives each.</param>
    /// <param name="drawnFrom">The law, [V], if tokens were drawn from it; else null.</param>
    /// <returns>How many; none if the logits are not finite.</returns>
    public int Find(ModelSession session, Auxiliaries u, long g, Tensor logits, Span<int> tokens, Span<float> chances, out float[]? drawnFrom)
    {
        drawnFrom = null;
        head.Network.Backend.Download(logits, _law);
        if (!TensorPrimitives.IsFiniteAll<float>(_law))
        {
            return 0; // weights can be anything; an overflowing head drafts nothing
        }

        session.ToLaw(_law, _law);
        if (proposals == HeadProposals.Drawn)
        {
            drawnFrom = [.. _law];
            var drawn = session.Dice.DrawDistinct(_law, tokens);
            for (var i = 0; i < drawn; i++)
            {
                chances[i] = _law[tokens[i]];
            }

            return drawn;
        }

        u.Fill(g, _u);
        if (proposals == HeadProposals.SharedU && tokens.Length == 1)
        {
            tokens[0] = rule.Guess(_u, _law, softness, out chances[0]);
            return 1;
        }

        var best = new BestGuesses(tokens, chances);
        if (proposals == HeadProposals.SharedU && TensorPrimitives.Max<float>(_law) < 1f)
        {
            rule.Guess(_u, _law, softness, ref best);
            return best.Count;
        }

        // A law of temperature 0 holds one token: alternatives come from the head's law at temperature 1.
        head.Network.Backend.Download(logits, _law);
        _plain.ToLaw(_law, _law);
        for (var token = 0; token < _law.Length; token++)
        {
            best.Add(token, _law[token]);
        }

        return best.Count;
    }
}
