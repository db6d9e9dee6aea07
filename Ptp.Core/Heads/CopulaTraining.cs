// Fits a Gaussian copula to frozen slots by maximum likelihood: - sum_k log P(t_k | u_<k), gradients by hand (GaussianCopula).
// Texts come with the u that wrote them. Refuses: what CopulaHead and FrozenSlots refuse.

using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>Trainer of a copula head.</summary>
public sealed class CopulaTraining
{
    private readonly CopulaHead _head;
    private readonly FrozenSlots _slots;
    private readonly LearningRate _rate;
    private readonly int _shift;

    /// <summary>A trainer; the slots stay as they are.</summary>
    /// <param name="ptp">Slots that do not see u.</param>
    /// <param name="head">A head on the same network.</param>
    /// <param name="texts">Texts with their u.</param>
    /// <param name="options">Sizes of a step and its seed.</param>
    /// <param name="optimiser">Constants of AdamW.</param>
    /// <param name="rate">Schedule.</param>
    public CopulaTraining(
        SlotModel ptp, CopulaHead head, IReadOnlyList<Completion> texts, DistillationOptions options, AdamWOptions optimiser, LearningRate rate)
    {
        Guard.Require(ReferenceEquals(ptp.Network, head.Network) && ptp.Slots < head.Copula.Length, "Fit a copula",
            $"{ptp.Slots} slots of another network or a copula of {head.Copula.Length}", "slots on the head's own network, fewer than its numbers",
            "Make the head for these slots.");
        (_head, _slots, _rate, _shift) = (head, new FrozenSlots(ptp, texts, options), rate, ptp.Shift);
        head.Weights.SetTrainable(true);
        Optimiser = new AdamW([head.Weights], optimiser);
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh starts.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        _slots.Draw(_slots.Stream(step));
        var gradient = new double[_head.Copula.Weights.Length];
        var (loss, count) = Loss(_slots.Batch, gradient);
        _head.Weights.Backend.Upload([.. gradient.Select(g => (float)-g)], _head.Weights.Gradient!);
        var rate = _rate.At(step);
        var norm = Optimiser.Step(rate, 1.0 / count);
        return new StepReport(step, loss / count, rate, norm, count);
    }

    /// <summary>Sum of -log P over the targets of a batch, their number, and the gradient of the sum of log P.</summary>
    internal (double Loss, int Count) Loss(DistillationBatch batch, Span<double> gradient)
    {
        _head.Refresh();
        var (_, logits) = _slots.States(batch);
        var (places, loss, count) = (FrozenSlots.Places(batch), 0.0, 0);

        for (var row = 0; row < places.Length; row++)
        {
            // One-hot slots begin with the token that number 0 belongs to, categorical ones behind it; either way U holds what went before.
            var k = places[row] + _shift;
            var cell = Cell.Of(batch.Targets[row], _head.Independent(logits.Value, row));
            if (k == 0 || !(cell.Width > 0))
            {
                continue;
            }

            var noise = _head.Noise(batch.U.Slice(row - places[row], k));
            loss -= Math.Log(_head.Copula.Probability(cell.Left, cell.Right, noise, gradient.Slice(k * (k - 1) / 2, k)));
            count++;
        }

        return (loss, Math.Max(1, count));
    }
}
