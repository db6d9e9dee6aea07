// A whole training of a head in a folder: steps on the base's own texts, checkpoints, log, calibration; resumable to the step.
// The folder is a head folder plus optimiser.safetensors and log.jsonl while the run is unfinished.
// Refuses: texts of another base or law, which is the caller's to keep; losses that are not finite.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Options of a head's training.</summary>
public sealed record HeadRunOptions
{
    /// <summary>Where the head goes.</summary>
    public required string Output { get; init; }

    /// <summary>Its name in <see cref="DraftHeads"/>.</summary>
    public required string Architecture { get; init; }

    /// <summary>Fingerprint of the base.</summary>
    public required string Fingerprint { get; init; }

    /// <summary>Name of the base, for people.</summary>
    public required string BaseName { get; init; }

    /// <summary>Law of the texts, under which guesses are ranked.</summary>
    public required SamplingOptions Law { get; init; }

    /// <summary>How u picked the tokens of the texts.</summary>
    public required PickRule Rule { get; init; }

    /// <summary>Tokens of whole texts per step.</summary>
    public int Tokens { get; init; } = 384;

    /// <summary>Schedule; its Steps is the length of the run.</summary>
    public LearningRate Rate { get; init; } = new();

    /// <summary>Constants of AdamW.</summary>
    public AdamWOptions Optimiser { get; init; } = new() { WeightDecay = 0.01 };

    /// <summary>Seed of the choice of texts.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Steps between checkpoints.</summary>
    public int CheckpointEvery { get; init; } = 250;

    /// <summary>Places at which guesses are counted after the last step.</summary>
    public int CalibrationPlaces { get; init; } = 300;
}

/// <summary>Trains a head, step by step.</summary>
public sealed class HeadTrainer
{
    private readonly DraftHead _head;
    private readonly IReadOnlyList<Completion> _texts;
    private readonly HeadRunOptions _options;
    private readonly Tape _base;
    private readonly Tape _own;
    private readonly KvCache _cache;

    /// <summary>A trainer; the head becomes trainable, the base frozen.</summary>
    public HeadTrainer(DraftHead head, IReadOnlyList<Completion> texts, HeadRunOptions options)
    {
        (_head, _options) = (head, options);
        _texts = [.. texts.Where(t => t.Tokens.Length > t.PromptLength && t.Tokens.Length <= options.Tokens)];
        Guard.Require(_texts.Count > 0, "Train a head", $"{texts.Count} texts, none of at most {options.Tokens} tokens with one that was generated",
            "texts that fit a step", "Use more tokens per step, or make shorter texts.");
        head.Network.SetTrainable(false);
        foreach (var parameter in head.Parameters)
        {
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(head.Parameters, options.Optimiser);
        (_base, _own) = (new Tape(head.Network.Backend), new Tape(head.Network.Backend) { Recording = true });
        _cache = new KvCache(head.Network.Backend, head.Network.Config, options.Tokens);
        foreach (var layer in head.Layers)
        {
            _cache.KeepStates(layer);
        }
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh texts.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        var random = new RandomStream(_options.Seed, $"texts of step {step}");
        var batch = new HeadBatch(_head.Network, _base, _cache, PackedTexts.Draw(_texts, _options.Tokens, random), random);
        var (loss, weight) = _head.LossAndGradient(_own, batch);
        weight = Math.Max(1e-9, weight);
        var rate = _options.Rate.At(step);
        var norm = Optimiser.Step(rate, 1 / weight);
        return new StepReport(step, loss / weight, rate, norm, batch.Rows);
    }
}

/// <summary>Trainings of heads.</summary>
public static class HeadRun
{
    /// <summary>True if the folder holds an unfinished run.</summary>
    public static bool Resumes(string folder) => File.Exists(Path.Combine(folder, ModelCheckpoint.OptimiserName));

    /// <summary>Runs, or goes on; returns whether the run is complete.</summary>
    /// <param name="options">What to do.</param>
    /// <param name="head">The head; loaded from the folder by the caller if the run resumes.</param>
    /// <param name="texts">The base's own texts with the u that made them.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="cancellation">Stops after the current step; what was done is kept.</param>
    public static bool Run(
        HeadRunOptions options, DraftHead head, IReadOnlyList<Completion> texts, Action<StepReport>? progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.Output);
        var trainer = new HeadTrainer(head, texts, options);
        ModelCheckpoint.LoadOptimiser(options.Output, trainer.Optimiser);
        using var log = new TrainingLog(Path.Combine(options.Output, "log.jsonl"), trainer.Optimiser.StepsTaken);
        if (!TrainingLoop.Run("Train a head", trainer.Optimiser, options.Rate.Steps, options.CheckpointEvery, log, trainer.Step,
            () => Checkpoint(options, head, trainer), progress, cancellation))
        {
            return false;
        }

        head.Accuracy = HeadCalibration.Accuracy(head, texts, options.Law, options.Rule, options.CalibrationPlaces, options.Seed);
        Save(options, head, trainer, StoredType.BF16);
        File.Delete(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        return true;
    }

    private static void Checkpoint(HeadRunOptions options, DraftHead head, HeadTrainer trainer)
    {
        Save(options, head, trainer, StoredType.F32);
        ModelCheckpoint.SaveOptimiser(options.Output, trainer.Optimiser);
    }

    private static void Save(HeadRunOptions options, DraftHead head, HeadTrainer trainer, StoredType type) => HeadFolder.Save(
        options.Output, head, options.Architecture, options.Fingerprint, options.BaseName, trainer.Optimiser.StepsTaken, type);
}
