// ptp compare: every system of the family on the same base, prompts and u, against plain decoding, with its promise checked on the spot.
// Systems take turns on each prompt, plain decoding between them, so that a slow moment of the machine meets what it is compared with.
// Refuses: unknown systems. Texts: ComparedText; figures: ComparedFigures.

using System.CommandLine;
using System.Globalization;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Compares the family.</summary>
internal sealed class CompareVerb : Verb
{
    private readonly Option<string?> _model = Values.Text("--model", "Model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _adapter = Values.Text(
        "--adapter", "PTP adapter folder, or 'none'. Default: models/ptp, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _adapters = Values.Text(
        "--adapters", "Folder with the folders 'independent' (slots that see no u) and 'flow' (a flow head), or 'none'. Default: models, with the "
        + "default model only.", "FOLDER|none");

    private readonly Option<string?> _heads = Values.Text(
        "--heads", "Folder with folders of trained heads, or 'none'. Default: models/heads, with the default model only; what is not in it is "
        + "trained at its first use, a minute each.", "FOLDER|none");

    private readonly Option<string?> _drafts = Values.Text(
        "--drafts", "Folder with folders of small models that draft, or 'none'. Default: models/drafts, with the default model only.", "FOLDER|none");

    private readonly Option<string[]> _data = Values.Texts(
        "--data", "Corpus folder (its heldout/*.txt) or text file. Default: models/heldout, else the prompts of 'ptp demo'.", "FOLDER|FILE");

    private readonly Option<string[]> _systems = Values.Texts(
        "--systems", "Only these systems, beside plain decoding. Default: all.", "NAME");

    private readonly Option<string[]> _temperatures = Values.Texts("--temperatures", "Default: 0 0.7 1.", "X");
    private readonly Option<int> _prompts = Values.Whole("--prompts", "Prompts per corpus.", 4, 1);
    private readonly Option<int> _promptTokens = Values.Whole("--prompt-tokens", "Tokens of each prompt.", 32, 1);
    private readonly Option<int> _maxNew = Values.Whole("--max-new", "Most tokens to generate.", 96, 1);
    private readonly Option<int> _nodes = Values.Whole("--nodes", "Most rows of a call that verifies a tree.", 32, 2, 256);
    private readonly Option<ulong> _seed = Values.Seed("Seed of u, the auxiliary numbers; text i has seed + i.", 42);
    private readonly Option<bool> _paying = Values.Switch(
        "--paying", "Draft only as much as pays, by the measured cost of calls: for speed. Else as much as allowed: for acceptance.");

    private readonly Option<string?> _output = Values.Text("--output", "Also write the table there, as Markdown.", "FILE.md");
    private readonly Option<string?> _svg = Values.Text("--svg", "Also draw accepted tokens per round there.", "FILE.svg");

