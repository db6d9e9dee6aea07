// ptp demo: the claim, shown. One model, one u; token by token, then several tokens per call; the same text, bit for bit.
// Times: medians over alternating repeats after a warm-up; counts come from the runs themselves.
// Refuses: to call it identical unless every token and the reason to stop agree; else the exit code is 1.

using System.CommandLine;
using Ptp.Core.Decoding;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Shows that parallel decoding changes nothing but the time.</summary>
internal sealed class DemoVerb : Verb
{
    private const int WarmUpTokens = 96;
    private const int WarmUpRuns = 4;

    /// <summary>Beginnings of a story, an address and a documentation comment, for runs without a text.</summary>
    public static IReadOnlyList<string> BuiltInPrompts { get; } =
    [
        "Once upon a time, there was a little fox who lived in the woods. One day",
        "Fellow-citizens of the Senate and House of Representatives: Since the last session of Congress, the",
        "Gets or sets a value that indicates whether the",
    ];

    private readonly DecodingOptions _decoding = new(maxNew: 128, paying: true, always: true);
    private readonly Option<string[]> _prompts = Values.Texts("--prompt", "A prompt of your own, instead of the built-in three.", "TEXT");
    private readonly Option<int> _repeats = Values.Whole("--repeats", "Timed repeats of each decoder; the median counts.", 3, 1, 1000);

    public DemoVerb()
        : base(
            "demo",
            "Decode prompts one token per call, then by PTP with error correction from the same u, and compare every token. "
            + "In colour: green tokens were drafted and found correct, the others are the model's corrections. The strip under a "
            + "text shows the rounds: # is a correct draft token, + the token that ends a round.",
            "ptp demo",
            "ptp demo --prompt \"Once there was a dragon\" --seed 7 --max-new 64",
            "ptp demo --json                                 # for scripts: identical, speedup, accepted_per_round, ...")
    {
        Add(_prompts);
        _decoding.AddTo(this);
        Add(_repeats);
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var decoding = _decoding.Load(call, backend);
        var (ar, ptp) = (decoding.Autoregressive(), decoding.ErrorCorrected());
        var texts = call.Get(_prompts) is { Length: > 0 } own ? own : BuiltInPrompts;
        var prompts = texts.Select(t => decoding.Model.Encode(t)).ToArray();

        var o = call.Out;
        o.Line($"device   {backend.Name}");
        o.Line($"model    {decoding.Model.Folder} with {decoding.AdapterFolder}");
        o.Line(
            Invariant($"law      temperature {decoding.Law.Temperature}, top-k {decoding.Law.TopK}, ")
            + Invariant($"top-p {decoding.Law.TopP}; seed {decoding.Seed}; {(decoding.Pays ? "at most " : "")}{decoding.DraftSlots} slots"));
        foreach (var decoder in (IDecoder[])[ar, ptp])
        {
            // The first calls are compiled, twice for what runs often, and pages are touched; none of that belongs to a token.
            for (var run = 0; run < WarmUpRuns; run++)
            {
                decoder.Decode(prompts[0], decoding.U(), decoding.Limits with { MaxNewTokens = Math.Min(WarmUpTokens, decoding.MaxNew) });
            }
        }

        using var bar = new Progress(o.Host, "demo");
        var runs = new List<DemoRun>();
        for (var i = 0; i < prompts.Length && !call.Cancellation.IsCancellationRequested; i++)
        {
            runs.Add(DemoRun.Of(decoding, ar, ptp, texts[i], prompts[i], i, call.Get(_repeats), call.Cancellation));
            bar.Report(i + 1, prompts.Length);
            bar.Dispose();
            Show(o, decoding, runs[^1]);
        }

        if (runs.Count == 0)
        {
            return ErrorOutput.Stopped;
        }

        var summary = DemoRun.Summary(runs);
        o.Line();
        double Figure(string name) => (double)summary[name]!;
        var tokens = (long)summary["tokens"]!;
        o.Line(
            Invariant($"token by token {Figure("ar_ms_per_token"):0.00} ms per token; PTP {Figure("ptp_ms_per_token"):0.00} ")
            + Invariant($"ms per token; {Figure("speedup"):0.00} times as fast"));
        o.Line(
            Invariant($"{tokens} tokens in {(long)summary["rounds"]!} rounds, {(long)summary["calls"]!} calls: ")
            + Invariant($"{Figure("accepted_per_round"):0.00} accepted per round, {Figure("tokens_per_call"):0.00} tokens per call"));
        var identical = runs.TrueForAll(r => r.Identical);
        o.Line(identical
            ? Invariant($"identical: yes, all {tokens} tokens, compared one by one, and the reasons to stop")
            : "identical: no");
        o.Result(decoding.Describe(summary, backend));
        return !identical ? ErrorOutput.Failed : call.Cancellation.IsCancellationRequested ? ErrorOutput.Stopped : ErrorOutput.Done;
    }

    private static void Show(Output output, Decoding decoding, DemoRun run)
    {
        output.Line();
        output.WriteDim(run.Prompt);
        var text = new TextStream(decoding.Model.Tokenizer, [], run.Prompt.Length == 0, output.WriteToken);
        run.Replay(text);
        output.Line();
        output.Line();
        output.WriteToken(run.Strip, accepted: false);
        output.Line();
        output.Line(StatsOutput.Line(run.Parallel.Stats));
        output.Line(run.Identical
            ? Invariant($"identical to token by token: yes ({run.Plain.Tokens.Length} tokens)")
            : Invariant($"identical to token by token: no, they differ from token {run.FirstDifference} on"));
    }
}
