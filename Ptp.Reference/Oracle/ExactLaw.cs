// Every sequence of a tiny language: its probability, and the box of auxiliaries (one cell per token) that leads to it.
// Source: Theorem 2; the box's volume is the joint probability, and the boxes fill the unit cube.
// Refuses: languages of more than 100,000 sequences.

namespace Ptp.Reference.Oracle;

/// <summary>One sequence.</summary>
/// <param name="Tokens">t_i..t_N.</param>
/// <param name="Probability">Product of the next-token probabilities.</param>
/// <param name="Cells">The interval of u for each token, given the tokens before it.</param>
public sealed record ExactSequence(int[] Tokens, double Probability, (double Left, double Right)[] Cells)
{
    /// <summary>Volume of the box of auxiliaries.</summary>
    public double Volume => Cells.Aggregate(1.0, (volume, cell) => volume * (cell.Right - cell.Left));

    /// <summary>The point of the box at the given relative place per token, each in [0, 1).</summary>
    public double[] Point(double[] place) =>
        [.. Cells.Zip(place, (cell, at) => Math.Min(
            cell.Left + at * (cell.Right - cell.Left), Math.BitDecrement(cell.Right)))];
}

/// <summary>Enumeration.</summary>
public static class ExactLaw
{
    /// <summary>
    /// All continuations of <paramref name="context"/> of the given length that can occur, in id order.
    /// </summary>
    /// <param name="law">Law of the next token, [V].</param>
    /// <param name="context">Tokens before.</param>
    /// <param name="length">N, number of tokens to continue by.</param>
    public static IReadOnlyList<ExactSequence> Sequences(ScalarNextLaw law, int[] context, int length)
    {
        IReadOnlyList<ExactSequence> grown = [new([], 1, [])];
        for (var step = 0; step < length; step++)
        {
            grown = [.. grown.SelectMany(sequence => Extend(law, context, sequence))];
            if (grown.Count > 100_000)
            {
                throw new ArgumentException($"More than 100,000 sequences after {step + 1} tokens.", nameof(length));
            }
        }

        return grown;
    }

    private static IEnumerable<ExactSequence> Extend(ScalarNextLaw law, int[] context, ExactSequence sequence)
    {
        var next = law([.. context, .. sequence.Tokens]);
        for (var token = 0; token < next.Length; token++)
        {
            if (next[token] > 0)
            {
                yield return new(
                    [.. sequence.Tokens, token],
                    sequence.Probability * next[token],
                    [.. sequence.Cells, ScalarPick.Cell(token, next)]);
            }
        }
    }
}
