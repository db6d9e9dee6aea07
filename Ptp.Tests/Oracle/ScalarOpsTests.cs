// Every operation's backward against central differences, its forward against values worked out by hand, and controls.
// Source: the formulas in ScalarOps; loss = sum(c * y) with random c, so every output matters.
// Not here: whole models (ScalarTransformerTests).

using Ptp.Reference.Oracle;
using Xunit;
using static Ptp.Tests.Oracle.GradientCheck;
using static Ptp.Tests.Oracle.OracleGens;

namespace Ptp.Tests.Oracle;

public sealed class ScalarOpsTests
{
    [Seeds(20)]
    public void Linear_backward(int seed)
    {
        var random = new Random(seed);
        var (rows, inputs, outputs) = (random.Next(1, 5), random.Next(1, 6), random.Next(1, 6));
        var (x, w) = (Normal(random, rows * inputs), Normal(random, outputs * inputs));
        var c = Normal(random, rows * outputs);
        var (dX, dW) = (new double[x.Length], new double[w.Length]);
        ScalarOps.LinearBackward(c, x, w, rows, inputs, outputs, dX, dW);
        double Loss() => Dot(c, ScalarOps.Linear(x, w, rows, inputs, outputs));
        Holds("dX", Loss, x, dX);
        Holds("dW", Loss, w, dW);
    }

    [Seeds(10)]
    public void Embedding_backward_adds_up_repeated_ids(int seed)
    {
        var random = new Random(seed);
        int[] ids = [3, 1, 3, 3, 0];
        var (table, c) = (Normal(random, 5 * 4), Normal(random, ids.Length * 4));
        var dTable = new double[table.Length];
        ScalarOps.EmbeddingBackward(c, ids, 4, dTable);
        Holds("dTable", () => Dot(c, ScalarOps.Embedding(ids, table, 4)), table, dTable);
    }

    [Seeds(20)]
    public void RmsNorm_backward(int seed)
    {
        var random = new Random(seed);
        var (rows, width) = (random.Next(1, 4), random.Next(1, 7));
        var (x, gain, c) = (Normal(random, rows * width), Normal(random, width), Normal(random, rows * width));
        var (dX, dGain) = (new double[x.Length], new double[width]);
        ScalarOps.RmsNormBackward(c, x, gain, rows, width, 0.01, dX, dGain);
        double Loss() => Dot(c, ScalarOps.RmsNorm(x, gain, rows, width, 0.01));
        Holds("dX", Loss, x, dX);
        Holds("dGain", Loss, gain, dGain);
    }

    [Fact]
    public void RmsNorm_by_hand()
    {
        // mean(3^2, 4^2) = 12.5; eps 12.5 makes the root 5
        var y = ScalarOps.RmsNorm([3, 4], [1, 2], 1, 2, 12.5);
        Assert.Equal(0.6, y[0], 1e-15);
        Assert.Equal(1.6, y[1], 1e-15);
    }

    [Seeds(20)]
    public void Rope_backward_and_its_control(int seed)
    {
        var random = new Random(seed);
        int[] positions = [random.Next(1, 50), 0, random.Next(1, 50)];
        var (x, c) = (Normal(random, 3 * 2 * 6), Normal(random, 3 * 2 * 6));
        var dX = new double[x.Length];
        ScalarOps.RopeBackward(c, positions, 2, 6, 100, dX);
        double Loss() => Dot(c, ScalarOps.Rope(x, positions, 2, 6, 100));
        Holds("dX", Loss, x, dX);

        // Control: the gradient turned forwards instead of backwards is wrong, and the check says so.
        Assert.True(RelativeError(Loss, x, ScalarOps.Rope(c, positions, 2, 6, 100)) > 1e-3);
    }

    [Fact]
    public void Rope_turns_half_split_pairs()
    {
        // K = 4, theta = 1: both pairs turn by the position in radians; pairs are (0, 2) and (1, 3).
        var y = ScalarOps.Rope([1, 0, 0, 1], [1], 1, 4, 1);
        double[] expected = [Math.Cos(1), -Math.Sin(1), Math.Sin(1), Math.Cos(1)];
        Assert.All(y.Zip(expected), pair => Assert.Equal(pair.Second, pair.First, 1e-15));
    }

