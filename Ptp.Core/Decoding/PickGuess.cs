// The likeliest value of Pick(u, Q) when only an approximation P of Q is known. A learned law is the mean of those that may be true,
// broader than each, so its cells' borders are off by some x. If x is logistic with scale s, token t is right with probability
//   ~ S((F_t - u) / s) - S((F_{t-1} - u) / s): s -> 0 is Pick itself, a large s the likeliest token. Refuses: what is no law.

namespace Ptp.Core.Decoding;

/// <summary>Pick for drafts: verification decides, so the guess may be biased as long as it is often right.</summary>
public static class PickGuess
{
    /// <summary>The likeliest tokens and the probability that each is right: its share of the borders' errors.</summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="law">P, [V].</param>
    /// <param name="softness">s, above 0.</param>
    /// <param name="best">Receives the guesses.</param>
    public static void Tokens(double u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best)
    {
        var (all, cumulative, left) = (0.0, 0.0, Sigmoid(-u / softness));
        for (var token = 0; token < law.Length; token++)
        {
            if (!(law[token] > 0f))
            {
                continue;
            }

            cumulative += law[token];
            var right = Sigmoid((cumulative - u) / softness);
            all += right - left;
            best.Add(token, (float)(right - left));
            left = right;
        }

        best.Normalise(all);
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
