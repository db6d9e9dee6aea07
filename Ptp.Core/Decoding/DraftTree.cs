// A draft as a tree: several continuations of the same text, so that a wrong guess leaves another one standing. One type for all:
//   static (a fixed shape: Medusa, Token Recycling), dynamic (best first: EAGLE-2), sampled (children drawn from a law: EAGLE, SpecInfer)
// Parents stand before their children, so the first n nodes are a tree too. Refuses: parents that do not stand before their children.

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
    /// <param name="tokens">Token of each node; node 0 is known: the exact next token of the text, or its last one.</param>
    /// <param name="parents">Parent of each node; -1 for node 0.</param>
    /// <param name="depths">Tokens between node 0 and each node.</param>
    public DraftTree(ReadOnlySpan<int> tokens, ReadOnlySpan<int> parents, ReadOnlySpan<int> depths) =>
        (_tokens, _parents, _depths) = ([.. tokens], [.. parents], [.. depths]);

    /// <summary>N.</summary>
    public int Count => _tokens.Count;

    /// <summary>Token of each node, [N]; node 0 is known.</summary>
    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Parent of each node, [N]; -1 for node 0.</summary>
    public ReadOnlySpan<int> Parents => CollectionsMarshal.AsSpan(_parents);

    /// <summary>Tokens between node 0 and each node, [N].</summary>
    public ReadOnlySpan<int> Depths => CollectionsMarshal.AsSpan(_depths);

    /// <summary>
    /// True if node 0 is the last committed token, not cached yet: verification is the round's only call of the verifier.
    /// False if it is the token after that, which drafting has made known by a call of its own.
    /// </summary>
    public bool RootIsCommitted { get; init; }

    /// <summary>
    /// The law, [V], that the children of each node were drawn from: in node order, without replacement. Null, or null for a node,
    /// if its children are no draws but the same whatever chance says (given the text and u): point masses.
    /// </summary>
    public float[]?[]? Laws { get; init; }

    /// <summary>The chance that a drafter gives each node behind its parent, [N]; null if it has no opinion.</summary>
    public float[]? Confidences { get; init; }

    /// <summary>The tree that is the last committed token alone: a plain call.</summary>
    public static DraftTree Plain(int last) => new([last], [-1], [0]) { RootIsCommitted = true };

    /// <summary>Begins anew with a known token.</summary>
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

    /// <summary>The first child of <paramref name="node"/> behind node <paramref name="after"/>, or -1.</summary>
    public int NextChild(int node, int after)
    {
        for (var child = after + 1; child < Count; child++)
        {
            if (_parents[child] == node)
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

    /// <summary>Prepares for a new text.</summary>
    void Start(IReadOnlyList<int> prompt)
    {
        // Many drafters keep nothing of a text but the text.
    }

    /// <summary>Drafts a tree from token g on.</summary>
    /// <param name="session">
    /// The text on the verifier; all committed tokens but the last are cached. A drafter that runs the last one through the verifier
    /// leaves it in the cache and makes node 0 the token that follows; any other makes it node 0 (<see cref="DraftTree.RootIsCommitted"/>).
    /// </param>
    /// <param name="u">Auxiliaries, shared with the verifier.</param>
    /// <param name="g">Index of the first token.</param>
    /// <param name="nodes">Most nodes, at least 1.</param>
    /// <param name="depth">Most new tokens of a path, at least 1; node 0 counts unless it is committed already.</param>
    /// <returns>A tree that stands until the next one is proposed.</returns>
    DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth);

    /// <summary>
    /// Told of each verification, of trees that it did not draft too, while the logits behind every node can still be read.
    /// </summary>
    /// <param name="session">The text; its newest tokens are not committed yet.</param>
    /// <param name="tree">What was verified.</param>
    /// <param name="path">The nodes that stand, from node 0 on.</param>
    void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path)
    {
        // Most drafters learn nothing from laws.
    }
}
