// Generated laws for the tests of this folder: each kind aims at one way in which sums of probabilities go wrong.
// Everything follows from the seed, which failures print.
// Not here: laws of a trained model (see the decoder tests on real data).

using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Tests.Paper;

internal static class Laws
{
    /// <summary>A law, [V], of mass one up to float rounding.</summary>
    public static float[] Generate(int seed)
    {
        var random = new RandomStream((ulong)seed, "laws");
        int[] sizes = [1, 2, 3, 4, 7, 25, 63, 64, 65, 130, 512, 1000];
        var v = sizes[random.NextInt(sizes.Length)];
        var weights = new double[v];
        var kind = seed % 8;
        for (var i = 0; i < v; i++)
        {
            weights[i] = kind switch
            {
                0 => random.NextDouble(), // flat
                1 => Math.Exp(12 * random.NextGaussian()), // spiky
                2 => random.NextInt(4) == 0 ? 1 : 0, // mostly impossible tokens, dyadic when lucky
                3 => Math.Pow(10, -45 * random.NextDouble()), // down to denormals
                4 => random.NextInt(2) == 0 ? 1 : 1e-9, // cells below the grid of u between wide ones
                5 => i == v / 2 ? 1 : 3e-8, // a dominant token
                6 => 1, // equal cells, often on the grid
                _ => Math.Exp(3 * random.NextGaussian()),
            };
        }

        if (weights.Sum() == 0)
        {
            weights[random.NextInt(v)] = 1;
        }

        if (kind == 7)
        {
            // Through the real door, with truncation.
            var law = new float[v];
            new LogitsTransform(new() { TopK = 40, TopP = 0.95, Temperature = 0.7 }, v)
                .ToLaw([.. weights.Select(w => (float)Math.Log(w))], law);
            return law;
        }

        var sum = weights.Sum();
        return [.. weights.Select(w => (float)(w / sum))];
    }

    /// <summary>Values of u at which rules break: edges of the law, their neighbours, the ends, the grid, random ones.</summary>
    public static IEnumerable<double> Probes(float[] law, int seed)
    {
        var random = new RandomStream((ulong)seed, "probes");
        var edges = Edges(law);
        yield return 0;
        yield return 0.5;
        yield return Math.BitDecrement(1.0);
        yield return 1 - Math.Pow(2, -24);
        for (var i = 0; i < 20; i++)
        {
            var edge = edges[random.NextInt(edges.Length)];
            double[] near =
            [
                edge, Math.BitDecrement(edge), Math.BitIncrement(edge), (float)edge, edge - 1e-12, random.NextDouble(),
                random.NextInt(Cell.Grid) / (double)Cell.Grid,
            ];
            foreach (var u in near)
            {
                if (u is >= 0 and < 1)
                {
                    yield return u;
                }
            }
        }
    }

    /// <summary>F(0) = 0, F(1), .., F(V): the running sums in double.</summary>
    public static double[] Edges(float[] law)
    {
        var edges = new double[law.Length + 1];
        for (var i = 0; i < law.Length; i++)
        {
            edges[i + 1] = edges[i] + law[i];
        }

        return edges;
    }
}
