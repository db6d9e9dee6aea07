// Flows of whole numbers are permutations, sampling is a flow whose volumes are probabilities, and bent picks have the law they claim.
// Source: definitions, checked on all states of small spaces, on grids of u, and on generated laws.
// Not here: flows of real numbers (FlowTests).

using Ptp.Core;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Paper;
using Ptp.Tests.Paper;
using Xunit;
using Xunit.Sdk;

namespace Ptp.Tests.Flows;

public sealed class DiscreteFlowTests
{
    [Fact]
    public void A_modular_flow_permutes_all_states() => Cases.Run(40, random =>
    {
        var (states, width) = (2 + random.Next(6), 1 + random.Next(3));
        int[] units = [.. Enumerable.Range(1, states - 1).Where(s => Coprime(s, states))];
        var salt = random.Next();
        IsPermutation(new ModularFlow(states, before => Draw(before, salt, units)), states, width);
    });

    [Fact]
    public void Control_a_scale_that_shares_a_factor_is_refused()
    {
        var flow = new ModularFlow(6, _ => new ModularStep(1, 4));
        Assert.Throws<PtpException>(() => flow.Forward([1], new int[1]));
        Assert.Throws<PtpException>(() => flow.InverseInSteps([1], new int[1]));
        Assert.Throws<PtpException>(() => new ModularFlow(5, _ => new ModularStep(0, 1)).Forward([5], new int[1]));
    }

    [Fact]
    public void Control_a_modular_flow_that_reads_its_own_state_is_no_permutation() => Assert.Throws<XunitException>(() =>
    {
        var own = 0;
        var flow = new ModularFlow(5, before => new ModularStep(before.Length == 0 ? own++ : 0, 1)); // another shift at every call
        IsPermutation(flow, 5, 2);
    });

    [Fact]
    public void An_integer_coupling_is_undone_to_the_bit() => Cases.Run(300, random =>
    {
        var width = 2 + random.Next(5);
        bool[] kept = [.. Enumerable.Range(0, width).Select(i => i % 2 == 0)];
        double[] slope = [.. kept.Select(_ => 20 * random.NextDouble() - 10)];
        var flow = new IntegerCoupling(kept, (seen, shifts) =>
        {
            var sum = 0.0;
            foreach (var value in seen)
            {
                sum += Math.Sin(value);
            }

            for (var i = 0; i < shifts.Length; i++)
            {
                shifts[i] = slope[i] * sum;
            }
        });
        int[] x = [.. kept.Select(_ => random.Next(3) == 0 ? int.MaxValue - random.Next(5) : random.Next(-100, 100))];
        int[] y = new int[width], back = new int[width], again = new int[width];
        flow.Forward(x, y);
        flow.Inverse(y, back);
        Assert.Equal(x, back);
        flow.Inverse(x, back);
        flow.Forward(back, again);
        Assert.Equal(x, again);
    });

    [Fact]
    public void Every_u_lies_in_the_box_of_its_tokens_and_boxes_fill_the_cube() => Cases.RunSeeds(60, seed =>
    {
        var (vocabulary, length) = (2 + seed % 3, 3);
        var u = Enumerable.Range(0, length).Select(i => new Random(seed + i).NextSingle()).ToArray();
        void Next(ReadOnlySpan<int> tokens, Span<float> law) => LawAfter(tokens, (ulong)seed, law);
        var box = Rosenblatt.Box([0], Theorem1.Tokens([0], u, Next, vocabulary), Next, vocabulary);
        Assert.All(box.Zip(u), pair => Assert.True(pair.First.Contains(pair.Second)));

        var total = 0.0;
        foreach (var tokens in Words(vocabulary, length))
        {
            var corners = Rosenblatt.Box([0], tokens, Next, vocabulary);
            total += Rosenblatt.Volume(corners);

            // Exact inverse: both ends of every cell give the tokens back.
            Assert.Equal(tokens, Theorem1.Tokens([0], [.. corners.Select(c => MathF.BitIncrement((float)c.Left))], Next, vocabulary));
            Assert.Equal(tokens, Theorem1.Tokens([0], [.. corners.Select(c => MathF.BitDecrement((float)c.Right))], Next, vocabulary));
        }

        Assert.Equal(1, total, 1e-6);
    });

    [Fact]
    public void Control_a_u_outside_the_box_gives_other_tokens() => Cases.RunSeeds(40, seed =>
    {
        void Next(ReadOnlySpan<int> tokens, Span<float> law) => LawAfter(tokens, (ulong)seed, law);
        var tokens = Theorem1.Tokens([0], [0.1f, 0.2f, 0.3f], Next, 3);
        float[] outside = [.. Rosenblatt.Box([0], tokens, Next, 3).Select(c => (float)(c.Right < 0.999 ? c.Right + 1e-6 : c.Left - 1e-6))];
        Assert.NotEqual(tokens, Theorem1.Tokens([0], outside, Next, 3));
    });

