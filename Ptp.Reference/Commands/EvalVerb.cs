// ptp eval: held-out perplexity, and how many tokens an adapter gets accepted per round, by corpus and by slot.
// correct = leading draft tokens that verify; accepted = correct + 1; means are pooled over rounds, and also per text.
// Refuses: an adapter of another base or law, folders without text.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Evaluates a model and its adapter.</summary>
internal sealed class EvalVerb : Verb
{
    private const string Pooled = "pooled";
    private readonly DecodingOptions _decoding = new(maxNew: 96, paying: false);
    private readonly Option<string[]> _data = Values.Texts(
        "--data", "Corpus folder (its heldout/*.txt) or text file. Default: models/heldout.", "FOLDER|FILE");

    private readonly Option<int> _prompts = Values.Whole("--prompts", "Prompts per corpus.", 24, 1);
    private readonly Option<int> _promptTokens = Values.Whole("--prompt-tokens", "Tokens of each prompt.", 32, 1);
    private readonly Option<int> _lossTokens = Values.Whole(
        "--loss-tokens", "Most tokens per corpus for the perplexity.", 16_384, 2);
    private readonly Option<string?> _compare = Values.Text(
        "--compare", "A second adapter, such as the independent baseline.", "FOLDER");
    private readonly Option<int?> _budget = Values.WholeOrNone(
        "--budget", "Verify and draft in the same call, with so many slots for all branches (0 = as many as pay), instead of drafts.", 0);

    private readonly Option<bool> _printed = Values.Switch(
        "--printed", "With --budget: split it as section 5.2 of the paper prints it, to compare with the exact split.");

    private readonly Option<int?> _tree = Values.WholeOrNone(
        "--tree", "Draft trees of so many tokens instead of chains: alternatives where u is close to a border.", 1, 256);

    private readonly Option<bool> _pairs = Values.Switch(
        "--incompatible", "Also measure incompatible pairs: rounds whose first two own drafts d0, d1 have P(d0) = 0 or P(d1 | d0) = 0.");

    private readonly Option<bool> _byPosition = Values.Switch(
        "--by-position", "Also the perplexity of each of N tokens behind the prompts: of the base, which sees the tokens before, and of categorical "
        + "slots, which see their u. For adapters without a sampler head, such as 'ptp iat' makes.");

    public EvalVerb()
        : base(
            "eval",
            "Measure on text that never entered training: perplexity of the base, and accepted tokens per round of its adapter, "
            + "in all and by slot. 'own' counts what the drafter alone would have had, without its first token replaced by the exact one.",
            "ptp eval --data runs/corpus                                # the models that come with ptp, on text of your own",
            "ptp eval --data texts.txt --compare models/independent --incompatible   # against independent predictions",
            "ptp eval --data texts.txt --tree 16                        # 16 drafted tokens a round, as a tree",
            "ptp eval --data texts.txt --budget 8                       # tokens per call of branches with 8 slots",
            "ptp eval --adapter runs/iat --data runs/corpus --by-position   # perplexity behind a split, from u instead of tokens",
            "ptp eval --model runs/base --adapter runs/ptp --data runs/corpus --prompts 50 --json")
    {
        _data.AllowMultipleArgumentsPerToken = true;
        _decoding.AddTo(this);
        foreach (var option in (Option[])[_data, _prompts, _promptTokens, _lossTokens, _compare, _budget, _printed, _tree, _pairs, _byPosition])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var budget = call.Get(_budget);
        var ways = new[] { budget is not null, call.Get(_tree) is not null, call.Get(_pairs) }.Count(x => x);
        Guard.Require(ways <= 1, "Evaluate", "several of --budget, --tree and --incompatible", "one of them",
            "Pairs are counted in chains; leave the others out.");
        Guard.Require(budget > 0 || !call.Get(_printed), "Evaluate", "--printed without a budget", "--budget N, N above 0", "Add one.");
        using var backend = call.Backend();
        var documents = HeldOutText.Read(call.Get(_data) ?? []);
        var decoding = _decoding.Load(call, backend);
        var second = call.Get(_compare) is { } folder ? decoding.With(folder) : null;
        call.Out.Note($"{backend.Name}; {decoding.Model.Folder}; {decoding.AdapterFolder ?? "no adapter"}");

        var corpora = TrainingInput.Tokens(call, documents, decoding.Model.Tokenizer, new Dictionary<string, double>());
        var evaluation = new Evaluation(call, call.Get(_prompts), call.Get(_promptTokens), call.Get(_pairs), budget, call.Get(_tree), call.Get(_printed));
        var parts = Parts(corpora);
        Evaluation.Perplexity(decoding.Model, corpora, parts, call.Get(_lossTokens));
        // Categorical slots in a network of their own are read, by position; they do not draft for another.
        if (decoding.Drafts && !(call.Get(_byPosition) && decoding.Adapter is { Reading: SlotReading.Categorical, SharesBase: false }))
        {
            evaluation.Decode(decoding, corpora, parts, "eval");
        }

        var positions = call.Get(_byPosition)
            ? PositionPerplexity.Of(call, decoding, [.. corpora.SelectMany(c => Evaluation.Chosen(c, call.Get(_prompts), call.Get(_promptTokens)))], call.Get(_promptTokens))
            : null;
        var others = Parts(corpora);
        if (second is not null)
        {
            evaluation.Decode(second, corpora, others, "compare");
        }

        Report(call, decoding, second, Pool(parts), second is null ? null : Pool(others), positions, backend);
        return call.Cancellation.IsCancellationRequested ? ErrorOutput.Stopped : ErrorOutput.Done;
    }

