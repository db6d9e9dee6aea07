// Property 3: a token drawn from its law and a place drawn uniformly in its cell give a uniform u, independent of the past.
// Kolmogorov-Smirnov with the Dvoretzky-Kiefer-Wolfowitz bound at a false-alarm probability of 1e-9; all seeds are fixed.
// Negative controls: Beta(0.3, 0.3) noise, a law other than the token's, and a generator with a biased digit are not uniform.

using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class UniformityTests
{
    private const int Draws = 40_000;
    private const double LogAlarm = 20.723; // ln 1e9

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(15)]
    public void Uniform_noise_makes_u_uniform(int seed)
    {
        var u = Redrawn(Laws.Generate(seed), Laws.Generate(seed), 1);
        Assert.True(Distance(u) <= Limit(u.Count), $"{Distance(u)} over {Limit(u.Count)}");
    }

    [Fact]
    public void Beta_noise_and_a_wrong_law_are_caught()
    {
        float[] law = [0.5f, 0.3f, 0.2f];
        float[] other = [0.45f, 0.35f, 0.2f];
        Assert.True(Distance(Redrawn(law, law, 1)) <= Limit(Draws));
        Assert.True(Distance(Redrawn(law, law, 0.3)) > Limit(Draws));
        Assert.True(Distance(Redrawn(law, law, 4)) > Limit(Draws));
        Assert.True(Distance(Redrawn(law, other, 1)) > Limit(Draws));
    }

    [Fact]
    public void U_of_a_token_does_not_depend_on_the_u_before()
    {
        // Two tokens, the law of the second depends on the first; an 8 x 8 table of (u1, u2).
        float[][] laws = [[0.5f, 0.3f, 0.2f], [0.1f, 0.1f, 0.8f], [0.6f, 0.4f, 0f], [0.2f, 0.5f, 0.3f]];
        Assert.True(ChiSquare(0) <= GoodnessOfFit.Limit(63));
        Assert.True(ChiSquare(1) > GoodnessOfFit.Limit(63), "inverting under the wrong token's law must be caught");

        double ChiSquare(int fault)
        {
            var stream = new RandomStream(3, "pairs");
            var table = new int[64];
            for (var i = 0; i < Draws; i++)
            {
                var first = Pick.Token(stream.NextDouble(), laws[0]);
                var second = Pick.Token(stream.NextDouble(), laws[1 + first]);
                Assert.True(Cell.TryDraw(first, laws[0], stream.NextDouble(), out var u1));
                if (Cell.TryDraw(second, laws[1 + (first + fault) % 3], stream.NextDouble(), out var u2))
                {
                    table[(int)(u1 * 8) * 8 + (int)(u2 * 8)]++;
                }
            }

            var expected = table.Sum() / 64.0;
            return table.Sum(count => (count - expected) * (count - expected) / expected);
        }
    }

    [Fact]
    public void Exactly_the_measure_below_x_is_x()
    {
        for (var seed = 0; seed < 200; seed++)
        {
            var law = Laws.Generate(seed);
            var cells = Enumerable.Range(0, law.Length).Select(token => Cell.Of(token, law)).ToArray();
            foreach (var x in Laws.Probes(law, seed).Where(x => x > 0).Take(20))
            {
                var measure = cells.Sum(cell => Math.Clamp(x, cell.Left, cell.Right) - cell.Left);
                Assert.Equal(x, measure, 1e-12);
            }
        }
    }

    [Fact]
    public void Auxiliaries_and_streams_are_uniform_and_independent()
    {
        var auxiliaries = Auxiliaries.FromSeed(11, 3);
        var along = Enumerable.Range(0, Draws).Select(g => (double)auxiliaries.At(g, 0)).ToList();
        var across = Enumerable.Range(0, Draws).Select(g => (double)auxiliaries.At(g / 3, g % 3)).ToList();
        var seeds = Enumerable.Range(0, Draws).Select(s => (double)Auxiliaries.FromSeed((ulong)s).At(0, 0)).ToList();
        var stream = new RandomStream(5, "uniform");
        var doubles = Enumerable.Range(0, Draws).Select(_ => stream.NextDouble()).ToList();
        foreach (var sample in new[] { along, across, seeds, doubles })
        {
            Assert.True(Distance(sample) <= Limit(Draws));
            Assert.True(ChiSquareOfPairs(sample) <= GoodnessOfFit.Limit(255));
        }

        // Each of the 24 digits of u is fair, and so is whether it repeats that of the number before.
        for (var digit = 0; digit < 24; digit++)
        {
            var bits = along.Select(u => ((int)(u * Cell.Grid) >> digit) & 1).ToArray();
            AssertFair(bits.Sum());
            AssertFair(bits.Zip(bits.Skip(1), (a, b) => a ^ b).Sum());
        }

        // Controls: a sequence with memory, and a biased digit.
        var dependent = along.Zip(along.Skip(1).Append(0.5), (a, b) => a < 0.1 ? a : b).ToList();
        Assert.True(ChiSquareOfPairs(dependent) > GoodnessOfFit.Limit(255));
        Assert.True(Math.Abs(along.Count(u => u < 0.52) - Draws / 2.0) > FairLimit);
    }

    [Fact]
    public void Gaussians_and_bounded_integers_have_their_law()
    {
        var stream = new RandomStream(9, "gauss");
        var values = Enumerable.Range(0, Draws).Select(_ => stream.NextGaussian()).ToList();
        Assert.Equal(0, values.Average(), 6 / Math.Sqrt(Draws));
        Assert.Equal(1, values.Average(x => x * x), 6 * Math.Sqrt(2.0 / Draws));
        Assert.Equal(3, values.Average(x => x * x * x * x), 6 * Math.Sqrt(96.0 / Draws));

        var counts = new int[7];
        for (var i = 0; i < Draws; i++)
        {
            counts[stream.NextInt(7)]++;
        }

        Assert.True(counts.Sum(c => Math.Pow(c - Draws / 7.0, 2) / (Draws / 7.0)) <= GoodnessOfFit.Limit(6));
    }

    [Theory]
    [InlineData(0.3)]
    [InlineData(0.5)]
    [InlineData(2)]
    [InlineData(7)]
    public void Beta_noise_has_the_mean_and_variance_of_its_law(double b)
    {
        var stream = new RandomStream(13, "beta");
        var values = Enumerable.Range(0, Draws).Select(_ => BetaNoise.Sample(b, stream)).ToList();
        Assert.All(values, x => Assert.True(x is >= 0 and < 1));
        Assert.Equal(0.5, values.Average(), 6 * 0.5 / Math.Sqrt(Draws));
        Assert.Equal(1 / (4 * (2 * b + 1)), values.Average(x => (x - 0.5) * (x - 0.5)), 6 * 0.25 / Math.Sqrt(Draws));
    }

    private static double FairLimit => Math.Sqrt(Draws * LogAlarm / 2) + 1; // Hoeffding

    private static void AssertFair(int ones) => Assert.InRange(ones, Draws / 2.0 - FairLimit, Draws / 2.0 + FairLimit);

    private static List<double> Redrawn(float[] law, float[] inversionLaw, double b)
    {
        var stream = new RandomStream(1, "redraw");
        var sample = new List<double>(Draws);
        for (var i = 0; i < Draws; i++)
        {
            var token = Pick.Token(stream.NextDouble(), law);
            if (Cell.TryDraw(token, inversionLaw, BetaNoise.Sample(b, stream), out var u))
            {
                sample.Add(u);
            }
        }

        return sample;
    }

    private static double Limit(int n) => Math.Sqrt((LogAlarm + Math.Log(2)) / (2 * n)) + 1.0 / Cell.Grid;

    private static double ChiSquareOfPairs(List<double> sample)
    {
        var table = new int[256];
        for (var i = 0; i + 1 < sample.Count; i += 2)
        {
            table[(int)(sample[i] * 16) * 16 + (int)(sample[i + 1] * 16)]++;
        }

        var expected = sample.Count / 2 / 256.0;
        return table.Sum(count => (count - expected) * (count - expected) / expected);
    }

    private static double Distance(List<double> sample)
    {
        var sorted = sample.Order().ToArray();
        var n = (double)sorted.Length;
        return sorted.Select((u, i) => Math.Max(u - i / n, (i + 1) / n - u)).Max();
    }
}
