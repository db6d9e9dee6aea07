// Fitting: parameters of simulated lives are found again, no other model is likelier, and cut-off lives do not mislead.
// Controls: models without inflation or without correlation are far less likely; counting cut lives as deaths moves the fit.
// Not here: survival (BranchingModelTests).

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Branching;

public sealed class BranchingDataTests
{
    private static readonly int[] s_strands = [1, 2, 5, 20];

    // 8 models, 4 x 2,500 lives each.
    [Fact]
    public void A_fit_finds_the_parameters_again() => Cases.Run(8, random =>
    {
        var truth = new ScalarBranching(
            0.08 + 0.14 * random.NextDouble(), 0.4 + 0.4 * random.NextDouble(), 0.2 + 0.6 * random.NextDouble());
        var data = Lives(truth, random, 2500);
        var fit = data.Fit();
        Assert.Equal(truth.Inflation, fit.Inflation, 0.03);
        Assert.Equal(truth.Mean, fit.Mean, 0.03);
        Assert.Equal(truth.Correlation, fit.Correlation, 0.04);

        var best = data.LogLikelihood(fit);
        Assert.True(best >= data.LogLikelihood(new(truth.Inflation, truth.Mean, truth.Correlation)) - 1e-6, "the truth is likelier");
        for (var i = 0; i < 20; i++)
        {
            var other = BranchingModelTests.Draw(random).Model;
            Assert.True(best >= data.LogLikelihood(other) - 1e-6, $"{other} is likelier than {fit}");
        }

        // Controls: three standard deviations of a likelihood ratio are some ten units.
        Assert.True(best > data.LogLikelihood(new(0, fit.Mean, fit.Correlation)) + 30, "no inflation");
        Assert.True(best > data.LogLikelihood(new(fit.Inflation, fit.Mean, 1e-6)) + 30, "no correlation");
    });

    // 40 data sets of one strand: the likeliest model has the observed rates, in closed form.
    [Fact]
    public void One_strand_is_fitted_by_its_rates() => Cases.Run(40, random =>
    {
        var data = new BranchingData();
        var truth = new ScalarBranching(0.3 * random.NextDouble(), 0.3 + 0.6 * random.NextDouble(), 0.5);
        long first = 0, firstRight = 0, later = 0, laterRight = 0;
        for (var i = 0; i < 500; i++)
        {
            var life = truth.Life(1, 12, random);
            data.Add(life);
            first++;
            firstRight += life[1];
            later += life.Length - 2;
            laterRight += life[2..].Sum();
        }

        var (p, r) = (firstRight / (double)first, laterRight / (double)later);
        var pooled = (firstRight + laterRight) / (double)(first + later);
        var fit = data.Fit();
        Assert.Equal(r < p ? p : pooled, fit.Mean, 2e-4);
        Assert.Equal(r < p ? r : pooled, fit.Mean * (1 - fit.Inflation), 2e-4);
    });

    [Fact]
    public void Lives_that_were_cut_off_do_not_mislead()
    {
        var truth = new ScalarBranching(0.1, 0.8, 0.5);
        var random = new Random(5);
        var (data, wrong) = (new BranchingData(), new BranchingData());
        for (var i = 0; i < 4000; i++)
        {
            var life = truth.Life(3, 2, random);
            data.Add(life);
            wrong.Add(life[^1] > 0 ? [.. life, 0] : life);
        }

        Assert.Equal(truth.Mean, data.Fit().Mean, 0.03);
        Assert.True(wrong.Fit().Inflation > data.Fit().Inflation + 0.1, "control: cut lives counted as deaths");
    }

    // Rounds of 4, 4, 2 and 0 draft tokens, of which 4, 1, 2 and 0 were right.
    [Fact]
    public void Rounds_of_decoders_are_lives_of_one_strand()
    {
        var stats = new DecodeStats();
        foreach (var (drafted, correct) in ((int, int)[])[(4, 4), (4, 1), (2, 2), (0, 0)])
        {
            stats.AddRound(drafted, correct, correct + 1);
        }

        Assert.Equal([3, 3, 1, 1], stats.SlotReached.ToArray());
        var (counted, written) = (new BranchingData(), new BranchingData());
        counted.Add(stats, known: 0);
        foreach (var life in (int[][])[[1, 1, 1, 1, 1], [1, 1, 0], [1, 1, 1], [1]])
        {
            written.Add(life);
        }

        Assert.Equal(8, counted.Steps);
        Assert.Equal(written.LogLikelihood(BranchingModelTests.Published), counted.LogLikelihood(BranchingModelTests.Published), 1e-12);

        // A first token that is right by construction is no observation.
        var known = new BranchingData();
        known.Add(stats, known: 1);
        Assert.Equal(5, known.Steps);
    }

    [Fact]
    public void What_is_no_life_is_refused()
    {
        foreach (var life in (int[][])[[0], [1, 2], [2, 0, 0], [1, -1]])
        {
            Assert.NotEmpty(Assert.Throws<PtpException>(() => new BranchingData().Add(life)).WayOut);
        }

        Assert.Throws<PtpException>(() => new BranchingData().Fit());
    }

    private static BranchingData Lives(ScalarBranching truth, Random random, int count)
    {
        var data = new BranchingData();
        foreach (var strands in s_strands)
        {
            for (var i = 0; i < count; i++)
            {
                data.Add(truth.Life(strands, 20, random));
            }
        }

        return data;
    }
}
