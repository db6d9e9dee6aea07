// Every pick rule: the token's law is the given one, a known token is given numbers that pick it again and are uniform, what
// cannot occur is never picked; tree and race equal their definitions in the oracle; and why they exist: under a slightly
// wrong law they disagree less than the CDF. Controls: numbers with memory of the law, Beta noise, a law of other tokens.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class PickRuleTests
{
    private const int Draws = 40_000;
    private const double LogAlarm = 20.723; // ln 1e9: the false-alarm probability of every bound here

    private static readonly string[] s_names = ["inverse-cdf", "permuted-cdf", "tree", "race:2", "race:5", "race:46", "gumbel"];

    public static TheoryData<string> Rules => [.. s_names];

    [Theory]
    [MemberData(nameof(Rules))]
    public void Tokens_have_the_given_law(string name)
    {
        var rule = PickRule.Parse(name);
        for (var seed = 0; seed < 8; seed++)
        {
            var law = Coarse(Laws.Generate(seed));
            Assert.True(ChiSquare(rule, law, law, seed) <= Limit(law.Length), $"seed {seed}");

            // Control: the law of other tokens.
            if (law.Length > 1)
            {
                Assert.True(ChiSquare(rule, law, [.. law[1..], law[0]], seed) > Limit(law.Length) || Symmetric(law), $"control, seed {seed}");
            }
        }
    }

    // 400 laws, from flat to spiky to mostly impossible, up to 12 tokens each.
    [Theory]
    [MemberData(nameof(Rules))]
    public void Numbers_drawn_for_a_token_pick_it_again(string name)
    {
        var rule = PickRule.Parse(name);
        var (drawn, reported) = (0, 0);
        Cases.RunSeeds(400, seed =>
        {
            var law = Laws.Generate(seed);
            var random = new RandomStream((ulong)seed, "tokens");
            var u = new float[rule.NumbersPerToken(law.Length)];
            for (var i = 0; i < 12; i++)
            {
                var token = random.NextInt(law.Length);
                if (!rule.TryDraw(token, law, random, i % 3 == 0 ? 0.3 : 1, u))
                {
                    // A rare token may have no numbers of the grid; an impossible one has none.
                    Assert.True(law[token] < 1e-4, $"token {token} of probability {law[token]}");
                    reported++;
                    continue;
                }

                drawn++;
                Assert.All(u, x => Assert.True(x is >= 0 and < 1 && x * Cell.Grid == Math.Floor(x * Cell.Grid)));
                Assert.Equal(token, rule.Pick(u, law));
            }
        });
        Assert.True(drawn > 1500 && reported > 500, $"{drawn} drawn, {reported} reported");
    }

    // Property 3 for vectors: token by its law, numbers by the inverse: every number uniform, neighbours independent.
    [Theory]
    [MemberData(nameof(Rules))]
    public void Numbers_of_drawn_tokens_are_uniform(string name)
    {
        var rule = PickRule.Parse(name);
        float[] law = [0.1f, 0.25f, 0.05f, 0f, 0.2f, 0.3f, 0.1f];
        var (uniform, beta) = (Redrawn(rule, law, 1), Redrawn(rule, law, 0.3));
        var bound = Math.Sqrt((LogAlarm + Math.Log(2)) / (2.0 * Draws)) + 1.0 / Cell.Grid;
        for (var j = 0; j < uniform.Length; j++)
        {
            Assert.True(Distance(uniform[j]) <= bound, $"number {j}: {Distance(uniform[j])} over {bound}");
        }

        for (var j = 0; j + 1 < uniform.Length; j++)
        {
            Assert.True(PairChiSquare(uniform[j], uniform[j + 1]) <= Limit(64), $"numbers {j} and {j + 1}");
        }

        Assert.True(beta.Max(Distance) > bound, "control: Beta noise");
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void The_impossible_is_never_picked(string name)
    {
        var rule = PickRule.Parse(name);
        Cases.RunSeeds(300, seed =>
        {
            var law = Laws.Generate(seed);
            var random = new RandomStream((ulong)seed, "ends");
            var u = new float[rule.NumbersPerToken(law.Length)];
            foreach (var kind in Enumerable.Range(0, 6))
            {
                // The ends of the interval, alone and mixed, are where rounding would step over an edge.
                for (var j = 0; j < u.Length; j++)
                {
                    u[j] = (kind < 2 ? kind : random.NextInt(3)) switch
                    {
                        0 => 0f,
                        1 => (Cell.Grid - 1) / (float)Cell.Grid,
                        _ => random.NextInt(Cell.Grid) / (float)Cell.Grid,
                    };
                }

                Assert.True(law[rule.Pick(u, law)] > 0, $"exact, kind {kind}");
                foreach (var softness in (double[])[0, 0.2, 3])
                {
                    Assert.True(law[rule.Guess(u, law, softness, out var confidence)] > 0, $"softness {softness}");
                    Assert.InRange(confidence, 0, 1.000001f);
                }

                Assert.Equal(rule.Pick(u, law), rule.Guess(u, law, 0, out _));
            }
        });
    }

    // 600 laws, 20 vectors each.
    [Fact]
    public void Tree_and_race_equal_their_definitions()
    {
        var close = 0;
        Cases.RunSeeds(600, seed =>
        {
            var law = Laws.Generate(seed);
            double[] wide = [.. law.Select(p => (double)p)];
            var random = new RandomStream((ulong)seed, "numbers");
            for (var i = 0; i < 20; i++)
            {
                var u = Numbers(TreePick.Instance, law, random);
                Assert.Equal(ScalarPickRules.Tree([.. u.Select(x => (double)x)], wide), TreePick.Instance.Pick(u, law));
                var arity = new[] { 2, 3, 7, Math.Max(2, law.Length) }[i % 4];
                var race = new RacePick(arity);
                u = Numbers(race, law, random);
                if (law.Length == 1)
                {
                    Assert.Equal(0, race.Pick(u, law));
                    continue;
                }

                var expected = ScalarPickRules.Race([.. u.Select(x => x + 0.5 / Cell.Grid)], wide, Math.Min(arity, law.Length), out var lead);
                if (lead > 1 + 1e-12)
                {
                    Assert.Equal(expected, race.Pick(u, law));
                }
                else
                {
                    close++; // rounding may decide it either way
                }
            }
        });
        Assert.True(close < 1500, $"{close} races too close to call");
    }

    [Fact]
    public void A_box_of_the_tree_has_the_tokens_probability() => Cases.RunSeeds(200, seed =>
    {
        var law = Laws.Generate(seed);
        double total = law.Sum(p => (double)p);
        for (var token = 0; token < Math.Min(law.Length, 40); token++)
        {
            var volume = TreePick.Box(token, law).Aggregate(1.0, (v, cell) => v * cell.Width);
            Assert.Equal(law[token] / total, volume, 1e-12);
        }
    });

    // What the rules are for: two laws that differ by noise on the logits, the same numbers; 20,000 pairs.
    [Fact]
    public void Under_a_slightly_wrong_law_tree_and_race_disagree_less_than_the_cdf()
    {
        var disagreement = s_names.ToDictionary(name => name, _ => 0.0);
        var (random, distance) = (new RandomStream(17, "noisy laws"), 0.0);
        var transform = new LogitsTransform(new SamplingOptions { Temperature = 1 }, 200);
        const int Pairs = 20_000;
        for (var i = 0; i < Pairs; i++)
        {
            float[] p = [.. Enumerable.Range(0, 200).Select(_ => (float)(2.5 * random.NextGaussian()))];
            float[] q = [.. p.Select(x => x + (float)(0.4 * random.NextGaussian()))];
            transform.ToLaw(p, p);
            transform.ToLaw(q, q);
            distance += p.Zip(q, (a, b) => Math.Max(0, a - b)).Sum() / Pairs;
            foreach (var name in disagreement.Keys)
            {
                var rule = PickRule.Parse(name);
                var u = Numbers(rule, p, random);
                disagreement[name] += rule.Pick(u, p) != rule.Pick(u, q) ? 1.0 / Pairs : 0;
            }
        }

        var shown = string.Join(", ", disagreement.Select(d => $"{d.Key} {d.Value:0.000}")) + $"; total variation {distance:0.000}";
        Assert.All(disagreement, d => Assert.True(d.Value > distance - 0.01, shown)); // no coupling can do better
        Assert.True(disagreement["tree"] < 0.7 * disagreement["inverse-cdf"], shown);
        Assert.True(disagreement["race:46"] < disagreement["tree"] - 0.005, shown);
        Assert.True(disagreement["gumbel"] < disagreement["race:46"] + 0.005, shown);
        Assert.Equal(disagreement["inverse-cdf"], disagreement["permuted-cdf"], 0.02);
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        foreach (var name in (string[])["race:1", "race:", "race:-3", "race:99999", "trees", ""])
        {
            Assert.Contains("tree", Assert.Throws<PtpException>(() => PickRule.Parse(name)).Expected, StringComparison.Ordinal);
        }

        Assert.Throws<PtpException>(() => new RacePick(1));
        foreach (var rule in (PickRule[])[TreePick.Instance, new RacePick(3), new RacePick(0)])
        {
            Assert.Throws<PtpException>(() => rule.Pick([0.5f], [0.2f, 0.3f, 0.2f, 0.2f, 0.1f]));
            var u = new float[rule.NumbersPerToken(5)];
            Assert.Throws<PtpException>(() => rule.Pick(u, [0.2f, 0.3f, 0, 0, 0]));
            Assert.Throws<PtpException>(() => rule.TryDraw(5, [0.2f, 0.3f, 0.2f, 0.2f, 0.1f], new RandomStream(1, "x"), 1, u));
            u[0] = 1f;
            Assert.Throws<PtpException>(() => rule.Pick(u, [0.2f, 0.3f, 0.2f, 0.2f, 0.1f]));
        }
    }

    private static float[] Numbers(PickRule rule, float[] law, RandomStream random) =>
        [.. Enumerable.Range(0, rule.NumbersPerToken(law.Length)).Select(_ => random.NextInt(Cell.Grid) / (float)Cell.Grid)];

    private static float[][] Redrawn(PickRule rule, float[] law, double beta)
    {
        var random = new RandomStream(21, "redrawn");
        var u = new float[rule.NumbersPerToken(law.Length)];
        var all = u.Select(_ => new float[Draws]).ToArray();
        for (var i = 0; i < Draws; i++)
        {
            Assert.True(rule.TryDraw(Pick.Token(random.NextDouble(), law), law, random, beta, u));
            for (var j = 0; j < u.Length; j++)
            {
                all[j][i] = u[j];
            }
        }

        return all;
    }

    /// <summary>A law of at most 16 tokens, so that counts mean something.</summary>
    private static float[] Coarse(float[] law)
    {
        var groups = new double[Math.Min(16, law.Length)];
        for (var i = 0; i < law.Length; i++)
        {
            groups[i % groups.Length] += law[i];
        }

        return [.. groups.Select(g => (float)(g / groups.Sum()))];
    }

    private static bool Symmetric(float[] law) => law.All(p => Math.Abs(p - law[0]) < 0.02);

    private static double ChiSquare(PickRule rule, float[] law, float[] expected, int seed)
    {
        var random = new RandomStream((ulong)seed, "draws");
        var counts = new int[law.Length];
        for (var i = 0; i < Draws; i++)
        {
            counts[rule.Pick(Numbers(rule, law, random), law)]++;
        }

        // Cells below one expected draw say nothing; a token that cannot occur must not.
        return counts.Zip(expected).Sum(c => c.Second > 0
            ? Math.Pow(c.First - c.Second * Draws, 2) / Math.Max(1, c.Second * Draws)
            : c.First > 0 ? double.PositiveInfinity : 0);
    }

    private static double Limit(int freedom) => freedom + 2 * Math.Sqrt(freedom * LogAlarm) + 2 * LogAlarm;

    private static double Distance(float[] sample)
    {
        var sorted = sample.Order().ToArray();
        var n = (double)sorted.Length;
        return sorted.Select((u, i) => Math.Max(u - i / n, (i + 1) / n - u)).Max();
    }

    private static double PairChiSquare(float[] a, float[] b)
    {
        var table = new int[64];
        for (var i = 0; i < a.Length; i++)
        {
            table[(int)(a[i] * 8) * 8 + (int)(b[i] * 8)]++;
        }

        return table.Sum(count => Math.Pow(count - a.Length / 64.0, 2) / (a.Length / 64.0));
    }
}
