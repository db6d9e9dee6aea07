// Grows a draft tree node by node below a root; equal children of a node are one, so paths that begin alike share their rows.
// Nodes come in the order in which they are added: add the likeliest first, as the first n are what a small budget verifies.
// Refuses: nothing; what exceeds the limits is left out.

namespace Ptp.Core.Decoding.Drafters;

/// <summary>A tree in the making.</summary>
/// <param name="root">Token of node 0: the last committed one.</param>
/// <param name="nodes">Most nodes, the root included.</param>
/// <param name="depth">Most tokens below the root.</param>
public sealed class TreeBuilder(int root, int nodes, int depth)
{
    private readonly List<int> _tokens = [root];
    private readonly List<int> _parents = [-1];
    private readonly List<int> _depths = [0];

    /// <summary>Nodes so far.</summary>
    public int Count => _tokens.Count;

    /// <summary>The node of a token behind a parent, made if need be; -1 if it exceeds a limit.</summary>
    /// <param name="parent">Its parent; -1 gives -1.</param>
    /// <param name="token">The token.</param>
    /// <param name="share">False to make a node even if the parent has an equal child.</param>
    public int Add(int parent, int token, bool share = true)
    {
        for (var child = parent + 1; share && parent >= 0 && child < _tokens.Count; child++)
        {
            if (_parents[child] == parent && _tokens[child] == token)
            {
                return child;
            }
        }

        if (parent < 0 || _tokens.Count >= nodes || _depths[parent] >= depth)
        {
            return -1;
        }

        _tokens.Add(token);
        _parents.Add(parent);
        _depths.Add(_depths[parent] + 1);
        return _tokens.Count - 1;
    }

    /// <summary>Adds a path behind a parent, as far as limits allow; returns its last node.</summary>
    public int AddPath(int parent, ReadOnlySpan<int> tokens)
    {
        foreach (var token in tokens)
        {
            var node = Add(parent, token);
            if (node < 0)
            {
                break;
            }

            parent = node;
        }

        return parent;
    }

    /// <summary>The tree.</summary>
    public DraftTree Tree() => new([.. _tokens], [.. _parents], [.. _depths]) { RootIsCommitted = true };
}
