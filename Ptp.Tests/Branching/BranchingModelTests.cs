// Survival of strands: the figures of the follow-up's fit, all digits; the oracle's urn; monotony; the geometric and the independent
// case; and lives drawn from the urn. Controls: inflation in the first generation, and a kernel without correlation.
// Not here: fitting (BranchingDataTests), profiles (WidthProfileTests).

using Ptp.Core;
using Ptp.Core.Decoding.Branching;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Branching;

public sealed class BranchingModelTests
{
    /// <summary>The joint fit of the follow-up.</summary>
    internal static readonly BranchingModel Published = new(0.1285, 0.6199, 0.7893);

    private static readonly int[] s_depths = [1, 2, 3, 4, 5, 6, 8];

    [Theory]
    [InlineData(1, 3.348, new[] { 1, .620, .335, .181, .098, .053, .015 })]
    [InlineData(2, 3.563, new[] { 1, .670, .386, .221, .125, .071, .022 })]
    [InlineData(5, 3.824, new[] { 1, .720, .444, .269, .161, .096, .033 })]
    [InlineData(50, 4.412, new[] { 1, .811, .557, .373, .245, .159, .064 })]
    public void Survival_and_tokens_are_the_published_ones(int strands, double tokens, double[] survival)
    {
        Assert.Equal(tokens, Math.Round(Published.ExpectedTokens(strands, strands == 1 ? 20 : 19), 3));
        var table = Published.Survival(strands, 20)[strands];
        Assert.Equal(survival, s_depths.Select(d => Math.Round(table[d], 3)));

        // Controls: an inflated first generation, and strands of independent fates, give other figures.
        var inflated = (1 - Published.Inflation) * table[2];
        Assert.NotEqual(survival[1], Math.Round(inflated, 3));
        var free = new BranchingModel(Published.Inflation, Published.Mean, 1e-6);
        Assert.True(strands == 1 || Math.Abs(free.Survival(strands, 2)[strands][2] - survival[1]) > 0.05);
    }

    // The follow-up's drafts of several strands end after 19 tokens, those of one after 20; only this many strands show it.
    [Fact]
    public void A_thousand_strands_are_worth_five_tokens() => Assert.Equal(5.085, Math.Round(Published.ExpectedTokens(1000, 19), 3));

    // 150 models, up to 12 strands of 9 tokens: the kernel and the survival of the urn.
    [Fact]
    public void Kernel_and_survival_are_the_urns() => Cases.Run(150, random =>
    {
        var (model, oracle) = Draw(random);
        var (w, d) = (random.Next(1, 13), random.Next(1, 10));
        var kernel = model.Kernel(w)[w];
        Assert.All(kernel.Zip(oracle.Step(w)), pair => Assert.Equal(pair.Second, pair.First, 1e-10));
        Assert.Equal(1, kernel.Sum(), 1e-10);
        Assert.Equal(oracle.Survival(w, d), model.Survival(w, d)[w][d], 1e-10);
    });

    // 200 models: more strands live longer, later tokens live more rarely, nobody leaves [0, 1].
    [Fact]
    public void Survival_grows_with_width_and_falls_with_depth() => Cases.Run(200, random =>
    {
        var survival = Draw(random).Model.Survival(15, 12);
        Assert.All(survival[0], s => Assert.Equal(0, s));
        for (var w = 1; w <= 15; w++)
        {
            Assert.Equal(1, survival[w][1]);
            for (var d = 2; d <= 12; d++)
            {
                Assert.InRange(survival[w][d], survival[w - 1][d] - 1e-12, survival[w][d - 1] + 1e-12);
            }
        }
    });

    // 100 models: one strand is geometric whatever rho; without inflation and correlation, strands are independent.
    [Fact]
    public void One_strand_is_geometric_and_free_strands_are_independent() => Cases.Run(100, random =>
    {
        var p = 0.05 + 0.9 * random.NextDouble();
        var one = new BranchingModel(0, p, 0.01 + 0.98 * random.NextDouble()).Survival(1, 10)[1];
        var free = new BranchingModel(0, p, 1e-9).Survival(6, 10);
        for (var d = 1; d <= 10; d++)
        {
            Assert.Equal(Math.Pow(p, d - 1), one[d], 1e-12);
            Assert.Equal(1 - Math.Pow(1 - Math.Pow(p, d - 1), 6), free[6][d], 1e-5);
        }
    });

    // 20 models, 4,000 lives each: P(T >= d) within six standard deviations; control: a model with another mean is outside.
    [Fact]
    public void Lives_of_the_urn_last_as_long()
    {
        var strayed = 0;
        Cases.Run(20, random =>
        {
            const int Lives = 4000;
            var (model, oracle) = Draw(random);
            var (w, depth) = (random.Next(1, 9), 6);
            var lives = Enumerable.Range(0, Lives).Select(_ => oracle.Life(w, depth, random)).ToArray();
            var survival = model.Survival(w, depth)[w];
            var other = new BranchingModel(model.Inflation, 0.85 * model.Mean, model.Correlation).Survival(w, depth)[w];
            for (var d = 2; d <= depth; d++)
            {
                var seen = lives.Count(life => life.Length >= d && life[d - 1] > 0) / (double)Lives;
                var deviation = Math.Sqrt(survival[d] * (1 - survival[d]) / Lives) + 1e-3;
                Assert.Equal(survival[d], seen, 6 * deviation);
                strayed += Math.Abs(other[d] - seen) > 6 * deviation ? 1 : 0;
            }
        });
        Assert.InRange(strayed, 40, 100);
    }

    [Theory]
    [InlineData(-0.1, 0.5, 0.5)]
    [InlineData(1, 0.5, 0.5)]
    [InlineData(0.1, 0, 0.5)]
    [InlineData(0.1, 0.5, 1)]
    [InlineData(0.1, double.NaN, 0.5)]
    public void What_is_no_model_is_refused(double inflation, double mean, double correlation)
    {
        Assert.NotEmpty(Assert.Throws<PtpException>(() => new BranchingModel(inflation, mean, correlation)).WayOut);
        Assert.Throws<PtpException>(() => Published.Survival(-1, 3));
        Assert.Throws<PtpException>(() => Published.ExpectedTokens(0, 3));
    }

    internal static (BranchingModel Model, ScalarBranching Oracle) Draw(Random random)
    {
        var (inflation, mean, correlation) =
            (0.5 * random.NextDouble(), 0.05 + 0.9 * random.NextDouble(), 0.02 + 0.96 * random.NextDouble());
        return (new BranchingModel(inflation, mean, correlation), new ScalarBranching(inflation, mean, correlation));
    }
}
