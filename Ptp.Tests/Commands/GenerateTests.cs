// ptp generate, demo and eval on tiny random models: same text from every decoder, whole JSON, stop strings, streams.
// The negative control: another seed gives another text, so equality is no accident.
// Not here: whether drafts are good. Random adapters are rarely right, and exactness must not depend on it.

using System.Text.Json;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class GenerateTests(TinyModels tiny)
{
    // 12 seeds x 3 decoders (plain, gated adapter, student), alternating laws.
    [Fact]
    public void Every_decoder_writes_the_same_text()
    {
        var different = 0;
        var before = "";
        for (var seed = 0; seed < 12; seed++)
        {
            string[] law = (seed % 3) switch
            {
                0 => [],
                1 => ["--temperature", "1.5", "--top-k", "20", "--allow-other-law"],
                _ => ["--temperature", "0", "--allow-other-law"],
            };
            string[] common =
            [
                "generate", "--model", tiny.Base, "--prompt", "The cat", "--max-new", "30", "--seed", $"{seed}", .. law,
            ];
            var plain = CliRun.Result([.. common, "--decoder", "ar", "--adapter", tiny.Adapter]);
            var gated = CliRun.Result([.. common, "--decoder", "ptp", "--adapter", tiny.Adapter, "--slots", $"{seed % 7}"]);
            var student = CliRun.Result([.. common, "--adapter", tiny.Student]);
            var categorical = CliRun.Result([.. common, "--adapter", tiny.Categorical, "--slots", $"{seed % 7}"]);
            Assert.Equal("ptp", student.GetProperty("decoder").GetString());
            var branches = CliRun.Result([.. common, "--adapter", tiny.Categorical, "--decoder", "pqd", "--budget", $"{seed}"]);
            var tree = CliRun.Result([.. common, "--adapter", tiny.Categorical, "--decoder", "tree", "--budget", $"{seed}"]);
            foreach (var other in (JsonElement[])[gated, student, categorical, branches, tree])
            {
                Assert.Equal(plain.GetProperty("text").GetString(), other.GetProperty("text").GetString());
                Assert.Equal(plain.GetProperty("stop").GetString(), other.GetProperty("stop").GetString());
                Assert.Equal(Ids(plain), Ids(other));
            }

            different += plain.GetProperty("text").GetString() != before ? 1 : 0;
            before = plain.GetProperty("text").GetString()!;
        }

        Assert.True(different >= 10, "other seeds must give other texts, or equality above says nothing");
    }

    [Fact]
    public void The_result_has_all_fields_as_plain_numbers()
    {
        var result = CliRun.Result("generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x", "--max-new", "12");
        var stats = result.GetProperty("stats");
        foreach (var name in (string[])[
            "tokens", "rounds", "calls", "drafter_calls", "rows_per_call", "accepted_per_round", "correct_per_round",
            "own_accepted_per_round", "tokens_per_call", "ms_per_token", "tokens_per_second", "prompt_ms"])
        {
            Assert.Equal(JsonValueKind.Number, stats.GetProperty(name).ValueKind);
        }

        Assert.Equal(Ids(result).Count, stats.GetProperty("tokens").GetInt32());
    }

    [Fact]
    public void Standard_output_holds_the_text_alone()
    {
        string[] args = ["generate", "--model", tiny.Base, "--prompt", "The cat", "--max-new", "40"];
        var text = CliRun.Result(args).GetProperty("text").GetString();
        Assert.Equal(text + "\n", CliRun.Of(args).Out);
        Assert.Equal(text + "\n", CliRun.Of([.. args, "--no-stream"]).Out);
        Assert.Equal(text + "\n", CliRun.Of([.. args, "--threads", "2"]).Out);
        var fromInput = new CliHost(TextWriter.Null, TextWriter.Null) { In = new StringReader("The cat") };
        Assert.Equal(text + "\n", CliRun.Of(fromInput, "generate", "--model", tiny.Base, "--prompt", "-", "--max-new", "40").Out);
    }

    [Fact]
    public void A_stop_string_ends_both_decoders_at_the_same_token()
    {
        string[] args = ["generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "The cat", "--max-new", "40"];
        var whole = CliRun.Result(args).GetProperty("text").GetString()!;
        var stop = whole.Substring(whole.Length / 2, 2);
        var cut = whole[..whole.IndexOf(stop, StringComparison.Ordinal)];
        var ptp = CliRun.Result([.. args, "--stop", stop]);
        var ar = CliRun.Result([.. args, "--stop", stop, "--decoder", "ar"]);
        Assert.Equal(cut, ptp.GetProperty("text").GetString());
        Assert.Equal("stop_string", ptp.GetProperty("stop").GetString());
        Assert.Equal(Ids(ar), Ids(ptp));
        Assert.Equal(cut, ar.GetProperty("text").GetString());
    }

    [Fact]
    public void Bench_measures_calls_and_decoding()
    {
        var calls = CliRun.Result("bench", "calls", "--model", tiny.Base, "--max-rows", "4", "--context", "8", "--rounds", "1");
        Assert.Equal([1, 1, 2, 2, 3, 3, 4, 4], calls.GetProperty("calls").EnumerateArray().Select(c => c.GetProperty("rows").GetInt32()));
        Assert.All(calls.GetProperty("calls").EnumerateArray(), c => Assert.True(c.GetProperty("ms").GetDouble() > 0));
        var decode = CliRun.Result("bench", "decode", "--model", tiny.Base, "--prompt-tokens", "8", "--tokens", "4", "--rounds", "2");
        Assert.Equal(["pp8", "tg4"], decode.GetProperty("results").EnumerateArray().Select(r => r.GetProperty("test").GetString()));
        CliRun.Refuses("Lower --max-rows", "bench", "calls", "--model", tiny.Base, "--context", "100000");
        CliRun.Refuses("Lower --prompt-tokens", "bench", "decode", "--model", tiny.Base, "--tokens", "100000");
    }

    [Fact]
    public void An_empty_prompt_starts_from_the_begin_token()
    {
        var result = CliRun.Result("generate", "--model", tiny.Base, "--max-new", "5", "--adapter", "none");
        Assert.Equal(1, result.GetProperty("prompt_tokens").GetInt32());
        Assert.Equal("ar", result.GetProperty("decoder").GetString());
    }

    [Fact]
    public void On_a_terminal_accepted_tokens_are_green()
    {
        var noColour = Environment.GetEnvironmentVariable("NO_COLOR");
        var host = new CliHost(TextWriter.Null, TextWriter.Null) { OutIsTerminal = true };
        var run = CliRun.Of(host, "generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x", "--max-new", "20",
            "--slots", "0");
        Assert.Equal(string.IsNullOrEmpty(noColour), run.Out.Contains("\u001b[32m", StringComparison.Ordinal));
        var plain = CliRun.Of("generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x", "--max-new", "20");
        Assert.DoesNotContain('\u001b', plain.Out);
    }

    [Fact]
    public void The_demo_proves_that_both_texts_are_identical()
    {
        string[] args = ["demo", "--model", tiny.Base, "--adapter", tiny.Adapter, "--max-new", "16", "--repeats", "1"];
        var result = CliRun.Result([.. args, "--prompt", "The cat", "--prompt", "A dog"]);
        Assert.True(result.GetProperty("identical").GetBoolean());
        Assert.Equal(2, result.GetProperty("texts").GetArrayLength());
        foreach (var name in (string[])[
            "tokens", "rounds", "calls", "accepted_per_round", "tokens_per_call", "ar_ms_per_token", "ptp_ms_per_token",
            "speedup", "slots", "own_accepted_per_round"])
        {
            Assert.Equal(JsonValueKind.Number, result.GetProperty(name).ValueKind);
        }

        var run = CliRun.Of([.. args, "--prompt", "a", "--prompt", "b"]);
        Assert.Equal(0, run.Code);
        Assert.Contains("identical: yes", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Eval_counts_add_up()
    {
        string[] args =
        [
            "eval", "--model", tiny.Base, "--adapter", tiny.Adapter, "--data", tiny.Corpus, "--prompts", "3",
            "--prompt-tokens", "10", "--max-new", "20", "--loss-tokens", "500", "--compare", tiny.Student, "--incompatible",
        ];
        var result = CliRun.Result(args);
        var histogram = result.GetProperty("histogram").EnumerateArray().Select(e => e.GetDouble()).ToList();
        Assert.Equal(result.GetProperty("rounds").GetDouble(), histogram.Sum());
        Assert.Equal(
            result.GetProperty("correct_per_round").GetDouble(),
            histogram.Select((rounds, correct) => rounds * correct).Sum() / histogram.Sum(), 12);
        var bySlot = result.GetProperty("by_slot").EnumerateArray().Select(e => e.GetDouble()).ToList();
        Assert.Equal(bySlot.OrderDescending(), bySlot);
        Assert.InRange(result.GetProperty("perplexity").GetDouble(), 1, 1e9);
        Assert.InRange(result.GetProperty("incompatible_rate").GetDouble(), 0, 1);
        Assert.Equal(JsonValueKind.Number, result.GetProperty("ratio").GetProperty("accepted_per_round").ValueKind);
        Assert.Contains("pooled", CliRun.Of(args).Out, StringComparison.Ordinal);
    }

    private static List<int> Ids(JsonElement result) =>
        [.. result.GetProperty("token_ids").EnumerateArray().Select(e => e.GetInt32())];
}
