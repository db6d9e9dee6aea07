// Trains a transformer on packed documents: mean cross-entropy of the next token, AdamW, one tape for all steps.
// The loss of a step is -1/n sum_r log softmax(logits[r])[target[r]] over the n rows that have a target.
// Refuses: nothing of its own; options are checked by what uses them. Files are TrainingRun's business.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Training;

/// <summary>What one step did.</summary>
/// <param name="Step">Steps taken so far.</param>
/// <param name="Loss">Mean loss per target, in nats.</param>
/// <param name="LearningRate">Rate of the step.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="Tokens">Rows that were trained on.</param>
public readonly record struct StepReport(int Step, double Loss, double LearningRate, double GradientNorm, int Tokens);

/// <summary>Next-token training.</summary>
public sealed class LanguageModelTrainer
{
    private readonly Tape _tape;
    private readonly PackedBatches _batches;
    private readonly LearningRate _rate;
    private readonly int _rows;
    private readonly int _accumulation;

    /// <summary>A trainer; the model becomes trainable.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batches">Its data.</param>
    /// <param name="optimiser">Constants of AdamW.</param>
    /// <param name="rate">Schedule.</param>
    /// <param name="rows">R, rows of one pass.</param>
    /// <param name="accumulation">Passes per step.</param>
    public LanguageModelTrainer(
        Transformer model, PackedBatches batches, AdamWOptions optimiser, LearningRate rate, int rows, int accumulation = 1)
    {
        Guard.Require(rows > 0 && accumulation > 0, "Train a model", $"{rows} rows times {accumulation}",
            "at least one row and one pass", "Give positive sizes.");
        (Model, _batches, _rate, _rows, _accumulation) = (model, batches, rate, rows, accumulation);
        model.SetTrainable(true);
        Optimiser = new AdamW(model.Parameters, optimiser);
        _tape = new Tape(model.Backend) { Recording = true };
    }

    /// <summary>The model.</summary>
    public Transformer Model { get; }

    /// <summary>Its optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One optimiser step.</summary>
    public StepReport Step()
    {
        var loss = 0.0;
        var targets = 0;
        for (var pass = 0; pass < _accumulation; pass++)
        {
            var batch = _batches.Next(_rows, Model.Config.MaxContext);
            _tape.Reset();
            loss += Model.CrossEntropy(_tape, batch.Ids, new CallRows(batch.Positions, batch.Visibility), batch.Targets);
            foreach (var target in batch.Targets)
            {
                targets += target >= 0 ? 1 : 0;
            }

            _tape.Backward();
        }

        var rate = _rate.At(Optimiser.StepsTaken + 1);
        var norm = Optimiser.Step(rate, 1.0 / targets);
        return new StepReport(Optimiser.StepsTaken, loss / targets, rate, norm, targets);
    }

    /// <summary>Skips the data of <paramref name="steps"/> steps, to go on where an earlier run stopped.</summary>
    public void SkipData(int steps)
    {
        for (var pass = 0; pass < steps * _accumulation; pass++)
        {
            _batches.Next(_rows, Model.Config.MaxContext);
        }
    }
}
