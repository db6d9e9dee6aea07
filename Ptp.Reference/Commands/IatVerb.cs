// ptp iat: inverse autoregressive training (PTP section 3.5): categorical slots from text alone, no teacher's completions and no teacher's law.
// Slots run through the frozen base by a gated adapter, through a copy of it that is tuned, or through a network that begins from nothing.
// Refuses: a finished adapter without --overwrite, to resume with other options.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Trains C-PTP without a teacher.</summary>
internal sealed class IatVerb : Verb
{
    private const string Gated = "gated-lora";
    private const string Tuned = "tuned";
    private const string Scratch = "scratch";

    // The law that wrote the corpus: u is sought in the cells of the model's own law, nothing cut off.
    private static readonly SamplingOptions s_law = new() { Temperature = 1 };

    private readonly Option<string?> _model = Values.Text(
        "--model", "The base, which verifies what the slots draft; it stays as it is. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _corpus = Values.Text(
        "--corpus", "Folder that 'ptp corpus' wrote; texts are cut from its training side.", "FOLDER");
    private readonly Option<string?> _output = Values.Text("--output", "Folder of the adapter; an unfinished run in it goes on.", "FOLDER");
    private readonly Option<string[]> _shares = Values.Texts("--share", "Share of a corpus in the texts.", "NAME=X");
    private readonly Option<int> _texts = Values.Whole("--texts", "Texts that are cut from the corpus.", 16_384, 1);
    private readonly Option<int> _length = Values.Whole("--text-tokens", "Longest text, in tokens.", 64, 3);
    private readonly Option<string?> _kind = Values.Word(
        "--kind", "gated-lora = slots run through the base itself, and draft for it; tuned = through a copy of it, all weights trained; scratch = "
        + "through a network of the base's sizes that begins from nothing and learns its next-token law beside. The last two are language models "
        + "of their own: eval --by-position reads them.", [Gated, Tuned, Scratch], Gated);
    private readonly Option<int> _slots = Values.Whole("--slots", "Tokens predicted behind a split.", 16, 2, 256);
    private readonly Option<int> _rank = Values.Whole("--rank", "Rank of the gated LoRA.", 64, 1, 4096);
    private readonly Option<string?> _embedding = Values.Text(
        "--embedding", "How u enters a slot; 'constant' hides it: independent predictions, the baseline.", "binary-float|fixed-point|linear:n|clocks:n|constant",
        "fixed-point");
    private readonly Option<int> _samplerHistory = Values.Whole(
        "--sampler-history", "Tokens before the predicted one that a small head reads behind the slots (they are functions of the same u); 0 = slots alone, "
        + "as in the paper.", 0, 0, 8);
    private readonly Option<int> _samplerWidth = Values.Whole("--sampler-width", "Width of that head.", 256, 1, 1 << 16);
    private readonly Option<string?> _rule = Values.Text("--pick-rule", "How u picks a token.", PickRule.Forms, InverseCdf.Instance.Name);
    private readonly Option<double> _ownLaw = Values.Number(
        "--own-law", "Share of a slot's lesson that is the model's own next-token law behind the true tokens instead of the token; 0 = the paper's loss.", 0);
    private readonly Option<double> _beta = Values.Number("--beta", "u lies in its token's cell at a place of law Beta(b, b); 1 = uniform.", 1);
    private readonly Option<bool> _sweeps = Values.Switch("--sweeps", "Find u by sweeps over all slots instead of one after the other; the same numbers.");
    private readonly Option<int> _rows = Values.Whole("--rows", "Tokens per step, contexts and slots together.", 1024, 3);
    private readonly Option<int> _steps = Values.Whole("--steps", "Optimiser steps of the whole run.", 6000, 1);
    private readonly Option<double> _rate = Values.Number("--lr", "Highest learning rate.", 2e-3);
    private readonly Option<int> _warmUp = Values.Whole("--warmup", "Steps until the highest rate; after it a cosine to 3 %.", 100);
    private readonly Option<int> _checkpoint = Values.Whole("--checkpoint-every", "Steps between checkpoints.", 250, 1);
    private readonly Option<ulong> _seed = Values.Seed("Seed of texts, splits, places and weights.", 1);
    private readonly Option<bool> _overwrite = Values.Switch("--overwrite", "Start anew even if the folder holds an adapter.");

