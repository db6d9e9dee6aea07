// ptp train: a language model from a prepared corpus, into a Hugging Face folder; stopped runs go on where they stopped.
// Loss: mean next-token cross-entropy in nats on packed documents; AdamW, warm-up and cosine.
// Refuses: to write over a finished model, to resume with other sizes, held-out text in training.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Text;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Trains a language model.</summary>
internal sealed class TrainVerb : Verb
{
    private readonly Option<string?> _corpus = Values.Text("--corpus", "Folder that 'ptp corpus' wrote.", "FOLDER");
    private readonly Option<string?> _output = Values.Text(
        "--output", "Folder of the model; an unfinished run in it goes on.", "FOLDER");
    private readonly Option<string?> _size = Values.Word(
        "--size", "Rung of the ladder, by parameters in the blocks.", [.. TransformerConfig.Names], "4.2M");

    private readonly Option<int?> _hidden = Values.WholeOrNone(
        "--hidden", "Width of the residual stream, instead of --size.", 2);
    private readonly Option<int?> _layers = Values.WholeOrNone("--layers", "Number of blocks.", 1);
    private readonly Option<int?> _heads = Values.WholeOrNone("--heads", "Query heads.", 1);
    private readonly Option<int?> _keyValueHeads = Values.WholeOrNone(
        "--kv-heads", "Key-value heads; a divisor of --heads.", 1);
    private readonly Option<int?> _intermediate = Values.WholeOrNone(
        "--intermediate", "Width of the gated MLP. Default: 4 * hidden.", 1);
    private readonly Option<bool> _untied = Values.Switch("--untied", "Give the output head weights of its own.");
    private readonly Option<int> _context = Values.Whole(
        "--context", "Longest text the model can see, in tokens.", 512, 8, 1 << 20);
    private readonly Option<int> _vocabulary = Values.Whole(
        "--vocab", "Ids of the tokenizer that is trained first.", 2048, 257, 1 << 21);
    private readonly Option<string?> _tokenizer = Values.Text(
        "--tokenizer", "Byte-level BPE tokenizer.json to use instead.", "FILE");
    private readonly Option<int> _steps = Values.Whole("--steps", "Optimiser steps of the whole run.", 3500, 1);
    private readonly Option<int> _rows = Values.Whole("--rows", "Tokens per pass.", 2048, 2);
    private readonly Option<int> _accumulate = Values.Whole("--accumulate", "Passes per step.", 1, 1);
    private readonly Option<double> _rate = Values.Number("--lr", "Highest learning rate.", 2e-3);
    private readonly Option<int> _warmUp = Values.Whole(
        "--warmup", "Steps until the highest rate; after it a cosine to --final-lr.", 100);
    private readonly Option<double> _finalRate = Values.Number(
        "--final-lr", "Last rate, as a fraction of the highest.", 0.05);
    private readonly Option<double> _decay = Values.Number(
        "--weight-decay", "Decoupled weight decay of matrices.", 0.05);
    private readonly Option<string[]> _shares = Values.Texts(
        "--share", "Share of a corpus in the training tokens; corpora without one divide the rest by size.", "NAME=X");

    private readonly Option<int> _checkpoint = Values.Whole(
        "--checkpoint-every", "Steps between checkpoints and held-out losses.", 250, 1);
    private readonly Option<ulong> _seed = Values.Seed("Seed of the weights and of the order of the data.", 1);
    private readonly Option<bool> _overwrite = Values.Switch(
        "--overwrite", "Start anew even if the folder holds a model.");
    private readonly Option<string?> _curve = Values.Text("--curve", "Also draw the training curve as SVG.", "FILE");