    [Fact]
    public void A_bent_pick_has_the_law_it_claims() => Cases.RunSeeds(120, seed =>
    {
        var (map, parameters, marginal) = Bent(seed);
        var law = new double[marginal.Length];
        WarpedPick.Law(map, parameters, marginal, law);
        Assert.Equal(1, law.Sum(), 1e-12);
        Assert.All(law.Zip(marginal), p => Assert.True(p.Second > 0 ? p.First >= 0 : p.First == 0));
        IsTheLawOf(map, parameters, marginal, law);

        // Zero parameters leave the independent law.
        WarpedPick.Law(map, new double[map.ParameterCount], marginal, law);
        for (var token = 0; token < law.Length; token++)
        {
            Assert.Equal(Cell.Of(token, marginal).Width, law[token], 1e-12);
        }
    });

    [Fact]
    public void Control_the_independent_law_is_not_that_of_a_bent_pick()
    {
        var noticed = Enumerable.Range(1, 40).Count(seed =>
        {
            var (map, parameters, marginal) = Bent(seed);
            double[] independent = [.. marginal.Select((_, token) => Cell.Of(token, marginal).Width)];
            return independent.Max() < 0.9 && Record.Exception(() => IsTheLawOf(map, parameters, marginal, independent)) is XunitException;
        });
        Assert.True(noticed >= 20, $"{noticed} of 40");
        Assert.Throws<PtpException>(() => WarpedPick.Token(0.5, MonotoneMap.Affine, new double[2], [1f]));
    }

    [Fact]
    public void One_knot_per_token_reproduces_any_law_of_two_tokens() => Cases.Run(40, random =>
    {
        var v = 3 + random.Next(4);
        double[][] joint = [.. Enumerable.Range(0, v).Select(_ => Enumerable.Range(0, v).Select(_ => 0.02 + Math.Pow(random.NextDouble(), 3)).ToArray())];
        var total = joint.Sum(row => row.Sum());
        joint = [.. joint.Select(row => row.Select(p => p / total).ToArray())];
        float[] second = [.. Enumerable.Range(0, v).Select(j => (float)joint.Sum(row => row[j]))];
        var map = MonotoneMap.UnitSpline(v);
        var (error, independent) = (0.0, 0.0);
        var law = new double[v];
        foreach (var row in joint)
        {
            var first = row.Sum();

            // Knots at (F of the conditional, F of the marginal); their slopes do not matter.
            double[] parameters = [.. Logits([.. row.Select(p => p / first)]), .. Logits([.. second.Select(p => (double)p)]), .. new double[v + 1]];
            WarpedPick.Law(map, parameters, second, law);
            error = Math.Max(error, row.Zip(law, (p, q) => Math.Abs(p - first * q)).Max());
            WarpedPick.Law(map, new double[map.ParameterCount], second, law);
            independent += row.Zip(law, (p, q) => Math.Abs(p - first * q)).Sum() / 2;
        }

        Assert.True(error <= 1e-6, $"error {error}");
        Assert.True(independent > 0.03, $"independence errs by {independent} only"); // the control: without S the joint is missed
    });

    [Fact]
    public void Surjections_are_undone_and_their_bounds_hold() => Cases.RunSeeds(200, seed =>
    {
        var random = new RandomStream((ulong)seed, "surjections");
        var x = random.NextInt(2001) - 1000;
        Assert.Equal(x, Surjections.Quantise(Surjections.Dequantise(x, random.NextDouble())));
        Assert.Equal(x, Surjections.Quantise(Surjections.Dequantise(x, Math.BitDecrement(1.0))));

        // Pick: u falls back on its token, and the bound -log q is log P itself.
        var law = Laws.Generate(seed);
        var token = random.NextInt(law.Length);
        if (Surjections.FromPick(token, law, random.NextDouble()) is { } found)
        {
            Assert.Equal(token, Pick.Token(found.U, law));
            Assert.Equal(Cell.Of(token, law).Width, Math.Exp(-found.LogQ), 1e-12);
        }

        // Argmax: the place is kept; the determinant is that of central differences.
        double[] e = [.. Enumerable.Range(0, 2 + random.NextInt(5)).Select(_ => 2 * random.NextGaussian())];
        var (place, v) = (random.NextInt(e.Length), new double[e.Length]);
        var claimed = Surjections.FromArgmax(place, e, v);
        Assert.Equal(place, Surjections.Argmax(v));
        double[,] jacobian = new double[e.Length, e.Length];
        for (var j = 0; j < e.Length; j++)
        {
            double[] above = [.. e], below = [.. e], up = new double[e.Length], down = new double[e.Length];
            (above[j], below[j]) = (e[j] + 1e-6, e[j] - 1e-6);
            Surjections.FromArgmax(place, above, up);
            Surjections.FromArgmax(place, below, down);
            for (var i = 0; i < e.Length; i++)
            {
                jacobian[i, j] = (up[i] - down[i]) / 2e-6;
            }
        }

        var measured = FreeFormDensity.LogDeterminant(jacobian);
        Assert.True(Math.Abs(claimed - measured) <= 1e-6 * (1 + Math.Abs(measured)), $"{claimed}, by differences {measured}");
        Assert.True(Math.Abs(0.9 * claimed - measured) > 1e-6 * (1 + Math.Abs(measured)), "control");
    });

