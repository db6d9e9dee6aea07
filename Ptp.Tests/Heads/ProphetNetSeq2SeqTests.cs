// The encoder-decoder ProphetNet: every stream's logits are those of a decoder call that knows just what the stream may know (an oracle
// without streams), streams left out change nothing, a token reaches the streams it should, gradients are slopes, a toy task is learned.
// Controls: the oracle of a neighbouring stream, a token that must matter, a gradient a tenth too long.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class ProphetNetSeq2SeqTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 20 models of one to three streams and one or two layers, weights far from those of a fresh model.
    [Fact]
    public void Every_stream_is_a_decoder_that_knows_what_it_may() => Cases.RunSeeds(20, seed =>
    {
        var (model, pairs) = Draw(seed);
        var oracle = Oracle(model);
        var logits = model.Logits(new Tape(_backend), pairs, model.Streams).Value;
        var (row, seen) = (0, 0);
        for (var stream = 0; stream < model.Streams; stream++)
        {
            foreach (var pair in pairs)
            {
                var memory = oracle.Encode(pair.Source);
                for (var place = 0; place < pair.Target.Length - 1; place++, row++)
                {
                    var received = logits.Slice(row, 1).Span.ToArray();
                    Near.Holds($"stream {stream}, place {place}", oracle.Logits(memory, pair.Target, stream, place), received, 1e-4);
                    if (place > stream && stream + 1 < model.Streams)
                    {
                        // Control: the next stream knows a token less and has a vector of its own.
                        seen += Near.Error(oracle.Logits(memory, pair.Target, stream + 1, place), received) > 1e-3 ? 1 : 0;
                    }
                }
            }
        }

        Assert.Equal(logits.Rows, row);
        Assert.True(model.Streams == 1 || pairs.All(p => p.Target.Length < 3) || seen > 0, "control");
    });

    // 20 models: the first stream's logits are the same bits whatever streams run beside it, which is why generation leaves them out.
    [Fact]
    public void Streams_left_out_change_nothing() => Cases.RunSeeds(20, seed =>
    {
        var (model, pairs) = Draw(seed);
        var all = model.Logits(new Tape(_backend), pairs, model.Streams).Value;
        var first = model.Logits(new Tape(_backend), pairs, 1).Value;
        Assert.Equal(first.Span.ToArray(), all.Slice(0, first.Rows).Span.ToArray());
    });

    // 20 models: a changed y_i is known to stream 0 at place i and unknown to stream 1 there, which knows it one place later.
    [Fact]
    public void A_token_reaches_a_stream_when_it_may() => Cases.RunSeeds(20, seed =>
    {
        var (model, pairs) = Draw(seed, streams: 2, length: 6);
        var changed = pairs.Select(p => p with { Target = [.. p.Target] }).ToArray();
        const int Place = 3;
        changed[0].Target[Place] = (changed[0].Target[Place] + 1) % model.Config.VocabularySize;
        float[][] before = Rows(model, pairs), after = Rows(model, changed);
        var width = before.Length / 2;
        Assert.NotEqual(before[Place], after[Place]);
        Assert.Equal(before[width + Place], after[width + Place]);
        Assert.NotEqual(before[width + Place + 1], after[width + Place + 1]);
        Assert.Equal(before[Place - 1], after[Place - 1]);
        // The other pair of the call is another text.
        Assert.Equal(before[pairs[0].Target.Length - 1], after[pairs[0].Target.Length - 1]);
    });

    // 4 models, each parameter along its gradient, the encoder's through the memory.
    [Fact]
    public void Gradients_are_slopes() => Cases.RunSeeds(4, seed =>
    {
        var (model, pairs) = Draw(seed, streams: 2, deviation: 0.3);
        var all = Trainable(model);
        var tape = new Tape(_backend) { Recording = true };
        model.Loss(tape, pairs);
        tape.Backward();
        var size = Math.Sqrt(all.Sum(p => _backend.SumOfSquares(p.Gradient!)));
        foreach (var parameter in all)
        {
            var gradient = parameter.Gradient!.Span.ToArray();
            var own = Math.Sqrt(gradient.Sum(g => (double)g * g));
            Assert.True(own > 0, parameter.Name);
            if (own < 1e-3 * size)
            {
                continue;
            }

            var kept = parameter.Value.Span.ToArray();
            double At(double h)
            {
                Initialise.Set(parameter, [.. kept.Zip(gradient, (w, g) => (float)(w + h * g / own))]);
                return model.Loss(new Tape(_backend), pairs).Loss;
            }

            const double H = 3e-3;
            var slope = (8 * (At(H) - At(-H)) - (At(2 * H) - At(-2 * H))) / (12 * H);
            Initialise.Set(parameter, kept);
            Assert.True(Math.Abs(slope - own) < 0.01 * own + 2e-3 * size, $"{parameter.Name}: slope {slope}, gradient {own}");
            Assert.True(own < 0.1 * size || Math.Abs(slope - 1.1 * own) > 0.01 * own + 2e-3 * size, "control");
        }
    });

    // Two tokens in reverse: read by the encoder, written by stream 0. A model whose memory is another source's writes something else.
    [Fact]
    public void A_reversed_source_is_learned()
    {
        const int V = 6;
        var model = new ProphetNetSeq2Seq(_backend, Config(V, 1) with { HiddenSize = 16, IntermediateSize = 32 }, 2, 1);
        var all = Trainable(model);
        SentencePair[] pairs = [.. from a in Enumerable.Range(1, V - 1) from b in Enumerable.Range(1, V - 1) select new SentencePair([a, b], [0, b, a])];
        var (optimiser, tape) = (new AdamW(all, new AdamWOptions { WeightDecay = 0 }), new Tape(_backend) { Recording = true });
        for (var step = 0; step < 150; step++)
        {
            tape.Reset();
            var (_, targets) = model.Loss(tape, pairs);
            tape.Backward();
            optimiser.Step(1e-2, 1.0 / targets);
        }

        Assert.All(pairs, pair => Assert.Equal(pair.Target[1..], model.Write(pair.Source, 0, 2)));
        Assert.NotEqual(model.Write([1, 2], 0, 2), model.Write([2, 1], 0, 2));
    }

    [Fact]
    public void Streams_it_has_not_and_empty_sources_are_refused()
    {
        var (model, pairs) = Draw(1, streams: 2);
        Assert.Throws<PtpException>(() => model.Logits(new Tape(_backend), pairs, 3));
        Assert.Throws<PtpException>(() => model.Logits(new Tape(_backend), [new SentencePair([], [0, 1])], 1));
        Assert.Throws<PtpException>(() => new ProphetNetSeq2Seq(_backend, Config(5, 1), 0, 1));
    }

    public void Dispose() => _backend.Dispose();

    private static TransformerConfig Config(int vocabulary, int layers) => new TransformerConfig
    {
        VocabularySize = vocabulary,
        HiddenSize = 8,
        IntermediateSize = 12,
        Layers = layers,
        Heads = 2,
        KeyValueHeads = 2,
        MaxContext = 24,
        NormEpsilon = 1e-3f,
        TieEmbeddings = true,
    }.Validated();

    private (ProphetNetSeq2Seq Model, SentencePair[] Pairs) Draw(int seed, int streams = 0, int length = 0, double deviation = 0.5)
    {
        var random = new RandomStream((ulong)seed, "prophetnet");
        var model = new ProphetNetSeq2Seq(_backend, Config(7, 1 + random.NextInt(2)), streams > 0 ? streams : 1 + random.NextInt(3), (ulong)seed);
        foreach (var parameter in model.Parameters)
        {
            Initialise.Gaussian(parameter, random, deviation);
        }

        int[] Ids(int count) => [.. Enumerable.Range(0, count).Select(_ => random.NextInt(7))];
        return (model, [.. Enumerable.Range(0, 2).Select(_ => new SentencePair(Ids(1 + random.NextInt(5)), Ids(length > 0 ? length : 2 + random.NextInt(5))))]);
    }

    private float[][] Rows(ProphetNetSeq2Seq model, SentencePair[] pairs)
    {
        var logits = model.Logits(new Tape(_backend), pairs, model.Streams).Value;
        return [.. Enumerable.Range(0, logits.Rows).Select(row => logits.Slice(row, 1).Span.ToArray())];
    }

    private static Parameter[] Trainable(ProphetNetSeq2Seq model)
    {
        Parameter[] all = [.. model.Parameters];
        Array.ForEach(all, p => p.SetTrainable(true));
        return all;
    }

    private static ScalarProphetNet Oracle(ProphetNetSeq2Seq model) => new(
        model.Parameters.ToDictionary(p => p.Name, ScalarModels.Values), model.Config.HiddenSize, model.Config.VocabularySize, model.Config.Layers,
        model.Config.Heads, model.Config.RopeTheta, model.Config.NormEpsilon);
}
