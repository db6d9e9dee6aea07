// Draft with any drafter, verify with any rule, in two calls per round: d_r stands while the rule accepts it under Q_r; the first
// refused one is replaced (by Pick(u_{g+r}, Q_r), or the rule's own draw), and a draft that stands whole earns one token more.
// With the exact rule this is error-corrected decoding. Refuses: laws of its own without a gated adapter on the same base.

using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Decoding.Verification;

/// <summary>Drafts and verifies by a rule.</summary>
public sealed class DraftAndVerify : IDecoder
{
    private readonly ModelSession _session;
    private readonly IDrafter _drafter;
    private readonly VerificationRule _rule;
    private readonly SlotModel? _own;
    private readonly NodeTest _test;
    private readonly ulong _seed;
    private readonly int _slots;
    private int[] _called = []; // the last committed token and the draft
    private int[] _decided = [];

    /// <summary>A decoder.</summary>
    /// <param name="model">The verifier.</param>
    /// <param name="drafter">Any drafter.</param>
    /// <param name="rule">When a draft token stands.</param>
    /// <param name="law">The sampling law.</param>
    /// <param name="pick">How u picks a token.</param>
    /// <param name="slots">Most tokens per draft; 0 = all the drafter has.</param>
    /// <param name="seed">With the seed of u, of the rule's own randomness: a text is a function of prompt, u and this.</param>
    /// <param name="own">The gated adapter whose laws a 'self:' rule reads, else not needed.</param>
    public DraftAndVerify(
        Transformer model, IDrafter drafter, VerificationRule rule, SamplingOptions law, PickRule pick, int slots = 0, ulong seed = 0,
        SlotModel? own = null)
    {
        Guard.Require(!rule.ReadsOwnLaw || (own?.Lora is not null && ReferenceEquals(own.Network, model)),
            $"Verify by '{rule.Name}'", own is null ? "no adapter" : "an adapter of another network", "a gated adapter on this model",
            "Pass the drafter's own adapter, or leave out 'self:'.");
        rule.Check(pick);
        (_drafter, _rule, _seed, _own) = (drafter, rule, seed, rule.ReadsOwnLaw ? own : null);
        _slots = Math.Min(slots > 0 ? slots : drafter.Slots, drafter.Slots);
        _session = new ModelSession(model, law, pick);
        _test = new NodeTest(rule, _session);
    }

    /// <inheritdoc/>
    public string Name => "ptp by " + _rule.Name;

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        // Another name, another stream: it is independent of u although both may follow from one seed.
        _session.Dice = Dice.From(new RandomStream(_seed ^ (u.Seed ?? 0), "verification"));
        return Rounds.Run(
            _session, prompt, limits, () => _drafter.Start(prompt), output => Round(u, output, limits, committed), cancellation);
    }

    private StopReason? Round(Auxiliaries u, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        // The last token of a round is the verifier's own, so a draft longer than what is left minus one is wasted.
        var most = Math.Min(_slots, Math.Min(limits.MaxNewTokens - g, _session.Room) - 1);
        var draft = most > 0 ? _drafter.Propose(_session, u, g, most) : default;
        if (_called.Length <= draft.Tokens.Length)
        {
            (_called, _decided) = (new int[draft.Tokens.Length + 1], new int[draft.Tokens.Length + 1]);
        }

        var all = _called.AsSpan(0, draft.Tokens.Length + 1);
        var tokens = all[1..]; // a copy: the caller is told what was proposed, its first token included
        all[0] = _session.Tokens[^1];
        draft.Tokens.CopyTo(tokens);
        var known = Verify(all, draft.KnowsFirstLaw, u, g);
        var decided = _decided.AsSpan(0, all.Length);
        tokens[..known].CopyTo(decided);
        var correct = known;
        for (; ; correct++)
        {
            var row = correct - known;
            var q = draft.Laws is { } laws && correct < laws.Length ? laws[correct] : null;
            _test.Start(row, correct, u, g, q);
            if (correct == tokens.Length || !_test.Accepts(tokens[correct], draft.Confidences[correct]))
            {
                decided[correct] = _test.Replacement();
                break;
            }

            decided[correct] = tokens[correct];
        }

        return Rounds.Commit(decided[..(correct + 1)], draft.Tokens, tokens.Length, correct, output, limits, _session, committed);
    }

    /// <summary>The verifying call. Returns how many draft tokens are known: law row 0 is that of the first behind them.</summary>
    private int Verify(Span<int> all, bool knowsFirstLaw, Auxiliaries u, long g)
    {
        var tokens = all[1..];
        if (_own is not null)
        {
            VerifyByOwnLaws(knowsFirstLaw ? tokens : all, all, _own);
            return 0;
        }

        if (!knowsFirstLaw)
        {
            _session.Verify(all);
            return 0;
        }

        // Its law came with the draft, so it need not be guessed.
        _test.Start(0, 0, u, g, default);
        tokens[0] = _test.Replacement();
        _session.Verify(tokens);
        return 1;
    }

    /// <summary>
    /// Base rows for the cache, as always, and the same tokens again as gated rows behind the committed text: theirs are the laws.
    /// </summary>
    private void VerifyByOwnLaws(ReadOnlySpan<int> uncached, ReadOnlySpan<int> all, SlotModel own)
    {
        var (tape, model, cached) = (_session.Tape, _session.Model, _session.Cache.Length);
        var (first, text) = (uncached.Length, _session.Tokens.Count - 1);
        tape.Reset();
        var x = tape.Empty(first + all.Length, model.Config.HiddenSize);
        tape.Embedding(model.Embeddings, [.. uncached, .. all], x);
        var visibility = new Visibility().AddCausal(0, cached, first);
        var positions = new int[all.Length];
        for (var row = 0; row < all.Length; row++)
        {
            visibility.AddRow(0, text).AddRange(first, first + row + 1);
            positions[row] = text + row;
        }

        var hidden = model.Blocks(tape, x, _session.BaseRows(first, visibility, positions), own.Lora);
        _session.Stats.AddCall(first + all.Length);
        _session.Cache.Append(first);
        _session.KeepLogits(model.Logits(tape, hidden.Slice(first, all.Length)).Value, first);
    }
}
