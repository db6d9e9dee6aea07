// A whole distillation in a folder: steps, checkpoints, log, final adapter; resumable to the step.
// The folder is an adapter folder plus optimiser.safetensors and log.jsonl.
// Refuses: a law other than the completions were made with, which is the caller's to keep.

using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Options of a distillation run.</summary>
public sealed record DistillationRunOptions
{
    /// <summary>Where the adapter goes.</summary>
    public required string Output { get; init; }

    /// <summary>Fingerprint of the base.</summary>
    public required string Fingerprint { get; init; }

    /// <summary>Name of the base, for people.</summary>
    public required string BaseName { get; init; }

    /// <summary>Sizes and weights of a step.</summary>
    public DistillationOptions Step { get; init; } = new();

    /// <summary>Schedule; its Steps is the length of the run.</summary>
    public LearningRate Rate { get; init; } = new();

    /// <summary>Constants of AdamW.</summary>
    public AdamWOptions Optimiser { get; init; } = new() { WeightDecay = 0.01 };

    /// <summary>How far categorical slots' cells may be off; null = what is right most often, measured after the last step.</summary>
    public double? PickSoftness { get; init; }

    /// <summary>Steps between checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 250;

    /// <summary>How the final weights are stored.</summary>
    public StoredType Type { get; init; } = StoredType.BF16;
}

/// <summary>Distillation of an adapter from completions.</summary>
public static class DistillationRun
{
    private const int CalibrationBatches = 16;
    private const int HeldOutShare = 64;
    private const int MostHeldOut = 256;

    /// <summary>True if the folder holds an unfinished run.</summary>
    public static bool Resumes(string folder) => File.Exists(Path.Combine(folder, ModelCheckpoint.OptimiserName));

    /// <summary>Runs, or goes on; returns whether the run is complete.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="ptp">The model; loaded from the folder by the caller if the run resumes.</param>
    /// <param name="completions">Data.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="cancellation">Stops after the current step; what was done is kept.</param>
    /// <param name="verifier">The base; with it confidences are calibrated on completions kept out of training. Null: they are not.</param>
    public static bool Run(
        DistillationRunOptions options, SlotModel ptp, IReadOnlyList<Completion> completions,
        Action<StepReport>? progress, CancellationToken cancellation, Transformer? verifier = null)
    {
        Directory.CreateDirectory(options.Output);
        var heldOut = options.Step.InferredU is null ? Math.Min(MostHeldOut, completions.Count / HeldOutShare) : 0; // without their u they tell nothing
        var trainer = new Distillation(ptp, [.. completions.SkipLast(heldOut)], options.Step, options.Optimiser, options.Rate);
        ModelCheckpoint.LoadOptimiser(options.Output, trainer.Optimiser);
        using var log = new TrainingLog(Path.Combine(options.Output, "log.jsonl"), trainer.Optimiser.StepsTaken);
        if (!TrainingLoop.Run("Distill", trainer.Optimiser, options.Rate.Steps, options.CheckpointEvery, log, trainer.Step,
            () => Checkpoint(options, ptp, trainer), progress, cancellation))
        {
            return false;
        }

        if (ptp.Reading == SlotReading.Categorical)
        {
            trainer.Calibrate(CalibrationBatches);
            ptp.PickSoftness = options.PickSoftness ?? ptp.PickSoftness;
        }

        if (heldOut > 0 && verifier is not null)
        {
            HeldOutDrafts.Calibrate(ptp, verifier, [.. completions.TakeLast(heldOut)]);
        }

        PtpAdapter.Save(
            options.Output, ptp, options.Fingerprint, options.BaseName, trainer.Optimiser.StepsTaken, options.Type);
        File.Delete(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        return true;
    }

    private static void Checkpoint(DistillationRunOptions options, SlotModel ptp, Distillation trainer)
    {
        PtpAdapter.Save(
            options.Output, ptp, options.Fingerprint, options.BaseName, trainer.Optimiser.StepsTaken, StoredType.F32);
        ModelCheckpoint.SaveOptimiser(options.Output, trainer.Optimiser);
    }
}
