// Drafts with a flow head on slots that see no u: one call of [last token (base row) | slots], as for C-PTP, then the head's laws.
//   first token exact (a student's: nearly); token k: the likeliest value of Pick(u_k, P(. | u_<k)), all slots at once
// Exactness is the verifier's, as with any drafter. Refuses: slots that see u, another model's session.

using System.Runtime.InteropServices;
using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>A drafter of independent slots and a flow head.</summary>
public sealed class FlowDrafter : IDrafter
{
    private readonly SlotModel _ptp;
    private readonly ISlotLaws _head;
    private readonly ModelSession? _own; // a student's
    private int[] _tokens = [];
    private float[] _confidences = [];
    private float[] _u = []; // of token g, then of the slots' tokens
    private int[] _slotOf = [];
    private int[] _known = [];
    private double[] _chances = [];

    /// <summary>A drafter.</summary>
    /// <param name="ptp">Slots with a constant embedding, categorical or one-hot, gated or of a student.</param>
    /// <param name="head">A flow head on the same network; it learns nothing.</param>
    public FlowDrafter(SlotModel ptp, FlowHead head)
        : this(ptp, new FlowPicks(head, ptp.Rule))
    {
    }

    /// <summary>A drafter.</summary>
    /// <param name="ptp">Slots with a constant embedding, categorical or one-hot, gated or of a student.</param>
    /// <param name="head">What bends their laws.</param>
    public FlowDrafter(SlotModel ptp, ISlotLaws head)
    {
        Guard.Require(ptp is { Embedding: ConstantEmbedding, Sampler: null } && ReferenceEquals(ptp.Network, head.Network),
            "Draft with a flow head", $"{ptp.Embedding.Name} slots", "slots on the head's own network that see no u",
            "Use the slots the head was trained on.");
        _own = ptp.SharesBase ? null : new ModelSession(ptp.Network, head.Sampling, ptp.Rule);
        (_ptp, _head) = (ptp, head);
    }

    /// <inheritdoc/>
    public int Slots => _ptp.Slots;

    /// <summary>How far to trust the cells, see <see cref="PickGuess"/>.</summary>
    public double PickSoftness { get; set; } = 0.1;

    /// <inheritdoc/>
    public bool RunsUncached => true;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => _own?.Start(prompt);

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        Guard.Require(_own is not null || ReferenceEquals(session.Model, _ptp.Network), "Draft with a flow head", "a session on another model",
            "the head's own base", "Load the head on this model.");
        var (run, skipped) = (_own ?? session, 1 - _ptp.Shift);

        if (_tokens.Length < count)
        {
            (_tokens, _confidences, _u) = (new int[count], new float[count], new float[count * _ptp.NumbersPerToken]);
            (_slotOf, _known) = ([.. Enumerable.Range(0, count)], new int[count * _head.History]);
        }

        // On the base only its last token is not cached; a student lags by what the last round committed.
        var fresh = CollectionsMarshal.AsSpan(session.Tokens)[run.Cache.Length..];
        run.Tape.Reset();

        // One-hot slots begin at token g itself, which the base's row gives exactly; the first of them is only seen by the others.
        var x = _ptp.Rows(run.Tape, run, fresh, u, g, count - 1 + skipped, out var rows);
        var hidden = run.Model.Blocks(run.Tape, x, rows, _ptp.Lora);
        session.Stats.AddCall(x.Value.Rows, ofDrafter: _own is not null);
        run.Cache.Append(fresh.Length);
        run.KeepLogits(run.Model.Logits(run.Tape, hidden.Slice(fresh.Length - 1, 1)).Value);
        (_tokens[0], _confidences[0]) = (run.Pick(0, u, g), 1f);
        if (count > 1)
        {
            Bend(session, run.Tape, u, g, hidden.Slice(fresh.Length + skipped, count - 1));
        }

        var confidences = _confidences.AsSpan(0, count);
        return new Draft(_tokens.AsSpan(0, count), confidences, knowsFirstLaw: _own is null) { Chances = _ptp.Chances(confidences, ref _chances) };
    }

    /// <summary>Tokens g + 1, ... of slots [R, D], token g being known.</summary>
    private void Bend(ModelSession session, Tape tape, Auxiliaries u, long g, Variable slots)
    {
        var (rows, width, text) = (slots.Value.Rows, _ptp.NumbersPerToken, session.Tokens);
        for (var row = 0; row <= rows; row++)
        {
            u.Fill(g + row, _u.AsSpan(row * width, width));
        }

        for (var i = 0; i < _head.History; i++)
        {
            for (var row = 0; row < rows; row++)
            {
                var before = i - row; // places before token g, as far as the text goes
                _known[i * rows + row] = before <= 0 ? _tokens[0] : text[Math.Max(0, text.Count - before)];
            }
        }

        var own = _u.AsSpan(width, rows * width);
        _head.Read(tape, new FlowSlots(
            slots, _ptp.Network.Logits(tape, slots), _known.AsSpan(0, rows * _head.History), _slotOf.AsSpan(0, rows), own,
            _u.AsSpan(0, rows * width)));
        for (var row = 0; row < rows; row++)
        {
            _tokens[row + 1] = _ptp.Rule.Guess(own.Slice(row * width, width), _head.Law(row), PickSoftness, out _confidences[row + 1]);
        }
    }
}
