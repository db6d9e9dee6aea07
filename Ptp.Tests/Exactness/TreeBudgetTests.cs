// How many nodes of a tree are asked for, by a made-up clock: as many as pay, plain calls where none do, and measured costs that no
// longer hold are found out from what rounds take.
// Source: tokens per millisecond of a round. Controls: the same clock with drafts that stand. Not here: exactness, which no size touches.

using Ptp.Core.Decoding;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class TreeBudgetTests
{
    private const int Most = 16;

    // A row costs a tenth of a call; drafts of which nine of ten nodes stand pay, drafts of which none do not.
    [Theory]
    [InlineData(0.9, true)]
    [InlineData(0.0, false)]
    public void Drafts_are_made_where_they_pay(double stands, bool pays) =>
        Assert.Equal(pays, Share(n => 0.9 + 0.1 * n, n => 0.9 + 0.1 * n, stands) > 0.5);

    // Costs were measured when the machine was three times as slow: half of the nodes stand, and a drafted round takes twice a plain one.
    [Fact]
    public void Costs_of_another_moment_are_found_out()
    {
        double True(int nodes) => nodes == 1 ? 1 : 2.5;
        double Slow(int nodes) => nodes == 1 ? 3 : 2.5;
        Assert.True(Share(Slow, True, 0.5) < 0.2, "plain rounds are cheaper than they were measured to be");
        Assert.True(Share(Slow, Slow, 0.5) > 0.5, "control: where plain rounds do cost three, drafts pay");
        Assert.True(Share(True, Slow, 0.5) > 0.5, "and the other way round");
    }

    // Whatever pays, the other thing is tried now and then.
    [Fact]
    public void Both_sides_are_probed()
    {
        Assert.InRange(Share(n => 0.9 + 0.1 * n, n => 0.9 + 0.1 * n, 0.9), 0.9, 0.995);
        Assert.InRange(Share(n => 0.9 + 0.1 * n, n => 0.9 + 0.1 * n, 0), 0.005, 0.1);
    }

    /// <summary>Share of rounds with a draft among the last 512 of 1,024.</summary>
    private static double Share(Func<int, double> measured, Func<int, double> real, double stands)
    {
        var costs = new CallCosts([.. Enumerable.Range(1, Most).SelectMany(n => (CallCost[])[new(n, 0, measured(n)), new(n, 100, measured(n))])]);
        var (now, drafted, random) = (0.0, 0, new Random(1));
        var budget = new PayingNodes(costs, Most, () => now);
        for (var round = 0; round < 1024; round++)
        {
            var nodes = budget.Nodes(50, Most);
            drafted += nodes > 1 && round >= 512 ? 1 : 0;
            var path = new List<int> { 0 };
            while (path.Count < nodes && random.NextDouble() < stands)
            {
                path.Add(path.Count);
            }

            now += real(nodes);
            budget.Observe(ChainTree.Of(1, new int[nodes - 1]), path);
        }

        return drafted / 512.0;
    }
}