    public TrainVerb()
        : base(
            "train",
            "Train a LLaMA-style language model on a corpus. Ctrl-C saves a checkpoint; the same command then goes on, to the "
            + "same weights as if it had never stopped. The result is a Hugging Face folder in BF16 with its tokenizer.",
            "ptp train --corpus runs/corpus --output runs/base                          # 4.2M, vocabulary 2048, 3500 steps",
            "ptp train --corpus runs/corpus --output runs/tiny --size 66k --steps 300   # a few minutes",
            "ptp train --corpus runs/corpus --output runs/base --share stories=0.35 --share dotnet=0.25 --curve docs/base.svg")
    {
        _corpus.Required = true;
        _output.Required = true;
        foreach (var option in (Option[])[
            _corpus, _output, _size, _hidden, _layers, _heads, _keyValueHeads, _intermediate, _untied, _context, _vocabulary,
            _tokenizer, _steps, _rows, _accumulate, _rate, _warmUp, _finalRate, _decay, _shares, _checkpoint, _seed,
            _overwrite, _curve])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var folder = call.Get(_output)!;
        var shares = Values.Pairs("--share", call.Get(_shares) ?? []);
        TrainingInput.RefuseOverwrite(folder, Safetensors.SingleName, call.Get(_overwrite));
        var corpus = CorpusFolder.Read(call.Get(_corpus)!);
        var tokenizer = Tokenizer(call, folder, corpus);
        var options = RunOptions(call, folder, tokenizer);
        var train = TrainingInput.Tokens(call, corpus.Train, tokenizer, shares);
        var heldOut = corpus.HeldOut.Count == 0
            ? []
            : TrainingInput.Tokens(call, corpus.HeldOut, tokenizer, new Dictionary<string, double>());
        using var backend = call.Backend();
        var tokens = train.Sum(c => c.Documents.Sum(d => (long)d.Length));
        call.Out.Note(
            Invariant($"{backend.Name}; {options.Config.Parameters / 1e6:0.00} M parameters; ")
            + Invariant($"{tokens / 1e6:0.0} M tokens of text; {folder}"));

        KeepRecord(call, folder, shares, tokens, options);
        using var steps = new TrainingInput.Steps(call, "train", options.Rate.Steps);
        var (_, complete) = LanguageModelRun.Run(
            options, train, heldOut, tokenizer, backend, steps.Take, call.Cancellation);
        steps.Dispose();
        var log = Path.Combine(folder, "log.jsonl");
        if (call.Get(_curve) is { } curve)
        {
            SvgPlot.Save(curve, "Training of " + Path.GetFileName(Path.GetFullPath(folder)), "step", "loss (nats per token)",
                TrainingInput.Curves(log));
        }

        Report(call, options, steps, log, complete);
        return complete ? ErrorOutput.Done : ErrorOutput.Stopped;
    }

    private void KeepRecord(
        Call call, string folder, IReadOnlyDictionary<string, double> shares, long tokens, LanguageModelRunOptions options) =>
        TrainingInput.KeepRecord(folder, call.Get(_overwrite), new JsonObject
        {
            ["text_tokens"] = tokens,
            ["shares"] = string.Join(", ", shares.OrderBy(s => s.Key, StringComparer.Ordinal)
                .Select(s => Invariant($"{s.Key}={s.Value}"))),
            ["rows"] = options.Rows,
            ["accumulate"] = options.Accumulation,
            ["steps"] = options.Rate.Steps,
            ["lr"] = options.Rate.Peak,
            ["warmup"] = options.Rate.WarmUp,
            ["final_lr"] = options.Rate.FinalFraction,
            ["weight_decay"] = options.Optimiser.WeightDecay,
            ["seed"] = options.Seed,
        });

