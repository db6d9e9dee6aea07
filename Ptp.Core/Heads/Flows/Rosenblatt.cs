// Sampling as a flow: the inverse Rosenblatt map u -> t of Theorem 1, many to one, and its inverse, whose values are boxes of u.
//   t_k = Pick(u_k, P(. | t_<k));   box(t) = product of cells [F(t_k - 1), F(t_k)),   P(t) = volume of box(t): the change of variables
// u -> t needs the tokens before (IAF's slow side, which PTP learns); t -> box needs them too, and has them. Refuses: what Cell refuses.

using Ptp.Core.Paper;

namespace Ptp.Core.Heads.Flows;

/// <summary>The cell-valued inverse of <see cref="Theorem1.Tokens"/>.</summary>
public static class Rosenblatt
{
    /// <summary>The box of all u that give these tokens, one cell per token.</summary>
    /// <param name="context">Tokens before.</param>
    /// <param name="tokens">t, [K].</param>
    /// <param name="next">The law of the next token.</param>
    /// <param name="vocabularySize">V.</param>
    /// <returns>[K].</returns>
    public static CellBounds[] Box(ReadOnlySpan<int> context, ReadOnlySpan<int> tokens, NextTokenLaw next, int vocabularySize)
    {
        int[] all = [.. context, .. tokens];
        var law = new float[vocabularySize];
        var box = new CellBounds[tokens.Length];
        for (var k = 0; k < box.Length; k++)
        {
            next(all.AsSpan(0, context.Length + k), law);
            box[k] = Cell.Of(tokens[k], law);
        }

        return box;
    }

    /// <summary>The box's volume: the probability of its tokens.</summary>
    public static double Volume(ReadOnlySpan<CellBounds> box)
    {
        var volume = 1.0;
        foreach (var cell in box)
        {
            volume *= cell.Width;
        }

        return volume;
    }
}
