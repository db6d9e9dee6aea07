// ptp compare: every system of the family on the same base, prompts and u, against plain decoding, with its promise checked on the spot.
// Systems take turns on each prompt, so that a slow moment of the machine meets all; the first prompt is decoded once before, untimed.
// Refuses: unknown systems, text too short for prompts. Definitions of the figures: DecodeStats.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Model;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Compares the family.</summary>
internal sealed class CompareVerb : Verb
{
    private readonly Option<string?> _model = Values.Text("--model", "Model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _adapter = Values.Text(
        "--adapter", "PTP adapter folder, or 'none'. Default: models/ptp, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _heads = Values.Text(
        "--heads", "Folder with folders of trained heads, or 'none'. Default: models/heads, with the default model only; what is not in it is "
        + "trained at its first use, a minute each.", "FOLDER|none");

    private readonly Option<string[]> _data = Values.Texts(
        "--data", "Corpus folder (its heldout/*.txt) or text file. Default: models/heldout.", "FOLDER|FILE");

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

    public CompareVerb()
        : base(
            "compare",
            "Decode the same prompts with the same u by every system of the family and compare tokens per round, calls, rows and time. "
            + "Each promise is checked: path and greedy by comparing texts, law by enumeration in a language of three tokens. "
            + "Retrieval reads the documents that are not continued. With --json: an array of objects.",
            "ptp compare                                             # about a minute with the models that come with ptp",
            "ptp compare --paying --systems ptp \"sam over ptp\"       # how fast they are when they choose their own budget",
            "ptp compare --temperatures 0.7 --prompts 20 --json")
    {
        foreach (var option in (Option<string[]>[])[_data, _systems, _temperatures])
        {
            option.AllowMultipleArgumentsPerToken = true;
        }

        foreach (var option in (Option[])[
            _model, _tokenizer, _adapter, _heads, _data, _systems, _temperatures, _prompts, _promptTokens, _maxNew, _nodes, _seed, _paying])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var systems = Systems(call.Get(_systems) ?? []);
        double[] temperatures = [.. (call.Get(_temperatures) is { Length: > 0 } given ? given : ["0", "0.7", "1"]).Select(Temperature)];
        using var backend = call.Backend();
        var documents = HeldOutText.Read(call.Get(_data) ?? []);
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var adapter = call.Get(_adapter) switch
        {
            "none" => null,
            null => call.Get(_model) is null ? ModelChoice.Default(ModelChoice.Ptp) : null,
            var named => named,
        };
        var corpora = TrainingInput.Tokens(call, documents, model.Tokenizer, new Dictionary<string, double>());
        var chosen = corpora.Select(c => Evaluation.Chosen(c, call.Get(_prompts), call.Get(_promptTokens))).ToList();
        Guard.Require(chosen.Any(c => c.Count > 0), "Compare", $"no document with {call.Get(_promptTokens)} tokens",
            "longer held-out documents", "Lower --prompt-tokens, or give other text with --data.");
        int[][] others = [.. corpora.SelectMany(c => c.Documents).Except(chosen.SelectMany(c => c))];
        var corpus = new SuffixArray(others.Length > 0 ? others : [[]]);
        var automaton = new SuffixAutomaton();
        foreach (var token in others.SelectMany(document => (int[])[.. document, SuffixArray.Boundary]))
        {
            automaton.Append(token);
        }

        var heads = new HeadShelf(call, model, call.Get(_heads), isDefault: call.Get(_model) is null);
        if (systems.Any(system => system.Name != FamilySystem.Plain))
        {
            heads.Prepare(); // trained before anything is timed
        }

        var costs = call.Get(_paying) ? Costs(model.Model, call.Get(_nodes)) : null;
        var runs = new List<ComparedSystem>();
        using var bar = new Progress(call.Out.Host, "compare");
        var (done, total) = (0, temperatures.Length * chosen.Sum(c => c.Count));
        foreach (var temperature in temperatures)
        {
            var law = new SamplingOptions { Temperature = temperature }.Validated();
            var decoding = new Decoding(model, law, call.Get(_seed), 0, call.Get(_maxNew)) { AllowsOtherLaw = true, Pays = costs is not null };
            var parts = new FamilyParts(adapter is null ? decoding : decoding.With(adapter), call.Get(_nodes), costs, corpus, automaton, heads);
            List<ComparedSystem> here = [.. from system in systems
                let decoder = system.Make(parts)
                where decoder is not null
                select new ComparedSystem(system, decoder, law, chosen.Count)];
            var text = 0;
            foreach (var (task, document) in chosen.SelectMany((c, task) => c.Select(document => (task, document))))
            {
                if (call.Cancellation.IsCancellationRequested)
                {
                    break;
                }

                int[] prompt = [.. model.BeginToken is { } begin ? (int[])[begin] : [], .. document[..call.Get(_promptTokens)]];
                ComparedSystem.Decode(here, parts.Decoding, prompt, task, text++);
                bar.Report(++done, total, Invariant($"temperature {temperature}"));
            }

            here.ForEach(run => run.Check(backend));
            runs.AddRange(here.Where(run => run.Stats.Tokens > 0));
        }

        bar.Dispose();
        Report(call, runs);
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

    private static void Report(Call call, List<ComparedSystem> runs)
    {
        var results = new JsonArray();
        var table = new Table().MarkdownBorder().AddColumns(
            "system", "T", "correct", "accepted", "of tasks", "tokens/call", "calls/round", "rows/call", "ms/token", "speed-up", "promise", "kept");
        foreach (var run in runs)
        {
            var plain = runs.First(r => r.System.Name == FamilySystem.Plain && r.Law.Temperature == run.Law.Temperature);
            var (s, speedup) = (run.Stats, plain.Stats.MillisecondsPerToken / run.Stats.MillisecondsPerToken);
            var promise = Invariant($"{run.System.Guarantee}").ToLowerInvariant();
            var calls = (double)(s.Calls + s.DrafterCalls) / s.Rounds;
            results.Add(new JsonObject
            {
                ["name"] = run.System.Name,
                ["temperature"] = run.Law.Temperature,
                ["correct_per_round"] = Output.Number(s.CorrectPerRound),
                ["accepted_per_round"] = Output.Number(s.AcceptedPerRound),
                ["accepted_per_round_mean_of_tasks"] = Output.Number(run.MeanOfTasks),
                ["tokens_per_call"] = Output.Number(s.TokensPerCall),
                ["calls_per_round"] = Output.Number(calls),
                ["rows_per_call"] = Output.Number(s.RowsPerCall),
                ["ms_per_token"] = Output.Number(s.MillisecondsPerToken),
                ["speedup"] = Output.Number(speedup),
                ["guarantee"] = promise,
                ["guarantee_holds"] = run.Holds,
                ["tokens"] = s.Tokens,
            });
            table.AddRow(
                [run.System.Name, Invariant($"{run.Law.Temperature}"), .. ((double[])[
                    s.CorrectPerRound, s.AcceptedPerRound, run.MeanOfTasks, s.TokensPerCall, calls, s.RowsPerCall,
                    s.MillisecondsPerToken, speedup]).Select(value => Invariant($"{value:0.00}")),
                promise, run.Holds switch { true => "yes", false => "NO", null => "-" }]);
        }

        call.Out.Result(results);
        call.Out.Console.Write(table);
    }
}

/// <summary>A system at work.</summary>
/// <param name="system">Which.</param>
/// <param name="decoder">Its decoder.</param>
/// <param name="law">The law of the texts.</param>
/// <param name="tasks">Corpora.</param>
internal sealed class ComparedSystem(FamilySystem system, IDecoder decoder, SamplingOptions law, int tasks)
{
    private readonly DecodeStats[] _tasks = [.. Enumerable.Range(0, tasks).Select(_ => new DecodeStats())];
    private bool _same = true;

