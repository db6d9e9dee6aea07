// A bar chart as SVG in the style of SvgPlot: a row per name, a panel per series, bars in the colour of their group; no other file needed.
// A panel's bars start at 0, all panels share one scale, and each bar's number stands behind it.
// Refuses: nothing to plot. A value that is not finite has no bar.

using System.Globalization;
using Ptp.Core;

namespace Ptp.Reference.Commands;

/// <summary>A row of bars.</summary>
/// <param name="Name">What stands before it.</param>
/// <param name="Group">What its colour says.</param>
/// <param name="Values">One per panel.</param>
internal sealed record SvgBar(string Name, string Group, IReadOnlyList<double> Values);

/// <summary>Draws bars.</summary>
internal static class SvgBars
{
    private const int Width = 900;
    private const int Left = 180; // names
    private const int Gap = 44; // between panels: the number behind the longest bar
    private const int Top = 76;
    private const int Bottom = 30;
    private const int RowHeight = 17;
    private const int Thickness = 11;

    /// <summary>The chart as text.</summary>
    /// <param name="title">Heading.</param>
    /// <param name="panels">Name of each panel.</param>
    /// <param name="groups">Names of groups, in the order of the legend.</param>
    /// <param name="bars">Rows from top to bottom.</param>
    public static string Draw(string title, IReadOnlyList<string> panels, IReadOnlyList<string> groups, IReadOnlyList<SvgBar> bars)
    {
        double[] values = [.. bars.SelectMany(b => b.Values).Where(double.IsFinite)];
        Guard.Require(values.Length > 0, "Draw bars", "no values", "at least one", "Compare something first.");
        var (_, most, step) = SvgPlot.Axis(0, values.Max());
        double height = Top + RowHeight * bars.Count + Bottom;
        var panel = (Width - Left) / (double)panels.Count - Gap;
        var svg = SvgPlot.Open(Width, height);
        SvgPlot.Text(svg, Width / 2.0, 20, "middle", title, 15);
        for (var g = 0; g < groups.Count; g++)
        {
            Bar(Left + 130 * g, 32, 12, g);
            SvgPlot.Text(svg, Left + 130 * g + 18, 42, "start", groups[g]);
        }

        for (var p = 0; p < panels.Count; p++)
        {
            var x0 = Left + p * (panel + Gap);
            SvgPlot.Text(svg, x0, Top - 12, "start", panels[p], 13);
            for (var x = 0.0; x <= most + step / 2; x += step)
            {
                var at = x0 + x / most * panel;
                SvgPlot.Line(svg, at, Top - 4, at, height - Bottom + 2);
                SvgPlot.Text(svg, at, height - Bottom + 18, "middle", SvgPlot.Number(x));
            }

            for (var row = 0; row < bars.Count; row++)
            {
                var value = bars[row].Values[p];
                if (double.IsFinite(value))
                {
                    var y = Top + RowHeight * row;
                    Bar(x0, y, value / most * panel, Enumerable.Range(0, groups.Count).First(g => groups[g] == bars[row].Group));
                    SvgPlot.Text(svg, x0 + value / most * panel + 4, y + Thickness - 1, "start", value.ToString("0.00", CultureInfo.InvariantCulture), 11);
                }
            }
        }

        for (var row = 0; row < bars.Count; row++)
        {
            SvgPlot.Text(svg, Left - 8, Top + RowHeight * row + Thickness - 1, "end", bars[row].Name);
        }

        return svg.Append("</svg>\n").ToString();

        void Bar(double x, double y, double length, int group) => svg.Append(CultureInfo.InvariantCulture,
            $"<rect x=\"{x:0.##}\" y=\"{y:0.##}\" width=\"{Math.Max(0, length):0.##}\" height=\"{Thickness}\" fill=\"{SvgPlot.Colours[group]}\"/>\n");
    }
}
