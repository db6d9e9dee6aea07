// Pick(u, P): the inverse CDF in vocabulary-id order, and its inverse, the cell of u that belongs to a known token.
// Source: the paper's Pick, min { j : F_j > u }; cells are half-open, [F_(j-1), F_j).
// Refuses: u outside [0, 1), laws without a possible token, cells that are empty or too narrow for any u.

namespace Ptp.Reference.Oracle;

/// <summary>The map between one uniform number and one token.</summary>
public static class ScalarPick
{
    /// <summary>The token whose cell holds <paramref name="u"/>.</summary>
    /// <param name="u">In [0, 1).</param>
    /// <param name="law">Probabilities, [V].</param>
    public static int Token(double u, double[] law)
    {
        if (!(u >= 0 && u < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(u), u, "u must lie in [0, 1).");
        }

        var cumulative = 0.0;
        for (var token = 0; token < law.Length; token++)
        {
            cumulative += law[token];
            if (law[token] > 0 && cumulative > u)
            {
                return token;
            }
        }

        return LastPossible(law); // rounding left the total below u; the gap belongs to the last token that can occur
    }

    /// <summary>
    /// The half-open cell [Left, Right) of a possible token: Pick returns it for these u and no others.
    /// </summary>
    public static (double Left, double Right) Cell(int token, double[] law)
    {
        if (!(law[token] > 0))
        {
            throw new ArgumentException($"Token {token} has probability {law[token]}: no cell.", nameof(token));
        }

        var left = 0.0;
        for (var before = 0; before < token; before++)
        {
            left += law[before];
        }

        var right = token == LastPossible(law) ? 1 : left + law[token];
        return (Math.Min(left, 1), Math.Min(right, 1)); // a total rounded above 1 must not lead out of [0, 1)
    }

    /// <summary>
    /// A u for a known token: Left + noise * (Right - Left), kept inside the cell when rounding would leave it.
    /// </summary>
    /// <param name="token">A token of positive probability.</param>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="noise">In [0, 1): uniform noise makes u uniform when the token was drawn from the law.</param>
    public static double Auxiliary(int token, double[] law, double noise)
    {
        var (left, right) = Cell(token, law);
        if (left >= right)
        {
            throw new ArgumentException($"The cell of token {token} is narrower than a double.", nameof(token));
        }

        return Math.Min(left + noise * (right - left), Math.BitDecrement(right));
    }

    private static int LastPossible(double[] law)
    {
        var last = Array.FindLastIndex(law, probability => probability > 0);
        return last >= 0 ? last : throw new ArgumentException("No token has positive probability.", nameof(law));
    }
}
