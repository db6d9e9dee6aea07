// ptp distill: teach a base model to answer several tokens per call (O-PTP or C-PTP), from its own completions with known u.
// First the teacher's completions are made (shards on disk, resumable), then the adapter is trained (resumable too).
// Refuses: completions of another base or law than asked, a finished adapter without --overwrite.

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

/// <summary>Distills a PTP adapter.</summary>
internal sealed class DistillVerb : Verb
{
    private const string Teacher = "teacher";
    private const string Dataset = "dataset";
    private const string Student = "student";
    private static readonly Dictionary<string, DistillationLoss> s_losses = new()
    {
        ["ce"] = DistillationLoss.CrossEntropy,
        ["bce"] = DistillationLoss.BinaryCrossEntropy,
        ["kl"] = DistillationLoss.Divergence,
        ["kl-reverse"] = DistillationLoss.ReverseDivergence,
    };

    private readonly Option<string?> _model = Values.Text(
        "--model", "Base model; it stays as it is. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text(
        "--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _output = Values.Text(
        "--output", "Folder of the adapter; an unfinished run in it goes on.", "FOLDER");
    private readonly TeacherData _data = new(count: 4096);
    private readonly Option<int> _slots = Values.Whole("--slots", "Tokens the adapter drafts in one call.", 16, 1, 256);
    private readonly Option<string?> _kind = Values.Word(
        "--kind", "gated-lora = slots run through the base itself; student = through a small model of their own.",
        [AdapterManifest.GatedLora, AdapterManifest.Student], AdapterManifest.GatedLora);

    private readonly Option<int> _rank = Values.Whole("--rank", "Rank of the gated LoRA.", 64, 1, 4096);
    private readonly Option<double> _scale = Values.Number("--scale", "Factor before the LoRA's product.", 1);
    private readonly Option<string?> _studentSize = Values.Word(
        "--student-size", "Size of a student.", [.. TransformerConfig.Names], "525k");
    private readonly Option<string?> _embedding = Values.Text(
        "--embedding", "How u enters a slot; 'constant' hides it: independent predictions, the baseline.",
        "binary-float|fixed-point|linear:n|constant", "fixed-point");

    private readonly Option<string?> _start = Values.Word(
        "--slot-start", "What a slot is before u is added: the last known token, or the same vector for all (the paper).",
        [AdapterManifest.LastToken, AdapterManifest.MeanToken], AdapterManifest.LastToken);

    private readonly Option<string?> _reading = Values.Word(
        "--reading", "one-hot = O-PTP, the slot's likeliest token is the draft; categorical = C-PTP, the slot gives a law and u picks from it.",
        [AdapterManifest.OneHot, AdapterManifest.Categorical], AdapterManifest.OneHot);

    private readonly Option<int> _samplerHistory = Values.Whole(
        "--sampler-history", "For categorical slots: earlier tokens that the sampler head reads; 0 = no such head.", 2, 0, 8);

    private readonly Option<int> _samplerWidth = Values.Whole("--sampler-width", "Width of the sampler head.", 1024, 1, 1 << 16);
    private readonly Option<int> _samplerDepth = Values.Whole(
        "--sampler-depth", "Blocks of the base that the latest token runs through before the sampler head reads it.", 1, 0, 1024);

    private readonly Option<string?> _flow = Values.Text(
        "--flow", "Train a flow head on the slots of this adapter, which stay as they are and see no u (--embedding constant): their laws, "
        + "bent by the u of earlier tokens. With --proposals dataset: by maximum likelihood.", "FOLDER");

    private readonly Option<int> _flowLayers = Values.Whole(
        "--flow-layers", "Of a flow head: how often laws are bent; each time a token may depend on one more before it.", 4, 1, 8);

    private readonly Option<int> _flowHistory = Values.Whole("--flow-history", "Of a flow head: earlier tokens that a slot reads.", 2, 1, 8);
    private readonly Option<int> _flowWidth = Values.Whole("--flow-width", "Of a flow head: width of each layer.", 192, 1, 1 << 14);
    private readonly Option<int> _flowClusters = Values.Whole(
        "--flow-clusters", "Of a flow head: tokens of the same of so many ranges of ids move together; 0 = each for itself.", 0, 0);

