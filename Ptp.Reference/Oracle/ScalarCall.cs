// The R rows of one forward pass: what enters, at which position, who sees whom, and which rows the adapter serves.
// Source: causal rows of a LLaMA; slots at position s + l - 1 that see the context and their predecessors.
// Refuses: rows without an input and tables of the wrong size (checked by ScalarTransformer when it runs).

namespace Ptp.Reference.Oracle;

/// <summary>Rows of one call. R is the length of <paramref name="Tokens"/>.</summary>
/// <param name="Tokens">Token id per row, or <see cref="Slot"/> for a row that enters as a vector, [R].</param>
/// <param name="Positions">RoPE position per row, [R].</param>
/// <param name="Visible">visible[r, c]: row r sees row c, [R, R].</param>
/// <param name="Vectors">Input vectors of the slot rows (other rows are not read), [R, D]; null without slots.</param>
/// <param name="Gated">Rows that the adapter serves, [R]; null for none.</param>
public sealed record ScalarCall(
    int[] Tokens, int[] Positions, bool[,] Visible, double[]? Vectors = null, bool[]? Gated = null)
{
    /// <summary>The "token id" of a row whose input is a vector.</summary>
    public const int Slot = -1;

    /// <summary>R.</summary>
    public int Rows => Tokens.Length;

    /// <summary>Ordinary rows: token r at position r sees rows 0..r.</summary>
    public static ScalarCall Causal(int[] tokens) =>
        new(tokens, [.. Enumerable.Range(0, tokens.Length)], CausalMask(tokens.Length));

    /// <summary>
    /// A context followed by gated auxiliary slots. Slot l predicts the token at context.Length + l, stands at the
    /// position before it (the first slot shares the last token's), and sees the context and the slots up to itself.
    /// </summary>
    /// <param name="context">Token ids, at least one.</param>
    /// <param name="slots">Embedded auxiliaries, [N, D].</param>
    /// <param name="width">D.</param>
    public static ScalarCall WithSlots(int[] context, double[] slots, int width)
    {
        var count = slots.Length / width; // N
        var real = Enumerable.Range(0, context.Length).ToArray();
        var ahead = Enumerable.Range(context.Length - 1, count);
        return new(
            Tokens: [.. context, .. Enumerable.Repeat(Slot, count)],
            Positions: [.. real, .. ahead],
            Visible: CausalMask(context.Length + count),
            Vectors: [.. new double[context.Length * width], .. slots],
            Gated: [.. real.Select(_ => false), .. ahead.Select(_ => true)]);
    }

    private static bool[,] CausalMask(int rows)
    {
        var visible = new bool[rows, rows];
        for (var r = 0; r < rows; r++)
        {
            for (var c = 0; c <= r; c++)
            {
                visible[r, c] = true;
            }
        }

        return visible;
    }
}
