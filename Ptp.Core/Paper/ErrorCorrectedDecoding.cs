// Error-corrected decoding (PTP Algorithm 1): draft N tokens from u, verify them in one call, keep the leading matches
// and one correction: v_r = Pick(u_{g+r}, Q_r), commit v_0..v_m with m = #leading r: d_r = v_r. Output = plain decoding's.
// Refuses: any rule but accept-if-equal (u is shared with the drafter, so a ratio test would be wrong).

using Ptp.Core.Decoding;
using Ptp.Core.Model;

namespace Ptp.Core.Paper;

/// <summary>Draft, verify, correct.</summary>
/// <param name="model">The verifier.</param>
/// <param name="drafter">Any drafter; its quality changes the speed, never the text.</param>
/// <param name="law">The sampling law.</param>
/// <param name="rule">How u picks a token.</param>
/// <param name="slots">Most tokens per draft; 0 = all the drafter has.</param>
/// <param name="exactFirst">
/// True to replace the first draft token by Pick(u_g, P(t_g)) where drafting yields that law anyway, so that a round commits two
/// tokens at least.
/// </param>
/// <param name="length">How many of the slots to use in a round; null = all.</param>
[Paper("Algorithm 1")]
public sealed class ErrorCorrectedDecoding(
    Transformer model, IDrafter drafter, SamplingOptions law, PickRule rule, int slots = 0, bool exactFirst = true,
    IDraftLength? length = null)
    : IDecoder
{
    private readonly ModelSession _session = new(model, law, rule);
    private readonly int _slots = Math.Min(slots > 0 ? slots : drafter.Slots, drafter.Slots);
    private readonly IDraftLength _length = length ?? new LongestLength();

    /// <inheritdoc/>
    public string Name => "ptp";

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default) =>
        Rounds.Run(
            _session, prompt, limits, () => drafter.Start(prompt), output => Round(u, output, limits, committed), cancellation);

    private StopReason? Round(Auxiliaries u, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        // The last token of a round is the verifier's own, so a draft longer than what is left minus one is wasted.
        var most = Math.Min(_slots, Math.Min(limits.MaxNewTokens - g, _session.Room) - 1);
        var context = _session.Cache.Length;
        var count = most > 0 ? Math.Min(most, _length.Draft(context, most)) : 0;
        var draft = count > 0 ? drafter.Propose(_session, u, g, count) : new Draft([], [], false);
        var tokens = draft.Tokens;
        var verified = new int[tokens.Length + 1];
        var ownFirst = tokens.Length > 0 ? tokens[0] : -1;
        var firstRight = false;
        if (draft.KnowsFirstLaw)
        {
            verified[0] = _session.Pick(0, u, g);
            firstRight = ownFirst == verified[0];
            if (!exactFirst && !firstRight)
            {
                // Already refuted: no call is spent on a draft that starts wrong.
                _session.Stats.AddOwn(false, 0);
                return Rounds.Commit(verified.AsSpan(0, 1), tokens, count, 0, output, limits, _session, committed);
            }

            tokens = tokens[..Math.Clamp(_length.Verify(context, tokens.Length, firstRight, draft.Chances), 1, tokens.Length)]; // a copy
            tokens[0] = verified[0];
            verified = verified[..(tokens.Length + 1)];
            _session.Verify(tokens);
        }
        else
        {
            _session.Verify([_session.Tokens[^1], .. tokens]);
        }

        // Law row r of the last call is Q_{r + known}: the law after draft tokens d_0..d_{r + known - 1}.
        var known = draft.KnowsFirstLaw ? 1 : 0;
        var correct = known;
        for (var r = known; r < verified.Length; r++)
        {
            verified[r] = _session.Pick(r - known, u, g + r);
            if (r < tokens.Length && verified[r] == tokens[r])
            {
                correct++;
                continue;
            }

            verified = verified[..(r + 1)];
        }

        var stop = Rounds.Commit(verified, draft.Tokens, tokens.Length, correct, output, limits, _session, committed);
        if (tokens.Length > 0)
        {
            // As for the round itself: what an end token cut off was never committed, so it was never correct either.
            firstRight = ownFirst == verified[0];
            _session.Stats.AddOwn(firstRight, firstRight ? Math.Min(correct, output.Count - g) : 0);
            _length.Observe(tokens.Length, correct, firstRight);
        }

        return stop;
    }
}
