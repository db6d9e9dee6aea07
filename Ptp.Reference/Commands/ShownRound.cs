// One round of decoding as a person is to see it: what was drafted, what became of each draft token, what was committed and why.
// Algorithm 1's round: d_0..d_{q-1} verified against v_r = Pick(u_{g+r}, Q_r); v_0..v_m committed, m = leading r with d_r = v_r.
// Refuses: nothing. It reads what a decoder tells (Commitment) and never touches the decoder.

using Ptp.Core.Decoding;

namespace Ptp.Reference.Commands;

/// <summary>How a committed token came about.</summary>
internal enum Origin
{
    /// <summary>The draft had it right.</summary>
    Accepted,

    /// <summary>The model's own, in place of a wrong draft token.</summary>
    Corrected,

    /// <summary>The model's own, behind a draft that was right to its end.</summary>
    Bonus,

    /// <summary>The model's own, in a round that drafted nothing.</summary>
    Plain,
}

/// <summary>What became of a draft token.</summary>
internal enum Fate
{
    /// <summary>It was right.</summary>
    Accepted,

    /// <summary>u picked another token: the one committed in its place.</summary>
    Rejected,

    /// <summary>It stood behind a wrong token, or behind the end of the text.</summary>
    Discarded,

    /// <summary>It was dropped before verification, as checking it would not have paid.</summary>
    Unchecked,
}

/// <summary>A node of a draft tree.</summary>
/// <param name="Token">Its token.</param>
/// <param name="Parent">The node it continues; -1 for the first.</param>
/// <param name="Depth">Tokens between the first node and it.</param>
/// <param name="Fate">Accepted on the path that was kept, rejected beside it, discarded below a node that was not kept.</param>
internal readonly record struct ShownNode(int Token, int Parent, int Depth, Fate Fate);

/// <summary>A round.</summary>
/// <param name="Start">g, the index of its first token.</param>
/// <param name="Draft">Proposed tokens, of g, g + 1, ...</param>
/// <param name="Verified">How many of them were verified.</param>
/// <param name="Tokens">Committed tokens, of g, g + 1, ...</param>
/// <param name="Correct">As <see cref="Commitment.Correct"/>.</param>
internal sealed record ShownRound(int Start, int[] Draft, int Verified, int[] Tokens, int Correct)
{
    /// <summary>Slots drafted ahead by the same call, for m = 0, 1, ... right draft tokens; empty where calls do not branch.</summary>
    public int[] Branches { get; private init; } = [];

    /// <summary>All nodes of the tree that was verified, parents first; empty for chains.</summary>
    public ShownNode[] Nodes { get; private init; } = [];

    /// <summary>Places of draft tokens that were never compared with what was committed.</summary>
    public IEnumerable<int> Dropped => Enumerable.Range(0, Draft.Length).Where(j => FateOf(j) is Fate.Discarded or Fate.Unchecked);

    /// <summary>The round that a decoder tells of.</summary>
    /// <param name="round">What was committed.</param>
    /// <param name="start">Tokens before it.</param>
    public static ShownRound Of(Commitment round, int start) =>
        new(start, round.Draft.ToArray(), round.Verified, round.Tokens.ToArray(), round.Correct)
        {
            Branches = round.Branches.ToArray(),
            Nodes = round.Tree is { } tree ? NodesOf(tree, round.Draft.Span) : [],
        };

    /// <summary>How committed token number <paramref name="i"/> of the round came about.</summary>
    public Origin OriginOf(int i) =>
        i < Correct ? FirstWasReplaced && i == 0 ? Origin.Corrected : Origin.Accepted
        : Draft.Length == 0 ? Origin.Plain
        : i < Verified ? Origin.Corrected
        : Origin.Bonus;

    /// <summary>What became of draft token number <paramref name="j"/>.</summary>
    public Fate FateOf(int j) =>
        j >= Verified ? Fate.Unchecked
        : j < Correct ? FirstWasReplaced && j == 0 ? Fate.Rejected : Fate.Accepted
        : j == Correct && j < Tokens.Length ? Fate.Rejected
        : Fate.Discarded;

    /// <summary>True if a draft token stood where committed token number <paramref name="i"/> stands, and was refuted.</summary>
    public bool Rejects(int i) => i < Draft.Length && FateOf(i) == Fate.Rejected;

    /// <summary>The tree as a copy; its path is what the round took for its draft.</summary>
    private static ShownNode[] NodesOf(DraftTree tree, ReadOnlySpan<int> path)
    {
        var nodes = new ShownNode[tree.Count];
        for (var node = 0; node < nodes.Length; node++)
        {
            var (token, parent, depth) = (tree.Tokens[node], tree.Parents[node], tree.Depths[node]);
            var below = parent < 0 || nodes[parent].Fate == Fate.Accepted;
            nodes[node] = new ShownNode(token, parent, depth,
                !below ? Fate.Discarded : depth < path.Length && path[depth] == token ? Fate.Accepted : Fate.Rejected);
        }

        return nodes;
    }

    // A drafting call reads the exact first token off its own last row; the draft's is then refuted before any verification.
    private bool FirstWasReplaced => Correct > 0 && Draft[0] != Tokens[0];
}