    public FamilySystem System => system;

    public SamplingOptions Law => law;

    /// <summary>Pooled over all texts.</summary>
    public DecodeStats Stats { get; } = new();

    /// <summary>Accepted per round: mean over corpora.</summary>
    public double MeanOfTasks => _tasks.Where(t => t.Rounds > 0).Average(t => t.AcceptedPerRound);

    /// <summary>Whether the promise was kept; null where there is none.</summary>
    public bool? Holds { get; private set; }

    /// <summary>One text by each system in turn; the first is plain decoding.</summary>
    public static void Decode(IReadOnlyList<ComparedSystem> systems, Decoding decoding, int[] prompt, int task, int text)
    {
        Decoded? plain = null;
        foreach (var run in systems)
        {
            if (text == 0)
            {
                run.Decode(prompt, decoding); // compiled in tiers, pages touched: that is not the system's time
            }

            var decoded = run.Decode(prompt, decoding, text);
            plain ??= decoded;
            run._same &= decoded.Tokens.SequenceEqual(plain.Tokens) && decoded.Stop == plain.Stop;
            run.Stats.Add(decoded.Stats);
            run._tasks[task].Add(decoded.Stats);
        }
    }

    /// <summary>Asks whether the promise was kept.</summary>
    public void Check(Core.Tensors.IBackend backend) => Holds = Stats.Tokens == 0 ? null : system.Holds(law, _same, backend);

    private Decoded Decode(int[] prompt, Decoding decoding, int text = 0) => decoder.Decode(prompt, decoding.U(text), decoding.Limits);
}
