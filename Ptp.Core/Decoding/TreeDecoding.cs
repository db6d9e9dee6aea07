// Error correction over a tree of drafts: one call checks all paths, the one that u picks under the verifier's own laws is kept.
//   v_r = Pick(u_{g+r}, law behind the path so far); follow the child whose token is v_r; commit the path and one more token
// Node 0 and the final token are exact anyway, so a round commits two at least. Refuses: nothing; equals plain decoding bit for bit.

using System.Runtime.InteropServices;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Draft a tree, verify, keep a path.</summary>
/// <param name="model">The verifier.</param>
/// <param name="drafter">Proposes trees.</param>
/// <param name="law">The sampling law.</param>
/// <param name="rule">How u picks a token.</param>
/// <param name="nodes">Rows of a verifying call.</param>
public sealed class TreeDecoding(Transformer model, ITreeDrafter drafter, SamplingOptions law, PickRule rule, int nodes = 16) : IDecoder
{
    private readonly ModelSession _session = new(model, law, rule);
    private readonly List<int> _path = []; // nodes that were right
    private readonly List<int> _tokens = []; // theirs, and one more

    /// <inheritdoc/>
    public string Name => "tree";

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default) =>
        Rounds.Run(_session, prompt, limits, null, output => Round(u, output, limits, committed), cancellation);

    private StopReason? Round(Auxiliaries u, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        // Nodes wait behind the cache until one path is kept; the last token of a text is the verifier's own.
        var most = Math.Min(limits.MaxNewTokens - g, _session.Room) - 1;
        if (most <= 0)
        {
            _session.Verify([_session.Tokens[^1]]);
            return Rounds.Commit([_session.Pick(0, u, g)], [], 0, 0, output, limits, _session, committed);
        }

        var room = _session.Cache.Capacity - _session.Cache.Length - 1;
        var tree = drafter.Propose(_session, u, g, Math.Min(nodes, room), Math.Min(drafter.Slots, most));
        var start = _session.Cache.Length;
        _session.Verify(tree);
        _path.Clear();
        _tokens.Clear();
        _tokens.Add(tree.Tokens[0]);
        for (var node = 0; node >= 0; node = tree.Child(node, _tokens[^1]))
        {
            _path.Add(node);
            _tokens.Add(_session.Pick(node, u, g + _tokens.Count));
        }

        _session.Cache.Keep(start, _path);
        var verified = CollectionsMarshal.AsSpan(_tokens);
        return Rounds.Commit(verified, verified[.._path.Count], tree.Count, _path.Count, output, limits, _session, committed, tree: tree);
    }
}
