// A model and its heads trained together: gradients are the slopes of the one loss, in the model and in the heads; the heads' steps alone
// leave the model as it is to the bit; their rate is the factor asked for; what they then draft for is the changed model.
// Controls: a loss of another lambda, steps without the pause, the model as it was. Not here: whether it pays (docs/09-family.md).

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class JointTrainingTests : IDisposable
{
    private static readonly LearningRate s_rate = new() { Peak = 1e-2, WarmUp = 0, Steps = 100, FinalFraction = 1 };
    private readonly CpuBackend _backend = new(1);

    // 6 models each of Gloeckle's, Stern's and Medusa's heads.
    [Theory]
    [InlineData(Gloeckle.Architecture)]
    [InlineData(Stern.Architecture)]
    [InlineData(Medusa.Architecture)]
    public void Gradients_are_the_slopes_of_the_joint_loss(string name) => Cases.RunSeeds(6, seed =>
    {
        var (model, heads, texts) = Draw(name, seed);
        model.SetTrainable(true);
        Parameter[] all = [.. model.Parameters, .. heads.Parameters];
        Array.ForEach(all, p => p.SetTrainable(true));
        const double Lambda = 0.7;
        var tape = new Tape(_backend) { Recording = true };
        JointTraining.Losses(tape, model, heads, new PackedTexts(texts), Lambda);
        tape.Backward();
        var size = Math.Sqrt(all.Sum(p => _backend.SumOfSquares(p.Gradient!)));
        Assert.True(heads.Parameters.Sum(p => _backend.SumOfSquares(p.Gradient!)) > 1e-6 * size * size);
        foreach (var parameter in all)
        {
            var gradient = parameter.Gradient!.Span.ToArray();
            var own = Math.Sqrt(gradient.Sum(g => (double)g * g));
            if (own > 1e-3 * size)
            {
                float[] along = [.. gradient.Select(g => (float)(g / own))];
                var slope = Slope(parameter, along, () => Loss(model, heads, texts, Lambda));
                Assert.True(Math.Abs(slope - own) < 0.01 * own + 2e-3 * size, $"{parameter.Name}: slope {slope}, gradient {own}");
                // Control: heads of double weight have other slopes where they matter.
                if (heads.Parameters.Contains(parameter) && own > 0.1 * size)
                {
                    var other = Slope(parameter, along, () => Loss(model, heads, texts, 2 * Lambda));
                    Assert.True(Math.Abs(other - own) > 0.01 * own + 2e-3 * size, "control");
                }
            }
        }
    });

    [Fact]
    public void Heads_move_alone_first_and_then_faster()
    {
        var (model, heads, texts) = Draw(Medusa.Architecture, 1);
        var (atStart, headsAtStart) = (Weights(model.Parameters), Weights(heads.Parameters));
        var options = JointTrainingOptions.MedusaTwo with { HeadsAlone = 2, Rows = 64, Rate = s_rate, Optimiser = new AdamWOptions { WeightDecay = 0, ClipNorm = 0 } };
        var training = new JointTraining(model, heads, texts, options);
        training.Step();
        // Adam's first step is the rate itself, whatever the gradient's size: 4 x 0.01.
        var moved = Weights(heads.Parameters).Zip(headsAtStart, (a, b) => Math.Abs(a - b)).Where(d => d > 1e-4).ToArray();
        Assert.NotEmpty(moved);
        Assert.Equal(0.04, moved.Max(), 1e-3);
        training.Step();
        Assert.Equal(atStart, Weights(model.Parameters));
        training.Step();
        Assert.NotEqual(atStart, Weights(model.Parameters)); // control: now the model moves too
    }

    // 3 models: heads of a tuned model draft for that model, to the bit; the model as it was writes something else.
    [Fact]
    public void What_joint_heads_draft_for_is_the_tuned_model()
    {
        var different = 0;
        Cases.RunSeeds(3, seed =>
        {
            var (model, heads, texts) = Draw(Medusa.Architecture, seed);
            var rule = PickRule.Parse("tree");
            var law = new SamplingOptions { Temperature = 0.8 };
            var u = Auxiliaries.FromSeed((ulong)seed, rule.NumbersPerToken(model.Config.VocabularySize));
            var limits = new DecodeLimits(10, []);
            int[] prompt = [1, 2];
            var before = new Autoregressive(model, law, rule).Decode(prompt, u, limits).Tokens;
            var training = new JointTraining(model, heads, texts, JointTrainingOptions.MedusaTwo with { Rows = 64, Rate = s_rate });
            for (var step = 0; step < 5; step++)
            {
                training.Step();
            }

            model.SetTrainable(false);
            var tuned = new Autoregressive(model, law, rule).Decode(prompt, u, limits).Tokens;
            var drafted = new TreeDecoding(model, new HeadTreeDrafter(heads, rule), law, rule, 8).Decode(prompt, u, limits).Tokens;
            Assert.Equal(tuned, drafted);
            different += before.SequenceEqual(drafted) ? 0 : 1;
        });
        Assert.True(different > 0, "control: training changed no text");
    }

    [Fact]
    public void Foreign_heads_and_texts_without_targets_are_refused()
    {
        var (model, heads, texts) = Draw(Medusa.Architecture, 1);
        var (other, _, _) = Draw(Medusa.Architecture, 2);
        Assert.Throws<PtpException>(() => new JointTraining(other, heads, texts, new JointTrainingOptions()));
        Assert.Throws<PtpException>(() => new JointTraining(model, heads, [new Completion([1, 2], 2, texts[0].U)], new JointTrainingOptions()));
        Assert.Throws<PtpException>(() => new JointTraining(model, heads, texts, new JointTrainingOptions { HeadRate = 0 }));
    }

    public void Dispose() => _backend.Dispose();

    private (Transformer Model, IndependentHeads Heads, Completion[] Texts) Draw(string name, int seed)
    {
        var random = new RandomStream((ulong)seed, "joint training");
        var config = new TransformerConfig
        {
            VocabularySize = 11,
            HiddenSize = 8,
            IntermediateSize = 12,
            Layers = 2,
            Heads = 2,
            KeyValueHeads = 1,
            MaxContext = 24,
            TieEmbeddings = seed % 2 == 0,
        }.Validated();
        var model = ExactnessCase.RandomModel(_backend, config, random);
        var heads = (IndependentHeads)HeadCase.Head(name, model, random, deviation: 0.3);
        Completion[] texts = [.. Enumerable.Range(0, 3).Select(i => new Completion(
            [.. Enumerable.Range(0, 6 + i).Select(_ => random.NextInt(config.VocabularySize))], 1 + i, Auxiliaries.FromSeed(0, 1)))];
        return (model, heads, texts);
    }

    private double Loss(Transformer model, IndependentHeads heads, Completion[] texts, double lambda)
    {
        var (own, others, _) = JointTraining.Losses(new Tape(_backend), model, heads, new PackedTexts(texts), lambda);
        return own + others;
    }

    private static double Slope(Parameter parameter, float[] direction, Func<double> loss)
    {
        const double H = 3e-3;
        var kept = parameter.Value.Span.ToArray();
        double At(double h)
        {
            Initialise.Set(parameter, [.. kept.Zip(direction, (w, d) => (float)(w + h * d))]);
            return loss();
        }

        var slope = (8 * (At(H) - At(-H)) - (At(2 * H) - At(-2 * H))) / (12 * H);
        Initialise.Set(parameter, kept);
        return slope;
    }

    private static float[] Weights(IEnumerable<Parameter> parameters) => [.. parameters.SelectMany(p => p.Value.Span.ToArray())];
}
