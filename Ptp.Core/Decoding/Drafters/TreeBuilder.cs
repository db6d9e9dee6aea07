// Grows a draft tree node by node below a root; equal children of a node are one, so paths that begin alike share their rows.
// Nodes come in the order in which they are added: add the likeliest first, as the first n are what a small budget verifies.
// Refuses: nothing; what exceeds the limits is left out.

namespace Ptp.Core.Decoding.Drafters;

/// <summary>A tree in the making; one object serves all trees of a drafter.</summary>
public sealed class TreeBuilder
{
    private readonly DraftTree _tree = new() { RootIsCommitted = true };
    private int _nodes;
    private int _depth;

    /// <summary>Nodes so far.</summary>
    public int Count => _tree.Count;

    /// <summary>The tree, until the next one is begun.</summary>
    public DraftTree Tree => _tree;

    /// <summary>Begins a tree.</summary>
    /// <param name="root">Token of node 0: the last committed one.</param>
    /// <param name="nodes">Most nodes, the root included.</param>
    /// <param name="depth">Most tokens below the root.</param>
    public TreeBuilder Start(int root, int nodes, int depth)
    {
        (_nodes, _depth) = (nodes, depth);
        _tree.Restart(root);
        return this;
    }

    /// <summary>The node of a token behind a parent, made if need be; -1 if it exceeds a limit.</summary>
    /// <param name="parent">Its parent; -1 gives -1.</param>
    /// <param name="token">The token.</param>
    /// <param name="share">False to make a node even if the parent has an equal child.</param>
    public int Add(int parent, int token, bool share = true)
    {
        var known = share && parent >= 0 ? _tree.Child(parent, token) : -1;
        return known >= 0 ? known
            : parent < 0 || _tree.Count >= _nodes || _tree.Depths[parent] >= _depth ? -1
            : _tree.Add(token, parent);
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
}
