// A head while decoding: laws behind the nodes of a draft that grows, node 0 being the last token that is known.
// A law depends on the committed text and on the node's own path, never on other branches: what exactness and prefix stability need.
// Refuses: paths deeper than the head has slots.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Nodes of a draft under construction, parents before children.</summary>
public sealed class DraftNodes
{
    private readonly List<int> _tokens;
    private readonly List<int> _parents = [-1];
    private readonly List<int> _depths = [0];
    private readonly List<float> _chances = [1f];
    private readonly List<float> _own = [1f];
    private readonly Dictionary<int, float[]> _laws = [];

    /// <summary>A draft that has only its root.</summary>
    public DraftNodes(int root) => _tokens = [root];

    /// <summary>Nodes, the root included.</summary>
    public int Count => _tokens.Count;

    /// <summary>Token of a node.</summary>
    public int Token(int node) => _tokens[node];

    /// <summary>Parent of a node; -1 for the root.</summary>
    public int Parent(int node) => _parents[node];

    /// <summary>Tokens between the root and a node.</summary>
    public int Depth(int node) => _depths[node];

    /// <summary>What the drafter gives the whole path to a node.</summary>
    public float Chance(int node) => _chances[node];

    /// <summary>Adds a node and returns its index.</summary>
    public int Add(int parent, int token, float chance)
    {
        _tokens.Add(token);
        _parents.Add(parent);
        _depths.Add(_depths[parent] + 1);
        _chances.Add(_chances[parent] * chance);
        _own.Add(chance);
        return Count - 1;
    }

    /// <summary>Nodes from the root's child down to <paramref name="node"/>; empty for the root.</summary>
    public int[] Path(int node)
    {
        var path = new int[_depths[node]];
        for (var i = path.Length - 1; i >= 0; i--, node = _parents[node])
        {
            path[i] = node;
        }

        return path;
    }

    /// <summary>The given nodes and all their ancestors but the root, in rising order.</summary>
    public int[] WithAncestors(IEnumerable<int> nodes) => [.. new SortedSet<int>(nodes.SelectMany(Path))];

    /// <summary>
    /// Adds some nodes as rows of a call: each sees entries [0, cached) of the cache, the rows before all nodes, its ancestors, itself.
    /// </summary>
    public Visibility AddTo(Visibility visibility, int[] rows, int cached)
    {
        var above = visibility.Rows;
        foreach (var node in rows)
        {
            visibility.AddRow(0, cached).AddRange(0, above);
            foreach (var ancestor in Path(node))
            {
                if (Array.BinarySearch(rows, ancestor) is >= 0 and var row)
                {
                    visibility.AddRange(above + row, above + row + 1);
                }
            }
        }

        return visibility;
    }

    /// <summary>Remembers the law, [V], that a node's children were drawn from, in their order; null = they are no draws.</summary>
    public void DrawnFrom(int node, float[]? law)
    {
        if (law is not null)
        {
            _laws[node] = law;
        }
    }

    /// <summary>The likeliest nodes as a tree, at most <paramref name="count"/>; ancestors come along, as no path is less likely than its end.</summary>
    public DraftTree Best(int count, bool rootIsCommitted)
    {
        int[] kept = [.. Enumerable.Range(0, Count).OrderByDescending(n => _chances[n]).ThenBy(n => n).Take(count).Order()];
        return new DraftTree(
            [.. kept.Select(Token)], [.. kept.Select(n => n == 0 ? -1 : Array.BinarySearch(kept, _parents[n]))], [.. kept.Select(Depth)])
        {
            RootIsCommitted = rootIsCommitted,
            Laws = _laws.Count == 0 ? null : [.. kept.Select(_laws.GetValueOrDefault)],
            Confidences = [.. kept.Select(n => _own[n])],
        };
    }
}

/// <summary>A head on one text after another.</summary>
public abstract class HeadSteps
{
    /// <summary>Tokens of the longest path it can draft, the root not counted unless it was found by <see cref="Begin"/>.</summary>
    public abstract int Slots { get; }

    /// <summary>
    /// Starts a round. Returns the exact token g if that took a call of the verifier, whose law row 0 it then is; else null: the root of
    /// the draft is the session's last token.
    /// </summary>
    /// <param name="session">The text, with hidden states kept where the head reads them; at least one token is cached.</param>
    /// <param name="u">Auxiliaries.</param>
    /// <param name="g">Index of the first token to draft.</param>
    /// <param name="count">Most tokens of a path, at least 1.</param>
    public abstract int? Begin(ModelSession session, Auxiliaries u, long g, int count);

    /// <summary>Logits of the tokens behind some nodes, [R, V].</summary>
    /// <param name="nodes">The draft.</param>
    /// <param name="which">Nodes of equal depth, whose parents have been asked for before, [R].</param>
    public abstract Tensor Laws(DraftNodes nodes, int[] which);
}
