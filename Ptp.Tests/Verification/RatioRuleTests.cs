// The ratio rule on one token: its law is p, by the oracle's enumeration and by draws of the rule itself; and the three mistakes of
// the follow-up's code, each with the wrong law that the enumeration predicts for it. Draws: 200,000 per case, alarm at 1e-9.
// Not here: whole texts (DraftAndVerifyTests).

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Reference.Oracle;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Verification;

public sealed class RatioRuleTests
{
    private const int Draws = 200_000;
    private static readonly float[] s_toy = [0.5f, 0.3f, 0.2f];

    /// <summary>The diagnosis: what each flaw makes of (.5, .3, .2).</summary>
    public static TheoryData<double, bool, bool, double[]> Flaws => new()
    {
        { 1, false, true, [0.5, 0.3, 0.2] },
        { 1, true, true, [0.4, 0.5, 0.1] },
        { 1, true, false, [0.25, 0.24, 0.51] },
        { 0.8, false, true, [0.5625, 0.2875, 0.15] },
    };

    [Theory]
    [MemberData(nameof(Flaws))]
    public void The_oracle_gives_each_flaw_its_law(double confidence, bool sharesU, bool normalises, double[] law) =>
        Assert.All(
            ScalarRatio.Committed([0.5, 0.3, 0.2], confidence, sharesU, normalises).Zip(law),
            pair => Assert.Equal(pair.Second, pair.First, 1e-9));

    [Theory]
    [MemberData(nameof(Flaws))]
    public void A_flawed_rule_commits_the_predicted_law_and_no_other(double confidence, bool sharesU, bool normalises, double[] law)
    {
        var counts = Counts(new FlawedRatio(confidence, sharesU, normalises), s_toy, 1);
        Assert.Null(GoodnessOfFit.Fault(counts, law));
        var right = !sharesU && confidence == 1;
        Assert.Equal(right, GoodnessOfFit.Fault(counts, [0.5, 0.3, 0.2]) is null);
    }

    [Fact]
    public void The_rule_commits_the_law_on_the_toy() =>
        Assert.Null(GoodnessOfFit.Fault(Counts(RatioRule.Instance, s_toy, 2), [0.5, 0.3, 0.2]));

    // 40 laws of up to 64 tokens: enumeration says p exactly, draws say p; controls: the same draws against the next id's law.
    [Fact]
    public void The_rule_commits_any_law()
    {
        var caught = 0;
        Cases.RunSeeds(40, seed =>
        {
            var law = Laws.Generate(seed);
            if (law.Length > 64)
            {
                return;
            }

            double[] wide = [.. law.Select(p => (double)p)];
            Assert.All(ScalarRatio.Committed(wide).Zip(wide), pair => Assert.Equal(pair.Second, pair.First, 1e-5));
            var counts = Counts(RatioRule.Instance, law, (ulong)seed, 20_000);
            Assert.True(GoodnessOfFit.Fault(counts, wide) is null, GoodnessOfFit.Fault(counts, wide));
            caught += GoodnessOfFit.Fault(Counts(new FlawedRatio(1, true, false), law, (ulong)seed, 20_000), wide) is null ? 0 : 1;
        });
        Assert.InRange(caught, 10, 40);
    }

    // Whatever the draft is, even the same token always: the rule's promise does not need a good drafter.
    [Fact]
    public void Any_draft_gives_the_same_law()
    {
        for (var x = 0; x < s_toy.Length; x++)
        {
            Assert.Null(GoodnessOfFit.Fault(Counts(RatioRule.Instance, s_toy, 7, Draws, x), [0.5, 0.3, 0.2]));
        }
    }

    // kappa and omega buy acceptance: x stands more often, and the law is gone.
    [Theory]
    [InlineData(2, 0)]
    [InlineData(1, 0.3)]
    public void Relaxed_ratios_lose_the_law(double kappa, double omega)
    {
        var counts = Counts(new RelaxedRatioRule(kappa, omega), s_toy, 3, Draws, draft: 2);
        Assert.NotNull(GoodnessOfFit.Fault(counts, [0.5, 0.3, 0.2]));
        Assert.Equal(Math.Min(1, kappa * 0.2 + omega), counts[2] / (double)Draws, 0.01);
    }

    // p(x) a hair below one and nothing else possible: the rest cannot be drawn from, so x stands.
    [Fact]
    public void A_law_without_a_rest_keeps_its_token() =>
        Assert.Equal(1000, Counts(RatioRule.Instance, [MathF.BitDecrement(1f), 0], 4, 1000)[0]);

    [Fact]
    public void Ratios_below_the_lossless_one_are_refused()
    {
        Assert.NotEmpty(Assert.Throws<PtpException>(() => new RelaxedRatioRule(0.5, 0)).WayOut);
        Assert.Throws<PtpException>(() => new RelaxedRatioRule(1, -0.1));
        Assert.Throws<PtpException>(() => new RelaxedRatioRule(double.NaN, 0));
    }

    /// <summary>Committed tokens by id; the draft is Pick(u, law), a perfect drafter's, unless one is given.</summary>
    private static int[] Counts(VerificationRule rule, float[] law, ulong seed, int draws = Draws, int? draft = null)
    {
        var (u, dice) = (Auxiliaries.FromSeed(seed), Dice.From(new RandomStream(seed, "verification")));
        var laws = new NodeLaws(law.Length);
        var counts = new int[law.Length];
        for (var g = 0; g < draws; g++)
        {
            var picked = Pick.Token(u.At(g, 0), law);
            laws.Start(law, default);
            var trial = new Trial
            {
                Token = draft ?? picked,
                Law = law,
                Picked = picked,
                U = u.At(g, 0),
                Confidence = 1,
                Dice = dice,
                Rest = laws.Rest,
            };
            counts[rule.Accepts(trial) || !laws.Refuse(trial.Token) ? trial.Token : rule.Replacement(trial)]++;
        }

        return counts;
    }
}
