// Partial quadratic decoding (PTP section 5.2): one call verifies the draft d_0..d_{q-1} and drafts anew for every number m of
// right tokens. Rows: last token, draft (base rows, causal); branch m: slots with u_{g+m}.., which see the cache, the first m + 1
// base rows and their own branch only. Commits v_0..v_m; branch m is the next draft. Refuses: a student (branches share the cache).

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>What partial quadratic decoding may spend.</summary>
public sealed record PartialQuadraticOptions
{
    /// <summary>Slots of a call, all branches together.</summary>
    public int Budget { get; init; } = 16;

    /// <summary>Most slots of one branch; 0 = all the adapter has.</summary>
    public int Slots { get; init; }

    /// <summary>Cost of plain calls; with it the budget is an upper limit, and calls draft only where that pays.</summary>
    public CallCosts? Costs { get; init; }

    /// <summary>Cost of drafting calls, see <see cref="CallCosts.MeasureDrafts"/>.</summary>
    public CallCosts? Drafting { get; init; }

    /// <summary>True to split the budget as section 5.2 prints it: greedily, by its reward, by confidences as stated. Slower; to compare with.</summary>
    public bool AsPrinted { get; init; }

    /// <summary>How drafts survive, fitted beforehand; null = by the drafts' own confidences and what the decoder sees.</summary>
    public BranchingModel? Branching { get; init; }
}

/// <summary>Verifies and drafts in the same call.</summary>
[Paper("Partial quadratic decoding")]
public sealed class PartialQuadraticDecoding : IDecoder
{
    private const double Margin = 1.1;
    private readonly SlotModel _ptp;
    private readonly ModelSession _session;
    private readonly PartialQuadraticOptions _options;
    private readonly CategoricalReader? _reader;
    private readonly Likeliest _likeliest = new();
    private readonly DraftSurvival _survival;
    private readonly SingleStrand? _strand;
    private readonly int _slots;
    private readonly Calibration _calibration = new();
    private readonly DraftLedger? _ledger;
    private int[] _draft = [];
    private float[] _confidences = [];

    /// <summary>A decoder on the adapter's base.</summary>
    /// <param name="ptp">Gated slots, one-hot or categorical.</param>
    /// <param name="law">The sampling law.</param>
    /// <param name="options">Budget, and costs if it shall pay.</param>
    public PartialQuadraticDecoding(SlotModel ptp, SamplingOptions law, PartialQuadraticOptions options)
    {
        Guard.Require(ptp is { SharesBase: true, Flow: null }, "Decode with branches", ptp.SharesBase ? "slots with a flow head" : "a student of its own",
            "gated slots on the verifier, read as they are", "Use error-corrected decoding, or distill a gated adapter.");
        Guard.Require(ptp.Network.Original is null, "Decode with branches", "slots on a twin of the model, rounded for drafts",
            "slots on the model itself, which the same call verifies with", "Use error-corrected decoding or draft trees.");
        Guard.Require(options.Budget is >= 0 and <= 4096 && (options.Costs is null) == (options.Drafting is null),
            "Decode with branches", $"a budget of {options.Budget}", "0 to 4096 slots, and both costs or none", "Correct the options.");
        (_ptp, _options) = (ptp, options);
        _slots = Math.Min(options.Slots > 0 ? options.Slots : ptp.Slots, ptp.Slots);
        _session = new ModelSession(ptp.Network, law, ptp.Rule);
        _reader = ptp.Reading == SlotReading.Categorical ? new CategoricalReader(ptp) : null;
        _survival = new DraftSurvival(ptp.Slots);
        _ledger = options.Costs is { } costs ? new DraftLedger(costs) : null;
        _strand = options.Branching is { } branching ? new SingleStrand(branching, ptp.Slots) : null;
    }

