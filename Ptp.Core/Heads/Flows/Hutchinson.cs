// The estimate behind free-form flows (Draxler 2024): grad log|det f'| = tr((grad f') f'^-1), f'^-1 ~ g'(z), and a trace by random vectors:
//   f'^-T ~ (1/K) sum_k v_k (g'(z) v_k)^T,  v_k columns of a random orthonormal basis times sqrt D, so that E[v v^T] = 1
// With g = f^-1 and K = D it is exact; with K = 1 unbiased. Refuses: more vectors than dimensions.

using Ptp.Core.Paper;

namespace Ptp.Core.Heads.Flows;

/// <summary>Traces by random vectors.</summary>
public static class Hutchinson
{
    /// <summary>K vectors, [K][D].</summary>
    /// <param name="random">Where they come from.</param>
    /// <param name="width">D.</param>
    /// <param name="count">K, at most D.</param>
    public static double[][] Vectors(RandomStream random, int width, int count)
    {
        Guard.Require(count > 0 && count <= width, "Draw Hutchinson vectors", $"{count} in {width} dimensions", "1 to as many as dimensions",
            "A full basis is exact already.");
        var vectors = new double[count][];
        for (var k = 0; k < count; k++)
        {
            var v = new double[width];
            for (var i = 0; i < width; i++)
            {
                v[i] = random.NextGaussian();
            }

            // Gram and Schmidt, twice: once leaves rounding that a later vector would see.
            for (var pass = 0; pass < 2; pass++)
            {
                for (var other = 0; other < k; other++)
                {
                    var part = Dot(v, vectors[other]) / width;
                    Add(v, vectors[other], -part);
                }
            }

            var scale = Math.Sqrt(width / Dot(v, v));
            for (var i = 0; i < width; i++)
            {
                v[i] *= scale;
            }

            vectors[k] = v;
        }

        return vectors;
    }

    /// <summary>What stands for f'^-T, [D, D].</summary>
    /// <param name="vectors">v_k, [K][D].</param>
    /// <param name="pushed">g'(z) v_k, [K][D].</param>
    public static double[,] InverseTranspose(double[][] vectors, double[][] pushed)
    {
        var width = vectors[0].Length;
        var estimate = new double[width, width];
        for (var k = 0; k < vectors.Length; k++)
        {
            for (var row = 0; row < width; row++)
            {
                for (var column = 0; column < width; column++)
                {
                    estimate[row, column] += vectors[k][row] * pushed[k][column] / vectors.Length;
                }
            }
        }

        return estimate;
    }

    private static double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }

    private static void Add(double[] to, double[] what, double scale)
    {
        for (var i = 0; i < to.Length; i++)
        {
            to[i] += scale * what[i];
        }
    }
}
