// ptp specbench on tiny models: answer files in the published schema, resumed runs, equality with plain decoding, speeds by definition.
// Controls: a changed answer is found, a short file and numbers in disagreement are errors, other options cannot join a run.
// Not here: Spec-Bench's own questions on a chat model, which need one.

using System.Text.Json;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Reference.SpecBench;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class SpecBenchTests(TinyModels tiny)
{
    private static readonly string[] s_systems = ["ptp", "prompt lookup"];

    [Fact]
    public void Answers_have_the_schema_go_on_where_they_stopped_and_equal_plain_decoding()
    {
        var (questions, folder) = (tiny.At("questions.jsonl"), tiny.At("answers"));
        File.WriteAllLines(questions, [
            """{"question_id": 81, "category": "writing", "turns": ["Sing.", "Again."]}""",
            """{"question_id": 321, "category": "qa", "turns": ["Why?"], "reference": ["So."]}""",
            $$"""{"question_id": 241, "category": "summarization", "turns": ["{{new string('x', 500)}}"]}""",
        ]);
        string[] call =
        [
            "specbench", "--model", tiny.Base, "--adapter", tiny.Categorical, "--questions", questions, "--output", folder, "--max-new", "9",
            "--nodes", "8", "--temperature", "0.8", "--systems", .. s_systems,
        ];
        var result = CliRun.Result(call);
        Assert.Equal(1, result.GetProperty("too_long").GetInt32());
        var systems = result.GetProperty("systems").EnumerateArray().ToList();
        Assert.Equal(["autoregressive", .. s_systems], systems.Select(s => s.GetProperty("name").GetString()));
        Assert.All(systems, s => Assert.True(s.GetProperty("guarantee_holds").GetBoolean() && s.GetProperty("questions").GetInt32() == 2));
        Assert.Equal(1, systems[0].GetProperty("mean_accepted_tokens").GetDouble());
        Assert.Equal(1, systems[0].GetProperty("speedup").GetDouble());

        var file = Path.Combine(folder, "prompt-lookup.jsonl");
        var lines = File.ReadAllLines(file);
        var choice = JsonNode.Parse(lines[0])!["choices"]![0]!;
        Assert.Equal(2, choice["turns"]!.AsArray().Count);
        Assert.Equal(choice["new_tokens"]!.AsArray().Sum(n => (int)n!), choice["accept_lengths"]!.AsArray().Sum(n => (int)n!));

        // Stopped in the middle of a line: the next run keeps what is whole and answers the rest, with the same words.
        File.WriteAllText(file, lines[0] + "\n" + lines[1][..20]);
        CliRun.Result(call);
        var again = File.ReadAllLines(file);
        Assert.Equal(lines[0], again[0]);
        Assert.Equal(Turns(lines[1]), Turns(again[1]));

        // An answer with another word is no longer plain decoding's: exit code 1.
        File.WriteAllText(file, again[0].Replace("\"turns\":[\"", "\"turns\":[\"!") + "\n" + again[1] + "\n");
        var broken = CliRun.Of(call);
        Assert.Equal(1, broken.Code);
        Assert.Contains("BROKEN", broken.Out, StringComparison.Ordinal);

        File.WriteAllText(file, again[0].Replace("\"new_tokens\":[", "\"new_tokens\":[7,") + "\n" + again[1] + "\n");
        CliRun.Refuses("line 1", call);
        File.WriteAllText(file, again[0] + "\n" + again[0] + "\n");
        CliRun.Refuses("one per question", call);
        CliRun.Refuses("max_new = 9", [.. call.Select(a => a == "9" ? "10" : a)]);
    }

    private static string Turns(string line) => JsonNode.Parse(line)!["choices"]![0]!["turns"]!.ToJsonString();

    [Fact]
    public void A_short_file_is_no_equal_one_and_speed_is_the_ratio_of_means()
    {
        SpecAnswer Of(int id, string category, double seconds, params int[] lengths) =>
            new(id, category, "x", ["a"], [lengths.Length], [lengths.Sum()], [seconds], lengths);
        SpecAnswer[] plain = [Of(1, "qa", 1, 1, 1, 1, 1), Of(2, "rag", 2, 1, 1)];
        SpecAnswer[] fast = [Of(1, "qa", 0.5, 3, 1), Of(2, "rag", 2, 2)];
        var report = SpecReport.Compare("x", plain, fast);
        Assert.Equal((8.0 + 1) / (4 + 1), report.Speedup, 12); // means of 8 and 1, of 4 and 1 tokens per second
        Assert.Equal((2.0, 1.0), (report.SpeedupByTask["qa"], report.SpeedupByTask["rag"]));
        Assert.Equal(2, report.MeanAccepted); // 3, 1 and 2, pooled
        Assert.Equal(0, report.Different);
        Assert.Throws<PtpException>(() => SpecReport.Compare("x", plain, [fast[0]]));
        Assert.Throws<PtpException>(() => SpecReport.Compare("x", plain, [.. fast, Of(3, "qa", 1, 1)]));
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"question_id": 1, "category": "qa", "turns": []}""")]
    [InlineData("""{"question_id": "one", "category": "qa", "turns": ["a"]}""")]
    [InlineData("no json")]
    [InlineData("")]
    public void Damaged_questions_are_refused(string line)
    {
        var file = tiny.At("damaged.jsonl");
        File.WriteAllText(file, line + "\n");
        CliRun.Refuses("questions", "specbench", "--model", tiny.Base, "--questions", file, "--output", tiny.At("none"));
        CliRun.Refuses("no such file", "specbench", "--model", tiny.Base, "--questions", tiny.At("absent.jsonl"));
    }

    [DataFact("corpora/spec-bench/question.jsonl")]
    public void The_published_questions_are_read()
    {
        var questions = SpecQuestion.Read(TestData.Path("corpora/spec-bench/question.jsonl"));
        Assert.Equal(480, questions.Count);
        Assert.All(SpecQuestion.Tasks, task => Assert.Equal(80, questions.Count(q => q.Task == task)));
        Assert.All(questions, q => Assert.Equal(q.Task == "multi-turn" ? 2 : 1, q.Turns.Count));
    }

    [Fact]
    public void Templates_put_answers_where_they_belong()
    {
        Assert.EndsWith("USER: a ASSISTANT: b</s>USER: c ASSISTANT:", ChatTemplate.Prompt("vicuna", ["a", "c"], ["b"]), StringComparison.Ordinal);
        Assert.Equal("<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n",
            ChatTemplate.Prompt("chatml", ["a", "c"], ["b"]));
        Assert.Equal("a\nb\nc\n", ChatTemplate.Prompt("plain", ["a", "c"], [" b"]));
        Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(new SpecAnswer(1, "qa", "x", ["a"], [1], [1], [1], [1]).ToLine()).RootElement.ValueKind);
    }
}
