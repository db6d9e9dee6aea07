// Every rule by its definition on generated laws, what each promises by its type, names that read back, sets that are nested in their
// parameter, and the limits at which one rule becomes another. Controls: the closed right edge of a cell; types that promise less.
// Not here: the ratio (RatioRuleTests), whole texts (DraftAndVerifyTests).

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Verification;

public sealed class VerificationRuleTests
{
    public static TheoryData<string, Guarantee> Names => new()
    {
        { "exact", Guarantee.Path },
        { "ratio", Guarantee.Law },
        { "ratio:10,0", Guarantee.None },
        { "argmax", Guarantee.Greedy },
        { "top-k:3", Guarantee.None },
        { "nucleus:0.9", Guarantee.None },
        { "threshold:0.1", Guarantee.None },
        { "entropy:0.09,0.3", Guarantee.None },
        { "distance:0.05", Guarantee.None },
        { "confidence:0.5", Guarantee.None },
        { "first:2.5", Guarantee.None },
        { "nucleus:0.9 or exact", Guarantee.None },
        { "self:exact", Guarantee.None },
        { "self:nucleus:0.8 or exact", Guarantee.None },
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Names_read_back_and_types_promise(string name, Guarantee guarantee)
    {
        var rule = VerificationRule.Parse(name);
        Assert.Equal(name, rule.Name);
        Assert.Equal(guarantee, rule.Guarantee);
        Assert.Equal(
            (guarantee >= Guarantee.Path, guarantee >= Guarantee.Law, guarantee >= Guarantee.Greedy),
            (rule is PathExactRule, rule is LawExactRule, rule is GreedyExactRule));
    }

    // A caller that needs exactness says so in a parameter's type; this compiles for the exact rule and for no other of the library.
    [Fact]
    public void Exactness_can_be_required_at_compile_time()
    {
        static string Path(PathExactRule rule) => rule.Name;
        static string Law(LawExactRule rule) => rule.Name;
        static string Greedy(GreedyExactRule rule) => rule.Name;
        Assert.Equal("exact", Path(ExactRule.Instance));
        Assert.Equal(["exact", "ratio"], [Law(ExactRule.Instance), Law(RatioRule.Instance)]);
        Assert.Equal("argmax", Greedy(ArgmaxRule.Instance));
        var exact = typeof(VerificationRule).Assembly.GetTypes().Where(type => !type.IsAbstract);
        Assert.Equal([typeof(ExactRule)], exact.Where(typeof(PathExactRule).IsAssignableFrom));
    }

    [Theory]
    [InlineData("")]
    [InlineData("exactly")]
    [InlineData("exact:1")]
    [InlineData("nucleus")]
    [InlineData("nucleus:0,9")]
    [InlineData("nucleus:x")]
    [InlineData("nucleus:0")]
    [InlineData("top-k:0")]
    [InlineData("top-k:1.5")]
    [InlineData("threshold:1.1")]
    [InlineData("entropy:0.1,-1")]
    [InlineData("confidence:NaN")]
    [InlineData("first:-1")]
    [InlineData("distance:2")]
    [InlineData("self:self:exact")]
    [InlineData("nothing or exact")]
    public void Other_names_are_refused(string name) =>
        Assert.NotEmpty(Assert.Throws<PtpException>(() => VerificationRule.Parse(name)).WayOut);

    [Fact]
    public void Ratio_at_one_and_nothing_added_is_the_lossless_one() =>
        Assert.Same(RatioRule.Instance, VerificationRule.Parse("ratio:1,0"));

    [Fact]
    public void Distance_needs_cells_on_a_line()
    {
        VerificationRule.Parse("distance:0.1").Check(InverseCdf.Instance);
        foreach (var name in (string[])["distance:0.1", "self:distance:0.1", "distance:0.1 or exact"])
        {
            Assert.Throws<PtpException>(() => VerificationRule.Parse(name).Check(TreePick.Instance));
        }

        VerificationRule.Parse("nucleus:0.1").Check(TreePick.Instance);
    }

    // 600 laws, every token of the small ones: the definitions, written once more with LINQ.
    [Fact]
    public void Rules_follow_their_definitions() => ForEachTrial((law, token, u) =>
    {
        var p = law[token];
        var picked = Pick.Token(u, law);
        var entropy = law.Where(q => q > 0).Sum(q => -q * Math.Log(q));
        var ranked = law.Select((q, id) => (q, id)).OrderByDescending(x => x.q).ThenBy(x => x.id).Select(x => x.id).ToList();
        var left = law.Take(token).Sum(q => (double)q);
        Expect("exact", token == picked);
        Expect("argmax", token == ranked[0]);
        Expect("top-k:3", ranked.IndexOf(token) < 3);
        Expect("threshold:0.1", p >= 0.1);
        Expect("nucleus:0.7 or exact", Accepts("nucleus:0.7", law, token, u) || token == picked);
        if (law.Where(q => q > p).Sum(q => (double)q) is var above && Math.Abs(above - 0.7) > 1e-9)
        {
            Expect("nucleus:0.7", above < 0.7);
        }

        if (Math.Min(0.09, 0.3 * Math.Exp(-entropy)) is var least && Math.Abs(p - least) > 1e-9)
        {
            Expect("entropy:0.09,0.3", p > least);
        }

        // Rounding above the last possible token makes its cell reach to one.
        if (Math.Max(left - u, u - left - p) is var distance && Math.Abs(distance - 0.1) > 1e-5)
        {
            Expect("distance:0.1", distance <= 0.1 || token == picked);
        }

        void Expect(string name, bool accepts) =>
            Assert.True(accepts == Accepts(name, law, token, u), $"{name}: token {token} at u = {u:R}");
    });

    // Probes stand on the edges of cells, where a closed right edge (the control) takes the next token's u.
    [Fact]
    public void Distance_zero_is_exact()
    {
        var closed = 0;
        ForEachTrial((law, token, u) =>
        {
            Assert.Equal(Accepts("exact", law, token, u), Accepts("distance:0", law, token, u));
            var cell = Cell.Of(token, law);
            closed += Math.Max(cell.Left - (float)u, (float)u - cell.Right) <= 0 && token != Pick.Token((float)u, law) ? 1 : 0;
        });
        Assert.InRange(closed, 50, int.MaxValue);
    }

    // Loosening a rule's number never takes a token back; X or exact never refuses what X or exact accepts.
    [Fact]
    public void Rules_are_nested_in_their_parameter()
    {
        string[][] ladders =
        [
            ["exact", "distance:0.01", "distance:0.1", "distance:1"],
            ["top-k:1", "top-k:2", "top-k:5"],
            ["nucleus:0.1", "nucleus:0.5", "nucleus:0.9", "nucleus:0.9 or exact"],
            ["threshold:0.9", "threshold:0.5", "threshold:0.1", "threshold:0"],
            ["entropy:0.5,1", "entropy:0.09,1", "entropy:0.09,0.3"],
            ["confidence:0.9", "confidence:0.4", "confidence:0.4 or exact"],
            ["first:0", "first:2", "first:3"],
            ["argmax", "top-k:1", "top-k:1 or exact"],
            ["exact", "argmax or exact"],
        ];
        ForEachTrial((law, token, u) => Assert.All(ladders, ladder =>
        {
            var accepts = ladder.Select(name => Accepts(name, law, token, u)).ToArray();
            Assert.True(accepts.SequenceEqual(accepts.Order()), string.Join(' ', ladder.Zip(accepts)));
        }));
    }

    // A fraction of k is a chance: of four thousand, 1,000 within six deviations; whole parts are certain.
    [Fact]
    public void First_k_counts_places_and_fractions()
    {
        var dice = Dice.From(new RandomStream(1, "places"));
        var rule = VerificationRule.Parse("first:2.25");
        int Accepted(int place)
        {
            var accepted = 0;
            for (var i = 0; i < 4000; i++)
            {
                accepted += rule.Accepts(new Trial { Token = 0, Place = place, Law = [1f], Picked = 0, Dice = dice }) ? 1 : 0;
            }

            return accepted;
        }

        Assert.Equal((4000, 4000, 0), (Accepted(0), Accepted(1), Accepted(3)));
        Assert.InRange(Accepted(2), 1000 - 165, 1000 + 165);
    }

    /// <summary>600 seeds, one u of the probes of each law and up to six tokens, what Pick chooses among them.</summary>
    private static void ForEachTrial(Action<float[], int, double> body) => Cases.RunSeeds(600, seed =>
    {
        var law = Laws.Generate(seed);
        var random = new RandomStream((ulong)seed, "trials");
        var probes = Laws.Probes(law, seed).Where(u => (float)u == u).ToArray();
        var probe = probes[random.NextInt(probes.Length)];
        body(law, Pick.Token(probe, law), probe);
        for (var i = 0; i < 5; i++)
        {
            body(law, random.NextInt(law.Length), probe);
        }
    });

    private static bool Accepts(string name, float[] law, int token, double u) => VerificationRule.Parse(name).Accepts(new Trial
    {
        Token = token,
        Place = 2,
        Law = law,
        RawLaw = law,
        Picked = Pick.Token(u, law),
        U = (float)u,
        Confidence = 0.5f,
        Dice = Dice.From(new RandomStream(1, "unused")),
    });
}