    public IatVerb()
        : base(
            "iat",
            "Train C-PTP slots on text alone, without a teacher: split a text, ask the model itself which u would write what follows, freeze "
            + "them, and teach the slots their tokens (inverse autoregressive training). 'ptp eval --by-position' then compares perplexities.",
            "ptp iat --corpus runs/corpus --output runs/iat                     # gated slots on the frozen base",
            "ptp iat --corpus runs/corpus --output runs/own --kind scratch      # a network of its own, from nothing",
            "ptp iat --corpus runs/corpus --output runs/blind --embedding constant   # the baseline: slots that do not see u",
            "ptp eval --adapter runs/iat --data runs/corpus --by-position")
    {
        _corpus.Required = true;
        _output.Required = true;
        foreach (var option in (Option[])[
            _model, _tokenizer, _corpus, _output, _shares, _texts, _length, _kind, _slots, _rank, _embedding, _samplerHistory, _samplerWidth, _rule, _ownLaw, _beta, _sweeps, _rows,
            _steps, _rate, _warmUp, _checkpoint, _seed, _overwrite])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var folder = call.Get(_output)!;
        TrainingInput.RefuseOverwrite(folder, AdapterFolder.ManifestName, call.Get(_overwrite));
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var rule = PickRule.Parse(call.Get(_rule)!);
        var documents = Documents(call, model, rule);
        var ptp = DistillationRun.Resumes(folder) ? PtpAdapter.Load(folder, model.Model, model.Fingerprint) : Fresh(call, model, rule);
        ptp.PickSoftness = 0; // its own laws are what wrote the numbers
        var options = RunOptions(call, model, folder);
        call.Out.Note(Invariant(
            $"{backend.Name}; {documents.Count} texts; {ptp.Trained.Sum(p => (long)p.Value.Length) / 1e6:0.00} M parameters; {folder}"));
        KeepRecord(call, model, rule, documents.Count, options);
        using var steps = new TrainingInput.Steps(call, "iat", options.Rate.Steps);
        var complete = InverseRun.Run(options, ptp, documents, steps.Take, call.Cancellation);
        steps.Dispose();
        call.Out.Line(complete
            ? Invariant($"Done: {folder}, {steps.Tokens} predicted tokens in {Progress.Span(steps.Seconds)}, loss {steps.Last.Loss:0.000}.")
            : Invariant($"Stopped after step {steps.Last.Step} of {options.Rate.Steps}; the same command goes on from here."));
        call.Out.Result(new JsonObject
        {
            ["output"] = folder,
            ["complete"] = complete,
            ["step"] = steps.Last.Step,
            ["steps"] = options.Rate.Steps,
            ["loss"] = Output.Number(steps.Last.Loss),
            ["texts"] = documents.Count,
            ["tokens"] = steps.Tokens,
            ["seconds"] = Output.Number(steps.Seconds),
            ["tokens_per_second"] = Output.Number(steps.TokensPerSecond),
        });
        return complete ? ErrorOutput.Done : ErrorOutput.Stopped;
    }

    private List<int[]> Documents(Call call, ModelChoice model, PickRule rule)
    {
        var corpora = TrainingInput.Tokens(
            call, CorpusFolder.Read(call.Get(_corpus)!).Train, model.Tokenizer, Values.Pairs("--share", call.Get(_shares) ?? []));
        var pieces = TeacherCompletions.FromDataset(
            new TeacherCompletionOptions
            {
                Folder = "",
                Shards = 1,
                PerShard = call.Get(_texts),
                MaxPrompt = 1,
                MaxNewTokens = call.Get(_length) - 2, // beside the begin token and the prompt's one
                Law = s_law,
                Seed = call.Get(_seed),
            }, model.Model.Config, rule, corpora);
        return [.. pieces.Select(piece => piece.Tokens)];
    }

    private SlotModel Fresh(Call call, ModelChoice model, PickRule rule)
    {
        var (kind, seed) = (call.Get(_kind), call.Get(_seed));
        var network = kind == Gated ? model.Model : new Transformer(model.Model.Backend, model.Model.Config, seed);
        if (kind == Tuned)
        {
            Copy(model.Model, network);
        }

        var lora = kind == Gated ? new GatedLora(network.Backend, network.Config, call.Get(_rank), 1, seed) : null;
        return new SlotModel(
            network, lora, AuxiliaryEmbedding.Parse(call.Get(_embedding)!), call.Get(_slots), s_law, rule, seed, SlotStart.MeanToken, SlotReading.Categorical,
            call.Get(_samplerHistory) > 0 ? new SamplerHead(network, call.Get(_samplerHistory), call.Get(_samplerWidth), seed) : null);
    }

    private static void Copy(Transformer from, Transformer to)
    {
        foreach (var (source, target) in from.Parameters.Zip(to.Parameters))
        {
            from.Backend.Copy(source.Value, target.Value);
            target.Changed();
        }
    }

    private InverseRunOptions RunOptions(Call call, ModelChoice model, string folder) => new()
    {
        Output = folder,
        Fingerprint = model.Fingerprint,
        BaseName = Path.GetFileName(Path.GetFullPath(model.Folder)),
        Step = new InverseTrainingOptions
        {
            Rows = call.Get(_rows),
            Horizon = call.Get(_slots),
            OwnLawWeight = call.Get(_ownLaw),
            Beta = call.Get(_beta),
            Sweeps = call.Get(_sweeps),
            Seed = call.Get(_seed),
        },
        Rate = new LearningRate
        {
            Peak = call.Get(_rate),
            WarmUp = call.Get(_warmUp),
            Steps = call.Get(_steps),
            FinalFraction = 0.03,
        },
        CheckpointEvery = call.Get(_checkpoint),
    };

    private void KeepRecord(Call call, ModelChoice model, PickRule rule, int texts, InverseRunOptions options) =>
        TrainingInput.KeepRecord(options.Output, call.Get(_overwrite), new JsonObject
        {
            ["base"] = model.Fingerprint,
            ["texts"] = texts,
            ["text_tokens"] = call.Get(_length),
            ["kind"] = call.Get(_kind),
            ["rank"] = call.Get(_rank),
            ["embedding"] = call.Get(_embedding),
            ["sampler_history"] = call.Get(_samplerHistory),
            ["sampler_width"] = call.Get(_samplerWidth),
            ["pick_rule"] = rule.Name,
            ["slots"] = call.Get(_slots),
            ["own_law"] = options.Step.OwnLawWeight,
            ["beta"] = options.Step.Beta,
            ["rows"] = options.Step.Rows,
            ["steps"] = options.Rate.Steps,
            ["lr"] = options.Rate.Peak,
            ["warmup"] = options.Rate.WarmUp,
            ["seed"] = options.Step.Seed,
        });
}
