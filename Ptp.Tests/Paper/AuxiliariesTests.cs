// Auxiliaries are a function of (seed, token, number): any order of asking gives the same numbers (prefix-stable).
// The embeddings' features decide u: two different u never look alike, and the constant baseline never tells them apart.
// Their statistics are in UniformityTests. 2,000 generated u per embedding.

using Ptp.Core;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class AuxiliariesTests
{
    [Fact]
    public void Numbers_are_addressed_not_consumed()
    {
        for (var seed = 0UL; seed < 100; seed++)
        {
            var forward = Auxiliaries.FromSeed(seed, 12);
            var values = new float[40, 12];
            for (var g = 0; g < 40; g++)
            {
                for (var j = 0; j < 12; j++)
                {
                    values[g, j] = forward.At(g, j);
                    Assert.True(values[g, j] is >= 0 and < 1);
                    Assert.Equal(0, values[g, j] * Cell.Grid % 1);
                }
            }

            var again = Auxiliaries.FromSeed(seed, 12);
            for (var g = 39; g >= 0; g--)
            {
                Assert.Equal(values[g, g % 12], again.At(g, g % 12));
            }

            Assert.Equal(forward.At(7, 0), Auxiliaries.FromSeed(seed).At(7, 0)); // a wider text keeps the first numbers
            Assert.Equal(forward.At(long.MaxValue, 3), again.At(long.MaxValue, 3));
        }
    }

    [Fact]
    public void Different_seeds_tokens_and_numbers_differ()
    {
        var seen = new HashSet<(float, float, float)>();
        for (var i = 0; i < 30_000; i++)
        {
            var auxiliaries = Auxiliaries.FromSeed((ulong)(i % 10), 30);
            var (g, j) = (i / 10 % 100, i / 1000);
            Assert.True(seen.Add((auxiliaries.At(g, j), auxiliaries.At(g + 1000, j), auxiliaries.At(g + 2000, j))));
        }
    }

    [Fact]
    public void The_numbers_of_a_seed_are_pinned()
    {
        // A stored text names its seed; a change of the function would silently change every such text.
        var auxiliaries = Auxiliaries.FromSeed(42, 2);
        int[] units = [.. new (long, int)[] { (0, 0), (0, 1), (1, 0), (1_000_000, 1) }
            .Select(at => (int)(auxiliaries.At(at.Item1, at.Item2) * Cell.Grid))];
        Assert.Equal([12181534, 15796663, 9752026, 7094521], units);
        Assert.Equal(4747947540930440965UL, new RandomStream(42, "data order").NextBits());
    }

    [Fact]
    public void Given_numbers_come_back_and_their_end_is_an_error()
    {
        float[] u = [0, 0.5f, MathF.BitDecrement(1)];
        var given = Auxiliaries.FromValues(u);
        Assert.Equal(u, Enumerable.Range(0, 3).Select(g => given.At(g, 0)));
        u[1] = 0.25f;
        Assert.Equal(0.5f, given.At(1, 0));
        Assert.Contains("FromSeed", Assert.Throws<PtpException>(() => given.At(3, 0)).WayOut, StringComparison.Ordinal);
        Assert.Throws<PtpException>(() => given.At(-1, 0));
        Assert.Throws<PtpException>(() => given.At(0, 1));
        Assert.Throws<PtpException>(() => Auxiliaries.FromSeed(1).At(0, 1));
        Assert.Throws<PtpException>(() => Auxiliaries.FromSeed(1, 0));
        Assert.Throws<PtpException>(() => Auxiliaries.FromValues([0.5f, 1f]));
        Assert.Throws<PtpException>(() => Auxiliaries.FromValues([float.NaN]));
    }

    [Fact]
    public void Streams_resume_and_differ_by_name()
    {
        var stream = new RandomStream(1, "data order");
        _ = Enumerable.Range(0, 100).Select(_ => stream.NextGaussian() + stream.NextInt(10)).Sum();
        var resumed = new RandomStream(1, "data order") { Position = stream.Position };
        Assert.Equal(stream.NextBits(), resumed.NextBits());
        Assert.NotEqual(new RandomStream(1, "a").NextBits(), new RandomStream(1, "b").NextBits());
        Assert.NotEqual(new RandomStream(1, "a").NextBits(), new RandomStream(2, "a").NextBits());
    }

    [Theory]
    [InlineData("binary-float", 33)]
    [InlineData("fixed-point", 25)]
    [InlineData("linear:2", 2)]
    [InlineData("linear:33", 33)]
    public void Features_determine_u_and_stay_in_their_block(string name, int perNumber)
    {
        var embedding = AuxiliaryEmbedding.Parse(name);
        Assert.Equal(name, embedding.Name);
        Assert.Equal(3 * perNumber, embedding.FeatureCount(3));
        var auxiliaries = Auxiliaries.FromSeed(3, 3);
        var features = new float[3 * perNumber];
        var changed = new float[3 * perNumber];
        for (var g = 0; g < 2_000; g++)
        {
            float[] u = [auxiliaries.At(g, 0), auxiliaries.At(g, 1), auxiliaries.At(g, 2)];
            u[0] = g switch { 0 => 0, 1 => MathF.BitDecrement(1), 2 => 1f / Cell.Grid, 3 => 0.5f, _ => u[0] };
            embedding.Features(u, features);
            for (var j = 0; j < 3; j++)
            {
                Assert.Equal(u[j], Decode(name, features.AsSpan(j * perNumber, perNumber)), 3e-7);
                var other = u.ToArray();
                other[j] = other[j] < 0.5f ? other[j] + 0.25f : other[j] - 0.25f;
                embedding.Features(other, changed);
                for (var k = 0; k < 3; k++)
                {
                    var block = features.AsSpan(k * perNumber, perNumber);
                    Assert.Equal(k != j, block.SequenceEqual(changed.AsSpan(k * perNumber, perNumber)));
                }
            }
        }
    }

    [Fact]
    public void Neighbours_on_the_grid_differ_in_the_exact_embeddings()
    {
        foreach (var name in new[] { "binary-float", "fixed-point" })
        {
            var embedding = AuxiliaryEmbedding.Parse(name);
            var (a, b) = (new float[embedding.FeatureCount(1)], new float[embedding.FeatureCount(1)]);
            for (var i = 0; i < 2_000; i++)
            {
                var u = Auxiliaries.FromSeed(8).At(i, 0) * 0.5f;
                embedding.Features([u], a);
                embedding.Features([u + 1f / Cell.Grid], b);
                Assert.NotEqual(a, b);
            }
        }
    }

    [Fact]
    public void The_constant_baseline_is_independent_of_every_u()
    {
        var embedding = AuxiliaryEmbedding.Parse("constant");
        Assert.Equal(1, embedding.FeatureCount(12));
        var features = new float[1];
        for (var i = 0; i < 100; i++)
        {
            embedding.Features([Auxiliaries.FromSeed(1).At(i, 0)], features);
            Assert.Equal([1f], features);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("binary")]
    [InlineData("linear:1")]
    [InlineData("linear:-2")]
    [InlineData("linear:x")]
    public void Unknown_names_are_refused(string name)
    {
        Assert.Contains("fixed-point", Assert.Throws<PtpException>(() => AuxiliaryEmbedding.Parse(name)).Expected, StringComparison.Ordinal);
        Assert.Throws<PtpException>(() => PickRule.Parse(name));
    }

    [Fact]
    public void Bad_features_calls_are_refused()
    {
        var embedding = AuxiliaryEmbedding.Parse("fixed-point");
        Assert.Throws<PtpException>(() => embedding.Features([0.5f], new float[24]));
        Assert.Throws<PtpException>(() => embedding.Features([1f], new float[25]));
        Assert.Throws<PtpException>(() => embedding.Features([float.NaN], new float[25]));
    }

    [Fact]
    public void The_rule_object_is_pick_and_cell()
    {
        var rule = PickRule.Parse("inverse-cdf");
        Assert.Equal(("inverse-cdf", 1), (rule.Name, rule.NumbersPerToken(2048)));
        var noise = new RandomStream(2, "noise");
        var u = new float[1];
        for (var seed = 0; seed < 300; seed++)
        {
            var law = Laws.Generate(seed);
            var token = rule.Pick([Auxiliaries.FromSeed(4).At(seed, 0)], law);
            Assert.True(rule.TryDraw(token, law, noise, 0.3, u));
            Assert.Equal(token, rule.Pick(u, law));
        }
    }

    private static double Decode(string name, ReadOnlySpan<float> features)
    {
        var value = 0.0;
        if (name == "binary-float")
        {
            var word = 0u;
            foreach (var bit in features[..32])
            {
                word = (word << 1) | (uint)bit;
            }

            Assert.Equal(1f, features[32]);
            return BitConverter.UInt32BitsToSingle(word);
        }

        if (name == "fixed-point")
        {
            for (var digit = 0; digit < 24; digit++)
            {
                value += (features[digit] + 1) / 2 * Math.Pow(2, -1 - digit);
            }

            Assert.Equal(1f, features[24]);
            return value;
        }

        for (var knot = 0; knot < features.Length; knot++)
        {
            value += features[knot] * knot / (features.Length - 1);
        }

        return value;
    }
}
