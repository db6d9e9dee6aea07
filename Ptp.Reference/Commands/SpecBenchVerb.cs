// ptp specbench: Spec-Bench's questions answered by systems of the family, with answer files in its schema, speeds and equality.
// Source: Xia et al. 2024; three warm-ups on the first question, second turns keep the first answer, seconds around the whole answer.
// Refuses: damaged question and answer files, unknown systems. What is too long for the model's context is left out, and counted.

using System.CommandLine;
using System.Diagnostics;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Reference.SpecBench;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Runs Spec-Bench.</summary>
internal sealed class SpecBenchVerb : Verb
{
    private const int WarmUps = 3;
    private const int LeastAnswer = 8; // tokens that must fit behind a prompt
    private static readonly string[] s_default = ["ptp", "ptp tree", "prompt lookup", "token recycling", "lookahead", "sam", "sam over ptp"];
    private readonly Option<string?> _model = Values.Text("--model", "Model folder, as on Hugging Face. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<string?> _adapter = Values.Text(
        "--adapter", "PTP adapter folder, or 'none'. Default: models/ptp, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _heads = Values.Text(
        "--heads", "Folder with folders of trained heads, or 'none'. Default: models/heads, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _drafts = Values.Text(
        "--drafts", "Folder with folders of small models that draft, or 'none'. Default: models/drafts, with the default model only.", "FOLDER|none");

    private readonly Option<string?> _questions = Values.Text(
        "--questions", "Spec-Bench's question.jsonl. Default: twelve short questions of our own, two per task.", "FILE");

    private readonly Option<string?> _output = Values.Text(
        "--output", "Folder of answer files, NAME.jsonl; answers that are there are kept.", "FOLDER", "spec-bench");

    private readonly Option<string[]> _systems = Values.Texts("--systems", "Systems of 'ptp compare', beside plain decoding. Default: those below.", "NAME");
    private readonly Option<string?> _template = Values.Word(
        "--template", "How turns become a prompt.", ChatTemplate.Names, ChatTemplate.Names[0]);

    private readonly Option<double> _temperature = Values.Number("--temperature", "0 as Spec-Bench has it, or a law's.", 0);
    private readonly Option<int> _limit = Values.Whole("--limit", "Questions per task; 0 = all.", 0, 0);
    private readonly Option<int> _maxNew = Values.Whole("--max-new", "Most tokens of an answer.", 1024, 1);
    private readonly Option<int> _nodes = Values.Whole("--nodes", "Most rows of a call that verifies a tree.", 32, 2, 256);
    private readonly Option<ulong> _seed = Values.Seed("Seed of u.", 42);

