// The options that say what a base teaches on: its own completions of prompts, with known u, made where they are missing.
// Shards of 64 in a folder, with a record of how they were made; without a corpus every prompt is the begin token alone.
// Refuses: completions of another base or law than asked.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Options of teacher completions.</summary>
/// <param name="count">Default of --count.</param>
internal sealed class TeacherData(int count)
{
    private const int PerShard = 64;
    private const string RecordName = "completions.json";
    private readonly Option<string?> _completions = Values.Text(
        "--completions", "Folder of the teacher's completions; what is missing is made. Default: completions, beside the output.", "FOLDER");

    private readonly Option<int> _count = Values.Whole("--count", "Completions, made 64 at a time.", count, 1);
    private readonly Option<int> _maxNew = Values.Whole("--max-new", "Longest completion, in tokens.", 192, 1);
    private readonly Option<int> _maxPrompt = Values.Whole("--max-prompt", "Longest prompt, in tokens.", 96, 2);
    private readonly Option<string[]> _shares = Values.Texts("--share", "Share of a corpus in the prompts.", "NAME=X");
    private readonly Option<double> _temperature = Values.Number(
        "--temperature", "Temperature of the law to learn.", 0.7);
    private readonly Option<int> _topK = Values.Whole("--top-k", "Top-k of that law; 0 = all.", 0, int.MinValue);
    private readonly Option<double> _topP = Values.Number("--top-p", "Top-p of that law.", 0.9);
    private readonly Option<string?> _rule = Values.Text(
        "--pick-rule", "How u picks a token: inverse-cdf = one number, cells in id order (the paper); tree = one number per level "
        + "of a tree over the ids; race:K = K numbers per level; gumbel = one number per id.",
        PickRule.Forms, InverseCdf.Instance.Name);

    /// <summary>Folder that 'ptp corpus' wrote.</summary>
    public Option<string?> Corpus { get; } = Values.Text(
        "--corpus", "Folder that 'ptp corpus' wrote; prompts are cut from its training side.", "FOLDER");

    /// <summary>Seed of everything.</summary>
    public Option<ulong> Seed { get; } = Values.Seed("Seed of prompts, u, weights and the order of the data.", 1);

    /// <summary>Adds all options to a verb.</summary>
    public void AddTo(Command verb)
    {
        foreach (var option in (Option[])[
            Corpus, _completions, _count, _maxNew, _maxPrompt, _shares, _temperature, _topK, _topP, _rule, Seed])
        {
            verb.Add(option);
        }
    }

    /// <summary>The law to learn, checked.</summary>
    public SamplingOptions Law(Call call) => new SamplingOptions
    {
        Temperature = call.Get(_temperature),
        TopK = call.Get(_topK),
        TopP = call.Get(_topP),
    }.Validated();

    /// <summary>How u picks a token.</summary>
    public PickRule Rule(Call call) => PickRule.Parse(call.Get(_rule)!);

    /// <summary>Reads completions, and makes those that are missing; fewer if the run is stopped.</summary>
    /// <param name="call">The run.</param>
    /// <param name="model">The teacher.</param>
    /// <param name="output">The run's own folder.</param>
    /// <param name="dataset">True for pieces of the corpus itself, without u of their own.</param>
    public IReadOnlyList<Completion> Completions(Call call, ModelChoice model, string output, bool dataset = false)
    {
        var tokens = call.Get(Corpus) is { } corpus
            ? TrainingInput.Tokens(call, CorpusFolder.Read(corpus).Train, model.Tokenizer, Values.Pairs("--share", call.Get(_shares) ?? []))
            : [new WeightedDocuments("none", [[]], 1)];
        var options = new TeacherCompletionOptions
        {
            Folder = call.Get(_completions)
                ?? Path.Combine(Path.GetDirectoryName(Path.GetFullPath(output))!, "completions"),
            Shards = (call.Get(_count) + PerShard - 1) / PerShard,
            PerShard = PerShard,
            MaxNewTokens = call.Get(_maxNew),
            MaxPrompt = call.Get(_maxPrompt),
            Law = Law(call),
            Seed = call.Get(Seed),
        };
        if (dataset)
        {
            return TeacherCompletions.FromDataset(options, model.Model.Config, Rule(call), tokens);
        }

        CheckRecord(options, Rule(call), model.Fingerprint, prompted: call.Get(Corpus) is not null);
        using var bar = new Progress(call.Out.Host, "completions");
        return TeacherCompletions.Make(
            options, model.Model, Rule(call), tokens,
            (done, total) => bar.Report(done, total, Invariant($"{done * PerShard} completions")), call.Cancellation);
    }

    /// <summary>Shards do not say how they were made; the record beside them does.</summary>
    private static void CheckRecord(TeacherCompletionOptions options, PickRule rule, string fingerprint, bool prompted)
    {
        var record = new JsonObject
        {
            ["base"] = fingerprint,
            ["temperature"] = options.Law.Temperature,
            ["top_k"] = options.Law.TopK,
            ["top_p"] = options.Law.TopP,
            ["pick_rule"] = rule.Name,
            ["seed"] = options.Seed,
            ["max_new"] = options.MaxNewTokens,
            ["max_prompt"] = options.MaxPrompt,
            ["per_shard"] = options.PerShard,
        };
        if (!prompted)
        {
            record["prompts"] = "none"; // records of prompted completions do not say so
        }

        var path = Path.Combine(options.Folder, RecordName);
        Guard.Require(
            File.Exists(path) || !Directory.Exists(options.Folder) || !Directory.EnumerateFiles(options.Folder, "*.ptpc").Any(),
            "Use completions", $"'{options.Folder}' with shards but no {RecordName}", "completions whose origin is known",
            "Name another folder with --completions.");
        RunRecord.Keep(path, "Use completions", record,
            $"Name another folder with --completions, or repeat the options in {RecordName}.");
    }
}
