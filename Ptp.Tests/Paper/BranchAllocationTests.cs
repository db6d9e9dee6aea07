// Slots for branches: probabilities of branches sum to one, the split is the best there is (against all splits of small cases),
// also for rewards that are not concave, and the budget chosen by cost is the best of all budgets.
// Controls: filling the likeliest branches first, and the same for every branch, are worse in some case. Not here: decoding with branches (DecoderTests).

using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class BranchAllocationTests
{
    [Fact]
    public void Weights_are_the_law_of_the_number_of_right_tokens()
    {
        var weights = BranchAllocation.Weights([0.5, 0.25]);
        Assert.Equal([0.5, 0.375, 0.125], weights);
        Assert.Equal([1.0], BranchAllocation.Weights([]));
        Cases.Run(100, random => Assert.Equal(
            1, BranchAllocation.Weights([.. Enumerable.Range(0, random.Next(20)).Select(_ => random.NextDouble())]).Sum(), 1e-12));
    }

    // 300 cases of up to 4 branches, 5 slots each, budgets to 12; a third of the rewards has its gain at the second slot only.
    [Fact]
    public void The_split_is_the_best_of_all()
    {
        var greedyLoses = 0;
        Cases.Run(300, random =>
        {
            var (weights, rewards, most, budget) = Draw(random);
            var split = BranchAllocation.Split(weights, rewards, most, budget);
            Assert.True(split.Sum() <= budget && split.Zip(most).All(p => p.First <= p.Second));
            var best = All(most, budget).Max(s => Value(s, weights, rewards));
            Assert.Equal(best, Value(split, weights, rewards), 1e-12);
            greedyLoses += Value(Greedy(weights, most, budget), weights, rewards) < best - 1e-9 ? 1 : 0;
        });
        Assert.InRange(greedyLoses, 20, 300);
    }

    // 300 cases: likelier branches get no less, larger budgets gain no less, sure drafts leave nothing for the other branches.
    // Control: a split that gives every branch the same is worth less in many.
    [Fact]
    public void More_weight_and_more_budget_are_worth_no_less()
    {
        var worse = 0;
        Cases.Run(300, random =>
        {
            var (weights, rewards, most, budget) = Draw(random);
            double Of(int[] split, int branch) => rewards[split[branch]];
            var raised = random.Next(weights.Length);
            double[] heavier = [.. weights.Select((w, m) => m == raised ? w + random.NextDouble() : w)];
            var (before, after) = (BranchAllocation.Split(weights, rewards, most, budget), BranchAllocation.Split(heavier, rewards, most, budget));
            Assert.True(Of(after, raised) >= Of(before, raised) - 1e-12, $"branch {raised}: {Of(before, raised)} to {Of(after, raised)}");
            Assert.True(Value(before, weights, rewards) <= Value(BranchAllocation.Split(weights, rewards, most, budget + 1), weights, rewards) + 1e-12);
            var even = Value([.. most.Select(own => Math.Min(own, budget / most.Length))], weights, rewards);
            worse += even < Value(before, weights, rewards) - 1e-9 ? 1 : 0;

            double[] sure = [.. Enumerable.Repeat(0.0, weights.Length - 1), 1.0];
            Assert.Equal(sure, BranchAllocation.Weights([.. Enumerable.Repeat(1.0, weights.Length - 1)]));
            Assert.Equal(
                rewards[Math.Min(budget, most[^1])], Of(BranchAllocation.Split(sure, rewards, most, budget), weights.Length - 1), 1e-12);
        });
        Assert.InRange(worse, 100, 300);
    }

    // Slot by slot is enough where every further slot gains less (300 cases), and only there (300 others).
    [Fact]
    public void Greedy_is_the_best_for_concave_rewards_only()
    {
        var loses = 0;
        Cases.Run(600, random =>
        {
            var (weights, rewards, most, budget) = Draw(random);
            double[] gains = [.. rewards.Zip(rewards.Skip(1), (a, b) => b - a)];
            var isConcave = random.Next(2) == 0;
            gains = isConcave ? [.. gains.OrderDescending()] : [.. gains.Order()];
            double[] ordered = [0, .. gains.Select((_, k) => gains.Take(k + 1).Sum())];
            var greedy = BranchAllocation.Greedy(weights, ordered, most, budget);
            Assert.Equal(Math.Min(budget, most.Sum()), greedy.Sum());
            var best = All(most, budget).Max(s => Value(s, weights, ordered));
            var lost = best - Value(greedy, weights, ordered);
            Assert.True(lost < 1e-12 || !isConcave, $"{lost} lost");
            loses += lost > 1e-9 ? 1 : 0;
        });
        Assert.InRange(loses, 20, 300);
    }

    [Fact]
    public void The_budget_chosen_by_cost_is_the_best() => Cases.Run(200, random =>
    {
        var (weights, rewards, most, budget) = Draw(random);
        var slope = random.NextDouble();
        double Cost(int slots) => 1 + slope * slots;
        var split = BranchAllocation.Paying(weights, rewards, most, budget, Cost, out var rate);
        var best = All(most, budget).Max(s => (1 + Value(s, weights, rewards)) / Cost(s.Sum()));
        Assert.Equal(best, rate, 1e-12);
        Assert.Equal(best, (1 + Value(split, weights, rewards)) / Cost(split.Sum()), 1e-12);
    });

    private static (double[] Weights, double[] Rewards, int[] Most, int Budget) Draw(Random random)
    {
        var weights = BranchAllocation.Weights([.. Enumerable.Range(0, random.Next(4)).Select(_ => random.NextDouble())]);
        var rewards = new double[6];
        for (var k = 1; k < 6; k++)
        {
            rewards[k] = rewards[k - 1] + (k == 1 && random.Next(3) == 0 ? 0 : random.NextDouble() / k);
        }

        return (weights, rewards, [.. weights.Select(_ => random.Next(6))], random.Next(13));
    }

    private static double Value(int[] split, double[] weights, double[] rewards) =>
        split.Select((slots, m) => weights[m] * rewards[slots]).Sum();

    private static IEnumerable<int[]> All(int[] most, int budget)
    {
        if (most.Length == 0)
        {
            yield return [];
            yield break;
        }

        for (var slots = 0; slots <= Math.Min(most[0], budget); slots++)
        {
            foreach (var rest in All(most[1..], budget - slots))
            {
                yield return [slots, .. rest];
            }
        }
    }

    private static int[] Greedy(double[] weights, int[] most, int budget)
    {
        var split = new int[weights.Length];
        foreach (var m in Enumerable.Range(0, weights.Length).OrderByDescending(m => weights[m]))
        {
            split[m] = Math.Min(most[m], budget);
            budget -= split[m];
        }

        return split;
    }
}
