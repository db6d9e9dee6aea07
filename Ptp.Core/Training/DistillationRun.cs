// A whole distillation in a folder: steps, checkpoints, log, final adapter; resumable to the step.
// The folder is an adapter folder plus optimiser.safetensors and log.jsonl.
// Refuses: a law other than the completions were made with, which is the caller's to keep.

using Ptp.Core.Formats;
using Ptp.Core.Heads;
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

    /// <summary>For a flow head: the folder of the adapter whose slots it bends.</summary>
    public string? FlowSlots { get; init; }

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

    /// <summary>Runs, or goes on, with the slots or, if they have one, their flow head; returns whether the run is complete.</summary>
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
        Completion[] texts = [.. completions.SkipLast(heldOut)];
        var slots = ptp.Flow is null ? new Distillation(ptp, texts, options.Step, options.Optimiser, options.Rate) : null;
        var flow = ptp.Flow is null ? null : new FlowHeadTraining(
            ptp, ptp.Flow, texts, options.Step.InferredU is null ? FlowHeadSource.Distillation : FlowHeadSource.Likelihood,
            options.Step, options.Optimiser, options.Rate);
        var (optimiser, step) = slots is not null ? (slots.Optimiser, (Func<StepReport>)slots.Step) : (flow!.Optimiser, flow.Step);
        ModelCheckpoint.LoadOptimiser(options.Output, optimiser);
        using var log = new TrainingLog(Path.Combine(options.Output, "log.jsonl"), optimiser.StepsTaken);
        if (!TrainingLoop.Run("Distill", optimiser, options.Rate.Steps, options.CheckpointEvery, log, step,
            () => Checkpoint(options, ptp, optimiser), progress, cancellation))
        {
            return false;
        }

        if (ptp.Reading == SlotReading.Categorical || flow is not null)
        {
            slots?.Calibrate(CalibrationBatches);
            flow?.Calibrate(CalibrationBatches);
            ptp.PickSoftness = options.PickSoftness ?? ptp.PickSoftness;
        }

        if (heldOut > 0 && verifier is not null)
        {
            HeldOutDrafts.Calibrate(ptp, verifier, [.. completions.TakeLast(heldOut)]);
        }

        PtpAdapter.Save(
            options.Output, ptp, options.Fingerprint, options.BaseName, optimiser.StepsTaken, options.Type, options.FlowSlots);
        File.Delete(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        return true;
    }

    private static void Checkpoint(DistillationRunOptions options, SlotModel ptp, AdamW optimiser)
    {
        PtpAdapter.Save(
            options.Output, ptp, options.Fingerprint, options.BaseName, optimiser.StepsTaken, StoredType.F32, options.FlowSlots);
        ModelCheckpoint.SaveOptimiser(options.Output, optimiser);
    }
}
