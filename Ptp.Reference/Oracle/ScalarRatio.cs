// The law of one token that the ratio rule commits when the draft is x = Pick(u, p), in closed form, and of the rule done wrong:
// u used again for the rest, the rest left unnormalised, a confidence taken for the draft's law. Coins are always fresh.
// Refuses: nothing. Cells of u are intervals, so every probability is a sum of lengths of overlaps.

namespace Ptp.Reference.Oracle;

/// <summary>What an accept-by-ratio verifier commits, by enumeration.</summary>
public static class ScalarRatio
{
    /// <summary>The law of the committed token, [V].</summary>
    /// <param name="p">The verifier's law, which the drafter knows.</param>
    /// <param name="confidence">q(x) that the rule divides by, what is left spread evenly over the other tokens; 1 is a point mass.</param>
    /// <param name="sharesU">True to draw from the rest with the u that made x.</param>
    /// <param name="normalises">False to close the rest's cumulative sum with 1 at the last token instead.</param>
    public static double[] Committed(double[] p, double confidence = 1, bool sharesU = false, bool normalises = true)
    {
        var law = new double[p.Length];
        for (var x = 0; x < p.Length; x++)
        {
            if (p[x] <= 0)
            {
                continue;
            }

            var (left, right) = ScalarPick.Cell(x, p);
            var kept = Math.Min(1, p[x] / confidence);
            law[x] += (right - left) * kept;
            var edges = Edges(p, x, confidence, normalises);
            for (var y = 0; y < p.Length; y++)
            {
                var drawn = sharesU
                    ? Math.Max(0, Math.Min(right, edges[y + 1]) - Math.Max(left, edges[y]))
                    : (right - left) * (edges[y + 1] - edges[y]);
                law[y] += (1 - kept) * drawn;
            }
        }

        return law;
    }

    /// <summary>Cumulative sums of max(0, p - q), the last one forced to 1.</summary>
    private static double[] Edges(double[] p, int x, double confidence, bool normalises)
    {
        var others = (1 - confidence) / (p.Length - 1);
        double[] rest = [.. p.Select((value, y) => Math.Max(0, value - (y == x ? confidence : others)))];
        var scale = normalises ? rest.Sum() : 1;
        var edges = new double[p.Length + 1];
        for (var y = 0; y < p.Length; y++)
        {
            edges[y + 1] = edges[y] + (scale > 0 ? rest[y] / scale : 0);
        }

        edges[^1] = 1;
        return edges;
    }
}
