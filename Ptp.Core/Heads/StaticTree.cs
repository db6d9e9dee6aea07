// A tree shape fixed before decoding (Medusa, section 2.3): node = the i-th best token of its parent's law.
// Calibrated: acc(k, i) = how often the i-th guess at depth k is right; greedily the node with the largest product along its path.
// Refuses: shapes without a calibration.

namespace Ptp.Core.Heads;

/// <summary>Parents and ranks, the likeliest nodes first.</summary>
public sealed class StaticTree
{
    /// <summary>Most children of a node.</summary>
    public const int MostChildren = 10;

    private readonly List<int> _parents = [-1];
    private readonly List<int> _ranks = [0];
    private readonly List<int> _depths = [0];

    /// <summary>The tree of the most probable paths.</summary>
    /// <param name="accuracy">acc(k, i): how often guess i at depth k + 1 is right, given a right path, [K][ranks].</param>
    /// <param name="nodes">Nodes, the root included.</param>
    public StaticTree(IReadOnlyList<IReadOnlyList<double>> accuracy, int nodes)
    {
        Guard.Require(accuracy.Count > 0 && nodes > 0, "Shape a draft tree", $"{accuracy.Count} depths and {nodes} nodes", "at least one of each",
            "Calibrate the head first, or grow its trees dynamically.");
        var open = new PriorityQueue<(int Parent, int Rank, double Chance), double>();
        Offer(0, 0, 1);
        while (_parents.Count < nodes && open.TryDequeue(out var best, out _))
        {
            _parents.Add(best.Parent);
            _ranks.Add(best.Rank);
            _depths.Add(_depths[best.Parent] + 1);
            Offer(_parents.Count - 1, 0, best.Chance);
            var own = accuracy[_depths[best.Parent]][best.Rank];
            Offer(best.Parent, best.Rank + 1, best.Chance / own);
        }

        // chance = that of the parent's path; a node of no accuracy is never taken.
        void Offer(int parent, int rank, double chance)
        {
            if (_depths[parent] < accuracy.Count && rank < Math.Min(MostChildren, accuracy[_depths[parent]].Count)
                && accuracy[_depths[parent]][rank] is > 0 and var own)
            {
                open.Enqueue((parent, rank, chance * own), -chance * own);
            }
        }
    }

    /// <summary>Nodes, the root included.</summary>
    public int Count => _parents.Count;

    /// <summary>Parent of a node.</summary>
    public int Parent(int node) => _parents[node];

    /// <summary>Which of its parent's guesses a node is, 0 the best.</summary>
    public int Rank(int node) => _ranks[node];

    /// <summary>Depth of a node; 0 is the root.</summary>
    public int Depth(int node) => _depths[node];

    /// <summary>Children of a node among the first <paramref name="nodes"/>.</summary>
    public IEnumerable<int> Children(int node, int nodes) => Enumerable.Range(0, nodes).Where(n => _parents[n] == node);

    /// <summary>True if a node has a child among the first <paramref name="nodes"/>.</summary>
    public bool HasChildren(int node, int nodes) => Children(node, nodes).Any();
}