    public SpecBenchVerb()
        : base(
            "specbench",
            "Answer Spec-Bench's questions (six tasks, two turns) by plain decoding and by other systems in turn, question by question; "
            + "write answer files in its schema; then compare speeds, accepted tokens and texts. Stop with Ctrl-C and run again to go on. "
            + "Default systems: " + string.Join(", ", s_default) + ".",
            "ptp specbench --max-new 48                              # built-in questions, embedded model: the runner at work",
            "ptp specbench --questions question.jsonl --model vicuna-7b --template vicuna --limit 10 --systems \"prompt lookup\"",
            "ptp specbench --questions question.jsonl --temperature 0.7 --output answers --json")
    {
        _systems.AllowMultipleArgumentsPerToken = true;
        foreach (var option in (Option[])[
            _model, _tokenizer, _adapter, _heads, _drafts, _questions, _output, _systems, _template, _temperature, _limit, _maxNew, _nodes, _seed])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var names = call.Get(_systems) is { Length: > 0 } given ? given : s_default;
        var law = new SamplingOptions { Temperature = call.Get(_temperature) }.Validated();
        var all = call.Get(_questions) is { } file ? SpecQuestion.Read(file) : SpecQuestion.BuiltIn;
        var limit = call.Get(_limit);
        SpecQuestion[] questions = [.. all.GroupBy(q => q.Task).SelectMany(g => limit == 0 ? g : g.Take(limit)).OrderBy(q => q.Id)];
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var decoders = Decoders(call, model, law, names, out var rule);
        var bench = new Bench(model, rule, call.Get(_template)!, call.Get(_maxNew), call.Get(_seed));
        var left = questions.Where(q => !bench.Fits(ChatTemplate.Prompt(call.Get(_template)!, [q.Turns[0]], []))).ToList();
        questions = [.. questions.Except(left)];
        Guard.Require(questions.Length > 0, "Answer questions", $"{left.Count} questions, all too long for the model",
            $"prompts of at most {model.Model.Config.MaxContext - LeastAnswer} tokens", "Use a model with a longer context.");
        call.Out.Note($"{backend.Name}; {model.Folder}; {questions.Length} questions, {left.Count} too long for its context");

        var folder = call.Get(_output)!;
        RunRecord.Keep(Path.Combine(folder, RunRecord.Name), "Go on with the answers in " + folder, new JsonObject
        {
            ["base"] = model.Fingerprint,
            ["adapter"] = Adapter(call),
            ["template"] = call.Get(_template),
            ["temperature"] = law.Temperature,
            ["max_new"] = call.Get(_maxNew),
            ["seed"] = call.Get(_seed),
            ["nodes"] = call.Get(_nodes),
            ["pick_rule"] = rule.Name,
        }, "Give the same options, or another folder with --output.");
        var answers = Answer(call, questions, decoders, bench);
        if (answers is null)
        {
            return ErrorOutput.Stopped;
        }

        var baseline = answers[FamilySystem.Plain];
        return Report(call, [.. decoders.Select(d => (d.System, SpecReport.Compare(d.System.Name, baseline, answers[d.System.Name])))], law, left.Count);
    }

    private List<(FamilySystem System, IDecoder Decoder)> Decoders(
        Call call, ModelChoice model, SamplingOptions law, IReadOnlyList<string> names, out PickRule rule)
    {
        var systems = CompareVerb.Systems(names);
        var adapter = Adapter(call);
        var decoding = new Decoding(model, law, call.Get(_seed), 0, call.Get(_maxNew)) { AllowsOtherLaw = true };
        var isDefault = call.Get(_model) is null;
        var parts = new FamilyParts(
            adapter is null ? decoding : decoding.With(adapter), call.Get(_nodes), null, null, new SuffixAutomaton(),
            new HeadShelf(call, model, call.Get(_heads), isDefault), new DraftShelf(model.Model.Backend, call.Get(_drafts), isDefault),
            ModelChoice.Shelf(null, "", isDefault));
        rule = parts.Decoding.Rule;
        return [.. from system in systems let decoder = system.Make(parts) where decoder is not null select (system, decoder)];
    }

    private string? Adapter(Call call) => ModelChoice.Shelf(call.Get(_adapter), ModelChoice.Ptp, call.Get(_model) is null);

    /// <summary>All answers by system; null if stopped before the last.</summary>
    private Dictionary<string, List<SpecAnswer>>? Answer(
        Call call, SpecQuestion[] questions, List<(FamilySystem System, IDecoder Decoder)> decoders, Bench bench)
    {
        string PathOf(FamilySystem system) => Path.Combine(call.Get(_output)!, system.Name.Replace(' ', '-').Replace(",", "") + ".jsonl");
        var ids = questions.Select(q => q.Id).ToHashSet();
        var answers = decoders.ToDictionary(d => d.System.Name, d => SpecAnswer.Read(PathOf(d.System), mends: true).Where(a => ids.Contains(a.Id)).ToList());
        var (done, total) = (answers.Values.Sum(a => a.Count), questions.Length * decoders.Count);
        if (done < total)
        {
            foreach (var (_, decoder) in decoders)
            {
                for (var i = 0; i < WarmUps; i++)
                {
                    bench.Answer(decoder, "", questions[0] with { Turns = [questions[0].Turns[0]] });
                }
            }
        }

        using var bar = new Progress(call.Out.Host, "specbench");
        // Questions outside, systems inside: a slow moment of the machine meets all alike.
        foreach (var question in questions)
        {
            foreach (var (system, decoder) in decoders.Where(d => answers[d.System.Name].All(a => a.Id != question.Id)))
            {
                if (call.Cancellation.IsCancellationRequested)
                {
                    return null;
                }

                var answer = bench.Answer(decoder, system.Name, question);
                answer.AppendTo(PathOf(system));
                answers[system.Name].Add(answer);
                bar.Report(++done, total, question.Task);
            }
        }

        return answers;
    }