    private readonly Option<int> _flowBins = Values.Whole(
        "--flow-bins", "Of a flow head: bend u by a rational-quadratic spline of so many bins; 0 = piecewise linear, a knot per token.", 0, 0, 256);

    private readonly Option<bool> _flowTied = Values.Switch(
        "--flow-tied", "Of a flow head: one network for all layers, taught by the text's own earlier tokens: fewer weights, quicker steps.");

    private readonly Option<double?> _softness = Values.NumberOrNone(
        "--pick-softness", "For categorical slots: how far their cells may be off when u picks from them, 0 = trust them. "
        + "Default: what is right most often, measured after the last step.");

    private readonly Option<string?> _loss = Values.Word(
        "--loss", "What a slot is taught by: ce = its token; bce = each token of the vocabulary a yes or no (one-hot only); kl, kl-reverse = "
        + "the base's law (categorical only); auto = ce for one-hot, kl for categorical.", ["auto", .. s_losses.Keys], "auto");

    private readonly Option<string?> _proposals = Values.Word(
        "--proposals", "Whose tokens: the base's completions; the corpus itself; or the student's own continuations. The last two "
        + "infer u from the base's laws.", [Teacher, Dataset, Student], Teacher);

    private readonly Option<double?> _beta = Values.NumberOrNone(
        "--beta", "Draw u anew at every step inside its token's cell, at a place of law Beta(b, b); 1 = uniform. Default: the u that "
        + "made the completion, or 1 where there is none.");

    private readonly Option<double> _gamma = Values.Number("--gamma", "Weight of slot l is gamma^l.", 1);
    private readonly Option<double> _continuation = Values.Number(
        "--continuation", "Chance that a draft goes on after its second slot: late slots cost time as often as they count.", 0.6);

    private readonly Option<int> _context = Values.Whole("--context-tokens", "Tokens of context per step.", 640, 2);
    private readonly Option<int> _rows = Values.Whole("--slot-rows", "Slots per step; at equal work, more and smaller steps learn more.", 512, 1);
    private readonly Option<int> _steps = Values.Whole("--steps", "Optimiser steps of the whole run.", 6000, 1);
    private readonly Option<double> _rate = Values.Number("--lr", "Highest learning rate.", 3e-3);
    private readonly Option<int> _warmUp = Values.Whole(
        "--warmup", "Steps until the highest rate; after it a cosine to 5 %.", 100);
    private readonly Option<int> _checkpoint = Values.Whole("--checkpoint-every", "Steps between checkpoints.", 250, 1);
    private readonly Option<bool> _overwrite = Values.Switch(
        "--overwrite", "Start anew even if the folder holds an adapter.");
    private readonly Option<string?> _curve = Values.Text("--curve", "Also draw the training curve as SVG.", "FILE");

