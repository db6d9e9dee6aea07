// The best shape of strands: the follow-up's profiles with all their digits, and all partitions of small budgets by enumeration.
// Control: strands of equal length, and the greedy profile, are worse. Identities: one strand is a plain sum of survival.
// Not here: survival itself (BranchingModelTests).

using Ptp.Core;
using Ptp.Core.Decoding.Branching;
using Xunit;

namespace Ptp.Tests.Branching;

public sealed class WidthProfileTests
{
    // Lengths as length x count. The fit is published with four digits, which leaves tokens uncertain by some 3e-4: 4.282 is 4.2826 here.
    [Theory]
    [InlineData(120, "11x1 10x1 9x2 8x2 7x3 6x4 5x4", 17, 4.067)]
    [InlineData(300, "12x2 11x2 10x3 9x5 8x6 7x8 6x10 5x3", 39, 4.282)]
    [InlineData(1000, null, 122, 4.555)]
    public void Profiles_are_the_published_ones(int budget, string? lengths, int strands, double tokens)
    {
        var profile = WidthProfile.Best(BranchingModelTests.Published, budget, 20);
        Assert.Equal(tokens, profile.ExpectedTokens, 0.0005 + 0.0003);
        Assert.Equal(strands, profile.Widths[0]);
        Assert.Equal(budget, profile.Lengths.Sum());
        Assert.Equal(profile.Widths.Sum(), profile.Lengths.Sum());
        if (lengths is not null)
        {
            Assert.Equal(lengths, string.Join(' ', profile.Lengths.GroupBy(length => length).Select(g => $"{g.Key}x{g.Count()}")));
        }
    }

    [Theory]
    [InlineData(6, 3.873)]
    [InlineData(15, 4.114)]
    [InlineData(50, 4.412)]
    public void Strands_of_equal_length_are_worth_less(int strands, double tokens)
    {
        Assert.Equal(tokens, Math.Round(BranchingModelTests.Published.ExpectedTokens(strands, 20), 3));
        Assert.True(WidthProfile.Best(BranchingModelTests.Published, 20 * strands, 20).ExpectedTokens > tokens + 0.1);
    }

    // 150 models, budgets to 14, depths to 5: all partitions; also with few strands allowed.
    [Fact]
    public void The_profile_is_the_best_of_all_partitions()
    {
        var greedyLoses = 0;
        Cases.Run(150, random =>
        {
            var model = BranchingModelTests.Draw(random).Model;
            var (budget, depth, most) = (random.Next(1, 15), random.Next(1, 6), random.Next(3) == 0 ? random.Next(1, 4) : 99);
            var profile = WidthProfile.Best(model, budget, depth, most);
            var survival = model.Survival(budget, depth);
            double Value(IEnumerable<int> lengths) => Enumerable.Range(1, depth).Sum(d => survival[lengths.Count(l => l >= d)][d]);
            var best = Partitions(budget, depth, most).Max(Value);
            Assert.Equal(best, profile.Values[budget], 1e-12);
            Assert.Equal(best, Value(profile.Lengths), 1e-12);
            Assert.True(profile.Lengths.Count <= most && profile.Lengths.Sum() <= budget);
            greedyLoses += Value(LongestFirst(budget, depth, most)) < best - 1e-9 ? 1 : 0;
        });
        Assert.InRange(greedyLoses, 10, 150);
    }

    // 60 models: H(n) of one strand is the sum of its survival, never falls, and more strands never hurt.
    [Fact]
    public void One_strand_is_a_sum_and_more_never_hurt() => Cases.Run(60, random =>
    {
        var model = BranchingModelTests.Draw(random).Model;
        var (one, many) = (WidthProfile.Best(model, 12, 12, 1).Values, WidthProfile.Best(model, 12, 12).Values);
        var survival = model.Survival(1, 12)[1];
        for (var n = 0; n <= 12; n++)
        {
            Assert.Equal(survival[1..(n + 1)].Sum(), one[n], 1e-12);
            Assert.InRange(one[n], n == 0 ? 0 : one[n - 1], many[n] + 1e-12);
        }
    });

    [Fact]
    public void What_cannot_be_shaped_is_refused()
    {
        Assert.Throws<PtpException>(() => WidthProfile.Best(BranchingModelTests.Published, 0, 3));
        Assert.Throws<PtpException>(() => WidthProfile.Best(BranchingModelTests.Published, 3, 0));
        Assert.Throws<PtpException>(() => WidthProfile.Best(BranchingModelTests.Published, 3, 3, 0));
    }

    private static IEnumerable<int[]> Partitions(int budget, int longest, int most)
    {
        yield return [];
        for (var length = 1; most > 0 && length <= Math.Min(longest, budget); length++)
        {
            foreach (var rest in Partitions(budget - length, length, most - 1))
            {
                yield return [length, .. rest];
            }
        }
    }

    private static List<int> LongestFirst(int budget, int depth, int most)
    {
        List<int> lengths = [];
        for (; budget > 0 && lengths.Count < most; budget -= lengths[^1])
        {
            lengths.Add(Math.Min(depth, budget));
        }

        return lengths;
    }
}