    [Seeds(15)]
    public void Attention_backward_with_grouped_heads_and_any_mask(int seed)
    {
        var random = new Random(seed);
        var (rows, keys, kvHeads, headSize) = (random.Next(1, 4), random.Next(1, 5), random.Next(1, 3), 2);
        var heads = kvHeads * random.Next(1, 4);
        var visible = new bool[rows, keys]; // about one row in eight sees nothing
        for (var at = 0; at < visible.Length; at++)
        {
            visible[at / keys, at % keys] = random.Next(3) > 0;
        }

        var q = Normal(random, rows * heads * headSize);
        var k = Normal(random, keys * kvHeads * headSize);
        var v = Normal(random, keys * kvHeads * headSize);
        var c = Normal(random, q.Length);
        var (dQ, dK, dV) = (new double[q.Length], new double[k.Length], new double[v.Length]);
        ScalarOps.AttentionBackward(c, q, k, v, visible, heads, kvHeads, headSize, dQ, dK, dV);
        double Loss() => Dot(c, ScalarOps.Attention(q, k, v, visible, heads, kvHeads, headSize));
        Holds("dQ", Loss, q, dQ);
        Holds("dK", Loss, k, dK);
        Holds("dV", Loss, v, dV);
    }

    [Fact]
    public void Attention_by_hand()
    {
        // Scores 0 and log 3 (K = 1): weights 1/4 and 3/4 of the values 4 and 8. The hidden third key does not count.
        var y = ScalarOps.Attention([1], [0, Math.Log(3), 9], [4, 8, 1e6], new[,] { { true, true, false } }, 1, 1, 1);
        Assert.Equal(7, y[0], 1e-12);
        Assert.Equal([0.0], ScalarOps.Attention([1], [0], [4], new[,] { { false } }, 1, 1, 1));

        // Four query heads share two value heads: neighbours 0, 1 read the first, 2, 3 the second.
        Assert.Equal([5.0, 5, 6, 6], ScalarOps.Attention([1, 2, 3, 4], [1, 1], [5, 6], new[,] { { true } }, 4, 2, 1));
    }

    [Seeds(20)]
    public void SwiGlu_backward(int seed)
    {
        var random = new Random(seed);
        var (gate, up, c) = (Normal(random, 8, 3), Normal(random, 8), Normal(random, 8));
        var (dGate, dUp) = (new double[8], new double[8]);
        ScalarOps.SwiGluBackward(c, gate, up, dGate, dUp);
        double Loss() => Dot(c, ScalarOps.SwiGlu(gate, up));
        Holds("dGate", Loss, gate, dGate);
        Holds("dUp", Loss, up, dUp);
    }

    [Seeds(20)]
    public void Softmax_backward(int seed)
    {
        var random = new Random(seed);
        var (x, c) = (Normal(random, 3 * 5), Normal(random, 3 * 5));
        var dX = new double[x.Length];
        ScalarOps.SoftmaxBackward(c, ScalarOps.Softmax(x, 3, 5), 3, 5, dX);
        Holds("dX", () => Dot(c, ScalarOps.Softmax(x, 3, 5)), x, dX);
    }

    [Seeds(50)]
    public void Softmax_is_invariant_under_shifts_even_huge_ones(int seed)
    {
        var random = new Random(seed);
        var x = Array.ConvertAll(Normal(random, 6, 4), value => Math.Round(value * 1024) / 1024); // shifts stay exact
        var law = ScalarOps.Softmax(x, 1, 6);
        Assert.Equal(1, law.Sum(), 1e-14);
        foreach (var shift in (double[])[-1e6, -89, 0.5, 89, 1e6])
        {
            Assert.Equal(law, ScalarOps.Softmax(Array.ConvertAll(x, value => value + shift), 1, 6));
        }
    }

    [Seeds(20)]
    public void CrossEntropy_backward_with_ignored_rows_and_weights(int seed)
    {
        var random = new Random(seed);
        int[] targets = [random.Next(5), ScalarOps.Ignored, random.Next(5), random.Next(5)];
        var logits = Normal(random, 4 * 5);
        foreach (var weights in (double[]?[])[null, [0.5, 7, 0.25, 0]])
        {
            var dLogits = new double[logits.Length];
            ScalarOps.CrossEntropyBackward(1.7, logits, targets, weights, 5, dLogits);
            Holds("dLogits", () => 1.7 * ScalarOps.CrossEntropy(logits, targets, weights, 5), logits, dLogits);
            Assert.All(dLogits[5..10], slope => Assert.Equal(0, slope));
        }
    }

