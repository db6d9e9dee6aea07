// Features of the ablation against their formulas, 2,000 u each, the ends of [0, 1) among them; the bias feature, and what depends on what.
// Source: PTP section 4.1 and the options of its code. For clocks: the largest clock wins the race of an even law (RacePick).
// Control: features of u moved by a little differ; those of a race among other numbers do not name the winner.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class EmbeddingAblationTests
{
    [Theory]
    [InlineData("number", 1)]
    [InlineData("thermometer:32", 32)]
    [InlineData("table:5", 5)]
    [InlineData("sawtooth", 32)]
    [InlineData("cosine", 32)]
    public void Features_follow_their_formulas(string name, int each)
    {
        var embedding = AuxiliaryEmbedding.Parse(name);
        Assert.Equal((name, 2 * each + 1), (embedding.Name, embedding.FeatureCount(2)));
        var (features, other) = (new float[2 * each + 1], new float[2 * each + 1]);
        var same = 0;
        Cases.RunSeeds(2000, seed =>
        {
            var auxiliaries = Auxiliaries.FromSeed((ulong)seed, 2);
            float[] u = [seed switch { 1 => 0, 2 => MathF.BitDecrement(1), 3 => 0.5f, _ => auxiliaries.At(0, 0) }, auxiliaries.At(0, 1)];
            embedding.Features(u, features);
            for (var j = 0; j < 2; j++)
            {
                for (var i = 0; i < each; i++)
                {
                    Assert.Equal(Formula(name, u[j], i, each), features[j * each + i], 2e-6);
                }
            }

            Assert.Equal(1f, features[^1]);
            embedding.Features([u[0], (u[1] + 0.3f) % 1], other);
            Assert.Equal(features[..each], other[..each]); // the first number's features are its own
            same += features.AsSpan().SequenceEqual(other) ? 1 : 0;
        });
        Assert.InRange(same, 0, 40);
    }

    // 2,000 races: the largest clock and the largest share are the even law's token, the shares are chances that sum to the same.
    [Theory]
    [InlineData(26, 26)]
    [InlineData(5, 3)]
    public void Clocks_name_the_winner_of_an_even_race(int vocabulary, int racers)
    {
        var (rule, embedding) = (new RacePick(racers), AuxiliaryEmbedding.Parse($"clocks:{racers}"));
        var width = rule.NumbersPerToken(vocabulary);
        var features = new float[embedding.FeatureCount(width)];
        Assert.Equal(3 * width + 1, features.Length);
        float[] even = [.. Enumerable.Repeat(1f / racers, racers)];
        var astray = 0;
        Cases.RunSeeds(2000, seed =>
        {
            var auxiliaries = Auxiliaries.FromSeed((ulong)seed, width);
            float[] u = [.. Enumerable.Range(0, width).Select(j => seed == 1 && j == 0 ? 0 : auxiliaries.At(0, j))];
            embedding.Features(u, features);
            for (var group = 0; group < width; group += racers)
            {
                var winner = new RacePick(0).Pick(u.AsSpan(group, racers), even);
                foreach (var block in (int[])[0, width, 2 * width])
                {
                    var own = features.AsSpan(block + group, racers).ToArray();
                    Assert.Equal(winner, Array.IndexOf(own, own.Max()));
                    Assert.True(block == 0 || Math.Abs(own.Sum() - 4) < 1e-4);
                }

                var others = Auxiliaries.FromSeed((ulong)seed + 1_000_000, width);
                astray += new RacePick(0).Pick([.. Enumerable.Range(0, racers).Select(j => others.At(0, j))], even) == winner ? 0 : 1;
            }
        });
        Assert.True(astray > 1000, $"control: {astray} races of other numbers have another winner");
    }

    private static double Formula(string name, float u, int i, int each) => name switch
    {
        "number" => (u - 0.5) * Math.Sqrt(12),
        "sawtooth" => 2 * (u * (double)(i + 1) % 1) - 1,
        "cosine" => Math.Cos(Math.PI * (i + 1) * u),
        _ when name.StartsWith("table", StringComparison.Ordinal) => (int)(u * (double)each) == i ? 1 : 0,
        _ => u <= (i + 1) / (double)each ? 1 : -1,
    };
}
