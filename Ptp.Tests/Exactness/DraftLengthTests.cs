// What is spent on drafts: the cost model interpolates what was measured, and drafts are as long as pays under it.
// Source: tokens per millisecond of a round, enumerated here for simple costs. Not here: exactness, which no length can touch.
// Controls: costs under which drafting never pays, and drafts that are never right.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class DraftLengthTests
{
    [Fact]
    public void Costs_pass_through_what_was_measured_and_are_linear_between()
    {
        var costs = Costs((rows, context) => rows * 2 + context * 0.01);
        foreach (var point in costs.Points)
        {
            Assert.Equal(point.Milliseconds, costs.Milliseconds(point.Rows, point.Context), 12);
        }

        Assert.Equal(6 * 2 + 1.5, costs.Milliseconds(6, 150), 9);
        Assert.Equal(40 * 2 + 5, costs.Milliseconds(40, 500), 9); // beyond the last, along its slope
    }

    [Fact]
    public void Costs_need_every_row_count_at_every_context() =>
        Assert.Throws<PtpException>(() => new CallCosts([new(1, 0, 1), new(2, 0, 1), new(1, 8, 1)]));

    // Where rows are free, everything is drafted and verified; where each costs a call, nothing ever is, but for probes.
    [Fact]
    public void All_where_rows_are_free_and_nothing_where_each_costs_a_call()
    {
        var free = Paying(Costs((_, _) => 1), 8);
        Assert.Equal(8, free.Draft(0, 20));
        Assert.Equal(3, free.Draft(0, 3));
        Assert.Equal(8, free.Verify(0, 8, firstRight: true, []));

        var dear = Paying(Costs((rows, _) => rows), 8);
        Assert.Equal(0, Enumerable.Range(0, 7).Sum(_ => dear.Draft(0, 20)));
    }

    // Drafts that are never right: two tokens for two calls, which never beats plain calls once rows cost anything.
    [Fact]
    public void Drafts_that_fail_are_given_up()
    {
        var length = Paying(Costs((rows, _) => 1 + 0.05 * rows), 8);
        Assert.True(length.Draft(0, 20) > 1);
        for (var round = 0; round < 100; round++)
        {
            length.Observe(verified: 8, correct: 1, firstRight: false);
        }

        Assert.Equal(0, length.Draft(0, 20));
        for (var round = 0; round < 100; round++)
        {
            length.Observe(verified: 8, correct: 8, firstRight: true);
        }

        Assert.Equal(8, length.Draft(0, 20));
    }

    // 40 cost curves and chances: the chosen length has the best rate of all, by enumeration with the chances known.
    [Fact]
    public void The_choice_is_the_best_of_all_lengths() => Cases.Run(40, random =>
    {
        var (fixedCost, perRow, right) = (random.NextDouble(), random.NextDouble() / 4, random.NextDouble());
        var costs = Costs((rows, _) => 0.1 + fixedCost + perRow * rows);
        var length = Paying(costs, 12);
        for (var round = 0; round < 4000; round++)
        {
            // All slots alike, whether or not the first was right: chance `right` each.
            var correct = 1;
            while (correct < 12 && random.NextDouble() < right)
            {
                correct++;
            }

            length.Observe(12, correct, firstRight: round % 2 == 0);
        }

        double Rate(int drafted, double chance)
        {
            var best = 0.0;
            for (var verified = 1; verified <= drafted; verified++)
            {
                var tokens = 2 + Enumerable.Range(1, verified - 1).Sum(l => Math.Pow(chance, l));
                best = Math.Max(best, tokens / (costs.Milliseconds(1 + drafted, 0) + costs.Milliseconds(verified, 0)));
            }

            return best;
        }

        var chosen = length.Draft(0, 12);
        var plain = 1 / costs.Milliseconds(1, 0);
        var rate = chosen == 0 ? plain : Rate(chosen, right);
        var top = Math.Max(plain, Enumerable.Range(2, 11).Max(n => Rate(n, right)));
        Assert.True(rate > 0.9 * top, $"{chosen} tokens at {rate}, but {top} can be had"); // chances are estimates: 10 %
    });

    [Fact]
    public void Calls_can_be_measured()
    {
        using var backend = new CpuBackend(1);
        var random = new Core.Paper.RandomStream(1, "costs");
        var model = ExactnessCase.RandomModel(backend, ExactnessCase.RandomConfig(random), random);
        var costs = CallCosts.Measure(model, [1, 4], [0, 2], rounds: 1, secondsPerRound: 0);
        Assert.Equal(4, costs.Points.Count());
        Assert.All(costs.Points, p => Assert.True(p.Milliseconds > 0));
        Assert.Throws<PtpException>(() => CallCosts.Measure(model, [model.Config.MaxContext], [1]));

        foreach (var reading in Enum.GetValues<SlotReading>())
        {
            var ptp = new SlotModel(
                model, new GatedLora(backend, model.Config, 2, 1, 1), new FixedPointEmbedding(), 6, new SamplingOptions(),
                InverseCdf.Instance, 1, SlotStart.LastToken, reading,
                reading == SlotReading.Categorical ? new SamplerHead(model, 2, 8, 1) : null);
            var drafts = CallCosts.MeasureDrafts(ptp, [2, 4], [0, 2], rounds: 1, secondsPerRound: 0);
            Assert.All(drafts.Points, p => Assert.True(p.Milliseconds > 0));
            Assert.Throws<PtpException>(() => CallCosts.MeasureDrafts(ptp, [1, 4], [0]));
        }
    }

    /// <summary>Behind the rounds with which it begins: plain ones, and two drafts to try; by a clock that stands still.</summary>
    private static PayingLength Paying(CallCosts costs, int slots)
    {
        var length = new PayingLength(costs, costs, slots, clock: () => 0);
        foreach (var drafts in (bool[])[false, false, true, true])
        {
            Assert.Equal(drafts, length.Draft(0, 20) > 0);
            length.Observe(verified: drafts ? 1 : 0, correct: drafts ? 1 : 0, firstRight: true);
        }

        return length;
    }

    private static CallCosts Costs(Func<int, int, double> milliseconds) => new([
        .. from rows in (int[])[1, 2, 4, 8, 16] from context in (int[])[0, 100, 200]
           select new CallCost(rows, context, milliseconds(rows, context))]);
}
