// A draft as a tree: several continuations of the same text, so that a wrong guess leaves another one standing (EAGLE-2's shape).
// Node 0 is known to be right; every other node names its parent, which stands before it. Its chance is that of the whole path to it.
// Refuses: parents that do not stand before their children.

using System.Runtime.InteropServices;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Nodes of a draft tree, parents before children; a drafter may use one object for all its trees.</summary>
public sealed class DraftTree
{
    private readonly List<int> _tokens;
    private readonly List<int> _parents;
    private readonly List<int> _depths;

    /// <summary>A tree without nodes.</summary>
    public DraftTree()
        : this([], [], [])
    {
    }

    /// <summary>A tree of given nodes, [N] each, which the verifying session checks.</summary>
    /// <param name="tokens">Token of each node; node 0 is the exact next token of the text.</param>
    /// <param name="parents">Parent of each node; -1 for node 0.</param>
    /// <param name="depths">Tokens between node 0 and each node.</param>
    public DraftTree(ReadOnlySpan<int> tokens, ReadOnlySpan<int> parents, ReadOnlySpan<int> depths) =>
        (_tokens, _parents, _depths) = ([.. tokens], [.. parents], [.. depths]);

    /// <summary>N.</summary>
    public int Count => _tokens.Count;

    /// <summary>Token of each node, [N]; node 0 is the exact next token of the text.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Parent of each node, [N]; -1 for node 0.</summary>
    public ReadOnlySpan<int> Parents => CollectionsMarshal.AsSpan(_parents);

    /// <summary>Tokens between node 0 and each node, [N].</summary>
    public ReadOnlySpan<int> Depths => CollectionsMarshal.AsSpan(_depths);

    /// <summary>Begins anew with the exact next token of the text.</summary>
    public DraftTree Restart(int token)
    {
        _tokens.Clear();
        _parents.Clear();
        _depths.Clear();
        _tokens.Add(token);
        _parents.Add(-1);
        _depths.Add(0);
        return this;
    }

    /// <summary>Adds a node below an earlier one and returns its number.</summary>
    public int Add(int token, int parent)
    {
        _tokens.Add(token);
        _parents.Add(parent);
        _depths.Add(_depths[parent] + 1);
        return Count - 1;
    }

    /// <summary>The child of <paramref name="node"/> with this token, or -1.</summary>
    public int Child(int node, int token)
    {
        for (var child = node + 1; child < Count; child++)
        {
            if (_parents[child] == node && _tokens[child] == token)
            {
                return child;
            }
        }

        return -1;
    }
}

/// <summary>Proposes trees that a verifier checks in one call.</summary>
public interface ITreeDrafter
{
    /// <summary>Tokens of the longest path.</summary>
    int Slots { get; }

    /// <summary>Drafts a tree from token g on; the last committed token is run through the verifier first, so node 0 is exact.</summary>
    /// <param name="session">The text on the verifier; all committed tokens but the last are cached, and the last is afterwards.</param>
    /// <param name="u">Auxiliaries, shared with the verifier.</param>
    /// <param name="g">Index of the first token.</param>
    /// <param name="nodes">Most nodes, at least 1.</param>
    /// <param name="depth">Most tokens of a path, node 0 included, at least 1.</param>
    /// <returns>A tree that stands until the next one is proposed.</returns>
    DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth);
}