    public DistillVerb()
        : base(
            "distill",
            "Make a PTP adapter: the base model continues prompts with known auxiliary numbers u, and the slots learn to "
            + "predict, from u alone, the tokens it chose. The base is not changed, so its text stays the same bit for bit.",
            "ptp distill --model runs/base --corpus runs/corpus --output runs/ptp",
            "ptp distill --model runs/base --corpus runs/corpus --output runs/cptp --reading categorical   # laws, picked one after the other",
            "ptp distill --model runs/base --corpus runs/corpus --output runs/independent --embedding constant   # the baseline",
            "ptp distill --model runs/base --corpus runs/corpus --output runs/flow --flow runs/independent   # a flow head on them",
            "ptp distill --model runs/base --corpus runs/corpus --output runs/student --kind student --student-size 525k")
    {
        _data.Corpus.Required = true;
        _output.Required = true;
        foreach (var option in (Option[])[_model, _tokenizer, _output])
        {
            Add(option);
        }

        _data.AddTo(this);
        foreach (var option in (Option[])[
            _slots, _kind, _rank, _scale, _studentSize, _embedding, _start, _reading, _samplerHistory, _samplerWidth, _samplerDepth, _flow, _flowLayers,
            _flowHistory, _flowWidth, _flowClusters, _flowBins, _flowTied, _softness, _loss, _proposals, _beta, _gamma, _continuation, _context, _rows, _steps,
            _rate, _warmUp, _checkpoint, _overwrite, _curve])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var folder = call.Get(_output)!;
        TrainingInput.RefuseOverwrite(folder, AdapterFolder.ManifestName, call.Get(_overwrite));
        var (law, rule) = (_data.Law(call), _data.Rule(call));
        var embedding = AuxiliaryEmbedding.Parse(call.Get(_embedding)!);
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var completions = _data.Completions(call, model, folder, call.Get(_proposals) == Dataset);
        if (call.Cancellation.IsCancellationRequested)
        {
            call.Out.Note("Stopped; the completions made so far are kept, and the same command goes on from here.");
            return ErrorOutput.Stopped;
        }

        var ptp = DistillationRun.Resumes(folder)
            ? PtpAdapter.Load(folder, model.Model, model.Fingerprint)
            : call.Get(_flow) is { } slots ? FreshFlow(call, model, slots, law, rule) : Fresh(call, model, embedding, law, rule);
        var options = RunOptions(call, model, folder);
        call.Out.Note(Invariant(
            $"{backend.Name}; {completions.Count} completions; {ptp.Trained.Sum(p => (long)p.Value.Length) / 1e6:0.00} M parameters; {folder}"));
        KeepRecord(call, folder, model.Fingerprint, completions.Count, options);
        using var steps = new TrainingInput.Steps(call, "distill", options.Rate.Steps);
        var complete = DistillationRun.Run(options, ptp, completions, steps.Take, call.Cancellation, model.Model);
        steps.Dispose();
        if (call.Get(_curve) is { } curve)
        {
            SvgPlot.Save(curve, "Distillation of " + Path.GetFileName(Path.GetFullPath(folder)), "step",
                "loss (nats per slot)", TrainingInput.Curves(Path.Combine(folder, "log.jsonl")));
        }

        Report(call, options, steps, completions, complete);
        return complete ? ErrorOutput.Done : ErrorOutput.Stopped;
    }

    private SlotModel Fresh(Call call, ModelChoice model, AuxiliaryEmbedding embedding, SamplingOptions law, PickRule rule)
    {
        var seed = call.Get(_data.Seed);
        var config = model.Model.Config;
        var isStudent = call.Get(_kind) == AdapterManifest.Student;
        var network = isStudent
            ? new Transformer(model.Model.Backend, TransformerConfig.Named(call.Get(_studentSize)!, config.VocabularySize) with
            {
                MaxContext = config.MaxContext,
                BeginToken = config.BeginToken,
                EndTokens = config.EndTokens,
            }, seed)
            : model.Model;
        var lora = isStudent ? null : new GatedLora(network.Backend, config, call.Get(_rank), call.Get(_scale), seed);
        var start = call.Get(_start) == AdapterManifest.LastToken ? SlotStart.LastToken : SlotStart.MeanToken;
        var reading = call.Get(_reading) == AdapterManifest.Categorical ? SlotReading.Categorical : SlotReading.OneHot;
        var sampler = reading == SlotReading.Categorical && call.Get(_samplerHistory) > 0
            ? new SamplerHead(network, call.Get(_samplerHistory), call.Get(_samplerWidth), seed, call.Get(_samplerDepth))
            : null;
        return new SlotModel(
            network, lora, embedding, call.Get(_slots), law, rule, seed, start, reading, sampler);
    }

    private SlotModel FreshFlow(Call call, ModelChoice model, string slots, SamplingOptions law, PickRule rule)
    {
        var ptp = PtpAdapter.LoadSlots(slots, model.Model, model.Fingerprint, law, rule);
        (ptp.Confidence, ptp.TreeConfidence, ptp.PickSoftness) = (null, null, 0.1); // what stood there was measured of the slots alone
        var size = new FlowHeadSize(
            call.Get(_flowLayers), call.Get(_flowHistory), call.Get(_flowWidth), call.Get(_flowClusters), call.Get(_flowBins), call.Get(_flowTied));
        ptp.Flow = FlowHead.On(ptp, size, call.Get(_data.Seed));
        return ptp;
    }

