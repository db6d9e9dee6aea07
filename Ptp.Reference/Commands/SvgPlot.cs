// A line plot as SVG, for training curves in documentation: axes, ticks, lines, and a legend beside them; no other file needed.
// Text and numbers are written the same in every culture; colours are readable on white and on dark pages.
// Refuses: nothing to plot. Points that are not finite are left out.

using System.Globalization;
using System.Net;
using System.Text;
using Ptp.Core;
using Ptp.Core.Formats;

namespace Ptp.Reference.Commands;

/// <summary>A named line.</summary>
internal sealed record SvgLine(string Name, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Draws lines.</summary>
internal static class SvgPlot
{
    private const int Width = 800;
    private const int Height = 420;
    private const int Left = 60;
    private const int Right = 20;
    private const int Top = 40;
    private const int Bottom = 50;
    private const int LegendWidth = 44; // of a sample of the line, and what is around it
    private const double LetterWidth = 6.7; // more than letters of this size take on average
    private const int FewPoints = 24; // so many are marked
    private static readonly string[] s_dashes = ["", "6 3", "2 3"];

    /// <summary>Readable on white and on dark pages, and with weak colour vision.</summary>
    internal static readonly string[] Colours = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377"];

    /// <summary>Writes the plot to a file.</summary>
    public static void Save(string path, string title, string xName, string yName, IReadOnlyList<SvgLine> lines) =>
        AtomicFile.WriteText(path, Draw(title, xName, yName, lines));

    /// <summary>The opening tag.</summary>
    internal static StringBuilder Open(double width, double height) => new StringBuilder()
        .Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:0.##} {height:0.##}\" ")
        .Append("font-family=\"sans-serif\" font-size=\"12\" fill=\"#777777\">\n");

    /// <summary>The plot as text.</summary>
    public static string Draw(string title, string xName, string yName, IReadOnlyList<SvgLine> lines)
    {
        lines = [.. lines.Select(l => l with { Points = [.. l.Points.Where(p => double.IsFinite(p.X) && double.IsFinite(p.Y))] })
            .Where(l => l.Points.Count > 0)];
        Guard.Require(lines.Count > 0, "Draw a plot", "no points", "at least one", "Train for a few steps first.");
        var points = lines.SelectMany(l => l.Points).ToList();
        var (x0, x1, xStep) = Axis(points.Min(p => p.X), points.Max(p => p.X));
        var (y0, y1, yStep) = Axis(points.Min(p => p.Y), points.Max(p => p.Y));
        double X(double x) => Left + (x - x0) / (x1 - x0) * (Width - Left - Right);
        double Y(double y) => Height - Bottom - (y - y0) / (y1 - y0) * (Height - Top - Bottom);

        var svg = Open(Width + LegendWidth + LetterWidth * lines.Max(l => l.Name.Length), Height);
        Text(svg, (Left + Width - Right) / 2.0, 20, "middle", title, 15);
        for (var x = x0; x <= x1 + xStep / 2; x += xStep)
        {
            Line(svg, X(x), Y(y0), X(x), Y(y1));
            Text(svg, X(x), Height - Bottom + 18, "middle", Number(x));
        }

        for (var y = y0; y <= y1 + yStep / 2; y += yStep)
        {
            Line(svg, X(x0), Y(y), X(x1), Y(y));
            Text(svg, Left - 8, Y(y) + 4, "end", Number(y));
        }

        Text(svg, (Left + Width - Right) / 2.0, Height - 12, "middle", xName);
        Text(svg, 8, Top - 12, "start", yName);
        for (var i = 0; i < lines.Count; i++)
        {
            // Beyond the last colour they begin again, dashed.
            var (colour, dashes) = (Colours[i % Colours.Length], s_dashes[i / Colours.Length % s_dashes.Length]);
            svg.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\" points=\"");
            foreach (var (x, y) in lines[i].Points)
            {
                svg.Append(CultureInfo.InvariantCulture, $"{X(x):0.##},{Y(y):0.##} ");
            }

            svg.Append("\"/>\n");
            foreach (var (x, y) in lines[i].Points.Take(lines[i].Points.Count <= FewPoints ? FewPoints : 0))
            {
                svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(x):0.##}\" cy=\"{Y(y):0.##}\" r=\"2.2\" fill=\"{colour}\"/>\n");
            }

            var legend = Top + 8 + 18 * i;
            Line(svg, Width - Right + 14, legend, Width - Right + 42, legend, colour, 2, dashes);
            Text(svg, Width - Right + 50, legend + 4, "start", lines[i].Name);
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>A running mean over a hundredth of the points, so that a noisy loss shows its trend.</summary>
    public static IReadOnlyList<(double X, double Y)> Smooth(IReadOnlyList<(double X, double Y)> points)
    {
        var window = Math.Max(1, points.Count / 100);
        var smooth = new List<(double, double)>();
        for (var start = 0; start < points.Count; start += window)
        {
            var part = points.Skip(start).Take(window).ToList();
            smooth.Add((part[^1].X, part.Average(p => p.Y)));
        }

        return smooth;
    }

    /// <summary>Round bounds around [low, high] and a round step between four to ten ticks: the bounds that leave the least room unused.</summary>
    internal static (double From, double To, double Step) Axis(double low, double high)
    {
        var span = high > low ? high - low : Math.Max(1, Math.Abs(high));
        var power = Math.Pow(10, Math.Floor(Math.Log10(span / 10)));
        return ((double[])[50, 20, 10, 5, 2, 1]).Select(factor => power * factor).Where(step => span / step is >= 2.5 and <= 10)
            .Select(step => (From: Math.Floor(low / step) * step, Steps: Math.Ceiling(high / step - 1e-9), Step: step))
            .Select(a => (a.From, To: Math.Max(a.From + a.Step, a.Steps * a.Step), a.Step))
            .MinBy(a => Math.Round((a.To - a.From) / span, 6)); // of equals the first, whose steps are largest
    }

    internal static string Number(double value) =>
        (Math.Abs(value) < 1e-12 ? 0 : value).ToString("G6", CultureInfo.InvariantCulture);

    internal static void Line(
        StringBuilder svg, double x1, double y1, double x2, double y2, string colour = "#99999944", double width = 1, string dashes = "") =>
        svg.Append(CultureInfo.InvariantCulture,
            $"<line x1=\"{x1:0.##}\" y1=\"{y1:0.##}\" x2=\"{x2:0.##}\" y2=\"{y2:0.##}\" stroke=\"{colour}\" stroke-width=\"{width:0.##}\" stroke-dasharray=\"{dashes}\"/>\n");

    internal static void Text(StringBuilder svg, double x, double y, string anchor, string text, int size = 12) =>
        svg.Append(CultureInfo.InvariantCulture,
            $"<text x=\"{x:0.##}\" y=\"{y:0.##}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{WebUtility.HtmlEncode(text)}</text>\n");
}
