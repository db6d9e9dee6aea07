// ptp corpus, tokenizer train, train and distill, end to end on a made-up corpus; Ctrl-C in the middle of training.
// A run that was stopped and resumed must write the very bytes of a run that was not: the stop costs nothing.
// Not here: how well the models learn.

using System.Text.Json;
using System.Xml.Linq;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class TrainingVerbTests(TinyModels tiny)
{
    private string[] Train(string output, int steps = 60) =>
    [
        "train", "--corpus", tiny.Corpus, "--output", output, "--size", "4k", "--vocab", "270", "--context", "32", "--rows", "32",
        "--steps", $"{steps}", "--warmup", "2", "--checkpoint-every", "1000", "--threads", "1",
    ];

    [Fact]
    public void From_text_to_a_model_with_an_adapter()
    {
        var corpus = tiny.At("made-corpus");
        var made = CliRun.Result("corpus", "--output", corpus, "--stories", tiny.Text);
        Assert.Equal(1, made.GetProperty("corpora").GetArrayLength());
        var model = tiny.At("made");
        var tokenizer = CliRun.Result(
            "tokenizer", "train", "--corpus", corpus, "--vocab", "280", "--output", Path.Combine(model, "tokenizer.json"));
        Assert.Equal(280, tokenizer.GetProperty("vocabulary_size").GetInt32());

        var curve = tiny.At("curve.svg");
        var trained = CliRun.Result(
            "train", "--corpus", corpus, "--output", model, "--hidden", "16", "--layers", "1", "--heads", "2", "--kv-heads", "1",
            "--steps", "6", "--rows", "64", "--context", "64", "--warmup", "1", "--checkpoint-every", "3", "--curve", curve);
        Assert.True(trained.GetProperty("complete").GetBoolean());
        Assert.Equal(JsonValueKind.Number, trained.GetProperty("heldout_perplexity").GetProperty("stories").ValueKind);
        Assert.Equal("svg", XDocument.Load(curve).Root!.Name.LocalName);

        var adapter = tiny.At("made-ptp");
        string[] distill =
        [
            "distill", "--model", model, "--corpus", corpus, "--output", adapter, "--completions", tiny.At("made-completions"),
            "--count", "64", "--max-new", "12", "--max-prompt", "8", "--slots", "4", "--rank", "2", "--steps", "4", "--warmup", "1",
            "--context-tokens", "64", "--slot-rows", "32",
        ];
        var distilled = CliRun.Result(distill);
        Assert.True(distilled.GetProperty("complete").GetBoolean());
        Assert.Equal(64, distilled.GetProperty("completions").GetInt32());
        Assert.True(CliRun.Result("demo", "--model", model, "--adapter", adapter, "--prompt", "the cat", "--max-new", "12", "--repeats", "1")
            .GetProperty("identical").GetBoolean());

        // The same completions serve a second adapter, but not another law.
        string[] second = [.. distill.Select(a => a == adapter ? tiny.At("made-independent") : a), "--embedding", "constant"];
        string[] third = [.. distill.Select(a => a == adapter ? tiny.At("made-categorical") : a), "--reading", "categorical", "--sampler-width", "8"];
        Assert.True(CliRun.Result(third).GetProperty("complete").GetBoolean());
        CliRun.Result("eval", "--model", model, "--adapter", tiny.At("made-categorical"), "--data", corpus, "--prompts", "2", "--prompt-tokens", "8", "--max-new", "8", "--budget", "6");
        CliRun.Result(second);
        CliRun.Refuses("temperature = 1", [.. second, "--overwrite", "--temperature", "1"]);

        // A flow head on the independent slots, taught by the base, and by texts alone; what trees and branches cannot use, and what no head fits on.
        var (independent, flow) = (tiny.At("made-independent"), tiny.At("made-flow"));
        string[] head = [.. distill.Select(a => a == adapter ? flow : a), "--flow", independent, "--flow-layers", "2", "--flow-width", "8"];
        Assert.True(CliRun.Result(head).GetProperty("complete").GetBoolean());
        string[] alone = [.. head.Select(a => a == flow ? tiny.At("made-flow-alone") : a), "--proposals", "dataset", "--flow-bins", "4"];
        CliRun.Result([.. head.Select(a => a == flow ? tiny.At("made-flow-tied") : a), "--flow-tied"]);
        Assert.True(CliRun.Result(alone).GetProperty("complete").GetBoolean());
        string[] use = ["--model", model, "--adapter", flow, "--max-new", "8"];
        var compared = CliRun.Result([
            "eval", .. use, "--compare", tiny.At("made-flow-alone"), "--data", corpus, "--prompts", "2", "--prompt-tokens", "8"]);
        Assert.True(compared.GetProperty("accepted_per_round").GetDouble() > 1); // the first token of a draft is exact
        Assert.True(CliRun.Result(["demo", .. use, "--prompt", "the cat", "--repeats", "1"]).GetProperty("identical").GetBoolean());
        CliRun.Refuses("a flow head", ["generate", .. use, "--decoder", "tree", "--prompt", "a"]);
        CliRun.Refuses("a flow head", ["generate", .. use, "--decoder", "pqd", "--prompt", "a"]);
        CliRun.Refuses("see neither u", [.. head.Select(a => a == independent ? adapter : a), "--overwrite"]);
        CliRun.Refuses("see neither u", [.. head.Select(a => a == independent ? flow : a), "--overwrite"]);
    }

    [Fact]
    public async Task Ctrl_C_keeps_what_was_done_and_the_same_command_goes_on()
    {
        const int Steps = 4000; // long enough that the stop comes before the end, however fast the machine is
        var whole = tiny.At("uninterrupted");
        Assert.Equal(0, CliRun.Of(Train(whole, Steps)).Code);

        var folder = tiny.At("interrupted");
        using var stop = new CancellationTokenSource();
        var host = new CliHost(TextWriter.Null, TextWriter.Null) { Cancellation = stop.Token };
        var first = Task.Run(() => CliRun.Of(host, Train(folder, Steps)));
        var log = Path.Combine(folder, "log.jsonl");
        while (!first.IsCompleted && !(File.Exists(log) && new FileInfo(log).Length > 500))
        {
            Thread.Sleep(1); // not Task.Delay: its continuation waits for a pool that other tests keep busy
        }

        await stop.CancelAsync();
        var stopped = await first;
        Assert.Equal(130, stopped.Code);
        Assert.True(File.Exists(Path.Combine(folder, "optimiser.safetensors")));
        Assert.Contains("the same command goes on", stopped.Out, StringComparison.Ordinal);
        CliRun.Refuses("another size", [.. Train(folder, Steps), "--layers", "2"]);
        CliRun.Refuses("seed = 2", [.. Train(folder, Steps), "--seed", "2"]);
        var record = Path.Combine(folder, "run.json");
        var text = File.ReadAllText(record);
        File.WriteAllText(record, text[..10]);
        CliRun.Refuses("damaged", Train(folder, Steps));
        File.WriteAllText(record, text);

        Assert.Equal(0, CliRun.Of(Train(folder, Steps)).Code);
        Assert.False(File.Exists(Path.Combine(folder, "optimiser.safetensors")));
        foreach (var file in (string[])["model.safetensors", "tokenizer.json", "config.json"])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(whole, file)), File.ReadAllBytes(Path.Combine(folder, file)));
        }
    }

    [Fact]
    public void A_stop_before_the_first_step_leaves_no_model()
    {
        var folder = tiny.At("never-started");
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        var host = new CliHost(TextWriter.Null, TextWriter.Null) { Cancellation = stop.Token };
        Assert.Equal(130, CliRun.Of(host, Train(folder)).Code);
        Assert.False(File.Exists(Path.Combine(folder, "model.safetensors")));
    }

    [Fact]
    public void Overwriting_has_to_be_asked_for()
    {
        var folder = tiny.At("overwritten");
        Assert.Equal(0, CliRun.Of(Train(folder, steps: 2)).Code);
        CliRun.Refuses("--overwrite", Train(folder, steps: 2));
        Assert.Equal(0, CliRun.Of([.. Train(folder, steps: 2), "--overwrite"]).Code);
    }
}
