// A chain is a tree without branches: any chain drafter, for everything that takes trees.
// Laws move one place: the tree keeps, at each node, the law its child was drawn from. Refuses: nothing.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Drafts trees of one path.</summary>
/// <param name="inner">The chain drafter.</param>
public sealed class ChainTree(IDrafter inner) : ITreeDrafter
{
    /// <inheritdoc/>
    public int Slots => inner.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => inner.Start(prompt);

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        // With a known first law the root is token g itself; else it is the token before, and takes a node without being drafted.
        var draft = inner.Propose(session, u, g, Math.Min(inner.Slots, Math.Min(depth, Math.Max(1, nodes - 1))));
        if (draft.KnowsFirstLaw)
        {
            return Of(session.Pick(0, u, g), draft.Tokens[1..], draft.Confidences[1..], draft.Laws?[1..], false);
        }

        return Of(session.Tokens[^1], draft.Tokens, draft.Confidences, draft.Laws, true);
    }

    /// <summary>A path below a root.</summary>
    /// <param name="root">Node 0.</param>
    /// <param name="tokens">The tokens that follow it, [N].</param>
    /// <param name="confidences">Of each, [N], or empty.</param>
    /// <param name="laws">What each was drawn from, or null.</param>
    /// <param name="rootIsCommitted">Whether the root is the text's last token.</param>
    public static DraftTree Of(
        int root, ReadOnlySpan<int> tokens, ReadOnlySpan<float> confidences = default, float[][]? laws = null, bool rootIsCommitted = true)
    {
        var parents = new int[tokens.Length + 1];
        var depths = new int[parents.Length];
        for (var node = 0; node < parents.Length; node++)
        {
            (parents[node], depths[node]) = (node - 1, node);
        }

        return new DraftTree([root, .. tokens], parents, depths)
        {
            RootIsCommitted = rootIsCommitted,
            Laws = laws is null ? null : [.. laws, null],
            Confidences = confidences.IsEmpty ? null : [1f, .. confidences],
        };
    }
}
