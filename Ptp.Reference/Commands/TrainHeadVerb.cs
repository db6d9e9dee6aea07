// ptp train-head NAME: trains one of the family's heads on a frozen base, from the base's own completions.
// Completions are made first where they are missing (shards on disk, resumable), then the head is trained (resumable too).
// Refuses: names it does not know, completions of another base or law than asked, a finished head without --overwrite.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core.Heads;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Trains a head.</summary>
internal sealed class TrainHeadVerb : Verb
{
    private const string Law = "law";
    private const string Token = "token";
    private readonly Argument<string> _name = new("name")
    {
        Description = "Architecture: " + string.Join(", ", DraftHeads.Names) + ".",
    };

    private readonly Option<string?> _model = Values.Text(
        "--model", "Base model; it stays as it is. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text(
        "--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _output = Values.Text(
        "--output", "Folder of the head; an unfinished run in it goes on. Default: heads/NAME.", "FOLDER");
    private readonly TeacherData _data = new(count: 2048);
    private readonly Option<int?> _slots = Values.WholeOrNone("--slots", "Tokens the head drafts. Default: the architecture's.", 1, 64);
    private readonly Option<int?> _width = Values.WholeOrNone("--width", "Width of its MLPs. Default: the architecture's.", 1, 1 << 16);
    private readonly Option<int?> _rank = Values.WholeOrNone("--rank", "Rank of its low-rank parts. Default: the architecture's.", 1, 4096);
    private readonly Option<string?> _target = Values.Word(
        "--target", "What its laws are compared with: the base's law (divergence), or the token that came (cross-entropy).", [Law, Token], Law);
    private readonly Option<int> _context = Values.Whole("--context-tokens", "Tokens of whole texts per step.", 384, 2);
    private readonly Option<int> _steps = Values.Whole("--steps", "Optimiser steps of the whole run.", 1000, 1);
    private readonly Option<double> _rate = Values.Number("--lr", "Highest learning rate.", 3e-3);
    private readonly Option<int> _warmUp = Values.Whole("--warmup", "Steps until the highest rate; after it a cosine to 5 %.", 50);
    private readonly Option<int> _checkpoint = Values.Whole("--checkpoint-every", "Steps between checkpoints.", 250, 1);
    private readonly Option<bool> _overwrite = Values.Switch("--overwrite", "Start anew even if the folder holds a head.");

    public TrainHeadVerb()
        : base(
            "train-head",
            "Train a multi-token head on the base model: Medusa, Hydra, EAGLE and the others that PTP is compared with. The base is not "
            + "changed; every head drafts for the same exact decoders, so its quality changes the speed and never the text.",
            "ptp train-head medusa --corpus runs/corpus --output runs/heads/medusa",
            "ptp train-head hydra --corpus runs/corpus --completions runs/completions --steps 2000",
            "ptp train-head medusa                                # on what the base writes by itself",
            "ptp eval --head heads/medusa --data runs/corpus      # accepted tokens per round, as a chain",
            "ptp eval --head heads/medusa --tree 16               # and as a tree")
    {
        Add(_name);
        foreach (var option in (Option[])[_model, _tokenizer, _output])
        {
            Add(option);
        }

        _data.AddTo(this);
        foreach (var option in (Option[])[
            _slots, _width, _rank, _target, _context, _steps, _rate, _warmUp, _checkpoint, _overwrite])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var name = call.Parsed.GetValue(_name)!;
        var defaults = DraftHeads.Defaults(name);
        var folder = call.Get(_output) ?? Path.Combine("heads", name);
        TrainingInput.RefuseOverwrite(folder, HeadFolder.ManifestName, call.Get(_overwrite));
        var (law, rule) = (_data.Law(call), _data.Rule(call));
        var sizes = defaults with
        {
            Slots = call.Get(_slots) ?? defaults.Slots,
            Width = call.Get(_width) ?? defaults.Width,
            Rank = call.Get(_rank) ?? defaults.Rank,
            Target = call.Get(_target) == Token ? HeadTarget.Token : HeadTarget.Law,
            Temperature = Math.Max(0.1, law.Temperature), // at temperature 0 there is no gradient; this is near enough
            Seed = call.Get(_data.Seed),
        };
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var completions = _data.Completions(call, model, folder);
        if (call.Cancellation.IsCancellationRequested)
        {
            call.Out.Note("Stopped; the completions made so far are kept, and the same command goes on from here.");
            return ErrorOutput.Stopped;
        }

        var head = HeadRun.Resumes(folder)
            ? HeadFolder.Load(folder, model.Model, model.Fingerprint).Head
            : DraftHeads.Make(name, model.Model, sizes);
        var options = new HeadRunOptions
        {
            Output = folder,
            Architecture = name,
            Fingerprint = model.Fingerprint,
            BaseName = Path.GetFileName(Path.GetFullPath(model.Folder)),
            Law = law,
            Rule = rule,
            Tokens = call.Get(_context),
            Rate = new LearningRate
            {
                Peak = call.Get(_rate),
                WarmUp = call.Get(_warmUp),
                Steps = call.Get(_steps),
                FinalFraction = 0.05,
            },
            Seed = call.Get(_data.Seed),
            CheckpointEvery = call.Get(_checkpoint),
        };
        var parameters = head.Parameters.Sum(p => (long)p.Value.Length);
        call.Out.Note(Invariant($"{backend.Name}; {completions.Count} completions; {name}, {parameters / 1e6:0.00} M parameters; {folder}"));
        TrainingInput.KeepRecord(folder, call.Get(_overwrite), new JsonObject
        {
            ["architecture"] = name,
            ["base"] = model.Fingerprint,
            ["completions"] = completions.Count,
            ["pick_rule"] = rule.Name,
            ["slots"] = sizes.Slots,
            ["width"] = sizes.Width,
            ["rank"] = sizes.Rank,
            ["target"] = call.Get(_target),
            ["context_tokens"] = options.Tokens,
            ["steps"] = options.Rate.Steps,
            ["lr"] = options.Rate.Peak,
            ["warmup"] = options.Rate.WarmUp,
            ["seed"] = options.Seed,
        });
        using var steps = new TrainingInput.Steps(call, name, options.Rate.Steps);
        var complete = HeadRun.Run(options, head, completions, steps.Take, call.Cancellation);
        steps.Dispose();
        call.Out.Line(complete
            ? Invariant($"Done: {folder}, {steps.Tokens} tokens in {Progress.Span(steps.Seconds)}, loss {steps.Last.Loss:0.000}.")
            : Invariant($"Stopped after step {steps.Last.Step} of {options.Rate.Steps}; the same command goes on from here."));
        call.Out.Result(new JsonObject
        {
            ["output"] = folder,
            ["architecture"] = name,
            ["complete"] = complete,
            ["step"] = steps.Last.Step,
            ["steps"] = options.Rate.Steps,
            ["loss"] = Output.Number(steps.Last.Loss),
            ["parameters"] = parameters,
            ["completions"] = completions.Count,
            ["tokens"] = steps.Tokens,
            ["seconds"] = Output.Number(steps.Seconds),
            ["tokens_per_second"] = Output.Number(steps.TokensPerSecond),
        });
        return complete ? ErrorOutput.Done : ErrorOutput.Stopped;
    }
}