    private static List<EvaluationPart> Parts(IReadOnlyList<WeightedDocuments> corpora) =>
        [.. corpora.Select(c => new EvaluationPart(c.Name))];

    private static List<EvaluationPart> Pool(List<EvaluationPart> parts)
    {
        var pooled = new EvaluationPart(Pooled);
        foreach (var part in parts)
        {
            pooled.Add(part);
        }

        return [.. parts, pooled];
    }

    private static void Report(
        Call call, Decoding decoding, Decoding? second, List<EvaluationPart> parts, List<EvaluationPart>? others,
        PositionPerplexity? positions, Core.Tensors.IBackend backend)
    {
        var result = Figures(parts[^1]);
        result["corpora"] = new JsonArray([.. parts.SkipLast(1).Select(Named)]);
        if (others is not null)
        {
            var compare = Figures(others[^1]);
            compare["adapter"] = second!.AdapterFolder;
            compare["corpora"] = new JsonArray([.. others.SkipLast(1).Select(Named)]);
            result["compare"] = compare;
            var (a, b) = (parts[^1].Stats, others[^1].Stats);
            result["ratio"] = new JsonObject
            {
                ["accepted_per_round"] = Output.Number(a.AcceptedPerRound / b.AcceptedPerRound),
                ["own_accepted_per_round"] = Output.Number(a.OwnAcceptedPerRound / b.OwnAcceptedPerRound),
                ["correct_per_round"] = Output.Number(a.CorrectPerRound / b.CorrectPerRound),
            };
        }

        result["by_position"] = positions?.Json();
        call.Out.Result(decoding.Describe(result, backend));
        if (!call.Out.Json)
        {
            Print(call.Out, parts, decoding.AdapterFolder);
            positions?.Print(call.Out);
            if (others is not null)
            {
                Print(call.Out, others, second!.AdapterFolder);
                call.Out.Line(Invariant(
                    $"ratio of accepted per round: {parts[^1].Stats.AcceptedPerRound / others[^1].Stats.AcceptedPerRound:0.000}"));
            }
        }
    }

    private static JsonObject Named(EvaluationPart part)
    {
        var json = Figures(part);
        json["name"] = part.Name;
        return json;
    }

    private static JsonObject Figures(EvaluationPart part) => new()
    {
        ["perplexity"] = Output.Number(part.Perplexity),
        ["loss_tokens"] = part.Targets,
        ["texts"] = part.AcceptedByText.Count,
        ["tokens"] = part.Stats.Tokens,
        ["rounds"] = part.Stats.Rounds,
        ["correct_per_round"] = Output.Number(part.Stats.CorrectPerRound),
        ["accepted_per_round"] = Output.Number(part.Stats.AcceptedPerRound),
        ["own_accepted_per_round"] = Output.Number(part.Stats.OwnAcceptedPerRound),
        ["accepted_per_round_mean_of_texts"] = Output.Number(part.AcceptedByText.DefaultIfEmpty(0).Average()),
        ["tokens_per_call"] = Output.Number(part.Stats.TokensPerCall),
        ["first_right"] = Output.Number(part.Stats.FirstTried == 0 ? 0 : (double)part.Stats.FirstRight / part.Stats.FirstTried),
        ["by_slot"] = Output.Numbers(StatsOutput.BySlot(part.Stats)),
        ["histogram"] = Output.Numbers(StatsOutput.Histogram(part.Stats)),
        ["pairs"] = part.Pairs.Checked,
        ["incompatible_rate"] = Output.Number(part.IncompatibleRate),
    };

    private static void Print(Output output, List<EvaluationPart> parts, string? adapter)
    {
        var table = new Table().Title(Markup.Escape(adapter ?? "base model"))
            .AddColumns("corpus", "perplexity", "accepted", "correct", "own", "tokens/call", "slots 0..1", "0..3", "0..7", "incompatible");
        foreach (var part in parts)
        {
            var bySlot = StatsOutput.BySlot(part.Stats).ToList();
            table.AddRow(
                part.Name, Cell(part.Perplexity), Cell(part.Stats.AcceptedPerRound), Cell(part.Stats.CorrectPerRound),
                Cell(part.Stats.OwnAcceptedPerRound), Cell(part.Stats.TokensPerCall), Slot(bySlot, 1), Slot(bySlot, 3),
                Slot(bySlot, 7), Cell(part.IncompatibleRate));
        }

        output.Console.Write(table);
        var histogram = StatsOutput.Histogram(parts[^1].Stats).ToList();
        if (parts[^1].Stats.Rounds > 0)
        {
            var chart = new BarChart().Width(80).Label("rounds by number of correct draft tokens").LeftAlignLabel();
            for (var correct = 0; correct < histogram.Count; correct++)
            {
                chart.AddItem(Invariant($"{correct}"), histogram[correct], Color.Green);
            }

            output.Console.Write(chart);
        }
    }

    private static string Slot(List<double> bySlot, int slot) => slot < bySlot.Count ? Cell(bySlot[slot]) : "-";

    private static string Cell(double value) => double.IsFinite(value) ? Invariant($"{value:0.00}") : "-";
}