    private static int Report(Call call, IReadOnlyList<(FamilySystem System, SpecReport Report)> reports, SamplingOptions law, int left)
    {
        var results = new JsonArray();
        call.Out.Line("| system | " + string.Join(" | ", SpecQuestion.Tasks) + " | accepted | speed-up | other texts | promise |");
        call.Out.Line("|---|" + string.Concat(Enumerable.Repeat("---|", SpecQuestion.Tasks.Count + 4)));
        var broken = false;
        foreach (var (system, report) in reports)
        {
            var promises = system.Guarantee == Guarantee.Path || (law.Temperature == 0 && system.Guarantee is Guarantee.Greedy or Guarantee.Law);
            broken |= promises && report.Different > 0;
            call.Out.Line(
                $"| {system.Name} | " + string.Join(" | ", SpecQuestion.Tasks.Select(t =>
                    report.SpeedupByTask.TryGetValue(t, out var speed) ? Invariant($"{speed:0.00}") : "-"))
                + Invariant($" | {report.MeanAccepted:0.00} | {report.Speedup:0.00} | {report.Different} of {report.Questions} | ")
                + (promises ? report.Different == 0 ? "kept" : "BROKEN" : "-") + " |");
            results.Add(new JsonObject
            {
                ["name"] = system.Name,
                ["speedup_by_task"] = new JsonObject(report.SpeedupByTask.Select(p => KeyValuePair.Create(p.Key, Output.Number(p.Value)))),
                ["speedup"] = Output.Number(report.Speedup),
                ["mean_accepted_tokens"] = Output.Number(report.MeanAccepted),
                ["different"] = report.Different,
                ["questions"] = report.Questions,
                ["guarantee"] = Invariant($"{system.Guarantee}").ToLowerInvariant(),
                ["guarantee_holds"] = promises ? report.Different == 0 : null,
            });
        }

        call.Out.Result(new JsonObject { ["systems"] = results, ["too_long"] = left });
        return broken ? ErrorOutput.Failed : ErrorOutput.Done;
    }

    /// <summary>Answers questions one at a time.</summary>
    private sealed class Bench(ModelChoice model, PickRule rule, string template, int maxNew, ulong seed)
    {
        private readonly int _context = model.Model.Config.MaxContext;

        /// <summary>True if a prompt leaves room for an answer.</summary>
        public bool Fits(string prompt) => model.Tokenizer.Encode(prompt).Length + 1 + LeastAnswer <= _context;

        /// <summary>All turns of a question; a turn that does not fit ends it.</summary>
        public SpecAnswer Answer(IDecoder decoder, string system, SpecQuestion question)
        {
            var (texts, steps, tokens, seconds, lengths) = (new List<string>(), new List<int>(), new List<int>(), new List<double>(), new List<int>());
            for (var turn = 0; turn < question.Turns.Count; turn++)
            {
                var prompt = ChatTemplate.Prompt(template, [.. question.Turns.Take(turn + 1)], texts);
                if (!Fits(prompt))
                {
                    break;
                }

                var ids = model.Encode(prompt);
                var rounds = lengths.Count;
                var u = Auxiliaries.FromSeed(
                    seed + (ulong)(2 * question.Id + turn), rule.NumbersPerToken(model.Model.Config.VocabularySize));
                var start = Stopwatch.GetTimestamp();
                var decoded = decoder.Decode(
                    ids, u, new DecodeLimits(Math.Min(maxNew, _context - ids.Length), model.EndTokens), round =>
                    {
                        lengths.Add(round.Tokens.Length);
                        return true;
                    });
                seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
                texts.Add(model.Tokenizer.Decode(decoded.Tokens));
                tokens.Add(decoded.Tokens.Length);
                steps.Add(lengths.Count - rounds);
            }

            return new SpecAnswer(question.Id, question.Category, system, texts, steps, tokens, seconds, lengths);
        }
    }
}
