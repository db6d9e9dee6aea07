// The sampler head: gradients of every weight and of the slots against the oracle in double; a step at a time = all at once;
// what a slot reads (its own hidden row and the tokens before it, in their order), and a draft's causality in u.
// Not here: whether it was trained well.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class SamplerHeadTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 20 heads of 1 to 3 tokens of history, some of which read hidden states of the latest.
    [Fact]
    public void Gradients_equal_the_oracle() => Cases.RunSeeds(20, seed =>
    {
        var (head, hidden, earlier, latest, random) = Draw(seed);
        var (rows, width) = (hidden.Value.Rows, hidden.Value.Columns);
        var vocabulary = head.Network.Config.VocabularySize;
        foreach (var parameter in head.Parameters)
        {
            parameter.SetTrainable(true);
        }

        var tape = new Tape(_backend) { Recording = true };
        var slots = tape.Empty(rows, width);
        _backend.Copy(hidden.Value, slots.Value);
        int[] targets = [.. Enumerable.Range(0, rows).Select(_ => random.NextInt(vocabulary))];
        tape.CrossEntropy(head.Logits(tape, slots, [.. earlier.SelectMany(ids => ids)], latest), targets, []);
        tape.Backward();

        var weights = head.Parameters.ToDictionary(p => p.Name, ScalarModels.Values);
        double[][] Matrices(Dictionary<string, double[]> from, string name) =>
            [.. Enumerable.Range(0, head.History + 1).Select(i => from[$"sampler.{name}.{i}.weight"])];
        var scalar = new ScalarSampler(
            weights["sampler.norm.weight"],
            [.. Enumerable.Range(0, head.History).Select(i => weights[$"sampler.{(i == 0 && latest is not null ? "state" : "token")}_norm.weight"])],
            Matrices(weights, "gate"), Matrices(weights, "up"), weights["sampler.down.weight"]);
        var h = ScalarModels.Doubles(hidden.Value.Span.ToArray());
        var table = ScalarModels.Values(head.Network.Embeddings);
        double[][] tokens = [.. earlier.Select(ids => ScalarOps.Embedding(ids, table, width))];
        if (latest is { } states)
        {
            tokens[0] = ScalarModels.Doubles(states.Value.Span.ToArray());
        }

        var epsilon = head.Network.Config.NormEpsilon;
        var named = head.Network.Parameters.ToDictionary(p => p.Name, ScalarModels.Values);
        var (final, output) = (named["model.norm.weight"], ScalarModels.Values(head.Network.Head));
        var z = scalar.Forward(h, tokens, rows, epsilon);
        var normed = ScalarOps.RmsNorm(z, final, rows, width, epsilon);
        var logits = ScalarOps.Linear(normed, output, rows, width, vocabulary);
        var (dLogits, dNormed) = (new double[logits.Length], new double[z.Length]);
        ScalarOps.CrossEntropyBackward(rows, logits, targets, null, vocabulary, dLogits);
        ScalarOps.LinearBackward(dLogits, normed, output, rows, width, vocabulary, dNormed, new double[output.Length]);
        var (dZ, dHidden) = (new double[z.Length], new double[z.Length]);
        ScalarOps.RmsNormBackward(dNormed, z, final, rows, width, epsilon, dZ, new double[width]);
        var expected = scalar.Backward(dZ, h, tokens, rows, epsilon, dHidden);

        var shared = expected.TokenNorms.Skip(latest is null ? 0 : 1).Aggregate(new double[width], ScalarOps.Add);
        double[][] inOrder = [expected.Norm, shared, .. expected.TokenNorms.Take(latest is null ? 0 : 1),
            .. expected.Gates, .. expected.Ups, expected.Down];
        foreach (var (parameter, gradient) in head.Parameters.Zip(inOrder))
        {
            Near.Holds(parameter.Name, gradient, parameter.Gradient!.Span.ToArray());
        }

        Near.Holds("slots", dHidden, slots.Gradient!.Span.ToArray());
    });

    // 20 heads: the steps of decoding give the logits of training, up to the order of a few sums.
    [Fact]
    public void Step_by_step_equals_all_at_once() => Cases.RunSeeds(20, seed =>
    {
        var (head, hidden, _, _, random) = Draw(seed);
        var rows = hidden.Value.Rows;
        int[] text = [.. Enumerable.Range(0, 3 + rows).Select(_ => random.NextInt(head.Network.Config.VocabularySize))];
        var tape = new Tape(_backend);
        int[] Earlier(int[] tokens) => [.. Enumerable.Range(0, head.History)
            .SelectMany(i => Enumerable.Range(0, rows).Select(row => tokens[2 + row - i]))];
        Variable? Latest(int[] tokens)
        {
            var x = tape.Empty(tokens.Length, hidden.Value.Columns);
            tape.Embedding(head.Network.Embeddings, tokens, x);
            var call = new CallRows([.. Enumerable.Range(0, tokens.Length)], Visibility.Causal(0, tokens.Length));
            return head.Depth > 0 ? head.Network.Blocks(tape, x, call, layers: ..head.Depth).Slice(2, rows) : null;
        }

        var together = head.Logits(tape, hidden, Earlier(text), Latest(text)).Value;
        // Control: with another first token the first row differs.
        int[] other = [.. text];
        other[2] = (other[2] + 1) % head.Network.Config.VocabularySize;
        var control = head.Logits(tape, hidden, Earlier(other), Latest(other)).Value;
        Assert.True(Near.Error(ScalarModels.Doubles(control.Row(0).ToArray()), together.Row(0).ToArray()) > 1e-5, "control");
        var steps = new SamplerSteps(head);
        for (var round = 0; round < 2; round++) // the second meets the tokens' shares in store
        {
            var cache = new KvCache(_backend, head.Network.Config, text.Length);
            head.Network.Forward(tape, text.AsSpan(0, 2), new CallRows([0, 1], Visibility.Causal(0, 2), cache, [0, 1]));
            cache.Append(2);
            steps.Start(tape, hidden, text.AsSpan(0, 3), null, cache);
            for (var row = 0; row < rows; row++)
            {
                var expected = ScalarModels.Doubles(together.Row(row).ToArray());
                Near.Holds($"row {row}", expected, steps.Next(tape, row).Span.ToArray(), 1e-5);
                steps.Picked(text[3 + row]);
            }
        }
    });

    // 40 models: changing u_k changes no draft token before k; with weights this wild it nearly always changes token k.
    [Fact]
    public void A_draft_is_causal_in_u()
    {
        var changes = 0;
        Cases.RunSeeds(40, seed =>
        {
            var random = new RandomStream((ulong)seed, "causal");
            var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
            var lora = new GatedLora(_backend, model.Config, 2, 1, (ulong)seed);
            var sampler = seed % 2 == 0 ? new SamplerHead(model, 2, 8, (ulong)seed, seed / 2 % 2) : null;
            foreach (var parameter in lora.Parameters.Concat(sampler?.Parameters ?? []))
            {
                Initialise.Gaussian(parameter, random, 0.5);
            }

            var law = new SamplingOptions { Temperature = 1.5 };
            var ptp = new SlotModel(
                model, lora, new FixedPointEmbedding(), 6, law, InverseCdf.Instance, 1, SlotStart.LastToken,
                SlotReading.Categorical, sampler);
            Initialise.Gaussian(ptp.Table, random, 1);
            var session = new ModelSession(model, law, InverseCdf.Instance);
            float[] u = [.. Enumerable.Range(0, 6).Select(_ => (float)random.NextInt(Cell.Grid) / Cell.Grid)];
            int[] Draft()
            {
                session.Start([1 % model.Config.VocabularySize, 0]);
                return ptp.NewDrafter().Propose(session, Auxiliaries.FromValues(u), 0, 6).Tokens.ToArray();
            }

            var before = Draft();
            var k = random.NextInt(6);
            u[k] = (u[k] + 0.5f) % 1;
            var after = Draft();
            Assert.Equal(before[..k], after[..k]);
            changes += before[k] != after[k] ? 1 : 0;
        });
        Assert.InRange(changes, 15, 40);
    }

    [Fact]
    public void Heads_that_cannot_be_are_refused()
    {
        var model = new Transformer(_backend, TransformerConfig.Named("4k", 30), 1);
        var lora = new GatedLora(_backend, model.Config, 2, 1, 1);
        Assert.Throws<PtpException>(() => new SamplerHead(model, 0, 8, 1));
        Assert.Throws<PtpException>(() => new SamplerHead(model, 2, 0, 1));
        Assert.Throws<PtpException>(() => new SamplerHead(model, 2, 8, 1, depth: model.Config.Layers + 1));
        SlotModel Make(GatedLora? adapter, SlotReading reading) => new(
            model, adapter, new FixedPointEmbedding(), 4, SamplingOptions.Greedy, InverseCdf.Instance, 1, SlotStart.LastToken,
            reading, reading == SlotReading.OneHot ? new SamplerHead(model, 2, 8, 1) : null);
        Assert.Throws<PtpException>(() => Make(lora, SlotReading.OneHot));
        Assert.Throws<PtpException>(() => Make(null, SlotReading.Categorical).NewDrafter());
        Assert.Throws<PtpException>(() => new CategoricalDrafter(new SlotModel(
            model, lora, new FixedPointEmbedding(), 4, SamplingOptions.Greedy, InverseCdf.Instance, 1)));
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>A random head, hidden rows of slots, tokens before them, and, with a depth, hidden states of the latest.</summary>
    private (SamplerHead Head, Variable Hidden, int[][] Earlier, Variable? Latest, RandomStream Random) Draw(int seed)
    {
        var random = new RandomStream((ulong)seed, "sampler head");
        var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
        var head = new SamplerHead(model, 1 + random.NextInt(3), 1 + random.NextInt(20), (ulong)seed,
            random.NextInt(model.Config.Layers + 1));
        foreach (var parameter in head.Parameters)
        {
            Initialise.Gaussian(parameter, random, 0.7);
        }

        var rows = 1 + random.NextInt(6);
        Variable States()
        {
            var states = _backend.Allocate(rows, model.Config.HiddenSize);
            _backend.Upload([.. Enumerable.Range(0, states.Length).Select(_ => (float)random.NextGaussian())], states);
            return new Variable(states, null);
        }

        var hidden = States();
        int[][] earlier = [.. Enumerable.Range(0, head.History).Select(_ =>
            Enumerable.Range(0, rows).Select(_ => random.NextInt(model.Config.VocabularySize)).ToArray())];
        return (head, hidden, earlier, head.Depth > 0 ? States() : null, random);
    }
}
