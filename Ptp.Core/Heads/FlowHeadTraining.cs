// Trains a flow head on frozen slots. Per layer l the loss is - sum_k log P^l(t_k | t_<i, u_<k); the slots run once, without gradient.
//   distillation: texts of the base with the u that wrote them;   maximum likelihood: texts alone, u_k drawn in the cell of t_k under the
//   head's own law, k after k (the slow direction of an IAF, here a few small products per step). Tied layers read the text's own earlier
//   tokens instead of picks and need no u: where u wrote the text, picks of as many sweeps as slots are that text, and the two losses one.
// Refuses: slots that see u themselves.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>What a flow head is taught by.</summary>
public enum FlowHeadSource
{
    /// <summary>The base's own texts with their u.</summary>
    Distillation,

    /// <summary>Texts alone: the head finds u itself.</summary>
    Likelihood,
}

/// <summary>Trainer of a flow head.</summary>
public sealed class FlowHeadTraining
{
    private readonly SlotModel _ptp;
    private readonly FlowHead _head;
    private readonly FlowPicks _picks;
    private readonly FrozenSlots _slots;
    private readonly FlowHeadSource _source;
    private readonly LearningRate _rate;
    private readonly Tape _tape;

    /// <summary>A trainer; the head becomes trainable, the slots stay as they are.</summary>
    /// <param name="ptp">Categorical slots that do not see u, on a gated base or in a network of their own.</param>
    /// <param name="head">The head on the same network.</param>
    /// <param name="texts">Texts; their u count for distillation alone.</param>
    /// <param name="source">What teaches.</param>
    /// <param name="options">Sizes of a step and its seed.</param>
    /// <param name="optimiser">Constants of AdamW.</param>
    /// <param name="rate">Schedule.</param>
    public FlowHeadTraining(
        SlotModel ptp, FlowHead head, IReadOnlyList<Completion> texts, FlowHeadSource source, DistillationOptions options,
        AdamWOptions optimiser, LearningRate rate)
    {
        Guard.Require(ReferenceEquals(ptp.Network, head.Network), "Train a flow head", "slots of another network", "the head's own",
            "Make the head on the slots' network.");
        (_ptp, _head, _source, _rate) = (ptp, head, source, rate);
        _picks = new FlowPicks(head, ptp.Rule);
        _slots = new FrozenSlots(ptp, texts, options);
        foreach (var parameter in head.Parameters)
        {
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(head.Parameters, optimiser);
        _tape = new Tape(ptp.Network.Backend) { Recording = true };
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh starts; the loss is the last layer's.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        var random = _slots.Stream(step);
        _slots.Draw(random);
        var (loss, weight) = Loss(_slots.Batch, random);
        _tape.Backward();
        var rate = _rate.At(step);
        var norm = Optimiser.Step(rate, 1 / weight);
        return new StepReport(step, loss / weight, rate, norm, _slots.Batch.Targets.Length);
    }

    /// <summary>Sets <see cref="SlotModel.PickSoftness"/> to what makes guesses right most often, on fresh starts; texts without u cannot tell.</summary>
    /// <param name="batches">Batches to measure it on.</param>
    public void Calibrate(int batches)
    {
        if (_source == FlowHeadSource.Likelihood)
        {
            return;
        }

        var (softness, width) = (new SoftnessCount(_ptp.Rule), _ptp.NumbersPerToken);
        for (var i = 0; i < batches; i++)
        {
            _slots.Draw(_slots.Stream(-1 - i));
            var batch = _slots.Batch;
            var slotOf = _slots.PlacesBehindKnown(batch);
            var (hidden, logits) = _slots.States(batch);
            _tape.Reset();
            _picks.Read(_tape, new FlowSlots(
                hidden, logits, batch.EarlierTokens(_head.Size.History).ToArray(), slotOf, batch.TargetU, batch.U));
            foreach (var row in Enumerable.Range(0, slotOf.Length).Where(row => slotOf[row] >= 0))
            {
                softness.Add(batch.TargetU.Slice(row * width, width), _picks.Law(row), batch.Targets[row]);
            }
        }

        _ptp.PickSoftness = softness.Best;
    }

    /// <summary>Loss of the last layer over a batch and the sum of its weights; gradients of all layers' losses are recorded.</summary>
    internal (double Loss, double Weight) Loss(DistillationBatch batch, RandomStream noise)
    {
        var (hidden, logits) = _slots.States(batch);
        var slotOf = _slots.PlacesBehindKnown(batch);
        var known = batch.EarlierTokens(_head.Size.History).ToArray();
        var u = batch.TargetU.ToArray();
        if (_source == FlowHeadSource.Likelihood && !_head.Size.Tied)
        {
            (u, var possible) = _picks.Invert(new FlowSlots(hidden, logits, known, slotOf, u, batch.U), batch.Targets, noise);
            for (var row = 0; row < possible.Length; row++)
            {
                batch.Weights[row] = possible[row] ? batch.Weights[row] : 0;
            }
        }

        var loss = 0.0;
        _tape.Reset();
        if (_head.Size.Tied)
        {
            loss = _picks.Loss(_tape, _head.Bend(_tape, 0, hidden, logits, known), batch.Targets, batch.Weights);
            return (loss, TotalWeight(batch));
        }

        _picks.Run(_tape, new FlowSlots(hidden, logits, known, slotOf, u, batch.U),
            bent => loss = _picks.Loss(_tape, bent, batch.Targets, batch.Weights));
        return (loss, TotalWeight(batch));
    }

    private static double TotalWeight(DistillationBatch batch) => Math.Max(1e-9, batch.Weights.ToArray().Sum(w => (double)w));
}
