// A draft as a tree: several continuations of the same text, so that a wrong guess leaves another one standing (EAGLE-2's shape).
// Node 0 is known to be right; every other node names its parent, which stands before it. Its chance is that of the whole path to it.
// Refuses: parents that do not stand before their children.


using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Nodes of a draft tree, parents before children.</summary>
/// <param name="Tokens">Token of each node, [N]; node 0 is the exact next token of the text, or its last one, see <see cref="ITreeDrafter"/>.</param>
/// <param name="Parents">Parent of each node, [N]; -1 for node 0.</param>
/// <param name="Depths">Tokens between node 0 and each node, [N].</param>
public readonly record struct DraftTree(int[] Tokens, int[] Parents, int[] Depths)
{
    /// <summary>The child of <paramref name="node"/> with this token, or -1.</summary>
    public int Child(int node, int token)
    {
        for (var child = node + 1; child < Tokens.Length; child++)
        {
            if (Parents[child] == node && Tokens[child] == token)
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

    /// <summary>
    /// Drafts a tree from token g on. Either the last committed token is run through the verifier first, so that node 0 is token g,
    /// exact; or nothing is run, and node 0 is the last committed token itself, above the draft.
    /// </summary>
    /// <param name="session">The text on the verifier; all committed tokens but the last are cached. In the first case the last is afterwards.</param>
    /// <param name="u">Auxiliaries, shared with the verifier.</param>
    /// <param name="g">Index of the first token.</param>
    /// <param name="nodes">Most nodes, at least 1.</param>
    /// <param name="depth">Most tokens of a path that are new to the text, at least 1.</param>
    DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth);
}
