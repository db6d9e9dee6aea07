// The inverse of Pick: the cell [F(t-1), F(t)) of a token, and a u inside it (paper's "compatible auxiliaries").
// u lives on the grid of multiples of 2^-24, the numbers that Auxiliaries deals in; each is exactly one float32.
// Refuses: tokens outside the vocabulary; a cell without a grid number is reported by a false, never mis-assigned.

using Ptp.Core.Cpu;

namespace Ptp.Core.Paper;

/// <summary>A half-open interval of u.</summary>
/// <param name="Left">The smallest u that belongs to it.</param>
/// <param name="Right">The smallest u above it.</param>
public readonly record struct CellBounds(double Left, double Right)
{
    /// <summary>Right - Left: the probability of the token.</summary>
    public double Width => Right - Left;

    /// <summary>True if u lies inside.</summary>
    /// <param name="u">A number in [0, 1).</param>
    public bool Contains(double u) => u >= Left && u < Right;
}

/// <summary>From a known token back to its auxiliaries.</summary>
[Paper("Eq. 9")]
public static class Cell
{
    /// <summary>Numbers on the grid of u: multiples of 1 / Grid, each exactly representable as float.</summary>
    public const int Grid = 1 << 24;

    /// <summary>The cell of a token: every u with Pick(u, law) = token, and no other. The cells tile [0, 1).</summary>
    /// <param name="token">An id below V.</param>
    /// <param name="law">Probabilities, [V].</param>
    public static CellBounds Of(int token, ReadOnlySpan<float> law)
    {
        RequireToken(token, law);
        var left = 0.0; // the same running sum as Pick, to the bit
        for (var id = 0; id < token; id++)
        {
            left += law[id] > 0f ? law[id] : 0.0;
        }

        if (!(law[token] > 0f))
        {
            return new CellBounds(Math.Min(left, 1), Math.Min(left, 1));
        }

        // The last possible token also owns what rounding leaves between the total and one.
        var right = IsLast(token, law) ? 1.0 : Math.Min(left + law[token], 1);
        return new CellBounds(Math.Min(left, 1), right);
    }

    /// <summary>A u with Pick(u, law) = token; false if the cell holds no number of the grid.</summary>
    /// <remarks>
    /// Equals left + noise * width to within one step of the grid. Drawing among the grid numbers inside the cell, instead
    /// of rounding, is the guard: a rounded u reaches the next token's cell in some two of a hundred draws when the cell is
    /// narrow. With uniform noise it is the exact law of a grid-valued u given its token.
    /// </remarks>
    /// <param name="token">An id below V.</param>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="noise01">Where in the cell, in [0, 1]; uniform or <see cref="BetaNoise"/>.</param>
    /// <param name="u">Receives the number.</param>
    public static bool TryDraw(int token, ReadOnlySpan<float> law, double noise01, out float u)
    {
        if (!(noise01 is >= 0 and <= 1))
        {
            throw new PtpException(
                "Draw u inside a cell", $"noise {Guard.Text(noise01)}", "a number in [0, 1]",
                "Draw it from RandomStream.NextDouble or BetaNoise.Sample.");
        }

        RequireToken(token, law);
        var (first, end) = GridRange(token, law);
        if (first >= end)
        {
            u = float.NaN;
            return false;
        }

        var steps = end - first;
        u = (first + Math.Min((int)(noise01 * steps), steps - 1)) * (1f / Grid);
        return true;
    }

    /// <summary>The grid numbers inside the cell: from the first to one below the end, in steps of 1 / Grid.</summary>
    internal static (int First, int End) GridRange(int token, ReadOnlySpan<float> law)
    {
        if (law[token] > 0f)
        {
            // A fast sum settles it unless an edge lies within its bound of a grid number.
            var left = PositiveMass.Sum(law[..token]);
            var right = IsLast(token, law) ? 1.0 : left + law[token];
            var bound = left == 0 ? 0 : PositiveMass.Bound(law.Length); // sums of zeros are exact
            var (first, end) = (Ceiling(left - bound), Ceiling(right - bound));
            if (first == Ceiling(left + bound) && end == Ceiling(right + bound))
            {
                return (first, end);
            }
        }

        var cell = Of(token, law);
        return (Ceiling(cell.Left), Ceiling(cell.Right));
    }

    // Scaling by a power of two does not round.
    private static int Ceiling(double edge) => (int)Math.Ceiling(Math.Clamp(edge, 0, 1) * Grid);

    private static bool IsLast(int token, ReadOnlySpan<float> law)
    {
        for (var id = token + 1; id < law.Length; id++)
        {
            if (law[id] > 0f)
            {
                return false;
            }
        }

        return true;
    }

    private static void RequireToken(int token, ReadOnlySpan<float> law)
    {
        if ((uint)token >= (uint)law.Length)
        {
            throw new PtpException(
                "Find the cell of a token", $"id {token}", $"an id below {law.Length}",
                "Check that the text was tokenized with this model's tokenizer.");
        }
    }
}