    [Seeds(20)]
    public void Divergence_backward_with_weights(int seed)
    {
        var random = new Random(seed);
        var (logits, teacher) = (Normal(random, 3 * 5), Normal(random, 3 * 5));
        double[] weights = [0.5, 7, 0];
        var dLogits = new double[logits.Length];
        ScalarOps.DivergenceBackward(1.7, logits, teacher, 1.4, weights, 5, dLogits);
        Holds("dLogits", () => 1.7 * ScalarOps.Divergence(logits, teacher, 1.4, weights, 5), logits, dLogits);
        Assert.Equal(0, ScalarOps.Divergence(teacher, teacher, 1.4, weights, 5), 1e-12);
    }

    [Seeds(20)]
    public void Reverse_divergence_and_binary_cross_entropy_backward(int seed)
    {
        var random = new Random(seed);
        var (logits, teacher) = (Normal(random, 3 * 5), Normal(random, 3 * 5));
        double[] weights = [0.5, 7, 0];
        var dLogits = new double[logits.Length];
        ScalarOps.ReverseDivergenceBackward(1.7, logits, teacher, 1.4, weights, 5, dLogits);
        Holds("dLogits", () => 1.7 * ScalarOps.ReverseDivergence(logits, teacher, 1.4, weights, 5), logits, dLogits);

        int[] targets = [4, ScalarOps.Ignored, 0];
        dLogits.AsSpan().Clear();
        ScalarOps.BinaryCrossEntropyBackward(1.7, logits, targets, weights, 5, dLogits);
        Holds("dLogits", () => 1.7 * ScalarOps.BinaryCrossEntropy(logits, targets, weights, 5), logits, dLogits);
    }

    [Seeds(20)]
    public void Sampler_backward(int seed)
    {
        var random = new Random(seed);
        var (rows, width, inner) = (3, 4, 5);
        var sampler = new ScalarSampler(
            Normal(random, width), [Normal(random, width)], [Normal(random, inner * width), Normal(random, inner * width)],
            [Normal(random, inner * width), Normal(random, inner * width)], Normal(random, width * inner));
        var (hidden, tokens) = (Normal(random, rows * width), Normal(random, rows * width));
        int[] targets = [0, 3, 1];
        double Loss() => rows * ScalarOps.CrossEntropy(sampler.Forward(hidden, [tokens], rows, 1e-5), targets, null, width);
        var (dZ, dHidden) = (new double[rows * width], new double[rows * width]);
        ScalarOps.CrossEntropyBackward(rows, sampler.Forward(hidden, [tokens], rows, 1e-5), targets, null, width, dZ);
        var gradients = sampler.Backward(dZ, hidden, [tokens], rows, 1e-5, dHidden);
        Holds("hidden", Loss, hidden, dHidden);
        Holds("norm", Loss, sampler.Norm, gradients.Norm);
        Holds("token norm", Loss, sampler.TokenNorms[0], gradients.TokenNorms[0]);
        Holds("gate of the row", Loss, sampler.Gates[0], gradients.Gates[0]);
        Holds("gate of the token", Loss, sampler.Gates[1], gradients.Gates[1]);
        Holds("up of the token", Loss, sampler.Ups[1], gradients.Ups[1]);
        Holds("down", Loss, sampler.Down, gradients.Down);
    }

    [Fact]
    public void CrossEntropy_by_hand()
    {
        double[] logits = [0, Math.Log(3), 0, 0]; // laws (1/4, 3/4) and (1/2, 1/2)
        Assert.Equal(Math.Log(4), ScalarOps.CrossEntropy(logits, [0, ScalarOps.Ignored], null, 2), 1e-12);
        Assert.Equal((Math.Log(4) + 3 * Math.Log(2)) / 4, ScalarOps.CrossEntropy(logits, [0, 1], [1, 3], 2), 1e-12);
        Assert.Equal(0, ScalarOps.CrossEntropy(logits, [ScalarOps.Ignored, ScalarOps.Ignored], null, 2));
    }
}
