// Medians of paired times: a machine whose speed wanders moves no ratio, and the interval holds the median as often as it says.
// Source: the binomial law of order statistics; draws of a skewed law with median one. Controls: unpaired times of the same machine, and
// an interval one place narrower.

using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class PairedRatiosTests
{
    [Theory]
    [InlineData(5, null, null)]
    [InlineData(6, 1.0, 6.0)]
    [InlineData(9, 2.0, 8.0)]
    [InlineData(24, 7.0, 18.0)]
    [InlineData(48, 17.0, 32.0)]
    public void The_interval_is_that_of_the_tables(int count, double? low, double? high)
    {
        var ratios = new PairedRatios();
        foreach (var i in Enumerable.Range(1, count).Reverse())
        {
            ratios.Add(i, 1);
        }

        Assert.Equal((count + 1) / 2.0, ratios.Median);
        Assert.Equal(low, ratios.Interval?.Low);
        Assert.Equal(high, ratios.Interval?.High);
    }

    // Twice as fast, on a machine that slows down threefold meanwhile, with a hiccup on either side.
    [Fact]
    public void A_machine_that_wanders_moves_no_ratio()
    {
        var (ratios, plain, own) = (new PairedRatios(), 0.0, 0.0);
        for (var text = 0; text < 24; text++)
        {
            var speed = 1 + text / 12.0;
            var (before, mine) = (2 * speed * (text == 3 ? 9 : 1), speed * (text == 17 ? 9 : 1));
            ratios.Add(before, mine);
            (plain, own) = (plain + (text < 12 ? before : 0), own + (text < 12 ? 0 : mine));
        }

        Assert.Equal(2, ratios.Median, 12);
        Assert.True(Math.Abs(plain / own - 2) > 0.2, "control: one after the other");
    }

    [Fact]
    public void The_interval_holds_the_median_as_often_as_it_says()
    {
        const int Trials = 4000;
        var (held, narrower, random) = (0, 0, new RandomStream(1, "ratios"));
        for (var trial = 0; trial < Trials; trial++)
        {
            var ratios = new PairedRatios();
            double[] drawn = [.. Enumerable.Range(0, 24).Select(_ => -Math.Log2(1 - random.NextDouble()))]; // exponential, median one
            foreach (var ratio in drawn)
            {
                ratios.Add(ratio, 1);
            }

            var (low, high) = ratios.Interval!.Value;
            held += low <= 1 && high >= 1 ? 1 : 0;
            double[] ordered = [.. drawn.Order()];
            narrower += ordered[Array.IndexOf(ordered, low) + 1] <= 1 && ordered[Array.IndexOf(ordered, high) - 1] >= 1 ? 1 : 0;
        }

        Assert.InRange((double)held / Trials, 0.95, 0.99);
        Assert.True((double)narrower / Trials < 0.95, "control: one place narrower");
    }
}
