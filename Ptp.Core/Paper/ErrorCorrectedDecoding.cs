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
    private int[] _called = []; // tokens of the verifying call
    private int[] _verified = [];

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
        var draft = count > 0 ? drafter.Propose(_session, u, g, count) : default;
        if (_called.Length <= draft.Tokens.Length)
        {
            (_called, _verified) = (new int[draft.Tokens.Length + 1], new int[draft.Tokens.Length + 1]);
        }

        var ownFirst = draft.Tokens.Length > 0 ? draft.Tokens[0] : -1;
        var (drafted, known, firstRight) = (draft.Tokens.Length, 0, false);
        if (draft.KnowsFirstLaw)
        {
            (_verified[0], known) = (_session.Pick(0, u, g), 1);
            firstRight = ownFirst == _verified[0];
            if (!exactFirst && !firstRight)
            {
                // Already refuted: no call is spent on a draft that starts wrong.
                _session.Stats.AddOwn(false, 0);
                return Rounds.Commit(_verified.AsSpan(0, 1), draft.Tokens, count, 0, output, limits, _session, committed);
            }

            drafted = Math.Clamp(_length.Verify(context, drafted, firstRight, draft.Chances), 1, drafted);
        }
        else if (drafted > 0)
        {
            drafted = Math.Clamp(_length.Verify(context, drafted, true, draft.Chances), 1, drafted);
        }

        // Token r of the draft stands at r + 1 - known; before it the last committed token, or, where its law is known, the exact first.
        var tokens = _called.AsSpan(0, drafted + 1 - known);
        draft.Tokens[..drafted].CopyTo(tokens[(1 - known)..]);
        tokens[0] = known > 0 ? _verified[0] : _session.Tokens[^1];
        _session.Verify(tokens);

        // Law row r of the last call is Q_{r + known}: the law after draft tokens d_0..d_{r + known - 1}.
        var correct = known;
        while (true)
        {
            _verified[correct] = _session.Pick(correct - known, u, g + correct);
            if (correct == drafted || _verified[correct] != tokens[correct + 1 - known])
            {
                break;
            }

            correct++;
        }

        firstRight = drafted > 0 && ownFirst == _verified[0];
        _length.Observe(drafted, correct, firstRight);
        var stop = Rounds.Commit(
            _verified.AsSpan(0, correct + 1), draft.Tokens, drafted, correct, output, limits, _session, committed);
        if (drafted > 0)
        {
            // As for the round itself: what an end token cut off was never committed, so it was never correct either.
            _session.Stats.AddOwn(firstRight, firstRight ? Math.Min(correct, output.Count - g) : 0);
        }

        return stop;
    }
}
