// Two densities side by side as SVG: the true one and the learned one, on a grid of squares, equal neighbours drawn as one.
// The scale is linear up to the true density's highest value; colours run from the page's white to dark blue.
// Refuses: nothing. A density that is not finite is drawn as zero.

using System.Globalization;
using System.Net;
using System.Text;

namespace Ptp.Reference.Studies;

/// <summary>Draws densities in the plane.</summary>
internal static class DensityPlot
{
    /// <summary>Squares along a side.</summary>
    public const int Side = 96;

    private const int Shades = 16;
    private const int Size = 360;
    private const int Gap = 20;
    private const int Top = 34;

    /// <summary>Middles of the squares of a frame, row by row from the top, [Side * Side * 2].</summary>
    public static float[] Points((double Left, double Bottom, double Right, double Top) frame)
    {
        var points = new float[Side * Side * 2];
        for (var i = 0; i < Side * Side; i++)
        {
            points[2 * i] = (float)(frame.Left + (i % Side + 0.5) / Side * (frame.Right - frame.Left));
            points[2 * i + 1] = (float)(frame.Top - (i / Side + 0.5) / Side * (frame.Top - frame.Bottom));
        }

        return points;
    }

    /// <summary>The picture as text.</summary>
    /// <param name="panels">Titles and log densities at <see cref="Points"/>; the first gives the scale.</param>
    public static string Draw(IReadOnlyList<(string Title, double[] LogDensities)> panels)
    {
        var most = panels[0].LogDensities.Where(double.IsFinite).Select(Math.Exp).Max();
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture,
            $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {panels.Count * (Size + Gap) + Gap} {Size + Top + Gap}\" ")
            .Append("font-family=\"sans-serif\" font-size=\"14\" fill=\"#777777\" shape-rendering=\"crispEdges\">\n");
        for (var panel = 0; panel < panels.Count; panel++)
        {
            var left = Gap + panel * (Size + Gap);
            svg.Append(CultureInfo.InvariantCulture,
                $"<text x=\"{left + Size / 2}\" y=\"22\" text-anchor=\"middle\">{WebUtility.HtmlEncode(panels[panel].Title)}</text>\n")
                .Append(CultureInfo.InvariantCulture, $"<g transform=\"translate({left} {Top}) scale({(double)Size / Side:0.####})\">\n")
                .Append(CultureInfo.InvariantCulture, $"<rect width=\"{Side}\" height=\"{Side}\" fill=\"{Colour(0)}\"/>\n");
            int[] shades = [.. panels[panel].LogDensities.Select(log => Shade(Math.Exp(log) / most))];
            for (var shade = 1; shade < Shades; shade++)
            {
                Runs(svg, shades, shade);
            }

            svg.Append("</g>\n");
        }

        return svg.Append("</svg>\n").ToString();
    }

    /// <summary>All squares of one shade as one path, neighbours in a row together.</summary>
    private static void Runs(StringBuilder svg, int[] shades, int shade)
    {
        var path = new StringBuilder();
        for (var start = 0; start < shades.Length; start++)
        {
            var end = start;
            while (end < shades.Length && shades[end] == shade && (end == start || end % Side != 0))
            {
                end++;
            }

            if (end > start)
            {
                path.Append(CultureInfo.InvariantCulture, $"M{start % Side} {start / Side}h{end - start}v1h-{end - start}z");
                start = end - 1;
            }
        }

        if (path.Length > 0)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<path fill=\"{Colour(shade)}\" d=\"{path}\"/>\n");
        }
    }

    private static int Shade(double share) => double.IsFinite(share) ? (int)Math.Round(Math.Clamp(share, 0, 1) * (Shades - 1)) : 0;

    private static string Colour(int shade)
    {
        var share = (double)shade / (Shades - 1);
        int Mix(int white, int dark) => (int)Math.Round(white + share * (dark - white));
        return string.Create(CultureInfo.InvariantCulture, $"#{Mix(250, 16):x2}{Mix(250, 42):x2}{Mix(250, 100):x2}");
    }
}
