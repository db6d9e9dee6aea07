// Merging by scan and by heap against the definition: 500 random tables with shared ranks, as scores make them.
// The definition looks for the lowest rank, leftmost first, from the start after each merge.
// Negative control: rightmost first must differ.

using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public class MergeTableTests
{
    [Fact]
    public void Scan_and_heap_equal_the_definition()
    {
        var differing = 0;
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            var table = new MergeTable(40);
            var merges = new Dictionary<(int, int), (int Rank, int Result)>();
            for (var i = 0; i < 40; i++)
            {
                var (left, right, rank) = (random.Next(8), random.Next(8), random.Next(12));
                if (table.TryAdd(left, right, rank, result: rank % 8))
                {
                    merges.Add((left, right), (rank, rank % 8));
                }
            }

            var symbols = Enumerable.Range(0, random.Next(49)).Select(_ => random.Next(8)).ToArray();
            var expected = Define(symbols, merges, leftmost: true);
            var scanned = symbols.ToArray();
            Assert.True(scanned[..table.MergeByScan(scanned)].SequenceEqual(expected), $"scan, seed {seed}");
            var heaped = symbols.ToArray();
            Assert.True(heaped[..table.MergeByHeap(heaped)].SequenceEqual(expected), $"heap, seed {seed}");
            differing += Define(symbols, merges, leftmost: false).SequenceEqual(expected) ? 0 : 1;
        }

        Assert.True(differing > 100, $"rightmost first differed in {differing} cases only");
    }

    [Fact]
    public void A_pair_is_added_once()
    {
        var table = new MergeTable(2);
        Assert.True(table.TryAdd(0, 0, 0, 1));
        Assert.False(table.TryAdd(0, 0, 1, 2));
    }

    private static List<int> Define(int[] symbols, Dictionary<(int, int), (int Rank, int Result)> merges, bool leftmost)
    {
        var list = symbols.ToList();
        while (true)
        {
            var found = Enumerable.Range(0, Math.Max(0, list.Count - 1))
                .Where(i => merges.ContainsKey((list[i], list[i + 1])))
                .OrderBy(i => merges[(list[i], list[i + 1])].Rank)
                .ThenBy(i => leftmost ? i : -i)
                .ToArray();
            if (found.Length == 0)
            {
                return list;
            }

            list[found[0]] = merges[(list[found[0]], list[found[0] + 1])].Result;
            list.RemoveAt(found[0] + 1);
        }
    }
}
