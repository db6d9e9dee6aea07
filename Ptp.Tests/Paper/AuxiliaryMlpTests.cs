// The small network behind the features of u: its rows are those of the formula in double, a new one changes nothing, its gradients are the
// slopes of the loss, and an adapter that has one is read back to the bit. 20 random models each.
// Control: without the network the rows are others. Not here: whether it helps (ptp study embeddings).

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class AuxiliaryMlpTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    [Theory]
    [InlineData("number+mlp:5")]
    [InlineData("thermometer:4+mlp:7")]
    [InlineData("fixed-point+mlp:3")]
    public void Rows_follow_the_formula(string name) => Cases.RunSeeds(20, seed =>
    {
        var (ptp, u) = Draw(name, seed);
        var fresh = Rows(ptp, u);
        var (features, hidden) = (Features(ptp, u), ptp.Network.Config.HiddenSize);
        Move(ptp, seed);
        var (moved, mlp) = (Rows(ptp, u), ptp.EmbeddingParameters.Skip(1).Select(p => p.Value).ToArray());
        Assert.NotEqual(fresh, moved); // the control
        for (var row = 0; row < u.Length; row++)
        {
            double Dot(int weight, int of, Func<int, double> x) => Enumerable.Range(0, mlp[weight].Columns).Sum(i => mlp[weight].Row(of)[i] * x(i));
            double Unit(int w) => Dot(0, w, i => features[row][i]) is var gate ? gate / (1 + Math.Exp(-gate)) * Dot(1, w, i => features[row][i]) : 0;
            for (var d = 0; d < hidden; d++)
            {
                Assert.Equal(fresh[row * hidden + d] + Dot(2, d, Unit), moved[row * hidden + d], 1e-4);
            }
        }
    });

    [Fact]
    public void A_new_one_changes_nothing() => Cases.RunSeeds(20, seed =>
    {
        var (ptp, u) = Draw("number+mlp:5", seed);
        Assert.Equal(Rows(Draw("number", seed).Ptp, u), Rows(ptp, u));
    });

    [Fact]
    public void Gradients_are_slopes_of_the_loss() => Cases.RunSeeds(20, seed =>
    {
        var ptp = Draw("number+mlp:5", seed).Ptp;
        Move(ptp, seed);
        var texts = new SplitTexts([[1, 2, 3, 4, 0], [4, 0, 0, 2]], [1, 2]);
        var trainer = new InverseAutoregressiveTraining(ptp, texts.Texts, new InverseTrainingOptions(), new AdamWOptions(), new LearningRate());
        var inferred = new Inversion(ptp).Sequential(texts, 5);
        trainer.Loss(texts, inferred);
        trainer.Backward();
        var largest = 0.0;
        foreach (var parameter in ptp.EmbeddingParameters.Skip(1))
        {
            var (value, gradient) = (parameter.Value.Span.ToArray(), parameter.Gradient!.Span.ToArray());
            var index = Array.IndexOf(gradient, gradient.MaxBy(MathF.Abs));
            double At(float step)
            {
                var moved = (float[])value.Clone();
                moved[index] += step;
                Initialise.Set(parameter, moved);
                return trainer.Loss(texts, inferred).Loss;
            }

            var slope = (At(5e-3f) - At(-5e-3f)) / 1e-2;
            Initialise.Set(parameter, value);
            Assert.Equal(slope, gradient[index], 0.02 * (1 + Math.Abs(slope)));
            largest = Math.Max(largest, Math.Abs(slope));
        }

        Assert.True(largest > 0.05, $"control: slopes of at most {largest} say nothing");
    });

    [Fact]
    public void An_adapter_that_has_one_is_read_back()
    {
        var folder = Directory.CreateTempSubdirectory("ptp-mlp-").FullName;
        try
        {
            var (ptp, u) = Draw("number+mlp:5", 3);
            Move(ptp, 3);
            PtpAdapter.Save(folder, ptp, "base", "base", 1, StoredType.F32);
            var loaded = PtpAdapter.Load(folder, ptp.Network, "base");
            Assert.Equal(("number+mlp:5", 5), (loaded.Embedding.Name, loaded.Embedding.MlpWidth));
            Assert.Equal(Rows(ptp, u), Rows(loaded, u));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Theory]
    [InlineData("+mlp:8")]
    [InlineData("number+mlp:1")]
    [InlineData("number+mlp:8+mlp:8")]
    [InlineData("nothing+mlp:8")]
    public void Other_names_are_refused(string name) =>
        Assert.NotEmpty(Assert.Throws<PtpException>(() => AuxiliaryEmbedding.Parse(name)).WayOut);

    public void Dispose() => _backend.Dispose();

    private (SlotModel Ptp, float[] U) Draw(string embedding, int seed)
    {
        var random = new RandomStream((ulong)seed, "small network");
        var config = new TransformerConfig
        {
            VocabularySize = 5,
            HiddenSize = 16,
            IntermediateSize = 24,
            Layers = 2,
            Heads = 2,
            KeyValueHeads = 1,
            MaxContext = 32,
        };
        var network = ExactnessCase.RandomModel(_backend, config, random);
        var lora = new GatedLora(_backend, network.Config, 2, 1, (ulong)seed);
        var ptp = new SlotModel(
            network, lora, AuxiliaryEmbedding.Parse(embedding), 6, new SamplingOptions(), InverseCdf.Instance, (ulong)seed, SlotStart.MeanToken,
            SlotReading.Categorical);
        return (ptp, [.. Enumerable.Range(0, 6).Select(_ => random.NextInt(Cell.Grid) / (float)Cell.Grid)]);
    }

    private static void Move(SlotModel ptp, int seed)
    {
        var random = new RandomStream((ulong)seed, "weights of the small network");
        foreach (var parameter in ptp.EmbeddingParameters.Skip(1))
        {
            Initialise.Gaussian(parameter, random, 0.7);
        }
    }

    private static float[][] Features(SlotModel ptp, float[] u) => [.. u.Select(number =>
    {
        var features = new float[ptp.Embedding.FeatureCount(1)];
        ptp.Embedding.Features([number], features);
        return features;
    })];

    private float[] Rows(SlotModel ptp, float[] u)
    {
        var tape = new Tape(_backend);
        var x = tape.Empty(u.Length, ptp.Network.Config.HiddenSize);
        ptp.Embed(tape, u, new int[u.Length], x);
        return x.Value.Span.ToArray();
    }
}
