// Pick(u, P): the inverse CDF over ids that turns one uniform number into one token (Eq. 2).
// The law P is the one after temperature, top-k and top-p (see LogitsTransform).
// Refuses: u outside [0, 1), and a law without a positive entry or far from mass one.

using Ptp.Core.Cpu;

namespace Ptp.Core.Paper;

/// <summary>The inverse CDF over vocabulary ids, with half-open cells [F(j-1), F(j)).</summary>
[Paper("Eq. 2")]
public static class Pick
{
    // A law of floats misses mass one by rounding only; more than this is a caller's mistake.
    private const double LargestGap = 1e-3;

    /// <summary>The token whose cell holds u.</summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="law">Probabilities, [V]; they sum to one up to rounding.</param>
    /// <exception cref="PtpException">u lies outside [0, 1), or the law is not a law.</exception>
    public static int Token(double u, ReadOnlySpan<float> law)
    {
        Guard.UnitInterval(u);
        var first = PositiveMass.Skip(law, u - PositiveMass.Bound(law.Length), out var cumulative);
        return first > 0 && TryFinish(u, law, first, cumulative) is { } token ? token : TokenByRunningSum(u, law);
    }

    /// <summary>The definition: one running sum in id order.</summary>
    internal static int TokenByRunningSum(double u, ReadOnlySpan<float> law)
    {
        var cumulative = 0.0; // double: a float sum drifts by more than the width of a rare token's cell
        var lastPossible = -1;
        for (var token = 0; token < law.Length; token++)
        {
            if (!(law[token] > 0f))
            {
                continue; // an empty cell owns no u, so the token must be unreachable
            }

            cumulative += law[token];
            lastPossible = token;
            if (cumulative > u)
            {
                return token;
            }
        }

        // Rounding can leave the total below u: the gap belongs to the last token that can occur.
        return lastPossible >= 0 && cumulative > 1 - LargestGap ? lastPossible : throw NotALaw(law.Length, cumulative);
    }

    /// <summary>The token, if u lies so far inside a cell that the order of summation cannot matter; else null.</summary>
    private static int? TryFinish(double u, ReadOnlySpan<float> law, int first, double cumulative)
    {
        var bound = PositiveMass.Bound(law.Length);
        for (var token = first; token < law.Length; token++)
        {
            var after = cumulative + (law[token] > 0f ? law[token] : 0.0);
            if (after > u)
            {
                return u - cumulative > bound && after - u > bound ? token : null;
            }

            cumulative = after;
        }

        return null;
    }

    internal static PtpException NotALaw(int vocabularySize, double mass) => new(
        "Pick a token", $"{vocabularySize} probabilities of mass {Guard.Text(mass)}",
        "a law: no negative entry, no NaN, total mass one", "Make it from logits with LogitsTransform.");
}
