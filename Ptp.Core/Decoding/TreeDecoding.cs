// Error correction over a tree of drafts: one call checks all paths, the one that u picks under the verifier's own laws is kept.
//   v_r = Pick(u_{g+r}, law behind the path so far); follow the child whose token is v_r; commit the path and one more token
// Node 0 is exact: token g, found by a call of its own, or the last committed token, which the one call of a round then runs along.
// Refuses: nothing; equals plain decoding bit for bit.

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

        var start = _session.Cache.Length;
        var room = _session.Cache.Capacity - start - 1;
        var tree = drafter.Propose(_session, u, g, Math.Min(nodes, room), Math.Min(drafter.Slots, most));
        // Whoever has run the last committed token has cached it; its tree begins with the token behind.
        var isNew = _session.Cache.Length > start;
        start = _session.Cache.Length;
        _session.Verify(tree);
        var path = new List<int> { 0 };
        List<int> tokens = isNew ? [tree.Tokens[0]] : [];
        while (true)
        {
            tokens.Add(_session.Pick(path[^1], u, g + tokens.Count));
            var next = tree.Child(path[^1], tokens[^1]);
            if (next < 0)
            {
                break;
            }

            path.Add(next);
        }

        _session.Cache.Keep(start, path);
        int[] verified = [.. tokens];
        var drafted = tree.Tokens.Length - (isNew ? 0 : 1);
        return Rounds.Commit(verified, verified.AsSpan(0, verified.Length - 1), drafted, verified.Length - 1, output, limits, _session, committed);
    }
}