    // Noise normal and numbers normal: E_q[p(v) / q(v | x)] = P(argmax = x) = 1/3, and the bound lies below its log.
    [Fact]
    public void The_stochastic_inverse_of_an_argmax_weighs_its_region()
    {
        var (random, weights) = (new RandomStream(4, "argmax"), new List<double>());
        var v = new double[3];
        for (var i = 0; i < 40_000; i++)
        {
            double[] e = [random.NextGaussian(), random.NextGaussian(), random.NextGaussian()];
            var log = Surjections.FromArgmax(1, e, v);
            weights.Add(v.Sum(Normal.LogDensity) - e.Sum(Normal.LogDensity) + log);
        }

        double[] ratios = [.. weights.Select(Math.Exp)];
        var (mean, deviation) = (ratios.Average(), 0.0);
        deviation = Math.Sqrt(ratios.Sum(r => (r - mean) * (r - mean))) / ratios.Length;
        Assert.True(Math.Abs(mean - 1.0 / 3) <= 6.2 * deviation, $"{mean} +- {deviation}");
        Assert.True(weights.Average() < Math.Log(1.0 / 3) - 0.01, $"bound {weights.Average()}"); // argmax pays a gap, Pick does not
        Assert.Throws<PtpException>(() => Surjections.FromArgmax(3, v, v));
    }

    /// <summary>Counts on an even grid of u differ from N times a law of one interval per token by one at most.</summary>
    private static void IsTheLawOf(MonotoneMap map, double[] parameters, float[] marginal, double[] law)
    {
        const int Grid = 2_000;
        var counts = new int[law.Length];
        var last = 0;
        for (var i = 0; i < Grid; i++)
        {
            var token = WarpedPick.Token((i + 0.5) / Grid, map, parameters, marginal);
            counts[token]++;
            Require(token >= last, "a larger u gave an earlier token");
            last = token;
        }

        for (var token = 0; token < law.Length; token++)
        {
            Require(Math.Abs(counts[token] - Grid * law[token]) <= 1 + 1e-6, $"token {token}: {counts[token]} of {Grid}, law {law[token]}");
        }
    }

    private static (MonotoneMap Map, double[] Parameters, float[] Marginal) Bent(int seed)
    {
        var random = new Random(seed);
        var map = seed % 2 == 0 ? MonotoneMap.UnitSpline(2 + random.Next(8)) : MonotoneMap.UnitLinear(2 + random.Next(8)).Inverse;
        return (map, [.. Enumerable.Range(0, map.ParameterCount).Select(_ => 3 * random.NextDouble() - 1.5)], Laws.Generate(seed));
    }

    /// <summary>Numbers that UnitBins turns into these sizes.</summary>
    private static IEnumerable<double> Logits(double[] sizes) =>
        sizes.Select(size => Math.Log((size - UnitBins.Least) / (1 - UnitBins.Least * sizes.Length)));

    private static void IsPermutation(ModularFlow flow, int states, int width)
    {
        var seen = new HashSet<string>();
        var (y, back) = (new int[width], new int[width]);
        foreach (var x in Words(states, width))
        {
            flow.Forward(x, y);
            flow.InverseInSteps(y, back);
            Require(x.SequenceEqual(back), "the inverse gives another state");
            Require(seen.Add(string.Join(' ', y)), "two states have one image");
        }
    }

    private static IEnumerable<int[]> Words(int states, int length) => Enumerable.Range(0, (int)Math.Pow(states, length))
        .Select(code => Enumerable.Range(0, length).Select(i => code / (int)Math.Pow(states, i) % states).ToArray());

    private static ModularStep Draw(ReadOnlySpan<int> before, int salt, int[] units)
    {
        var random = Stream(before, (ulong)salt);
        return new ModularStep(random.NextInt(1000) - 500, units[random.NextInt(units.Length)]);
    }

    private static void LawAfter(ReadOnlySpan<int> tokens, ulong seed, Span<float> law)
    {
        var random = Stream(tokens, seed);
        var weights = new double[law.Length];
        for (var token = 0; token < weights.Length; token++)
        {
            weights[token] = 0.05 + random.NextDouble();
        }

        for (var token = 0; token < weights.Length; token++)
        {
            law[token] = (float)(weights[token] / weights.Sum());
        }
    }

    private static RandomStream Stream(ReadOnlySpan<int> tokens, ulong seed) => new(seed, "after " + string.Join(' ', tokens.ToArray()));

    private static bool Coprime(int a, int b) => b == 0 ? a == 1 : Coprime(b, a % b);

    private static void Require(bool condition, string what)
    {
        if (!condition)
        {
            throw new XunitException(what);
        }
    }
}
