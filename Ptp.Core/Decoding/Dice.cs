// Fresh randomness of a text, apart from u: yes or no with a chance, a token from a law. Nothing else may decide in a law-exact rule,
// so an implementation that takes every way in turn, with its weight, enumerates the law of a decoder's texts exactly.
// Refuses: laws without mass. Not here: u, which is an argument and addressed by index (Auxiliaries).

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Random decisions, independent of u and of each other.</summary>
public abstract class Dice
{
    /// <summary>True with probability <paramref name="chance"/>; below 0 counts as 0, above 1 as 1.</summary>
    public abstract bool Coin(double chance);

    /// <summary>An id, drawn in proportion to <paramref name="law"/>, [V]; its sum need not be one.</summary>
    public abstract int Draw(ReadOnlySpan<double> law);

    /// <summary>Decisions from a named stream.</summary>
    public static Dice From(RandomStream stream) => new StreamDice(stream);

    /// <summary>Draws different tokens from a law, one after the other: each from what the ones before it left, renormalised.</summary>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="tokens">Receives the tokens, in the order in which they were drawn.</param>
    /// <returns>How many: fewer than asked if the law has no more.</returns>
    public int DrawDistinct(ReadOnlySpan<float> law, Span<int> tokens)
    {
        var rest = new double[law.Length];
        if (!NodeLaws.Normalise(law, rest))
        {
            return 0;
        }

        for (var i = 0; i < tokens.Length; i++)
        {
            tokens[i] = Draw(rest);
            if (!NodeLaws.Remove(rest, tokens[i]))
            {
                return i + 1;
            }
        }

        return tokens.Length;
    }

    private sealed class StreamDice(RandomStream stream) : Dice
    {
        public override bool Coin(double chance) => stream.NextDouble() < chance;

        public override int Draw(ReadOnlySpan<double> law)
        {
            var total = NodeLaws.Total(law);
            var (place, last) = (total * stream.NextDouble(), -1);
            for (var token = 0; token < law.Length; token++)
            {
                if (law[token] > 0)
                {
                    (last, place) = (token, place - law[token]);
                    if (place < 0)
                    {
                        break;
                    }
                }
            }

            // Rounding can leave a place beyond the last weight: it belongs to the last token that can occur.
            return last >= 0 ? last : throw new PtpException(
                "Draw a token", $"a law of {law.Length} weights that sum to {Guard.Text(total)}", "weights of which one is above 0",
                "Check the law behind the draft; a drafter's logits may have overflowed.");
        }
    }
}
