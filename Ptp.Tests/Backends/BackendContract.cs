// The contract of every backend: each op forward and backward against scalar double, backwards adding to what is there.
// Source: the equations in IBackend; ScalarOps as the yardstick; 1e-4 of the tensor's largest value.
// Not here: row independence (the other half of this class). A backend inherits it in three lines.

using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Backends;

public abstract partial class BackendContract : IDisposable
{
    private static readonly int[] s_widths = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 65, 96, 130];
    private readonly List<IBackend> _variants = [];
    private IBackend? _backend;

    /// <summary>The backend under test.</summary>
    protected abstract IBackend Create();

    /// <summary>Other configurations of it that must give the same bits, for example other thread counts.</summary>
    protected virtual IEnumerable<IBackend> CreateVariants() => [];

    /// <summary>Cases per op; a slow device may take fewer.</summary>
    protected virtual int CaseCount => 25;

    /// <summary>Most rows of a call.</summary>
    protected virtual int MaxRows => 130;

    /// <summary>Most tokens of a whole model, at most 48.</summary>
    protected virtual int MaxTokens => 48;

    /// <summary>Widest row.</summary>
    protected virtual int MaxWidth => 130;

    private IBackend Backend => _backend ??= Create();

    [Fact]
    public void Embedding_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, vocabulary, width) = (Rows(random), 1 + random.Next(20), Width(random));
        var table = Normal(random, vocabulary * width);
        var ids = Ids(random, rows, vocabulary);
        var (output, dTable) = (Backend.Allocate(rows, width), Normal(random, vocabulary * width));
        Backend.Embedding(Put(table, vocabulary, width), ids, output);
        Near.Holds("embedding", ScalarOps.Embedding(ids, Doubles(table), width), Get(output));

        var (dY, expected, received) = (Normal(random, rows * width), Doubles(dTable), Put(dTable, vocabulary, width));
        ScalarOps.EmbeddingBackward(Doubles(dY), ids, width, expected);
        Backend.EmbeddingBackward(Put(dY, rows, width), ids, received);
        Near.Holds("dTable", expected, Get(received));
    });

    [Fact]
    public void MatMul_equals_the_oracle() => Cases.Run(2 * CaseCount, random =>
    {
        var (rows, inputs, outputs) = (Rows(random), Inner(random), Width(random));
        var (x, w) = (Normal(random, rows * inputs), Normal(random, outputs * inputs));
        var (y, dY) = (Normal(random, rows * outputs), Normal(random, rows * outputs));
        var product = ScalarOps.Linear(Doubles(x), Doubles(w), rows, inputs, outputs);
        var (tensorX, tensorW, tensorY) = (Put(x, rows, inputs), Put(w, outputs, inputs), Put(y, rows, outputs));

        var packed = Backend.Pack(tensorW, false, null);
        Assert.Equal((outputs, inputs), (packed.Outputs, packed.Inputs));
        Backend.MatMul(tensorX, packed, true, tensorY);
        Near.Holds("y += x W^T", ScalarOps.Add(Doubles(y), product), Get(tensorY));
        Backend.MatMul(tensorX, packed, false, tensorY);
        Near.Holds("y = x W^T", product, Get(tensorY));

        // Packing again over an earlier packing must leave nothing of it.
        var again = Backend.Pack(Put(Normal(random, w.Length), outputs, inputs), false, null);
        Backend.MatMul(tensorX, Backend.Pack(tensorW, false, again), false, tensorY);
        Near.Holds("packed twice", product, Get(tensorY));

        var (dX, dW) = (Normal(random, x.Length), Normal(random, w.Length));
        var (tensorDX, tensorDW) = (Put(dX, rows, inputs), Put(dW, outputs, inputs));
        var (expectedX, expectedW) = (Doubles(dX), Doubles(dW));
        ScalarOps.LinearBackward(Doubles(dY), Doubles(x), Doubles(w), rows, inputs, outputs, expectedX, expectedW);
        var tensorDY = Put(dY, rows, outputs);
        Backend.MatMulBackwardInput(tensorDY, Backend.Pack(tensorW, true, null), true, tensorDX);
        Backend.MatMulBackwardWeight(tensorDY, tensorX, tensorDW);
        Near.Holds("dX", expectedX, Get(tensorDX));
        Near.Holds("dW", expectedW, Get(tensorDW));
        ScalarOps.LinearBackward(
            Doubles(dY), Doubles(x), Doubles(w), rows, inputs, outputs, expectedX = new double[dX.Length], expectedW);
        Backend.MatMulBackwardInput(tensorDY, Backend.Pack(tensorW, true, null), false, tensorDX);
        Near.Holds("dX written", expectedX, Get(tensorDX));
    });

    [Fact]
    public void RmsNorm_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var epsilon = random.Next(2) == 0 ? 1e-5f : 0.1f;
        var (x, gain, dY) = (Normal(random, rows * width), Normal(random, width), Normal(random, rows * width));
        var y = Backend.Allocate(rows, width);
        var (tensorX, tensorGain) = (Put(x, rows, width), Put(gain, 1, width));
        Backend.RmsNorm(tensorX, tensorGain, epsilon, y);
        Near.Holds("y", ScalarOps.RmsNorm(Doubles(x), Doubles(gain), rows, width, epsilon), Get(y));

        var (dX, dGain) = (Normal(random, x.Length), Normal(random, width));
        var (expectedX, expectedGain) = (Doubles(dX), Doubles(dGain));
        ScalarOps.RmsNormBackward(
            Doubles(dY), Doubles(x), Doubles(gain), rows, width, epsilon, expectedX, expectedGain);
        foreach (var tensorDGain in (Tensor?[])[Put(dGain, 1, width), null])
        {
            var tensorDX = Put(dX, rows, width);
            Backend.RmsNormBackward(tensorX, tensorGain, epsilon, Put(dY, rows, width), tensorDX, tensorDGain);
            Near.Holds("dX", expectedX, Get(tensorDX));
            if (tensorDGain is not null)
            {
                Near.Holds("dGain", expectedGain, Get(tensorDGain));
            }
        }
    });

    [Fact]
    public void Rope_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, heads, size) = (Rows(random), 1 + random.Next(4), 2 * (1 + random.Next(18)));
        var (x, positions) = (Normal(random, rows * heads * size), Ids(random, rows, 50));
        var table = RopeTable(50, size, 100);
        var turned = Put(x, rows, heads * size);
        Backend.Rope(table, positions, turned);
        Near.Holds("turned", ScalarOps.Rope(Doubles(x), positions, heads, size, 100), Get(turned));

        var expected = new double[x.Length];
        ScalarOps.RopeBackward(Doubles(x), positions, heads, size, 100, expected);
        var back = Put(x, rows, heads * size);
        Backend.RopeBackward(table, positions, back);
        Near.Holds("turned back", expected, Get(back));
    });

    [Fact]
    public void Attention_equals_the_oracle() => Cases.Run(2 * CaseCount, random =>
    {
        var c = new AttentionCase(random, MaxRows);
        var mask = c.Mask(); // [R, capacity + R]
        double[] keys = [.. Doubles(c.CacheKeys), .. Doubles(c.Keys)];
        double[] values = [.. Doubles(c.CacheValues), .. Doubles(c.Values)];
        var (g, k) = (c.Shape.KeyValueHeads, c.Shape.HeadSize);
        var expected = ScalarOps.Attention(Doubles(c.Q), keys, values, mask, c.Shape.Heads, g, k);
        var output = Put(Normal(random, c.Q.Length), c.Rows, c.QueryWidth); // overwritten, not added to
        var (q, own, ownValues) = (Put(c.Q, c.Rows, c.QueryWidth), Put(c.Keys, c.Rows, c.Width), Put(c.Values, c.Rows, c.Width));
        var cache = c.Capacity == 0
            ? default
            : new CachedKeys(Put(c.CacheKeys, c.Capacity, c.Width), Put(c.CacheValues, c.Capacity, c.Width));
        Backend.Attention(q, own, ownValues, cache, c.Visibility, c.Shape, output);
        Near.Holds("o", expected, Get(output));

        var dOutput = Normal(random, c.Q.Length);
        var (dQ, dKeys, dValues) = (Normal(random, c.Q.Length), Normal(random, c.Keys.Length), Normal(random, c.Keys.Length));
        var expectedQ = Doubles(dQ);
        var before = new double[c.CacheKeys.Length];
        double[] expectedKeys = [.. before, .. Doubles(dKeys)];
        double[] expectedValues = [.. before, .. Doubles(dValues)];
        ScalarOps.AttentionBackward(
            Doubles(dOutput), Doubles(c.Q), keys, values, mask, c.Shape.Heads, g, k, expectedQ, expectedKeys, expectedValues);
        var (tensorDQ, tensorDK, tensorDV) =
            (Put(dQ, c.Rows, c.QueryWidth), Put(dKeys, c.Rows, c.Width), Put(dValues, c.Rows, c.Width));
        Backend.AttentionBackward(
            q, own, ownValues, cache, c.Visibility, c.Shape, Put(dOutput, c.Rows, c.QueryWidth), tensorDQ, tensorDK,
            tensorDV);
        Near.Holds("dQ", expectedQ, Get(tensorDQ));
        Near.Holds("dK", expectedKeys[before.Length..], Get(tensorDK));
        Near.Holds("dV", expectedValues[before.Length..], Get(tensorDV));
    });

    [Fact]
    public void SwiGlu_equals_the_oracle() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var gate = Normal(random, rows * width, random.Next(4) == 0 ? 60 : 2); // 60: exp overflows on one side
        var (up, dY) = (Normal(random, gate.Length), Normal(random, gate.Length));
        var (tensorGate, tensorUp) = (Put(gate, rows, width), Put(up, rows, width));
        var y = Backend.Allocate(rows, width);
        Backend.SwiGlu(tensorGate, tensorUp, y);
        Near.Holds("y", ScalarOps.SwiGlu(Doubles(gate), Doubles(up)), Get(y));

        var (dGate, dUp) = (Normal(random, gate.Length), Normal(random, gate.Length));
        var (expectedGate, expectedUp) = (Doubles(dGate), Doubles(dUp));
        ScalarOps.SwiGluBackward(Doubles(dY), Doubles(gate), Doubles(up), expectedGate, expectedUp);
        var (tensorDGate, tensorDUp) = (Put(dGate, rows, width), Put(dUp, rows, width));
        Backend.SwiGluBackward(tensorGate, tensorUp, Put(dY, rows, width), true, tensorDGate, tensorDUp);
        Near.Holds("dGate", expectedGate, Get(tensorDGate));
        Near.Holds("dUp", expectedUp, Get(tensorDUp));
        (expectedGate, expectedUp) = (new double[gate.Length], new double[gate.Length]);
        ScalarOps.SwiGluBackward(Doubles(dY), Doubles(gate), Doubles(up), expectedGate, expectedUp);
        Backend.SwiGluBackward(tensorGate, tensorUp, Put(dY, rows, width), false, tensorDGate, tensorDUp);
        Near.Holds("dGate written", expectedGate, Get(tensorDGate));
        Near.Holds("dUp written", expectedUp, Get(tensorDUp));
    });

    [Fact]
    public void Softmax_equals_the_oracle_at_any_size_of_logits() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var x = Normal(random, rows * width, Math.Pow(10, random.Next(4))); // 1000: exp needs the shift
        var y = Backend.Allocate(rows, width);
        Backend.Softmax(Put(x, rows, width), y);
        Near.Holds("softmax", ScalarOps.Softmax(Doubles(x), rows, width), Get(y));
    });

    [Fact]
    public void Small_ops_equal_their_equations() => Cases.Run(CaseCount, random =>
    {
        var (rows, width, scale) = (Rows(random), Width(random), (float)random.NextDouble());
        var (a, b) = (Normal(random, rows * width), Normal(random, rows * width));
        var (x, y) = (Put(a, rows, width), Put(b, rows, width));
        var sum = Backend.Allocate(rows, width);
        Backend.Add(x, y, sum);
        Assert.Equal(a.Zip(b, (p, q) => p + q), Get(sum));
        Assert.InRange(Backend.Sum(x) - a.Sum(v => (double)v), -1e-3, 1e-3);
        Assert.Equal(1, Backend.SumOfSquares(x) / a.Sum(v => (double)v * v), 1e-4);
        Backend.AddScaled(x, scale, y);
        Near.Holds("y += s x", [.. a.Zip(b, (p, q) => (double)q + scale * p)], Get(y), 1e-6);
        Backend.Scale(scale, x);
        Assert.Equal(a.Select(v => v * scale), Get(x));
        Backend.Copy(y, x);
        Assert.Equal(Get(y), Get(x));
        Backend.Fill(scale, x);
        Assert.All(Get(x), value => Assert.Equal(scale, value));

        // Scatter: a random half of the rows to distinct places, the others nowhere.
        var slots = Enumerable.Range(0, rows).OrderBy(_ => random.Next()).Select(s => random.Next(2) == 0 ? -1 : s).ToArray();
        var destination = Put(b, rows, width);
        Backend.Scatter(Put(a, rows, width), slots, destination);
        var expected = (float[])b.Clone();
        for (var row = 0; row < rows; row++)
        {
            if (slots[row] >= 0)
            {
                a.AsSpan(row * width, width).CopyTo(expected.AsSpan(slots[row] * width));
            }
        }

        Assert.Equal(expected, Get(destination));
    });

    [Fact]
    public void AdamW_equals_its_equations() => Cases.Run(CaseCount, random =>
    {
        var (rows, width) = (Rows(random), Width(random));
        var (p, m, v) = (Normal(random, rows * width), new float[rows * width], new float[rows * width]);
        var (p64, m64, v64) = (Doubles(p), Doubles(m), Doubles(v));
        var (parameter, first, second) = (Put(p, rows, width), Put(m, rows, width), Put(v, rows, width));
        for (var step = 1; step <= 4; step++)
        {
            var gradient = Normal(random, p.Length, 0.3);
            var settings = new AdamWStep(0.02, 0.9, 0.95, 1e-8, 0.1, step, 0.5);
            Backend.AdamW(Put(gradient, rows, width), settings, first, second, parameter);
            for (var i = 0; i < p.Length; i++)
            {
                var g = 0.5 * gradient[i];
                m64[i] = 0.9 * m64[i] + 0.1 * g;
                v64[i] = 0.95 * v64[i] + 0.05 * g * g;
                var (m1, v1) = (m64[i] / (1 - Math.Pow(0.9, step)), v64[i] / (1 - Math.Pow(0.95, step)));
                p64[i] -= 0.02 * (m1 / (Math.Sqrt(v1) + 1e-8) + 0.1 * p64[i]);
            }
        }

        Near.Holds("parameter", p64, Get(parameter), 1e-5);
        Near.Holds("m", m64, Get(first), 1e-5);
        Near.Holds("v", v64, Get(second), 1e-5);
    });

    [Fact]
    public void Wrong_shapes_are_refused()
    {
        var (a, b) = (Backend.Allocate(3, 4), Backend.Allocate(4, 3));
        var weight = Backend.Pack(b, false, null);
        Assert.Throws<PtpException>(() => Backend.Add(a, b, a));
        Assert.Throws<PtpException>(() => Backend.MatMul(a, weight, false, b));
        Assert.Throws<PtpException>(() => Backend.RmsNorm(a, b, 1e-5f, a));
        Assert.Throws<PtpException>(() => Backend.Embedding(a, [0, 3], Backend.Allocate(2, 4)));
        Assert.Throws<PtpException>(() => Backend.Divergence(a, Backend.Allocate(a.Rows, a.Columns + 1), 1, [], false));
        Assert.Throws<PtpException>(() => Backend.ReverseDivergence(a, Backend.Allocate(a.Rows, a.Columns + 1), 1, [], false));
        Assert.Throws<PtpException>(() => Backend.BinaryCrossEntropy(a, [.. Enumerable.Repeat(a.Columns, a.Rows)], [], false));
        Assert.Throws<PtpException>(() => Backend.CrossEntropy(a, [0, 1], [], false));
        Assert.Throws<PtpException>(() => Backend.CrossEntropy(a, [0, 1, 4], [], false));
        Assert.Throws<PtpException>(() => Backend.Rope(RopeTable(2, 4, 10), [0, 1, 2], a));
        Assert.Throws<PtpException>(() => Backend.Attention(
            a, a, a, default, Visibility.Causal(1, 3), new HeadShape(2, 2, 2), Backend.Allocate(3, 4)));
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
        _backend?.Dispose();
        _variants.ForEach(variant => variant.Dispose());
    }

    private int Rows(Random random) => 1 + random.Next(random.Next(2) == 0 ? Math.Min(13, MaxRows) : MaxRows);

    private int Width(Random random) => Math.Min(MaxWidth, s_widths[random.Next(s_widths.Length)]);

    /// <summary>The summed dimension: sometimes longer than a block of the product (512).</summary>
    private int Inner(Random random) => random.Next(8) == 0 ? Math.Min(8 * MaxWidth, 500 + random.Next(600)) : Width(random);

    protected static float[] Normal(Random random, int count, double scale = 1) =>
        Array.ConvertAll(Oracle.OracleGens.Normal(random, count, scale), value => (float)value);

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);

    private static int[] Ids(Random random, int count, int below)
    {
        var ids = new int[count];
        for (var i = 0; i < count; i++)
        {
            ids[i] = random.Next(below);
        }

        return ids;
    }

    protected Tensor Put(float[] values, int rows, int columns) => Put(Backend, values, rows, columns);

    protected static Tensor Put(IBackend backend, ReadOnlySpan<float> values, int rows, int columns)
    {
        var tensor = backend.Allocate(rows, columns);
        backend.Upload(values, tensor);
        return tensor;
    }

    protected float[] Get(Tensor tensor) => Get(Backend, tensor);

    protected static float[] Get(IBackend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }

    private RopeTable RopeTable(int positions, int headSize, double theta) =>
        RopeTable(Backend, positions, headSize, theta);

    private static RopeTable RopeTable(IBackend backend, int positions, int headSize, double theta)
    {
        var half = headSize / 2;
        var angles = Enumerable.Range(0, positions * half)
            .Select(i => i / half * Math.Pow(theta, -2.0 * (i % half) / headSize)).ToArray();
        return new RopeTable(
            Put(backend, Array.ConvertAll(angles, a => (float)Math.Cos(a)), positions, half),
            Put(backend, Array.ConvertAll(angles, a => (float)Math.Sin(a)), positions, half));
    }
}