    private ByteLevelBpe Tokenizer(Call call, string folder, CorpusFolder corpus)
    {
        // A resumed run keeps the tokenizer it began with; one that lies in the folder already was put there to be used.
        var kept = Path.Combine(folder, "tokenizer.json");
        var resumes = File.Exists(Path.Combine(folder, ModelCheckpoint.OptimiserName));
        var path = resumes ? kept : call.Get(_tokenizer);
        path ??= File.Exists(kept) && !call.Get(_overwrite) ? kept : null;
        if (path is null)
        {
            return TokenizerTrainVerb.Train(call, corpus.Train, call.Get(_vocabulary), TokenizerTrainVerb.DefaultBytes);
        }

        return Core.Text.Tokenizer.Load(path) as ByteLevelBpe ?? throw new PtpException(
            "Train a model", $"the tokenizer '{path}' of another kind", "a byte-level BPE tokenizer.json",
            "Train one with 'ptp tokenizer train'.");
    }

    private LanguageModelRunOptions RunOptions(Call call, string folder, ByteLevelBpe tokenizer) => new()
    {
        Output = folder,
        Config = Config(call, tokenizer),
        Rate = new LearningRate
        {
            Peak = Positive("--lr", call.Get(_rate)),
            WarmUp = call.Get(_warmUp),
            Steps = call.Get(_steps),
            FinalFraction = call.Get(_finalRate),
        },
        Optimiser = new AdamWOptions { WeightDecay = call.Get(_decay) },
        Rows = call.Get(_rows),
        Accumulation = call.Get(_accumulate),
        CheckpointEvery = call.Get(_checkpoint),
        Seed = call.Get(_seed),
    };

    private TransformerConfig Config(Call call, ByteLevelBpe tokenizer)
    {
        var named = TransformerConfig.Named(call.Get(_size)!, tokenizer.VocabularySize, !call.Get(_untied));
        var hidden = call.Get(_hidden) ?? named.HiddenSize;
        var heads = call.Get(_heads) ?? named.Heads;
        return (named with
        {
            HiddenSize = hidden,
            Layers = call.Get(_layers) ?? named.Layers,
            Heads = heads,
            KeyValueHeads = call.Get(_keyValueHeads) ?? heads,
            HeadSize = 0,
            IntermediateSize = call.Get(_intermediate) ?? 4 * hidden,
            MaxContext = call.Get(_context),
            BeginToken = tokenizer.BeginToken,
            EndTokens = tokenizer.EndTokens,
        }).Validated();
    }

    private static double Positive(string name, double value)
    {
        Guard.Require(value > 0 && double.IsFinite(value), $"Read {name}", Guard.Text(value), "a number above 0",
            $"Write it like {name} 0.002.");
        return value;
    }

    private static void Report(
        Call call, LanguageModelRunOptions options, TrainingInput.Steps steps, string log, bool complete)
    {
        var heldOut = new JsonObject();
        foreach (var (name, value) in TrainingLog.Read(log).LastOrDefault(l => l.Keys.Any(IsHeldOut)) ?? [])
        {
            if (IsHeldOut(name))
            {
                heldOut[name["heldout_".Length..]] = Output.Number(Math.Exp(value));
            }
        }

        var last = steps.Last.Step;
        call.Out.Line(complete
            ? Invariant($"Done: {options.Output}, {steps.Tokens} tokens in {Progress.Span(steps.Seconds)}, loss {steps.Last.Loss:0.000}.")
            : Invariant($"Stopped after step {last} of {options.Rate.Steps}; the same command goes on from here."));
        foreach (var (name, perplexity) in heldOut)
        {
            call.Out.Line(Invariant($"  held-out perplexity of {name}: {(double)perplexity!:0.00}"));
        }

        call.Out.Result(new JsonObject
        {
            ["output"] = options.Output,
            ["complete"] = complete,
            ["step"] = last,
            ["steps"] = options.Rate.Steps,
            ["parameters"] = options.Config.Parameters,
            ["loss"] = Output.Number(steps.Last.Loss),
            ["heldout_perplexity"] = heldOut,
            ["tokens"] = steps.Tokens,
            ["seconds"] = Output.Number(steps.Seconds),
            ["tokens_per_second"] = Output.Number(steps.TokensPerSecond),
        });
    }

    private static bool IsHeldOut(string name) => name.StartsWith("heldout_", StringComparison.Ordinal);
}
