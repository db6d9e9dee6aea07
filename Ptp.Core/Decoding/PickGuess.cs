// The likeliest value of Pick(u, Q) when only an approximation P of Q is known. A learned law is the mean of those that may be true,
// broader than each, so its cells' borders are off by some x. If x is logistic with scale s, token t is right with probability
//   ~ S((F_t - u) / s) - S((F_{t-1} - u) / s): s -> 0 is Pick itself, a large s the likeliest token. Refuses: what is no law.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Pick for drafts: verification decides, so the guess may be biased as long as it is often right.</summary>
public static class PickGuess
{
    /// <summary>The guess and the probability that it is right.</summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="law">P, [V].</param>
    /// <param name="softness">s; 0 for Pick.</param>
    /// <param name="confidence">The guess's share of the borders' errors; for softness 0 its probability under P.</param>
    public static int Token(double u, ReadOnlySpan<float> law, double softness, out float confidence)
    {
        if (softness <= 0)
        {
            var exact = Pick.Token(u, law);
            confidence = law[exact];
            return exact;
        }

        var (best, most, all, cumulative, left) = (-1, 0.0, 0.0, 0.0, Sigmoid(-u / softness));
        for (var token = 0; token < law.Length; token++)
        {
            if (!(law[token] > 0f))
            {
                continue;
            }

            cumulative += law[token];
            var right = Sigmoid((cumulative - u) / softness);
            var score = right - left;
            all += score;
            if (score > most)
            {
                (best, most) = (token, score);
            }

            left = right;
        }

        confidence = (float)(most / all);
        return best >= 0 ? best : throw Pick.NotALaw(law.Length, cumulative);
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
