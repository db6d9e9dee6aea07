// Training of heads: gradients of every loss are its slopes, along the gradient itself and along a random direction; head by head is
// the same gradient as all heads at once, in less memory, into the trunk too; losses between states by their definition.
// Controls: a gradient a tenth too long, a head left out.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class HeadGradientTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    public static TheoryData<string> Names => [.. DraftHeads.Names];

    private static string[] Slots => [ProphetNet.Architecture, Samragh.Architecture, DSpark.Architecture];

    // 4 heads of each architecture (of slots 2: they have an adapter's parameters), half against laws, half against tokens; each parameter
    // by itself.
    [Theory]
    [MemberData(nameof(Names))]
    public void A_gradient_is_the_slope_of_the_loss(string name) => Cases.RunSeeds(Slots.Contains(name) ? 2 : 4, seed =>
    {
        var (head, texts, random) = Draw(name, seed);
        Prepare(head);
        head.LossAndGradient(new Tape(_backend) { Recording = true }, Batch(head, texts, seed));
        var size = Math.Sqrt(head.Parameters.Sum(p => _backend.SumOfSquares(p.Gradient!)));
        Assert.True(size > 1e-3, $"a gradient of {size}");
        foreach (var parameter in head.Parameters)
        {
            var gradient = parameter.Gradient!.Span.ToArray();
            var own = Math.Sqrt(gradient.Sum(g => (double)g * g));
            // Along the gradient the slope is its length: a wrong scale, or a missing path, shows there first.
            float[] along = [.. gradient.Select(g => own > 0 ? (float)(g / own) : 0f)];
            float[] any = [.. gradient.Select(_ => (float)(random.NextGaussian() / Math.Sqrt(gradient.Length)))];
            foreach (var direction in (float[][])[along, any])
            {
                var expected = gradient.Zip(direction, (g, d) => (double)g * d).Sum();
                var slope = Slope(head, texts, seed, parameter, direction);
                Assert.True(Math.Abs(slope - expected) < 0.01 * own + 2e-3 * size, $"{parameter.Name}: slope {slope}, gradient {expected} of {size}");
                // Control: where a parameter matters, a tenth more is noticed.
                Assert.True(expected < 0.1 * size || Math.Abs(slope - 1.1 * expected) > 0.01 * own + 2e-3 * size, "control");
            }
        }
    });

    // 10 trunks: one head at a time gives what all at once give, to the trunk as well, and holds one head's memory.
    [Fact]
    public void Head_by_head_is_the_gradient_of_all_at_once() => Cases.RunSeeds(10, seed =>
    {
        var (drawn, texts, _) = Draw(Gloeckle.Architecture, 2 * seed + 1); // against tokens
        var head = (Gloeckle)drawn;
        Prepare(head);
        var batch = Batch(head, texts, seed);
        var states = batch.States(head.Layers[0]).Value;
        (float[] Trunk, float[][] Heads, long Memory, double Loss) Run(Func<Tape, Variable, double> run)
        {
            var (trunk, heads) = (new Tape(_backend) { Recording = true }, new Tape(_backend) { Recording = true });
            var z = trunk.Empty(states.Rows, states.Columns);
            _backend.Copy(states, z.Value);
            foreach (var parameter in head.Parameters)
            {
                _backend.Fill(0, parameter.Gradient!);
            }

            var loss = run(heads, z);
            return (z.Gradient!.Span.ToArray(), [.. head.Parameters.Select(p => p.Gradient!.Span.ToArray())], heads.Capacity, loss);
        }

        double Joint(Tape tape, Variable z, int heads)
        {
            var loss = 0.0;
            for (var k = 0; k < heads; k++)
            {
                var rows = new CallRows(batch.Positions, batch.Visibility);
                var logits = head.Logits(tape, z, k, rows);
                float[] weights = batch.Weights(k + 2);
                _backend.Scale((float)(1 / head.Options.Temperature), logits.Value);
                loss += tape.CrossEntropy(logits, batch.Tokens(k + 2), [.. weights.Select(w => (float)(w / head.Options.Temperature))])
                    * head.Options.Temperature;
            }

            tape.Backward();
            return loss;
        }

        var plain = Run((tape, z) => Joint(tape, z, head.Slots));
        var sequential = Run((tape, z) => head.SequentialBackward(tape, batch, z).Loss);
        var without = Run((tape, z) => Joint(tape, z, head.Slots - 1));
        Assert.Equal(plain.Loss, sequential.Loss, 1e-4 * (1 + plain.Loss));
        Near.Holds("trunk", ScalarModels.Doubles(plain.Trunk), sequential.Trunk, 1e-5);
        foreach (var (expected, received) in plain.Heads.Zip(sequential.Heads))
        {
            Near.Holds("head", ScalarModels.Doubles(expected), received, 1e-5);
        }

        Assert.True(Near.Error(ScalarModels.Doubles(plain.Trunk), without.Trunk) > 1e-3, "control");
        Assert.True(sequential.Memory <= plain.Memory, "memory");
    });

    // The step of a real size, where memory comes in blocks: four heads take well under half of what they take together.
    [Fact]
    public void Head_by_head_needs_the_memory_of_one()
    {
        var config = TransformerConfig.Named("66k", 512) with { Layers = 2 };
        var model = new Transformer(_backend, config, 1);
        var head = new Gloeckle(model, new HeadOptions { Slots = 4, Width = 64, Target = HeadTarget.Token });
        Prepare(head);
        var random = new RandomStream(1, "memory");
        var texts = new[] { new Completion([.. Enumerable.Range(0, 256).Select(_ => random.NextInt(512))], 1, Auxiliaries.FromSeed(1, 1)) };
        var batch = Batch(head, texts, 1);
        var (joint, single) = (new Tape(_backend) { Recording = true }, new Tape(_backend) { Recording = true });
        joint.Reset();
        head.Loss(joint, batch);
        joint.Backward();
        head.SequentialBackward(single, batch, batch.States(head.Layers[0]));
        Assert.True(2 * single.Capacity < joint.Capacity, $"{single.Capacity} floats one by one, {joint.Capacity} at once");
    }

    [Fact]
    public void Losses_between_states_are_what_they_are_called()
    {
        float[] x = [0.5f, -3f, 1f, 2f];
        float[] target = [0f, 0f, 1f, 2.5f];
        var tape = new Tape(_backend) { Recording = true };
        var states = tape.Empty(2, 2);
        _backend.Upload(x, states.Value);
        var goal = tape.Constant(target, 2, 2).Value;
        Assert.Equal(2 * (0.125 + 2.5) / 2 + 0.125 / 2, FeatureLoss.SmoothL1(tape, states, goal, [2f, 1f]), 6);
        Assert.Equal([0.5f, -1f, 0f, -0.25f], states.Gradient!.Span.ToArray());
        Assert.Equal((0.25 + 9) / 2, FeatureLoss.Squared(tape, states, goal, [1f, 0f]), 6);
        Assert.Equal([1f, -4f, 0f, -0.25f], states.Gradient!.Span.ToArray()); // added to what was there
    }

    // A head of each architecture: steps of training lower the loss of the texts they are taken on.
    [Theory]
    [MemberData(nameof(Names))]
    public void Training_lowers_the_loss(string name)
    {
        var (head, texts, _) = Draw(name, 2, deviation: 0.1);
        var trainer = new HeadTrainer(head, texts, new HeadRunOptions
        {
            Output = "",
            Architecture = name,
            Fingerprint = "",
            BaseName = "",
            Law = new(),
            Rule = InverseCdf.Instance,
            Tokens = 64,
            Rate = new LearningRate { Peak = 1e-2, WarmUp = 1, Steps = 80 },
        });
        double[] losses = [.. Enumerable.Range(0, 80).Select(_ => trainer.Step().Loss)];
        Assert.True(losses[^20..].Average() < 0.95 * losses[..20].Average(), $"{losses[..20].Average()} to {losses[^20..].Average()}");
    }

    public void Dispose() => _backend.Dispose();

    private (DraftHead Head, Completion[] Texts, RandomStream Random) Draw(string name, int seed, double deviation = 0.3)
    {
        var random = new RandomStream((ulong)seed, "head gradients");
        var config = ExactnessCase.RandomConfig(random) with { Layers = 2, NormEpsilon = 1e-3f, MaxContext = 64 };
        var model = ExactnessCase.RandomModel(_backend, config, random);
        var head = HeadCase.Head(name, model, random, deviation, seed % 2 == 0 ? HeadTarget.Law : HeadTarget.Token);
        Completion[] texts = [.. Enumerable.Range(0, 3).Select(_ => new Completion(
            [.. Enumerable.Range(0, 9 + random.NextInt(6)).Select(_ => random.NextInt(config.VocabularySize))], 1 + random.NextInt(3),
            Auxiliaries.FromSeed(1, 1)))];
        return (head, texts, random);
    }

    private static void Prepare(DraftHead head)
    {
        head.Network.SetTrainable(false);
        foreach (var parameter in head.Parameters)
        {
            parameter.SetTrainable(true);
        }
    }

    private double Slope(DraftHead head, Completion[] texts, int seed, Parameter parameter, float[] direction)
    {
        var kept = parameter.Value.Span.ToArray();
        double At(float step)
        {
            Initialise.Set(parameter, [.. kept.Zip(direction, (x, d) => x + step * d)]);
            return head.Loss(new Tape(_backend), Batch(head, texts, seed)).Loss;
        }

        const float h = 5e-3f;
        var slope = (8 * (At(h) - At(-h)) - (At(2 * h) - At(-2 * h))) / (12 * h); // error of order h^4
        Initialise.Set(parameter, kept);
        return slope;
    }

    private HeadBatch Batch(DraftHead head, IReadOnlyList<Completion> texts, int seed)
    {
        var cache = new KvCache(_backend, head.Network.Config, texts.Sum(t => t.Tokens.Length));
        foreach (var layer in head.Layers)
        {
            cache.KeepStates(layer);
        }

        return new HeadBatch(head.Network, new Tape(_backend), cache, new PackedTexts(texts), new RandomStream((ulong)seed, "step"));
    }
}