    /// <inheritdoc/>
    public string Name => "pqd";

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        (_draft, _confidences) = ([], []);
        return Rounds.Run(_session, prompt, limits, null, output => Round(u, output, limits, committed), cancellation);
    }

    private StopReason? Round(Auxiliaries u, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        var remaining = Math.Min(limits.MaxNewTokens - g, _session.Room);
        var draft = _draft.AsSpan(0, Math.Min(_draft.Length, remaining - 1));
        var branches = Allocate(draft.Length, remaining);
        var (hidden, starts) = Call(u, g, draft, branches);

        var verified = new int[draft.Length + 1];
        var correct = 0;
        while (true)
        {
            verified[correct] = _session.Pick(correct, u, g + correct);
            var right = correct < draft.Length && verified[correct] == draft[correct];
            if (correct < draft.Length)
            {
                _calibration.Add(_confidences[correct], right);
            }

            if (!right)
            {
                break;
            }

            correct++;
        }

        _survival.Observe(draft.Length, correct);
        var stop = Rounds.Commit(
            verified.AsSpan(0, correct + 1), draft, draft.Length, correct, output, limits, _session, committed, branches);
        (_draft, _confidences) = ([], []);
        if (stop is null && Useful(branches[correct]) > 0)
        {
            Continue(u, output.Count, hidden.Slice(starts[correct], branches[correct]));
        }

        _ledger?.End(correct + 1, draft.Length > 0 || hidden.Value.Rows > 1);
        return stop;
    }

    /// <summary>The one call: base rows for the last token and the draft, and the slots of all branches.</summary>
    private (Variable Hidden, int[] Starts) Call(Auxiliaries u, long g, ReadOnlySpan<int> draft, int[] branches)
    {
        var (tape, model, cached) = (_session.Tape, _session.Model, _session.Cache.Length);
        int[] ids = [_session.Tokens[^1], .. draft];
        var slots = branches.Sum();
        tape.Reset();
        var x = tape.Empty(ids.Length + slots, model.Config.HiddenSize);
        tape.Embedding(model.Embeddings, ids, x.Slice(0, ids.Length));
        var visibility = new Visibility().AddCausal(0, cached, ids.Length);
        var positions = new int[slots];
        var starts = new int[branches.Length];
        var row = ids.Length;
        for (var m = 0; m < branches.Length; m++)
        {
            starts[m] = row;
            if (branches[m] == 0)
            {
                continue;
            }

            _ptp.Embed(tape, u, g + m, ids[m], x.Slice(row, branches[m]));
            for (var slot = 0; slot < branches[m]; slot++)
            {
                positions[row - ids.Length + slot] = cached + m + slot + _ptp.Shift;
                visibility.AddRow(0, cached).AddRange(0, m + 1).AddRange(starts[m], starts[m] + slot + 1);
            }

            row += branches[m];
        }

        var hidden = model.Blocks(tape, x, _session.BaseRows(ids.Length, visibility, positions), _ptp.Lora);
        _session.Stats.AddCall(ids.Length + slots);
        _session.Cache.Append(ids.Length);
        _session.KeepLogits(model.Logits(tape, hidden.Slice(0, ids.Length)).Value);
        return (hidden, starts);
    }

    /// <summary>The next draft, from token g on, out of the slots of the branch that came true.</summary>
    private void Continue(Auxiliaries u, long g, Variable slots)
    {
        if (_reader is not null)
        {
            _draft = new int[slots.Value.Rows];
            _confidences = new float[_draft.Length];
            _reader.Read(_session, u, g, slots, null, _draft, _confidences);
            return;
        }

        // A one-hot branch begins with the token that verification has just made known.
        var rest = slots.Slice(1, slots.Value.Rows - 1);
        var logits = _session.Model.Logits(_session.Tape, rest).Value;
        var draft = _likeliest.Draft(_session.Model.Backend, logits, knowsFirstLaw: false);
        (_draft, _confidences) = (draft.Tokens.ToArray(), draft.Confidences.ToArray());
    }

    private int Useful(int slots) => Math.Max(0, slots - 1 + _ptp.Shift);

    private int[] Allocate(int drafted, int remaining)
    {
        var confidences = new double[drafted];
        for (var i = 0; i < drafted; i++)
        {
            confidences[i] = _options.AsPrinted ? _confidences[i] : _ptp.Confidence?[_confidences[i]] ?? _calibration[_confidences[i]];
        }

        var rewards = new double[_slots + 1];
        for (var k = 0; k <= _slots; k++)
        {
            rewards[k] = _strand?.Expected(Useful(k)) ?? _survival.Expected(Useful(k));
        }

        var most = new int[drafted + 1];
        for (var m = 0; m <= drafted; m++)
        {
            // The last token of a text is the verifier's own, so a branch longer than what is left is wasted.
            var useful = remaining - m - 2;
            most[m] = useful > 0 ? Math.Min(_slots, useful + 1 - _ptp.Shift) : 0;
        }

        var weights = _strand?.Weights(drafted) ?? BranchAllocation.Weights(confidences);
        if (_options.AsPrinted)
        {
            return BranchAllocation.Greedy(weights, [.. Enumerable.Range(0, _slots + 1).Select(_survival.Printed)], most, _options.Budget);
        }

        if (_options.Costs is not { } costs)
        {
            return BranchAllocation.Split(weights, rewards, most, _options.Budget);
        }

        var context = _session.Cache.Length;
        var branches = BranchAllocation.Paying(
            weights, rewards, most, _options.Budget, slots => Milliseconds(costs, context, 1 + drafted, slots), out var rate);
        var pays = rate > Margin / costs.Milliseconds(1, context);
        return _ledger!.Begin(context, pays) ? branches : new int[drafted + 1];
    }

    /// <summary>A call's rows, and what its adapter and the reading of one branch add to them.</summary>
    private double Milliseconds(CallCosts costs, int context, int rows, int slots)
    {
        var plain = costs.Milliseconds(rows + slots, context);
        var one = 1 + Math.Min(slots, _slots);
        return slots == 0
            ? plain
            : plain + Math.Max(0, _options.Drafting!.Milliseconds(one + 1, context) - costs.Milliseconds(one, context));
    }
}
