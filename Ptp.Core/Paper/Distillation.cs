// Distillation (PTP sections 3.1 to 3.3) over teacher completions with known u, many completions in one pass: pass 1 runs the
// context through the base into a cache, pass 2 all slots, each seeing its own context prefix and its own earlier slots.
//   O-PTP: L = - sum_k w_k log P_theta(t_k | t_<i, u_i..u_k);   C-PTP: L = sum_k w_k KL(Q_k || P_theta(. | t_<i, u_i..u_{k-1}))
// Refuses: gradients into a gated base.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Paper;

/// <summary>Sizes and weights of a distillation step.</summary>
public sealed record DistillationOptions
{
    /// <summary>Tokens of context per step.</summary>
    public int ContextTokens { get; init; } = 640;

    /// <summary>Slot rows per step.</summary>
    public int SlotRows { get; init; } = 512;

    /// <summary>Weight of slot l is Gamma^l; 1 = all equal.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>
    /// A completion keeps slot l + 1 after slot l with this probability (from the second on): like Gamma, but late slots
    /// cost time only as often as they count. 1 = always all slots.
    /// </summary>
    public double Continuation { get; init; } = 1;

    /// <summary>Seed of the choice of texts and starts.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>Trains the slots of a PTP model.</summary>
[Paper("Distillation")]
public sealed class Distillation
{
    private const int SureSlots = 2;
    private const double ColdestLaw = 0.1; // a law of temperature 0 has no gradient; this one has, and nearly the same tokens
    private readonly SlotModel _ptp;
    private readonly IReadOnlyList<Completion> _completions;
    private readonly DistillationOptions _options;
    private readonly LearningRate _rate;
    private readonly Tape _context;
    private readonly Tape _slots;
    private readonly KvCache? _cache;
    private Tensor? _teacher; // [R, V], logits of the base where a slot predicts a law

