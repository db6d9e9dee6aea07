// A fixed shape of draft trees: node = (parent, rank), the rank-th best guess behind its parent. Medusa's calibration: with chance[d][r]
// that the guess of rank r at depth d is right, grow the tree by the node whose path has the greatest product, until it is full.
// Nodes come likeliest first, so the first n are the best shape of n. Refuses: chances that are no probabilities.

namespace Ptp.Core.Decoding;

/// <summary>Nodes below a root, parents before children.</summary>
/// <param name="Parents">Parent of each node, [N], -1 = the root.</param>
/// <param name="Ranks">Which of the guesses behind its parent, [N].</param>
/// <param name="Depths">Depth below the root, [N], 0 for its children.</param>
public sealed record TreeShape(int[] Parents, int[] Ranks, int[] Depths)
{
    /// <summary>The likeliest shape.</summary>
    /// <param name="chance">chance[d][r]: the guess of rank r at depth d is right, given that those above it are.</param>
    /// <param name="nodes">Nodes, the root not counted.</param>
    public static TreeShape Best(double[][] chance, int nodes)
    {
        Guard.Require(nodes >= 0 && chance.All(ranks => ranks.All(p => p is >= 0 and <= 1)), "Shape a draft tree",
            $"{nodes} nodes of {chance.Length} depths", "0 nodes or more, chances in [0, 1]", "Measure the chances on text.");
        var (parents, ranks, depths) = (new List<int>(), new List<int>(), new List<int>());
        var open = new PriorityQueue<(int Parent, int Rank, int Depth, double Path), (double, int)>();
        var order = 0;
        void Offer(int parent, int rank, int depth, double above)
        {
            if (depth < chance.Length && rank < chance[depth].Length && above * chance[depth][rank] is > 0 and var path)
            {
                open.Enqueue((parent, rank, depth, path), (-path, order++)); // equal products in the order they were found
            }
        }

        Offer(-1, 0, 0, 1);
        while (parents.Count < nodes && open.TryDequeue(out var next, out _))
        {
            var node = parents.Count;
            parents.Add(next.Parent);
            ranks.Add(next.Rank);
            depths.Add(next.Depth);
            Offer(next.Parent, next.Rank + 1, next.Depth, next.Path / chance[next.Depth][next.Rank]);
            Offer(node, 0, next.Depth + 1, next.Path);
        }

        return new TreeShape([.. parents], [.. ranks], [.. depths]);
    }
}
