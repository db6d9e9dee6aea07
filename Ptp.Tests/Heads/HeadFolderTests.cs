// Heads on disk and at the command line: a head comes back with its weights, its table and its laws; a run that was stopped writes the
// very bytes of one that was not; 'train-head' makes what 'eval', 'generate' and 'compare' take.
// Controls: another base, a damaged file, an unknown architecture.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Ptp.Tests.Commands;
using Xunit;

namespace Ptp.Tests.Heads;

[Collection(SharedTinyModels.Name)]
public sealed class HeadFolderTests(TinyModels tiny) : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    public static TheoryData<string> Names => [.. DraftHeads.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_head_comes_back_as_it_was(string name)
    {
        var drawn = new ExactnessCase(_backend, 5);
        var head = HeadCase.Head(name, drawn.Model, new RandomStream(5, name), deviation: 0.3);
        head.Accuracy = [[0.5, 0.25], [0.125, 0]];
        var folder = tiny.At("stored-" + name);
        HeadFolder.Save(folder, head, name, "0123", "somebody", 7, StoredType.F32);
        var (loaded, architecture) = HeadFolder.Load(folder, drawn.Model, "0123");
        Assert.Equal((name, head.Options with { Seed = 1 }), (architecture, loaded.Options));
        Assert.Equal(head.Accuracy, loaded.Accuracy);
        Assert.Equal(head.Parameters.Select(p => (p.Name, p.Value.Span.ToArray())), loaded.Parameters.Select(p => (p.Name, p.Value.Span.ToArray())));
        int[] Text(DraftHead with) => new TreeDecoding(drawn.Model, new HeadTreeDrafter(with, drawn.Rule), drawn.Law, drawn.Rule)
            .Decode(drawn.Prompt, drawn.U, drawn.Limits).Tokens;
        Assert.Equal(Text(head), Text(loaded));

        var other = Assert.Throws<PtpException>(() => HeadFolder.Load(folder, drawn.Model, "4567"));
        Assert.Contains("somebody", other.Expected, StringComparison.Ordinal);
        Assert.Contains("train-head " + name, other.WayOut, StringComparison.Ordinal);
        var manifest = Path.Combine(folder, HeadFolder.ManifestName);
        var text = File.ReadAllText(manifest);
        foreach (var (from, to) in ((string, string)[])[($"\"{name}\"", "\"nobody\""), ("\"format_version\": 1", "\"format_version\": 2"), ("\"slots\": ", "\"slots\": 9")])
        {
            File.WriteAllText(manifest, text.Replace(from, to, StringComparison.Ordinal));
            Assert.Throws<PtpException>(() => HeadFolder.Load(folder, drawn.Model, "0123"));
        }

        File.Delete(manifest);
        Assert.Throws<PtpException>(() => HeadFolder.Load(folder, drawn.Model, "0123"));
    }

    // Two architectures that draw at random while they train: noise of features, runs of slots.
    [Theory]
    [InlineData(Eagle1.Architecture)]
    [InlineData(Samragh.Architecture)]
    public void A_stopped_run_goes_on_to_the_very_bytes(string name)
    {
        var drawn = new ExactnessCase(_backend, 8);
        var random = new RandomStream(8, "texts");
        Completion[] texts = [.. Enumerable.Range(0, 5).Select(i => new Completion(
            [.. Enumerable.Range(0, 12).Select(_ => random.NextInt(drawn.Model.Config.VocabularySize))], 3,
            Auxiliaries.FromSeed((ulong)i, drawn.U.Width)))];
        var sizes = new HeadOptions { Slots = 3, Width = 6, Rank = 2 };
        HeadRunOptions Options(string folder) => new()
        {
            Output = tiny.At(folder),
            Architecture = name,
            Fingerprint = "0123",
            BaseName = "base",
            Law = drawn.Law,
            Rule = drawn.Rule,
            Tokens = 24,
            Rate = new LearningRate { Steps = 12, WarmUp = 2 },
            CheckpointEvery = 5,
            CalibrationPlaces = 10,
        };
        bool Run(HeadRunOptions options, int stopAfter)
        {
            using var stop = new CancellationTokenSource();
            var head = HeadRun.Resumes(options.Output)
                ? HeadFolder.Load(options.Output, drawn.Model, "0123").Head
                : DraftHeads.Make(name, drawn.Model, sizes);
            return HeadRun.Run(options, head, texts, report =>
            {
                if (report.Step == stopAfter)
                {
                    stop.Cancel();
                }
            }, stop.Token);
        }

        var (whole, stopped) = (Options(name + "-whole"), Options(name + "-stopped"));
        Assert.True(Run(whole, stopAfter: 0));
        Assert.False(Run(stopped, stopAfter: 7));
        Assert.True(HeadRun.Resumes(stopped.Output));
        byte[] Weights(HeadRunOptions options) => File.ReadAllBytes(Path.Combine(options.Output, HeadFolder.WeightsName));
        Assert.NotEqual(Weights(whole), Weights(stopped));
        Assert.True(Run(stopped, stopAfter: 0));
        Assert.Equal(Weights(whole), Weights(stopped));
        Assert.False(HeadRun.Resumes(stopped.Output));
    }

    [Fact]
    public void From_a_base_to_a_head_that_drafts()
    {
        var folder = tiny.At("trained-heads/hydra");
        string[] train =
        [
            "train-head", "hydra", "--model", tiny.Base, "--output", folder, "--completions", tiny.At("head-completions"), "--count", "64",
            "--max-prompt", "32", "--max-new", "24", "--steps", "4", "--context-tokens", "64", "--slots", "3",
        ];
        Assert.True(CliRun.Result(train).GetProperty("complete").GetBoolean());
        CliRun.Refuses("--overwrite", train);
        CliRun.Refuses("one of gloeckle", [.. train.Select(a => a == "hydra" ? "hydro" : a)]);
        CliRun.Refuses("prompts = nothing", [.. train, "--overwrite", "--corpus", tiny.Corpus]); // completions without prompts
        string[] eval = ["eval", "--model", tiny.Base, "--data", tiny.Text, "--prompts", "2", "--prompt-tokens", "6", "--max-new", "10"];
        Assert.True(CliRun.Result([.. eval, "--head", folder]).GetProperty("accepted_per_round").GetDouble() >= 1);
        Assert.True(CliRun.Result([.. eval, "--head", folder, "--tree", "8"]).GetProperty("accepted_per_round").GetDouble() >= 1);
        CliRun.Refuses("one of them", [.. eval, "--head", folder, "--adapter", tiny.Adapter]);
        CliRun.Refuses("trained on", [.. eval.Select(a => a == tiny.Base ? tiny.Other : a), "--head", folder]);
        string[] generate = ["generate", "--model", tiny.Base, "--prompt", "the cat", "--max-new", "12"];
        Assert.Equal(
            CliRun.Result([.. generate, "--decoder", "ar"]).GetProperty("text").GetString(),
            CliRun.Result([.. generate, "--head", folder]).GetProperty("text").GetString());
    }

    public void Dispose() => _backend.Dispose();
}