    public CompareVerb()
        : base(
            "compare",
            "Decode the same prompts with the same u by every system of the family and compare tokens per round, calls, rows and time. "
            + "Each promise is checked: path and greedy by comparing texts, law by enumeration in a language of three tokens. "
            + "Retrieval reads the documents that are not continued. With --json: an array of objects.",
            "ptp compare                                             # about a minute with the models that come with ptp",
            "ptp compare --paying --systems ptp \"sam over ptp\"       # how fast they are when they choose their own budget",
            "ptp compare --data runs/corpus --output compare.md --svg compare.svg",
            "ptp compare --temperatures 0.7 --prompts 20 --json")
    {
        foreach (var option in (Option<string[]>[])[_data, _systems, _temperatures])
        {
            option.AllowMultipleArgumentsPerToken = true;
        }

        foreach (var option in (Option[])[
            _model, _tokenizer, _adapter, _adapters, _heads, _drafts, _data, _systems, _temperatures, _prompts, _promptTokens, _maxNew, _nodes, _seed, _paying,
            _output, _svg])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var systems = Systems(call.Get(_systems) ?? []);
        double[] temperatures = [.. (call.Get(_temperatures) is { Length: > 0 } given ? given : ["0", "0.7", "1"]).Select(Temperature)];
        foreach (var file in ((string?[])[call.Get(_output), call.Get(_svg)]).OfType<string>())
        {
            AtomicFile.Check(file);
        }

        using var backend = call.Backend();
        var (isDefault, model) = (call.Get(_model) is null, ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend));
        var adapter = ModelChoice.Shelf(call.Get(_adapter), ModelChoice.Ptp, isDefault);
        var adapters = ModelChoice.Shelf(call.Get(_adapters), "", isDefault);
        var text = ComparedText.Read(call, model, call.Get(_data) ?? [], call.Get(_prompts), call.Get(_promptTokens));
        var (corpus, automaton) = (text.Sorted(), text.Automaton());
        var (heads, drafts) = (new HeadShelf(call, model, call.Get(_heads), isDefault), new DraftShelf(backend, call.Get(_drafts), isDefault));
        var costs = call.Get(_paying) ? Costs(model.Model, call.Get(_nodes)) : null;
        var runs = new List<ComparedSystem>();
        using var bar = new Progress(call.Out.Host, "compare");
        var (done, total) = (0, temperatures.Length * text.Prompts.Count);
        foreach (var temperature in temperatures)
        {
            var law = new SamplingOptions { Temperature = temperature }.Validated();
            var decoding = new Decoding(model, law, call.Get(_seed), 0, call.Get(_maxNew)) { AllowsOtherLaw = true, Pays = costs is not null };
            var parts = new FamilyParts(adapter is null ? decoding : decoding.With(adapter), call.Get(_nodes), costs, corpus, automaton, heads, drafts, adapters);
            // All decoders are made before any is timed: what a system asks for may be trained now.
            List<ComparedSystem> here = [.. from system in systems
                let decoder = system.Make(parts)
                where decoder is not null
                select new ComparedSystem(system, decoder, law, text.Tasks.Count)];
            for (var i = 0; i < text.Prompts.Count && !call.Cancellation.IsCancellationRequested; i++)
            {
                ComparedSystem.Decode(here, parts.Decoding, text.Prompts[i].Prompt, text.Prompts[i].Task, i);
                bar.Report(++done, total, Invariant($"temperature {temperature}"));
            }

            here.ForEach(run => run.Check(backend));
            runs.AddRange(here.Where(run => run.Stats.Tokens > 0));
        }

        bar.Dispose();
        var figures = new ComparedFigures(runs, Invariant($"{backend.Name}; {text.Prompts.Count} prompts of {text.Tasks.Count} corpora, ")
            + Invariant($"at most {call.Get(_maxNew)} tokens each, {call.Get(_nodes)} rows per call; seed {call.Get(_seed)}"));
        figures.Write(call.Out, call.Get(_output), call.Get(_svg));
        return call.Cancellation.IsCancellationRequested ? ErrorOutput.Stopped
            : runs.Any(run => run.Holds == false) ? ErrorOutput.Failed : ErrorOutput.Done;
    }

    /// <summary>The systems of these names, plain decoding first; none = all.</summary>
    internal static IReadOnlyList<FamilySystem> Systems(IReadOnlyList<string> names)
    {
        string[] known = [.. FamilySystem.All.Select(s => s.Name)];
        foreach (var name in names.Where(name => !known.Contains(name)))
        {
            throw new PtpException("Read --systems", $"'{name}'", "one of " + string.Join(", ", known),
                (Cli.Nearest(name, known) is { } near ? $"Did you mean '{near}'? " : "") + "Quote names with spaces.");
        }

        return [.. FamilySystem.All.Where(s => names.Count == 0 || s.Name == FamilySystem.Plain || names.Contains(s.Name))];
    }

    private static double Temperature(string text) =>
        double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= 0 && double.IsFinite(value)
            ? value
            : throw new PtpException("Read --temperatures", $"'{text}'", "numbers from 0 on", "Write them apart: --temperatures 0 0.7 1.");

    private static CallCosts Costs(Transformer model, int nodes)
    {
        int[] rows = [.. ((int[])[1, 2, 4, 8, 16, 32, 64, 128, 256]).Where(r => r < nodes), nodes];
        Guard.Require(2 * nodes <= model.Config.MaxContext, "Measure what calls cost", $"{nodes} nodes",
            $"at most half the context of {model.Config.MaxContext}", "Lower --nodes.");
        return CallCosts.Measure(model, rows, [nodes, model.Config.MaxContext - nodes]);
    }
}
