// A minimum without derivatives (Nelder and Mead 1965): a simplex of n + 1 points reflects, stretches and shrinks its worst one.
// Standard coefficients 1, 2, 1/2, 1/2; it starts anew around its result once, as a simplex that collapsed early may be stuck.
// Refuses: nothing. Made for the few parameters of a fit; values that are not numbers count as infinitely bad.

namespace Ptp.Core.Decoding.Branching;

/// <summary>Direct search for a minimum.</summary>
internal static class NelderMead
{
    private const int MostSteps = 600;
    private const double Size = 0.5;
    private const double Tolerance = 1e-10;

    /// <summary>A point near which the function is smallest, [n].</summary>
    /// <param name="function">What to make small.</param>
    /// <param name="start">Where to begin, [n].</param>
    public static double[] Minimise(Func<double[], double> function, double[] start) => Search(function, Search(function, start));

    private static double[] Search(Func<double[], double> function, double[] start)
    {
        double Value(double[] x) => function(x) is var value && double.IsNaN(value) ? double.PositiveInfinity : value;
        var n = start.Length;
        var points = new double[n + 1][];
        for (var i = 0; i <= n; i++)
        {
            points[i] = [.. start];
            if (i < n)
            {
                points[i][i] += Size;
            }
        }

        var values = Array.ConvertAll(points, Value);
        for (var step = 0; step < MostSteps; step++)
        {
            Array.Sort(values, points);
            if (values[n] - values[0] <= Tolerance * (1 + Math.Abs(values[0])))
            {
                break;
            }

            double[] centre = [.. Enumerable.Range(0, n).Select(k => points[..n].Average(p => p[k]))];
            double[] Along(double t) => [.. centre.Select((c, k) => c + t * (points[n][k] - c))]; // 1 is the worst point itself
            var best = Along(-1);
            var value = Value(best);
            if (value < values[0])
            {
                Keep(Along(-2));
            }
            else if (value >= values[n - 1])
            {
                Keep(Along(value < values[n] ? -0.5 : 0.5));
            }

            if (value < values[n])
            {
                (points[n], values[n]) = (best, value);
                continue;
            }

            for (var i = 1; i <= n; i++)
            {
                points[i] = [.. points[i].Select((x, k) => (x + points[0][k]) / 2)];
                values[i] = Value(points[i]);
            }

            void Keep(double[] other)
            {
                if (Value(other) is var own && own < value)
                {
                    (best, value) = (other, own);
                }
            }
        }

        Array.Sort(values, points);
        return points[0];
    }
}
