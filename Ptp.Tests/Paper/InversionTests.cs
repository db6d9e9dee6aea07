// Properties 7 and 8: inferred u write the text again, to the bit and for every pick rule; sweeps find the same u, the first r after
// r sweeps; exp(-bound) estimates the volume of u that writes the text, and the bound lies above the NLL; u is frozen in the gradient.
// Controls: u moved by one token, a wrong noise law in the volume, a gradient that is not zero where it must not be.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class InversionTests : IDisposable
{
    private readonly CpuBackend _backend = new(2);

    // 60 random models, gated and of their own, with several texts of different lengths each.
    [Fact]
    public void Inferred_numbers_write_the_text_again()
    {
        var (tokens, moved) = (0, 0);
        Cases.RunSeeds(60, seed =>
        {
            var (ptp, texts, random) = Draw(seed);
            var inversion = new Inversion(ptp);
            var inferred = inversion.Sequential(texts, random.NextBits(), seed % 3 == 0 ? 0.3 : 1);
            var written = inversion.Sample(texts, inferred.U);
            var shifted = inversion.Sample(texts, [.. inferred.U[ptp.NumbersPerToken..], .. inferred.U[..ptp.NumbersPerToken]]);
            foreach (var (index, (text, slot)) in texts.Tokens().Index())
            {
                // A token too rare for the grid has no number; what follows it is then another text.
                if (slot == 0 || inferred.Representable[(index - slot)..index].All(r => r))
                {
                    var token = texts.Texts[text][texts.Starts[text] + slot];
                    Assert.True(!inferred.Representable[index] || written[index] == token, $"text {text}, slot {slot}");
                    moved += shifted[index] != token ? 1 : 0;
                    tokens++;
                }
            }
        });
        Assert.True(tokens > 500 && moved > tokens / 3, $"{tokens} tokens, {moved} differ in the control");
    }

    [Fact]
    public void Sweeps_find_the_same_numbers() => Cases.RunSeeds(30, seed =>
    {
        var (ptp, texts, random) = Draw(seed);
        var inversion = new Inversion(ptp);
        var noise = random.NextBits();
        var sequential = inversion.Sequential(texts, noise);
        var swept = inversion.Jacobi(texts, noise);
        Assert.Equal(sequential.U, swept.U);
        Assert.Equal(sequential.LogLikelihood, swept.LogLikelihood);
        var longest = Enumerable.Range(0, texts.Texts.Count).Max(texts.Predicted);
        Assert.InRange(swept.Sweeps, 1, longest + 1); // one more to see that nothing changes
        Assert.InRange(inversion.Jacobi(texts, noise, start: sequential.U).Sweeps, 1, 2);
        var width = ptp.NumbersPerToken;
        for (var r = 1; r <= longest; r++)
        {
            var early = inversion.Jacobi(texts, noise, most: r);
            foreach (var (index, (_, slot)) in texts.Tokens().Index().Where(t => t.Item.Slot < r))
            {
                Assert.True(
                    sequential.U.AsSpan(index * width, width).SequenceEqual(early.U.AsSpan(index * width, width)), $"slot {slot} after {r} sweeps");
            }
        }

        Assert.NotEqual(sequential.U, inversion.Sequential(texts, noise + 1).U);
    });

    // 6 tiny models: V 3, two tokens, all nine texts; the volume by 4,000 samples of u against the mean of exp(-bound).
    [Fact]
    public void The_bound_estimates_the_volume_that_writes_a_text() => Cases.RunSeeds(6, seed =>
    {
        const int Samples = 4000;
        var random = new RandomStream((ulong)seed, "volume");
        var ptp = Model(random, 3, InverseCdf.Instance, gated: seed % 2 == 0, new SamplingOptions(), history: seed % 3);
        int[][] all = [.. Enumerable.Range(0, 27).Select(i => (int[])[0, i / 9, i / 3 % 3, i % 3])];
        var texts = new SplitTexts(all, [.. all.Select(_ => 1)]);
        var volume = InverseAutoregressiveTraining.Volume(ptp, texts, 200, random.NextBits());
        Assert.Equal(1, volume.Sum(), 0.05);

        var inversion = new Inversion(ptp);
        var one = new SplitTexts([.. Enumerable.Range(0, Samples).Select(_ => new int[4])], [.. Enumerable.Range(0, Samples).Select(_ => 1)]);
        var written = inversion.Sample(one, [.. Enumerable.Range(0, 3 * Samples).Select(_ => random.NextInt(Cell.Grid) / (float)Cell.Grid)]);
        var counts = new double[27];
        for (var i = 0; i < Samples; i++)
        {
            counts[9 * written[3 * i] + 3 * written[3 * i + 1] + written[3 * i + 2]] += 1.0 / Samples;
        }

        var worst = counts.Zip(volume).Max(c => Math.Abs(c.First - c.Second));
        Assert.True(worst < 0.045, $"{worst}: sampled {string.Join(' ', counts)}, estimated {string.Join(' ', volume)}");

        // Jensen: the mean bound lies above -log of the mean.
        var bounds = Enumerable.Range(0, 100).Select(i => InverseAutoregressiveTraining.Bound(ptp, texts, (ulong)i << 48)).ToArray();
        for (var text = 0; text < 27; text++)
        {
            Assert.True(bounds.Average(b => b[text]) > -Math.Log(volume[text]) - 0.1, $"text {text}");
        }
    });

    // Uniform places alone estimate the volume; the cells' middles (Beta with a large b) say something else of some text.
    // Slots that see no u are the case of equality: the bound is the NLL itself, wherever in the cells u lies.
    [Fact]
    public void Control_places_that_are_not_uniform_estimate_another_volume()
    {
        var apart = 0;
        Cases.RunSeeds(6, seed =>
        {
            var random = new RandomStream((ulong)seed, "control of volume");
            var options = new SamplingOptions();
            var texts = new SplitTexts([.. Enumerable.Range(0, 9).Select(i => (int[])[0, i / 3, i % 3])], [.. Enumerable.Repeat(1, 9)]);
            var network = ExactnessCase.RandomModel(_backend, Config(3), random);
            var ptp = new SlotModel(
                network, null, new FixedPointEmbedding(), 4, options, InverseCdf.Instance, 1, SlotStart.MeanToken, SlotReading.Categorical);
            Initialise.Gaussian(ptp.Table, random, 1); // laws that depend on every digit of u
            var volume = InverseAutoregressiveTraining.Volume(ptp, texts, 200, random.NextBits());
            double Apart(IEnumerable<double> others) => others.Zip(volume).Max(p => Math.Abs(p.First - p.Second));
            Assert.InRange(Apart(InverseAutoregressiveTraining.Volume(ptp, texts, 200, random.NextBits())), 0, 0.06);
            var middles = new Inversion(ptp).Sequential(texts, 1, beta: 1e6).LogLikelihood.Chunk(2).Select(text => Math.Exp(text.Sum()));
            apart += Apart(middles) > 0.06 ? 1 : 0;

            var blind = new SlotModel(
                network, null, new ConstantEmbedding(), 4, options, InverseCdf.Instance, 1, SlotStart.LastToken, SlotReading.Categorical);
            Assert.Equal(InverseAutoregressiveTraining.Bound(blind, texts, 1), InverseAutoregressiveTraining.Bound(blind, texts, 2));
            Assert.NotEqual(InverseAutoregressiveTraining.Bound(ptp, texts, 1), InverseAutoregressiveTraining.Bound(ptp, texts, 2));
        });
        Assert.InRange(apart, 2, 6);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0.5, 0)]
    [InlineData(0.5, 2)]
    public void No_gradient_goes_through_the_numbers(double ownLaw, int history) => Cases.RunSeeds(6, seed =>
    {
        var random = new RandomStream((ulong)seed, "frozen");
        var ptp = Model(random, 6, InverseCdf.Instance, gated: false, new SamplingOptions(), history);
        var texts = new SplitTexts([[1, 2, 3, 4, 5], [5, 0, 0, 2]], [1, 2]);
        var trainer = new InverseAutoregressiveTraining(
            ptp, texts.Texts, new InverseTrainingOptions { OwnLawWeight = ownLaw }, new AdamWOptions(), new LearningRate());
        var inferred = new Inversion(ptp).Sequential(texts, 5);
        trainer.Loss(texts, inferred);
        trainer.Backward();
        var value = new float[ptp.Table.Value.Length];
        var gradient = new float[value.Length];
        _backend.Download(ptp.Table.Value, value);
        _backend.Download(ptp.Table.Gradient!, gradient);
        foreach (var index in Enumerable.Range(0, 5).Select(_ => random.NextInt(value.Length)))
        {
            double At(float step)
            {
                var moved = (float[])value.Clone();
                moved[index] += step;
                Initialise.Set(ptp.Table, moved);
                var loss = trainer.Loss(texts, inferred).Loss; // the same numbers: only then is the gradient the derivative
                Initialise.Set(ptp.Table, value);
                return loss;
            }

            var slope = (At(1e-2f) - At(-1e-2f)) / 2e-2;
            Assert.Equal(slope, gradient[index], 0.02 * (1 + Math.Abs(slope)));
        }

        Assert.Contains(gradient, g => Math.Abs(g) > 1e-3); // control: there is something to compare
    });

    // A language of two coins: the second token repeats the first nine times of ten. Without u in the slots that cannot be known.
    [Fact]
    public void Training_from_scratch_finds_the_law_of_the_data()
    {
        var (seeing, joint) = Coins("fixed-point", sweeps: false);
        var (fromOwn, jointFromOwn) = Coins("fixed-point", sweeps: false, ownLaw: 0.8);
        var (swept, _) = Coins("fixed-point", sweeps: true);
        var (blind, blindJoint) = Coins("constant", sweeps: false);
        Assert.Equal(seeing, swept, 1e-9); // the same numbers, hence the same training
        var truth = Math.Log(2) - 0.9 * Math.Log(0.9) - 0.1 * Math.Log(0.1);
        Assert.InRange(seeing, truth - 0.02, truth + 0.06);
        Assert.InRange(fromOwn, truth - 0.02, truth + 0.06); // the model's own law as a lesson leads to the same law
        Assert.InRange(blind, 2 * Math.Log(2) - 0.02, double.PositiveInfinity);
        // The joint law is at most a tenth as far from the exact one as that of slots without u.
        Assert.True(joint < 0.1 * blindJoint && jointFromOwn < 0.1 * blindJoint, $"{joint}, {jointFromOwn}, {blindJoint}");
    }

    [Fact]
    public void What_cannot_be_inverted_is_refused()
    {
        var random = new RandomStream(1, "refused");
        var ptp = Model(random, 6, InverseCdf.Instance, gated: true, new SamplingOptions());
        Assert.Throws<PtpException>(() => new Inversion(ptp).Sequential(new SplitTexts([[1, 2]], [2]), 1));
        Assert.Throws<PtpException>(() => new Inversion(ptp).Sequential(new SplitTexts([[1, 2]], [0]), 1));
        Assert.Throws<PtpException>(() => new InverseAutoregressiveTraining(
            ptp, [[1]], new InverseTrainingOptions(), new AdamWOptions(), new LearningRate()));
        var oneHot = new SlotModel(
            ptp.Network, ptp.Lora, new FixedPointEmbedding(), 4, new SamplingOptions(), InverseCdf.Instance, 1);
        Assert.Throws<PtpException>(() => new Inversion(oneHot));
        var deep = new SlotModel(
            ptp.Network, ptp.Lora, new FixedPointEmbedding(), 4, new SamplingOptions(), InverseCdf.Instance, 1, reading: SlotReading.Categorical,
            sampler: new SamplerHead(ptp.Network, 1, 4, 1, depth: 1));
        Assert.Contains("through blocks", Assert.Throws<PtpException>(() => new Inversion(deep)).Message, StringComparison.Ordinal);
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>After a short training: mean bound of the two tokens, and KL of the joint law of both (volumes of u) from the exact one; nats.</summary>
    private (double Bound, double Divergence) Coins(string embedding, bool sweeps, double ownLaw = 0)
    {
        var random = new RandomStream(31, "coins");
        int[][] documents = [.. Enumerable.Range(0, 500).Select(_ =>
        {
            var coin = random.NextInt(2);
            return (int[])[2, coin, random.NextInt(10) == 0 ? 1 - coin : coin];
        })];
        var network = new Transformer(_backend, Config(3), 7);
        var ptp = new SlotModel(
            network, null, AuxiliaryEmbedding.Parse(embedding), 4, new SamplingOptions(), InverseCdf.Instance, 8, reading: SlotReading.Categorical);
        var trainer = new InverseAutoregressiveTraining(
            ptp, documents, new InverseTrainingOptions { Rows = 240, Sweeps = sweeps, OwnLawWeight = ownLaw }, new AdamWOptions { WeightDecay = 0 },
            new LearningRate { Peak = 1e-2, WarmUp = 10, Steps = 250, FinalFraction = 0.02 });
        for (var step = 0; step < 250; step++)
        {
            trainer.Step();
        }

        var texts = new SplitTexts(documents, [.. documents.Select(_ => 1)]);
        int[][] all = [[2, 0, 0], [2, 0, 1], [2, 1, 0], [2, 1, 1]];
        var volume = InverseAutoregressiveTraining.Volume(ptp, new SplitTexts(all, [1, 1, 1, 1]), 64, 5);
        var divergence = all.Zip(volume, (text, v) => (P: text[1] == text[2] ? 0.45 : 0.05, v)).Sum(w => w.P * Math.Log(w.P / w.v));
        return (InverseAutoregressiveTraining.Bound(ptp, texts, 3).Average(), divergence);
    }

    private (SlotModel Ptp, SplitTexts Texts, RandomStream Random) Draw(int seed)
    {
        var random = new RandomStream((ulong)seed, "inversion");
        var vocabulary = 4 + random.NextInt(12);
        PickRule[] rules = [InverseCdf.Instance, TreePick.Instance, new RacePick(3), new PermutedCdf()];
        var ptp = Model(random, vocabulary, rules[seed % 4], gated: seed % 2 == 0, new SamplingOptions { Temperature = 0.5 + random.NextDouble() }, history: seed % 3);
        return (ptp, Texts(random, vocabulary), random);
    }

    private static SplitTexts Texts(RandomStream random, int vocabulary)
    {
        int[][] texts = [.. Enumerable.Range(0, 1 + random.NextInt(5)).Select(_ =>
            Enumerable.Range(0, 2 + random.NextInt(14)).Select(_ => random.NextInt(vocabulary)).ToArray())];
        return new SplitTexts(texts, [.. texts.Select(t => 1 + random.NextInt(t.Length - 1))]);
    }

    private static TransformerConfig Config(int vocabulary) => new()
    {
        VocabularySize = vocabulary,
        HiddenSize = 24,
        IntermediateSize = 32,
        Layers = 2,
        Heads = 4,
        KeyValueHeads = 2,
        MaxContext = 32,
    };

    private SlotModel Model(RandomStream random, int vocabulary, PickRule rule, bool gated, SamplingOptions law, int history = 0)
    {
        var network = ExactnessCase.RandomModel(_backend, Config(vocabulary), random);
        var lora = gated ? new GatedLora(_backend, network.Config, 2, 1, random.NextBits()) : null;
        foreach (var parameter in lora?.Parameters ?? [])
        {
            Initialise.Gaussian(parameter, random, 0.5);
        }

        var sampler = history > 0 ? new SamplerHead(network, history, 12, random.NextBits()) : null;
        foreach (var parameter in sampler?.Parameters ?? [])
        {
            Initialise.Gaussian(parameter, random, 0.5);
        }

        var ptp = new SlotModel(
            network, lora, AuxiliaryEmbedding.Parse("linear:3"), 4, law, rule, random.NextBits(), SlotStart.LastToken, SlotReading.Categorical, sampler);
        Initialise.Gaussian(ptp.Table, random, 1);
        return ptp;
    }
}
