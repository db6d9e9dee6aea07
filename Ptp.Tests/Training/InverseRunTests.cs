// Runs of inverse autoregressive training: one that is stopped and goes on writes the very bytes of one that is not; 'ptp iat' makes adapters
// of every kind from text alone, and 'ptp eval --by-position' reads them; the first position is the network's own next-token law.
// Controls: another seed writes other bytes; later positions are not the next-token law. Not here: how well slots learn (docs/08).

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Ptp.Tests.Commands;
using Xunit;

namespace Ptp.Tests.Training;

[Collection(SharedTinyModels.Name)]
public sealed class InverseRunTests(TinyModels tiny) : IDisposable
{
    private const int Vocabulary = 7;
    private const int Slots = 4;
    private readonly CpuBackend _backend = new(1);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_stopped_run_goes_on_to_the_same_bytes(bool gated)
    {
        var whole = Train(gated, "whole", seed: 1, stopAfter: int.MaxValue);
        Assert.Equal(whole, Train(gated, "stopped", seed: 1, stopAfter: 3));
        Assert.NotEqual(whole, Train(gated, "other", seed: 2, stopAfter: int.MaxValue));
    }

    [Fact]
    public void The_first_position_is_the_network_s_own_next_token_law() => Cases.RunSeeds(12, seed =>
    {
        var random = new RandomStream((ulong)seed, "positions");
        var ptp = Model(random, gated: seed % 2 == 0);
        var texts = new SplitTexts(
            [.. Enumerable.Range(0, 5).Select(i => Tokens(random, 2 + i + Slots))], [.. Enumerable.Range(0, 5).Select(i => 2 + i)]);
        var (slots, tokens) = (PositionLoss.OfSlots(ptp, texts, random.NextBits()), PositionLoss.OfNextToken(ptp.Network, texts, ptp.Law));
        Assert.Equal(tokens[0], slots[0], 1e-9);
        Assert.True(Math.Abs(tokens[^1] - slots[^1]) > 1e-3, $"{tokens[^1]} and {slots[^1]}"); // random slots are not the next-token law
        var ragged = new SplitTexts([Tokens(random, 6), Tokens(random, 6)], [1, 2]);
        Assert.Contains("different numbers", Assert.Throws<PtpException>(() => PositionLoss.OfNextToken(ptp.Network, ragged, ptp.Law)).Message,
            StringComparison.Ordinal);
    });

    [Fact]
    public void The_verb_makes_adapters_from_text_alone_and_eval_reads_them()
    {
        foreach (var kind in (string[])["gated-lora", "tuned", "scratch"])
        {
            var folder = tiny.At("iat-" + kind);
            string[] iat =
            [
                "iat", "--model", tiny.Base, "--corpus", tiny.Corpus, "--output", folder, "--kind", kind, "--slots", "4", "--rank", "2", "--texts", "32",
                "--text-tokens", "24", "--rows", "48", "--steps", "3", "--warmup", "1", "--own-law", "0.5",
            ];
            var trained = CliRun.Result(iat);
            Assert.True(trained.GetProperty("complete").GetBoolean());
            Assert.Equal(3, trained.GetProperty("step").GetInt32());
            CliRun.Refuses("--overwrite", iat);
            var positions = CliRun.Result(
                "eval", "--model", tiny.Base, "--adapter", folder, "--data", tiny.Corpus, "--prompts", "3", "--prompt-tokens", "8", "--max-new", "8",
                "--by-position").GetProperty("by_position");
            Assert.Equal(4, positions.GetProperty("slots").GetArrayLength());
            var (first, plain) = (positions.GetProperty("slots")[0].GetDouble(), positions.GetProperty("base")[0].GetDouble());
            Assert.Equal(kind == "gated-lora", Math.Abs(first / plain - 1) < 1e-9); // only a gated adapter leaves the base as it is
        }

        CliRun.Refuses("a sampler head", "eval", "--model", tiny.Base, "--adapter", tiny.Categorical, "--data", tiny.Corpus, "--prompts", "1",
            "--prompt-tokens", "8", "--max-new", "4", "--by-position");
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>Six steps, stopped once if asked, and the bytes of what they wrote.</summary>
    private byte[] Train(bool gated, string name, ulong seed, int stopAfter)
    {
        var folder = tiny.At($"inverse-{name}-{gated}");
        var random = new RandomStream(5, "inverse run");
        var first = Model(random, gated);
        int[][] texts = [.. Enumerable.Range(0, 20).Select(_ => Tokens(random, 9))];
        var options = new InverseRunOptions
        {
            Output = folder,
            Fingerprint = "base",
            BaseName = "base",
            Step = new InverseTrainingOptions { Rows = 40, Horizon = Slots, Seed = seed },
            Rate = new LearningRate { Peak = 1e-2, WarmUp = 2, Steps = 6 },
        };
        using var stop = new CancellationTokenSource();
        var complete = InverseRun.Run(options, first, texts, report => Stop(report.Step), stop.Token);
        if (!complete)
        {
            Assert.True(DistillationRun.Resumes(folder));
            complete = InverseRun.Run(options, PtpAdapter.Load(folder, first.Network, "base"), texts, null, CancellationToken.None);
        }

        Assert.True(complete && !DistillationRun.Resumes(folder));
        return [.. Directory.GetFiles(folder, "*.safetensors", SearchOption.AllDirectories).Order(StringComparer.Ordinal).SelectMany(File.ReadAllBytes)];

        void Stop(int step)
        {
            if (step == stopAfter)
            {
                stop.Cancel();
            }
        }
    }

    private static int[] Tokens(RandomStream random, int length) => [.. Enumerable.Range(0, length).Select(_ => random.NextInt(Vocabulary))];

    private SlotModel Model(RandomStream random, bool gated)
    {
        var network = ExactnessCase.RandomModel(_backend, new TransformerConfig
        {
            VocabularySize = Vocabulary,
            HiddenSize = 8,
            IntermediateSize = 12,
            Layers = 2,
            Heads = 2,
            KeyValueHeads = 2,
            MaxContext = 16,
        }.Validated(), random);
        var lora = gated ? new GatedLora(_backend, network.Config, 2, 1, random.NextBits()) : null;
        var ptp = new SlotModel(
            network, lora, AuxiliaryEmbedding.Parse("linear:3"), Slots, new SamplingOptions { Temperature = 1 }, InverseCdf.Instance, random.NextBits(),
            SlotStart.MeanToken, SlotReading.Categorical);
        Initialise.Gaussian(ptp.Table, random, 1);
        return ptp;
    }
}