    private DistillationRunOptions RunOptions(Call call, ModelChoice model, string folder) => new()
    {
        Output = folder,
        Fingerprint = model.Fingerprint,
        BaseName = Path.GetFileName(Path.GetFullPath(model.Folder)),
        Rate = new LearningRate
        {
            Peak = call.Get(_rate),
            WarmUp = call.Get(_warmUp),
            Steps = call.Get(_steps),
            FinalFraction = 0.05,
        },
        Step = new DistillationOptions
        {
            ContextTokens = call.Get(_context),
            SlotRows = call.Get(_rows),
            Gamma = call.Get(_gamma),
            Continuation = call.Get(_continuation),
            Seed = call.Get(_data.Seed),
            Loss = s_losses.TryGetValue(call.Get(_loss)!, out var loss) ? loss : null,
            Proposals = call.Get(_proposals) == Student ? ProposalSource.Student : ProposalSource.Given,
            InferredU = call.Get(_beta) ?? (call.Get(_proposals) == Teacher ? null : 1),
        },
        PickSoftness = call.Get(_softness),
        FlowSlots = call.Get(_flow),
        CheckpointEvery = call.Get(_checkpoint),
    };

    private void KeepRecord(Call call, string folder, string fingerprint, int completions, DistillationRunOptions options) =>
        TrainingInput.KeepRecord(folder, call.Get(_overwrite), new JsonObject
        {
            ["base"] = fingerprint,
            ["completions"] = completions,
            ["kind"] = call.Get(_kind),
            ["rank"] = call.Get(_rank),
            ["scale"] = call.Get(_scale),
            ["student_size"] = call.Get(_studentSize),
            ["embedding"] = call.Get(_embedding),
            ["slot_start"] = call.Get(_start),
            ["reading"] = call.Get(_reading),
            ["sampler_history"] = call.Get(_samplerHistory),
            ["sampler_width"] = call.Get(_samplerWidth),
            ["loss"] = call.Get(_loss),
            ["proposals"] = call.Get(_proposals),
            ["beta"] = options.Step.InferredU,
            ["sampler_depth"] = call.Get(_samplerDepth),
            ["pick_rule"] = _data.Rule(call).Name,
            ["pick_softness"] = call.Get(_softness),
            ["slots"] = call.Get(_slots),
            ["flow"] = call.Get(_flow),
            ["flow_layers"] = call.Get(_flowLayers),
            ["flow_history"] = call.Get(_flowHistory),
            ["flow_width"] = call.Get(_flowWidth),
            ["flow_clusters"] = call.Get(_flowClusters),
            ["flow_bins"] = call.Get(_flowBins),
            ["flow_tied"] = call.Get(_flowTied),
            ["gamma"] = options.Step.Gamma,
            ["continuation"] = options.Step.Continuation,
            ["context_tokens"] = options.Step.ContextTokens,
            ["slot_rows"] = options.Step.SlotRows,
            ["steps"] = options.Rate.Steps,
            ["lr"] = options.Rate.Peak,
            ["warmup"] = options.Rate.WarmUp,
            ["seed"] = call.Get(_data.Seed),
        });

    private static void Report(
        Call call, DistillationRunOptions options, TrainingInput.Steps steps, IReadOnlyList<Completion> completions,
        bool complete)
    {
        call.Out.Line(complete
            ? Invariant($"Done: {options.Output}, {steps.Tokens} slots in {Progress.Span(steps.Seconds)}, loss {steps.Last.Loss:0.000}.")
            : Invariant($"Stopped after step {steps.Last.Step} of {options.Rate.Steps}; the same command goes on from here."));
        call.Out.Result(new JsonObject
        {
            ["output"] = options.Output,
            ["complete"] = complete,
            ["step"] = steps.Last.Step,
            ["steps"] = options.Rate.Steps,
            ["loss"] = Output.Number(steps.Last.Loss),
            ["completions"] = completions.Count,
            ["completion_tokens"] = completions.Sum(c => (long)c.Tokens.Length - c.PromptLength),
            ["slot_rows"] = steps.Tokens,
            ["seconds"] = Output.Number(steps.Seconds),
            ["rows_per_second"] = Output.Number(steps.TokensPerSecond),
        });
    }
}
