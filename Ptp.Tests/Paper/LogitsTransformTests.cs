// LogitsTransform against a plain double reference: full sort, no prefilter, no vectors (property 4 of the sampling law).
// A case whose cut falls within rounding of an edge is compared by its kept mass instead of by ids; they are counted.
// Negative controls: a cut by inclusive mass and ties broken by the higher id must both be caught.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class LogitsTransformTests
{
    private enum Fault
    {
        None,
        InclusiveTopP,
        HigherIdFirst,
    }

    [Fact]
    public void Law_equals_the_plain_reference()
    {
        var nearEdges = 0;
        for (var seed = 0; seed < 1_500; seed++) // 1,500 generated rows
        {
            var (logits, options) = Case(seed);
            var (expected, margin) = Reference(logits, options, Fault.None);
            var law = Law(logits, options);
            Assert.InRange(law.Sum(p => (double)p), 1 - 1e-5, 1 + 1e-5);
            if (margin < 1e-6)
            {
                nearEdges++;
                continue;
            }

            for (var id = 0; id < law.Length; id++)
            {
                var agrees = Math.Abs(law[id] - expected[id]) <= 2e-5 * expected[id] + 1e-37
                    && (law[id] > 0) == (expected[id] > 1e-37 || law[id] > 0 && expected[id] > 0);
                Assert.True(agrees, $"seed {seed}, {options}, V {law.Length}, id {id}: {law[id]} for {expected[id]}");
            }
        }

        Assert.True(nearEdges < 60, $"{nearEdges} cases were too close to an edge to compare");
    }

    [Theory]
    [InlineData(nameof(Fault.InclusiveTopP))]
    [InlineData(nameof(Fault.HigherIdFirst))]
    public void A_wrong_reference_is_caught(string fault)
    {
        var differs = 0;
        for (var seed = 0; seed < 1_500; seed++)
        {
            var (logits, options) = Case(seed);
            var (expected, margin) = Reference(logits, options, Enum.Parse<Fault>(fault));
            var law = Law(logits, options);
            differs += margin >= 1e-6 && law.Where((p, id) => (p > 1e-30) != (expected[id] > 1e-30)).Any() ? 1 : 0;
        }

        Assert.True(differs > 20, $"{fault} was seen in {differs} cases only");
    }

    [Fact]
    public void Zero_temperature_is_the_lowest_id_of_the_maximum()
    {
        for (var seed = 0; seed < 500; seed++)
        {
            var (logits, _) = Case(seed);
            var law = Law(logits, SamplingOptions.Greedy with { TopK = seed % 3, TopP = 0.5 });
            var best = Array.FindIndex(logits, x => x == logits.Max());
            Assert.Equal(1f, law[best]);
            Assert.Equal(1, law.Count(p => p > 0));
        }
    }

    [Fact]
    public void Adding_a_constant_changes_nothing_and_rows_do_not_see_each_other()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var (logits, options) = Case(seed);
            var coarse = logits.Select(x => MathF.Round(x * 64) / 64).ToArray(); // so that adding is exact
            var transform = new LogitsTransform(options, coarse.Length);
            var law = new float[coarse.Length];
            var shifted = new float[coarse.Length];
            transform.ToLaw(coarse, law);
            transform.ToLaw([.. coarse.Select((x, i) => x + i % 7)], shifted); // another row in between
            transform.ToLaw([.. coarse.Select(x => x + 32)], shifted);
            Assert.Equal(law, shifted);

            var inPlace = coarse.ToArray();
            transform.ToLaw(inPlace, inPlace);
            Assert.Equal(law, inPlace);
        }
    }

    [Fact]
    public void Small_known_laws()
    {
        float[] quarter = [MathF.Log(0.25f), MathF.Log(0.5f), float.NegativeInfinity, MathF.Log(0.25f)];
        Assert.Equal([0f, 1f, 0f, 0f], Law(quarter, new() { TopK = 1 }));
        Assert.Equal([0f, 1f, 0f, 0f], Law(quarter, new() { TopP = 0.49 }));
        Assert.Equal(2, Law(quarter, new() { TopP = 0.6 }).Count(p => p > 0));
        Assert.True(Law(quarter, new() { TopP = 0.6 })[0] > 0, "ties: the lower id first");
        Assert.Equal(3, Law(quarter, new() { TopK = 4, TopP = 0.99 }).Count(p => p > 0));
        Assert.Equal([1f], Law([3f], new() { Temperature = 5, TopP = 0.1 }));

        // Renormalised after top-k: 2/3 reaches a top-p of 0.6, where 1/2 would not.
        Assert.Equal(1, Law(quarter, new() { TopK = 2, TopP = 0.6 }).Count(p => p > 0));
    }

    [Fact]
    public void Extreme_temperatures_and_logits_stay_laws()
    {
        float[] few = [1e38f, -3e38f, float.NegativeInfinity, 1e38f, 0f];
        ExtremesStayLaws(few);
        ExtremesStayLaws([.. few, .. Enumerable.Range(0, 1100).Select(i => i % 3 == 0 ? float.NegativeInfinity : -3e38f)]); // whole vectors, chunks, a rest
    }

    // Every weight of a row of several chunks, vectors and a rest is the scalar function's; control: another temperature's are not.
    [Fact]
    public void Weights_of_vectors_are_those_of_scalars()
    {
        var random = new RandomStream(5, "weights");
        foreach (var v in new[] { 15, 16, 47, 512, 1000, 1100 })
        {
            var logits = Enumerable.Range(0, v).Select(i => i % 11 == 5 ? float.NegativeInfinity : (float)(8 * random.NextDouble())).ToArray();
            logits[v / 2] = 9; // the largest, whose weight is one
            foreach (var temperature in new[] { 0.3, 0.7, 1.9 })
            {
                var law = Law(logits, new() { Temperature = temperature });
                float[] Expected(double t) => [.. logits.Select(x => FastMath.Exp((x - 9) * (float)(1 / t)) * law[v / 2])];
                Assert.Equal(Expected(temperature), law);
                Assert.NotEqual(Expected(temperature + 1e-4), law);
            }
        }
    }

    private static void ExtremesStayLaws(float[] logits)
    {
        foreach (var temperature in new[] { 1e-300, 1e-6, 1, 1e6, 1e300 })
        {
            foreach (var topP in new[] { 1e-300, 0.5, 1 - 1e-16, 1 })
            {
                foreach (var topK in new[] { 0, 1, 3 })
                {
                    var law = Law(logits, new() { Temperature = temperature, TopP = topP, TopK = topK });
                    Assert.InRange(law.Sum(), 0.99999f, 1.00001f);
                    Assert.Equal(0f, law[2]);
                }
            }
        }
    }

    [Fact]
    public void Bad_rows_and_options_are_refused()
    {
        var transform = new LogitsTransform(new(), 40);
        var law = new float[40];
        foreach (var at in new[] { 0, 17, 39 })
        {
            foreach (var value in new[] { float.NaN, float.PositiveInfinity })
            {
                var logits = new float[40];
                logits[at] = value;
                Assert.Throws<PtpException>(() => transform.ToLaw(logits, law));
            }
        }

        Assert.Throws<PtpException>(() => transform.ToLaw(Enumerable.Repeat(float.NegativeInfinity, 40).ToArray(), law));
        Assert.Throws<PtpException>(() => transform.ToLaw(new float[39], law));
        Assert.Throws<PtpException>(() => new LogitsTransform(new(), 0));
        SamplingOptions[] bad =
        [
            new() { Temperature = -1 }, new() { Temperature = double.NaN }, new() { Temperature = double.PositiveInfinity },
            new() { TopK = -1 }, new() { TopP = 0 }, new() { TopP = 1.01 }, new() { TopP = double.NaN },
        ];
        foreach (var options in bad)
        {
            var error = Assert.Throws<PtpException>(options.Validated);
            Assert.NotEmpty(error.WayOut);
        }
    }

    [Fact]
    public void No_allocation_per_row()
    {
        var random = new Random(5);
        var logits = new float[2048];
        foreach (ref var x in logits.AsSpan())
        {
            x = (float)(random.NextDouble() * 12);
        }

        var law = new float[2048];
        foreach (var options in new SamplingOptions[] { new(), new() { TopK = 50, TopP = 0.9 }, new() { TopP = 0.9 } })
        {
            var transform = new LogitsTransform(options, logits.Length);
            transform.ToLaw(logits, law);
            var before = GC.GetAllocatedBytesForCurrentThread();
            transform.ToLaw(logits, law);
            Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        }
    }

    private static float[] Law(float[] logits, SamplingOptions options)
    {
        var law = new float[logits.Length];
        new LogitsTransform(options, logits.Length).ToLaw(logits, law);
        return law;
    }

    // Sizes on both sides of every block and prefilter limit; spiky, flat, tied, forbidden and wide-ranging logits.
    /// <summary>Logits of many kinds, ties and forbidden tokens among them, and a law; used by the device's picks as well.</summary>
    internal static (float[] Logits, SamplingOptions Options) Case(int seed)
    {
        var random = new Random(seed);
        int[] sizes = [1, 2, 5, 15, 16, 17, 33, 100, 511, 1024, 1025, 1500, 3000];
        var v = sizes[random.Next(sizes.Length)];
        var kind = random.Next(5);
        var spread = Math.Pow(10, random.NextDouble() * 3 - 1);
        var logits = new float[v];
        for (var i = 0; i < v; i++)
        {
            var normal = random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5;
            logits[i] = kind switch
            {
                0 => (float)(normal * spread),
                1 => (float)Math.Round(normal * 3),
                2 => random.Next(4) == 0 ? float.NegativeInfinity : (float)(normal * 8),
                3 => random.Next(40) == 0 ? (float)(20 + normal * 4) : (float)normal,
                _ => (float)(-3 * Math.Log(1 + random.Next(v)) + normal * 0.1),
            };
        }

        if (logits.All(float.IsNegativeInfinity))
        {
            logits[0] = 0;
        }

        double[] temperatures = [0.01, 0.3, 0.7, 1, 1, 1.5, 10];
        int[] topKs = [0, 0, 1, 2, 7, 50, 400, 600, 4000];
        double[] topPs = [1, 1, 0.05, 0.5, 0.9, 0.95, 0.999, 0.9999];
        return (logits, new()
        {
            Temperature = temperatures[random.Next(temperatures.Length)],
            TopK = topKs[random.Next(topKs.Length)],
            TopP = topPs[random.Next(topPs.Length)],
        });
    }

    /// <summary>The definition, sorted in full; also how close the cut came to an edge.</summary>
    private static (double[] Law, double Margin) Reference(float[] logits, SamplingOptions options, Fault fault)
    {
        var highest = logits.Max();
        var weight = logits.Select(x => Math.Exp((x - (double)highest) / options.Temperature)).ToArray();
        var tie = fault == Fault.HigherIdFirst ? -1 : 1;
        var kept = Enumerable.Range(0, logits.Length).Where(id => !float.IsNegativeInfinity(logits[id]))
            .OrderByDescending(id => logits[id]).ThenBy(id => tie * id).ToList();
        kept = options.TopK > 0 ? kept[..Math.Min(options.TopK, kept.Count)] : kept;
        var margin = 1.0;
        if (options.TopP < 1)
        {
            var total = kept.Sum(id => weight[id]);
            var before = 0.0;
            var count = 0;
            while (count < kept.Count && (before < options.TopP * total || count == 0))
            {
                var mass = weight[kept[count]];
                if (fault == Fault.InclusiveTopP && count > 0 && before + mass >= options.TopP * total)
                {
                    break;
                }

                before += mass;
                count++;
                margin = Math.Min(margin, Math.Abs(before / total - options.TopP));
            }

            kept = kept[..count];
        }

        var sum = kept.Sum(id => weight[id]);
        var law = new double[logits.Length];
        kept.ForEach(id => law[id] = weight[id] / sum);
        return (law, margin);
    }
}