    /// <summary>A trainer; the adapter (or the whole student) becomes trainable, a gated base stays frozen.</summary>
    public Distillation(
        SlotModel ptp, IReadOnlyList<Completion> completions, DistillationOptions options, AdamWOptions optimiser,
        LearningRate rate)
    {
        Guard.Require(completions.Count > 0, "Distill", "no completions", "at least one", "Make completions first.");
        Guard.Require(options is { ContextTokens: > 0, SlotRows: > 0, Gamma: > 0 and <= 1, Continuation: > 0 and <= 1 },
            "Distill", $"{options}", "positive sizes, gamma and continuation in (0, 1]", "Correct the options.");
        (_ptp, _completions, _options, _rate) = (ptp, completions, options, rate);
        ptp.Network.SetTrainable(!ptp.SharesBase);
        foreach (var parameter in ptp.Trained)
        {
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(ptp.Trained, optimiser);
        _context = new Tape(ptp.Network.Backend);
        _slots = new Tape(ptp.Network.Backend) { Recording = true };
        _cache = ptp.SharesBase
            ? new KvCache(ptp.Network.Backend, ptp.Network.Config, options.ContextTokens)
            : null;
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh starts.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        var batch = DistillationBatch.Draw(
            _completions, _ptp, _options, new RandomStream(_options.Seed, $"starts of step {step}"), SureSlots);
        var (loss, weight) = Loss(batch);
        Backward();
        var rate = _rate.At(step);
        var norm = Optimiser.Step(rate, 1 / weight);
        return new StepReport(step, loss / weight, rate, norm, batch.Targets.Length);
    }

    /// <summary>Weighted loss of a batch and the sum of its weights; gradients are recorded, not yet taken.</summary>
    public (double Loss, double Weight) Loss(DistillationBatch batch)
    {
        var logits = Logits(batch);
        var loss = _teacher is null
            ? _slots.CrossEntropy(logits, batch.Targets, batch.Weights)
            : _slots.Divergence(logits, _teacher, (float)(1 / Math.Max(ColdestLaw, _ptp.Law.Temperature)), batch.Weights);
        return (loss, batch.Weights.Sum(w => (double)w));
    }

    /// <summary>Replays the gradients of the last <see cref="Loss"/>.</summary>
    public void Backward() => _slots.Backward();

    /// <summary>The <see cref="SlotModel.PickSoftness"/> with which categorical slots are right most often, given the true tokens before.</summary>
    /// <param name="batches">Batches of fresh starts to measure it on.</param>
    public double BestSoftness(int batches)
    {
        double[] candidates = [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3];
        var right = new long[candidates.Length];
        var law = new float[_ptp.Network.Config.VocabularySize];
        var transform = new LogitsTransform(_ptp.Law, law.Length);
        for (var i = 0; i < batches; i++)
        {
            var batch = DistillationBatch.Draw(
                _completions, _ptp, _options, new RandomStream(_options.Seed, $"starts of softness {i}"), SureSlots);
            var logits = Logits(batch).Value;
            for (var row = 0; row < logits.Rows; row++)
            {
                _slots.Backend.Download(logits.Slice(row, 1), law);
                transform.ToLaw(law, law);
                var u = batch.TargetU.AsSpan(row * _ptp.NumbersPerToken, _ptp.NumbersPerToken);
                for (var c = 0; c < candidates.Length; c++)
                {
                    right[c] += _ptp.Rule.Guess(u, law, candidates[c], out _) == batch.Targets[row] ? 1 : 0;
                }
            }
        }

        return candidates[Array.IndexOf(right, right.Max())];
    }

    /// <summary>Logits of all slots, [R, V].</summary>
    internal Variable Logits(DistillationBatch batch) =>
        _cache is not null ? GatedLogits(batch) : StudentLogits(batch);

    /// <summary>Base rows fill the cache without gradient; gated slots read it.</summary>
    private Variable GatedLogits(DistillationBatch batch)
    {
        var network = _ptp.Network;
        var context = batch.Ids.Length;
        _context.Reset();
        var tokens = _context.Empty(context, network.Config.HiddenSize);
        _context.Embedding(network.Embeddings, batch.Ids, tokens);
        var places = Enumerable.Range(0, context).ToArray();
        var call = new CallRows(batch.Positions, batch.ContextVisibility(), _cache, places);
        var depth = _ptp.Sampler?.Depth ?? 0;
        var early = network.Blocks(_context, tokens, call, layers: ..depth);
        var known = network.Blocks(_context, early, call, layers: depth..);
        _teacher = _ptp.Reading == SlotReading.Categorical ? Teacher(known.Value, batch) : null;

        _slots.Reset();
        var x = _slots.Empty(batch.Targets.Length, network.Config.HiddenSize);
        _ptp.Embed(_slots, batch.U, batch.LastTokens, x);
        var rows = new CallRows(batch.SlotPositions, batch.SlotVisibility(cached: true), _cache, GateStart: 0);
        var hidden = network.Blocks(_slots, x, rows, _ptp.Lora);
        return _ptp.Sampler is { } sampler
            ? sampler.Logits(_slots, hidden, batch.EarlierTokens(sampler.History), depth > 0 ? Before(_slots, early.Value, batch) : null)
            : network.Logits(_slots, hidden);
    }

    /// <summary>Rows of the context, [S, D], that stand just before the tokens that slots predict, [R, D].</summary>
    private static Variable Before(Tape tape, Tensor context, DistillationBatch batch)
    {
        var rows = tape.Empty(batch.Targets.Length, context.Columns, needsGradient: false);
        tape.Backend.Embedding(context, [.. batch.TargetPlaces.Select(place => place - 1)], rows.Value);
        return rows;
    }

    /// <summary>The base's logits of the tokens that slots predict, [R, V], from hidden states of the context, [S, D].</summary>
    private Tensor Teacher(Tensor context, DistillationBatch batch) =>
        _ptp.Network.Logits(_context, Before(_context, context, batch)).Value;

    /// <summary>A student learns from context rows too, so both kinds of rows share one recorded pass.</summary>
    private Variable StudentLogits(DistillationBatch batch)
    {
        var network = _ptp.Network;
        var (context, slots) = (batch.Ids.Length, batch.Targets.Length);
        _slots.Reset();
        var x = _slots.Empty(context + slots, network.Config.HiddenSize);
        _slots.Embedding(network.Embeddings, batch.Ids, x.Slice(0, context));
        _ptp.Embed(_slots, batch.U, batch.LastTokens, x.Slice(context, slots));
        var rows = new CallRows([.. batch.Positions, .. batch.SlotPositions], batch.SlotVisibility(cached: false));
        var hidden = network.Blocks(_slots, x, rows);
        return network.Logits(_slots, hidden.Slice(context, slots));
    }
}
