// A whole training run in a folder: corpus to tokens, steps, held-out loss, checkpoints, log; resumable to the step.
// The folder is a model folder plus optimiser.safetensors, tokenizer.json and log.jsonl.
// Refuses: held-out documents in training (they are read from the other half of the corpus folder).

using Ptp.Core.Autograd;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Text;

namespace Ptp.Core.Training;

/// <summary>Options of a run.</summary>
public sealed record LanguageModelRunOptions
{
    /// <summary>Where the model goes.</summary>
    public required string Output { get; init; }

    /// <summary>Shape of the model.</summary>
    public required TransformerConfig Config { get; init; }

    /// <summary>Schedule; its Steps is the length of the run.</summary>
    public LearningRate Rate { get; init; } = new();

    /// <summary>Constants of AdamW.</summary>
    public AdamWOptions Optimiser { get; init; } = new();

    /// <summary>R, rows of one pass.</summary>
    public int Rows { get; init; } = 2048;

    /// <summary>Passes per step.</summary>
    public int Accumulation { get; init; } = 1;

    /// <summary>Steps between checkpoints and held-out losses.</summary>
    public int CheckpointEvery { get; init; } = 500;

    /// <summary>Seed of weights and data order.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How weights are stored; checkpoints in between are always F32.</summary>
    public StoredType Type { get; init; } = StoredType.BF16;
}

/// <summary>Training of a language model from text.</summary>
public static class LanguageModelRun
{
    /// <summary>Runs, or goes on where the folder's last checkpoint stopped.</summary>
    /// <param name="options">What to train.</param>
    /// <param name="corpora">Training documents with their shares, as tokens.</param>
    /// <param name="heldOut">Held-out documents per corpus, as tokens.</param>
    /// <param name="tokenizer">Written beside the model.</param>
    /// <param name="backend">The device.</param>
    /// <param name="progress">Told of every step.</param>
    /// <param name="cancellation">Stops after the current step; what was done is kept.</param>
    /// <returns>The trained model, and whether the run is complete.</returns>
    public static (Transformer Model, bool Complete) Run(
        LanguageModelRunOptions options, IReadOnlyList<WeightedDocuments> corpora,
        IReadOnlyList<WeightedDocuments> heldOut, ByteLevelBpe tokenizer, IBackend backend,
        Action<StepReport>? progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(options.Output);
        var resumes = File.Exists(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        var model = resumes
            ? ModelCheckpoint.Load(options.Output, backend)
            : new Transformer(backend, options.Config, options.Seed);
        Guard.Require(model.Config == options.Config.Validated() || !resumes || SameSizes(model.Config, options.Config),
            "Resume training", $"a run of another size in '{options.Output}'", "the size the run was started with",
            "Choose another output folder, or the old size.");
        var boundary = Boundary(model.Config);
        var batches = new PackedBatches(corpora, boundary, options.Seed);
        var trainer = new LanguageModelTrainer(
            model, batches, options.Optimiser, options.Rate, options.Rows, options.Accumulation);
        if (resumes)
        {
            ModelCheckpoint.LoadOptimiser(options.Output, trainer.Optimiser);
            trainer.SkipData(trainer.Optimiser.StepsTaken);
        }
        else
        {
            tokenizer.Save(Path.Combine(options.Output, "tokenizer.json"));
        }

        using var log = new TrainingLog(Path.Combine(options.Output, "log.jsonl"), trainer.Optimiser.StepsTaken);
        if (!TrainingLoop.Run("Train a model", trainer.Optimiser, options.Rate.Steps, options.CheckpointEvery, log, trainer.Step,
            () => Checkpoint(options, trainer), progress, cancellation,
            values => AddHeldOut(model, heldOut, boundary, values)))
        {
            return (model, false);
        }

        var final = new Dictionary<string, double> { ["step"] = trainer.Optimiser.StepsTaken };
        AddHeldOut(model, heldOut, boundary, final);
        log.Add(final);
        ModelCheckpoint.Save(options.Output, model, options.Type);
        File.Delete(Path.Combine(options.Output, ModelCheckpoint.OptimiserName));
        return (model, true);
    }

    /// <summary>Mean next-token loss in nats over whole documents, at most <paramref name="limit"/> tokens.</summary>
    public static double HeldOutLoss(Transformer model, IReadOnlyList<int[]> documents, int boundary, int limit)
    {
        var tape = new Tape(model.Backend);
        var batches = new PackedBatches([new WeightedDocuments("held-out", documents, 1)], boundary, 0);
        var (loss, targets) = (0.0, 0);
        var total = Math.Min(limit, documents.Sum(d => d.Length + 1));
        for (var done = 0; done < total; done += 1024)
        {
            var batch = batches.Next(Math.Min(1024, total - done), model.Config.MaxContext);
            tape.Reset();
            loss += model.CrossEntropy(tape, batch.Ids, new CallRows(batch.Positions, batch.Visibility), batch.Targets);
            targets += batch.Targets.Length;
        }

        return loss / targets;
    }

    /// <summary>The token put between documents: begin of text, or the first end token.</summary>
    public static int Boundary(TransformerConfig config)
    {
        Guard.Require(config.BeginToken is not null || config.EndTokens.Count > 0, "Train a model",
            "a configuration without a begin or end token", "a token that separates documents",
            "Train the tokenizer with a special token such as <|endoftext|>.");
        return config.BeginToken ?? config.EndTokens[0];
    }

    private static bool SameSizes(TransformerConfig a, TransformerConfig b) =>
        a.Parameters == b.Parameters && a.Layers == b.Layers && a.Heads == b.Heads
        && a.VocabularySize == b.VocabularySize;

    private static void AddHeldOut(
        Transformer model, IReadOnlyList<WeightedDocuments> heldOut, int boundary, Dictionary<string, double> values)
    {
        foreach (var corpus in heldOut)
        {
            values["heldout_" + corpus.Name] = HeldOutLoss(model, corpus.Documents, boundary, 16_384);
        }
    }

    private static void Checkpoint(LanguageModelRunOptions options, LanguageModelTrainer trainer)
    {
        ModelCheckpoint.Save(options.Output, trainer.Model, StoredType.F32);
        ModelCheckpoint.SaveOptimiser(options.Output, trainer.Optimiser);
    }
}
