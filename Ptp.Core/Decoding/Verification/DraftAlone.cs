// Drafts that stand by a rule which never asks the base (student confidence, the first k): one call per round, and none to verify.
// A round commits the draft's leading accepted tokens and nothing else: there is no law to pick a token more from. Where none is accepted,
// the base's own next token is committed, from the drafting call if that knows its law, else from a call of its own.
// Refuses: rules that ask the base (DraftAndVerify).

using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>Drafts without verification; promises nothing but the first token of drafts that know its law.</summary>
public sealed class DraftAlone : IDecoder
{
    private readonly ModelSession _session;
    private readonly IDrafter _drafter;
    private readonly VerificationRule _rule;
    private readonly ulong _seed;
    private readonly int _slots;
    private int[] _tokens = [];

    /// <summary>A decoder.</summary>
    /// <param name="model">The base.</param>
    /// <param name="drafter">Any drafter.</param>
    /// <param name="rule">When a draft token stands; must not ask the base.</param>
    /// <param name="law">The sampling law.</param>
    /// <param name="pick">How u picks a token.</param>
    /// <param name="slots">Most tokens per draft; 0 = all the drafter has.</param>
    /// <param name="seed">With the seed of u, of the rule's own randomness.</param>
    public DraftAlone(
        Transformer model, IDrafter drafter, VerificationRule rule, SamplingOptions law, PickRule pick, int slots = 0, ulong seed = 0)
    {
        Guard.Require(!rule.AsksTheBase, "Draft without verification", $"the rule '{rule.Name}'", "confidence:Q or first:K",
            "Use DraftAndVerify for rules that read the base's laws.");
        (_drafter, _rule, _seed) = (drafter, rule, seed);
        _slots = Math.Min(slots > 0 ? slots : drafter.Slots, drafter.Slots);
        _session = new ModelSession(model, law, pick);
    }

    /// <inheritdoc/>
    public string Name => "ptp by " + _rule.Name;

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        var dice = Dice.From(new RandomStream(_seed ^ (u.Seed ?? 0), "verification"));
        _session.Dice = dice;
        return Rounds.Run(
            _session, prompt, limits, () => _drafter.Start(prompt), output => Round(u, dice, output, limits, committed), cancellation);
    }

    private StopReason? Round(
        Auxiliaries u, Dice dice, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        if (!_drafter.RunsUncached && _session.Uncached.Length > 1)
        {
            _session.Verify(_session.Uncached[..^1]);
        }

        // No token is the verifier's own, so a draft may be as long as what is left.
        var draft = _drafter.Propose(_session, u, g, Math.Min(_slots, Math.Min(limits.MaxNewTokens - g, _session.Room)));
        if (_tokens.Length < draft.Tokens.Length)
        {
            _tokens = new int[draft.Tokens.Length];
        }

        var tokens = _tokens.AsSpan(0, draft.Tokens.Length);
        draft.Tokens.CopyTo(tokens);
        var stand = 0;
        if (draft.KnowsFirstLaw && tokens.Length > 0)
        {
            tokens[stand++] = _session.Pick(0, u, g);
        }

        while (stand < tokens.Length && _rule.Accepts(new Trial
        {
            Token = tokens[stand],
            Place = stand,
            Law = default,
            Picked = -1,
            Confidence = draft.Confidences[stand],
            Dice = dice,
        }))
        {
            stand++;
        }

        if (stand > 0)
        {
            return Rounds.Commit(tokens[..stand], draft.Tokens, tokens.Length, stand, output, limits, _session, committed);
        }

        var fresh = _session.Uncached.Length;
        _session.Verify(_session.Uncached);
        return Rounds.Commit(
            [_session.Pick(fresh - 1, u, g)], draft.Tokens, tokens.Length, 0, output, limits, _session, committed);
    }
}
