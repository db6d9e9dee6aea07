// A whole inverse autoregressive training in a folder (PTP section 3.5): steps, checkpoints, log, final adapter; resumable to the step.
// The folder is an adapter folder plus optimiser.safetensors and log.jsonl while the run is unfinished.
// Refuses: losses that are not finite; what does not fit the method, InverseAutoregressiveTraining refuses.

using Ptp.Core.Formats;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Options of a run of inverse autoregressive training.</summary>
public sealed record InverseRunOptions
{
    /// <summary>Where the adapter goes.</summary>
    public required string Output { get; init; }

    /// <summary>Fingerprint of the base that the adapter belongs to.</summary>
    public required string Fingerprint { get; init; }

    /// <summary>Name of the base, for people.</summary>
    public required string BaseName { get; init; }

    /// <summary>Sizes and choices of a step.</summary>
    public InverseTrainingOptions Step { get; init; } = new();

    /// <summary>Schedule; its Steps is the length of the run.</summary>
    public LearningRate Rate { get; init; } = new();

    /// <summary>Constants of AdamW.</summary>
    public AdamWOptions Optimiser { get; init; } = new() { WeightDecay = 0.01 };

    /// <summary>Steps between checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 250;

    /// <summary>How the final weights are stored.</summary>
    public StoredType Type { get; init; } = StoredType.BF16;
}

/// <summary>Runs of inverse autoregressive training.</summary>
public static class InverseRun
{
    /// <summary>Runs, or goes on; returns whether the run is complete.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="ptp">The model; loaded from the folder by the caller if the run resumes.</param>
    /// <param name="documents">Texts, each of 2 tokens or more and within the model's context.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="cancellation">Stops after the current step; what was done is kept.</param>
    public static bool Run(
        InverseRunOptions options, SlotModel ptp, IReadOnlyList<int[]> documents, Action<StepReport>? progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.Output);
        var trainer = new InverseAutoregressiveTraining(ptp, documents, options.Step, options.Optimiser, options.Rate);
        ModelCheckpoint.LoadOptimiser(options.Output, trainer.Optimiser);
        using var log = new TrainingLog(Path.Combine(options.Output, "log.jsonl"), trainer.Optimiser.StepsTaken);
        void Save(StoredType type) => PtpAdapter.Save(
            options.Output, ptp, options.Fingerprint, options.BaseName, trainer.Optimiser.StepsTaken, type);
        void Checkpoint()
        {
            Save(StoredType.F32);
            ModelCheckpoint.SaveOptimiser(options.Output, trainer.Optimiser);
        }

        if (!TrainingLoop.Run("Train by inversion", trainer.Optimiser, options.Rate.Steps, options.CheckpointEvery, log, trainer.Step,
            Checkpoint, progress, cancellation))
        {
            return false;
        }

        Save(options.Type);
        File.Delete(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        return true;
    }
}
