// Numbers of [0, 1) in few digits: as many as it takes to see that u lies in its cell, Left <= u < Right, and four at least.
// Source: rounding keeps order, so only ties have to be told apart; nine digits do for a cell that holds a grid number.
// Refuses: nothing; where even nine digits tie, nine are shown.

using System.Globalization;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>Writes u and cells.</summary>
internal static class UnitText
{
    private const int Least = 4;
    private const int Most = 9;

    /// <summary>u alone.</summary>
    public static string Of(double value) => Of(value, Least);

    /// <summary>u and a cell with as many digits as they need.</summary>
    /// <param name="u">The number.</param>
    /// <param name="cell">A cell, its own or another token's.</param>
    public static (string U, string Cell) Of(double u, CellBounds cell)
    {
        for (var digits = Least; ; digits++)
        {
            var (at, left, right) = (Of(u, digits), Of(cell.Left, digits), Of(cell.Right, digits));
            // Same number of digits, all below ten: order of texts is order of numbers.
            var shown = string.CompareOrdinal(left, at) <= 0 && string.CompareOrdinal(at, right) < 0;
            if (digits == Most || (shown == cell.Contains(u) && (left != right || cell.Width == 0)))
            {
                return (at, $"[{left}, {right})");
            }
        }
    }

    private static string Of(double value, int digits) => value.ToString("F" + digits, CultureInfo.InvariantCulture);
}
