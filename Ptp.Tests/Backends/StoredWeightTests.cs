// Weights stored in fewer bits: BF16 panels keep every bit of a product, bytes keep it to 1.5 % and are their own exact law.
// Source: Weights.cs and ByteWeights.cs; the oracle of a product over bytes is whole numbers, then one chain of fused multiply-adds.
// Controls: weights that are no BF16 keep floats; a product whose scale, of weights or of rows, sits in the wrong block differs.

using System.Runtime.Intrinsics.X86;
using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Xunit;

namespace Ptp.Tests.Backends;

[Collection(ForcedVectors.Name)]
public sealed class StoredWeightTests : IDisposable
{
    private const int Block = 64;
    private readonly VectorWidth _before = MatMul.Width;
    private readonly bool _dots = ByteWays.Dots;

    public void Dispose() => (MatMul.Width, ByteWays.Dots) = (_before, _dots);

    // 40 products of up to 20 rows: panels of BF16 give the bits of panels of floats.
    [Fact]
    public void Short_weights_give_the_bits_of_long_ones() => Cases.Run(40, random =>
    {
        using var backend = new CpuBackend(1);
        using var pool = new CpuPool(1);
        var (rows, inputs, outputs) = (1 + random.Next(20), 1 + random.Next(700), 1 + random.Next(300));
        var x = Normal(random, rows * inputs);
        var w = Array.ConvertAll(Normal(random, outputs * inputs),
            v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & HalfWeights.Upper));
        float[] Product(float[] weights)
        {
            var packed = backend.Pack(Put(backend, weights, outputs, inputs), false, null);
            var y = Multiply(backend, x, rows, inputs, packed, null);
            ((CpuPackedMatrix)packed).Panels(1, pool, out var form);
            var half = ReferenceEquals(weights, w) && MatMul.Width != VectorWidth.Portable;
            Assert.Equal(half ? PanelForm.Half : PanelForm.Full, form);
            return y;
        }

        // One more column of weights that are no BF16 keeps the panels of the same columns in floats.
        float[] longer = [.. w, .. Enumerable.Repeat(1.1f, inputs)];
        var columns = outputs;
        var shortBits = Product(w);
        outputs++;
        var longBits = Product(longer);
        for (var row = 0; row < rows; row++)
        {
            Assert.True(shortBits.AsSpan(row * columns, columns).SequenceEqual(longBits.AsSpan(row * outputs, columns)));
        }
    });

    // 40 products of up to 120 rows: every width gives the oracle's bits, whatever the threads and the rows beside.
    [Fact]
    public void Products_over_bytes_are_the_oracle_to_the_bit() => Cases.Run(40, random =>
    {
        var (rows, inputs, outputs) = (1 + random.Next(random.Next(2) == 0 ? 14 : 120), 1 + random.Next(300), 1 + random.Next(100));
        var (x, w) = (Normal(random, rows * inputs), Normal(random, outputs * inputs));
        var start = random.Next(2) == 0 ? Normal(random, rows * outputs) : null;
        var expected = Oracle(x, w, rows, inputs, outputs, start);
        foreach (var (width, dots) in Ways())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            using var backend = new CpuBackend(1 + random.Next(3));
            var packed = backend.Pack(Put(backend, w, outputs, inputs), false, null, WeightFormat.Int8);
            Assert.Equal(expected, Multiply(backend, x, rows, inputs, packed, start));
            var row = random.Next(rows);
            Assert.Equal(
                expected.AsSpan(row * outputs, outputs).ToArray(),
                Multiply(backend, x[(row * inputs)..((row + 1) * inputs)], 1, inputs, packed, start?[(row * outputs)..((row + 1) * outputs)]));
        }

        if (inputs > Block)
        {
            Assert.NotEqual(expected, Oracle(x, w, rows, inputs, outputs, start, weightShift: 1));
            Assert.NotEqual(expected, Oracle(x, w, rows, inputs, outputs, start, rowShift: 1));
        }
    });

    // Halves go to the even number: x = 127 / 2^n + an odd multiple of a half at a scale that is a power of two; and 0, -0 and numbers
    // whose scale is no normal number count as nothing, in every way of every width.
    [Theory]
    [InlineData(127f)]
    [InlineData(127f / (1 << 20))]
    [InlineData(0f)]
    [InlineData(1e-37f)]
    public void Rows_are_rounded_to_even_bytes(float largest)
    {
        using var backend = new CpuBackend(1);
        var x = new float[70];
        for (var k = 0; k < 70; k++)
        {
            x[k] = (k - 35.5f) * (largest / 127f);
        }

        x[0] = x[69] = -largest;
        var w = Normal(new Random(1), 40 * 70);
        var expected = Oracle(x, w, 1, 70, 40, null);
        Assert.Equal(largest > 1e-30f, expected.Any(v => v != 0));
        foreach (var (width, dots) in Ways())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            var packed = backend.Pack(Put(backend, w, 40, 70), false, null, WeightFormat.Int8);
            Assert.Equal(expected, Multiply(backend, x, 1, 70, packed, null));
        }
    }

    // The largest sums there are: all bytes at their ends, so nothing saturates.
    [Fact]
    public void The_largest_sums_stay_whole()
    {
        using var backend = new CpuBackend(1);
        foreach (var (width, dots) in Ways())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            for (var sign = -1; sign <= 1; sign += 2)
            {
                var packed = backend.Pack(Put(backend, Enumerable.Repeat(sign * 127f, 40 * 64).ToArray(), 40, 64), false, null, WeightFormat.Int8);
                var y = Multiply(backend, Enumerable.Repeat(127f, 7 * 64).ToArray(), 7, 64, packed, null);
                Assert.All(y, v => Assert.Equal(sign * 64 * 127 * 127, v));
            }
        }
    }

    // 20 products: the relative error of a row, in the norm, is below 1.5 % for normal numbers (0.8 % as a rule). Each side is rounded to
    // steps of max / 127; the largest of 64 normal numbers is 2.6 in the root mean square, so a step of 0.0204 is wrong by
    // 0.0204 / sqrt(12) = 0.0059 of the deviation, on both sides sqrt(2) times as much.
    [Fact]
    public void Products_over_bytes_are_close_to_those_over_floats() => Cases.Run(20, random =>
    {
        using var backend = new CpuBackend(1);
        var (inputs, outputs) = (32 + random.Next(600), 32 + random.Next(200));
        var (x, w) = (Normal(random, inputs), Normal(random, outputs * inputs));
        var exact = Multiply(backend, x, 1, inputs, backend.Pack(Put(backend, w, outputs, inputs), false, null), null);
        var rounded = Multiply(
            backend, x, 1, inputs, backend.Pack(Put(backend, w, outputs, inputs), false, null, WeightFormat.Int8), null);
        var error = exact.Zip(rounded, (a, b) => (double)(a - b) * (a - b)).Sum();
        var norm = exact.Sum(a => (double)a * a);
        Assert.InRange(Math.Sqrt(error / norm), 1e-6, 0.015);
    });

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void What_is_no_number_stays_none(float bad)
    {
        using var backend = new CpuBackend(1);
        foreach (var (width, dots) in Ways())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            var w = Enumerable.Repeat(1f, 40 * 70).ToArray();
            var packed = backend.Pack(Put(backend, w, 40, 70), false, null, WeightFormat.Int8);
            var x = new float[2 * 70];
            x[13] = bad;
            var y = Multiply(backend, x, 2, 70, packed, null);
            Assert.All(y[..40], v => Assert.True(float.IsNaN(v)));
            Assert.All(y[40..], v => Assert.Equal(0f, v));
        }
    }

    [Fact]
    public void Training_and_storing_refuse_each_other()
    {
        using var backend = new CpuBackend(1);
        var weight = new Parameter(backend, "w", 4, 4);
        weight.Store(WeightFormat.Int8);
        Assert.Contains("stored as Int8", Assert.Throws<PtpException>(() => weight.SetTrainable(true)).Message, StringComparison.Ordinal);
        weight.Store(WeightFormat.Exact);
        weight.SetTrainable(true);
        Assert.Contains("being trained", Assert.Throws<PtpException>(() => weight.Store(WeightFormat.Int8)).Message, StringComparison.Ordinal);
    }

    /// <summary>Every width, with sums of bytes where the processor has them, and without.</summary>
    private static IEnumerable<(VectorWidth Width, bool Dots)> Ways()
    {
        foreach (var width in VectorWidths.Here)
        {
            yield return (width, false);
            if (AvxVnni.IsSupported && width != VectorWidth.Portable)
            {
                yield return (width, true);
            }
        }
    }

    // 30 sets of up to six products of one left side, floats and bytes at random: each has the bits that it has alone, by one thread or three.
    [Fact]
    public void Products_over_floats_and_bytes_go_together() => Cases.Run(30, random =>
    {
        using var alone = new CpuBackend(1);
        using var backend = new CpuBackend(1 + (2 * random.Next(2)));
        var (rows, inputs) = (1 + random.Next(40), 1 + random.Next(300));
        var x = Put(backend, Normal(random, rows * inputs), rows, inputs);
        var (products, expected) = (new List<Product>(), new List<float[]>());
        for (var count = 2 + random.Next(5); count > 0; count--)
        {
            var outputs = 1 + random.Next(200);
            var format = random.Next(2) == 0 ? WeightFormat.Int8 : WeightFormat.Exact;
            var packed = backend.Pack(Put(backend, Normal(random, outputs * inputs), outputs, inputs), false, null, format);
            var scale = random.Next(3) == 0 ? 0.5f : 1f;
            products.Add(new Product(x, packed, backend.Allocate(rows, outputs), Scale: scale));
            var y = alone.Allocate(rows, outputs);
            new Product(x, packed, y, Scale: scale).Run(alone);
            expected.Add(y.Span.ToArray());
        }

        backend.MatMul(products.ToArray());
        for (var i = 0; i < products.Count; i++)
        {
            Assert.Equal(expected[i], products[i].Y.Span.ToArray());
        }
    });

    // A twin reads the numbers of its model in another form, and the model none of it.
    [Fact]
    public void A_twin_is_the_model_in_bytes_and_leaves_the_model_alone()
    {
        using var backend = new CpuBackend(1);
        var config = new TransformerConfig
        {
            VocabularySize = 40,
            HiddenSize = 32,
            IntermediateSize = 72,
            Layers = 2,
            Heads = 4,
            KeyValueHeads = 2,
            MaxContext = 16,
        };
        float[] Logits(Transformer network) =>
            network.Forward(new Tape(backend), [3, 1, 4, 1, 5], new CallRows([0, 1, 2, 3, 4], Visibility.Causal(0, 5))).Value.Span.ToArray();
        var (model, other) = (new Transformer(backend, config, 7), new Transformer(backend, config, 7));
        var before = Logits(model);
        var twin = model.Twin(WeightFormat.Int8);
        other.StoreWeights(WeightFormat.Int8);
        Assert.Equal(Logits(other), Logits(twin));
        Assert.Equal(before, Logits(model));
        Assert.NotEqual(before, Logits(twin)); // the control
        Assert.Same(model, twin.Original);
        Assert.Same(model, twin.Twin(WeightFormat.Exact).Original);
        Assert.All(model.Parameters.Zip(twin.Parameters), pair => Assert.Same(pair.First.Value, pair.Second.Value));
    }

    /// <summary>The definition; with a shift, blocks take the scales of their neighbours.</summary>
    private static float[] Oracle(
        float[] x, float[] w, int rows, int inputs, int outputs, float[]? start, int weightShift = 0, int rowShift = 0)
    {
        var blocks = (inputs + Block - 1) / Block;
        var y = new float[rows * outputs];
        for (var row = 0; row < rows; row++)
        {
            var (numbers, rowScales) = Bytes(x.AsSpan(row * inputs, inputs).ToArray(), (v, largest) => v * (127f / largest));
            for (var output = 0; output < outputs; output++)
            {
                var (weights, scales) = Bytes(w.AsSpan(output * inputs, inputs).ToArray(), (v, largest) => v / (largest / 127f));
                var sum = 0f;
                for (var block = 0; block < blocks; block++)
                {
                    var whole = 0;
                    for (var k = block * Block; k < Math.Min(inputs, (block + 1) * Block); k++)
                    {
                        whole += numbers[k] * weights[k];
                    }

                    var scale = scales[(block + weightShift) % blocks] * rowScales[(block + rowShift) % blocks];
                    sum = MathF.FusedMultiplyAdd(whole, scale, sum);
                }

                var i = row * outputs + output;
                y[i] = start is null ? sum : sum + start[i];
            }
        }

        return y;
    }

    /// <summary>Numbers as bytes, and the scales of their blocks; a scale that is no normal number is 0.</summary>
    private static (int[] Numbers, float[] Scales) Bytes(float[] values, Func<float, float, float> divide)
    {
        var largest = values.Chunk(Block).Select(block => block.Max(MathF.Abs)).ToArray();
        var scales = Array.ConvertAll(largest, v => float.IsNormal(v / 127f) ? v / 127f : 0f);
        return ([.. values.Select((v, k) => scales[k / Block] == 0 ? 0 : (int)MathF.Round(divide(v, largest[k / Block])))], scales);
    }

    private static float[] Multiply(CpuBackend backend, float[] x, int rows, int inputs, PackedMatrix packed, float[]? start)
    {
        var y = start is null ? backend.Allocate(rows, packed.Outputs) : Put(backend, start, rows, packed.Outputs);
        backend.MatMul(Put(backend, x, rows, inputs), packed, start is not null, y);
        return y.Span.ToArray();
    }

    internal static Tensor Put(CpuBackend backend, float[] values, int rows, int columns)
    {
        var tensor = backend.Allocate(rows, columns);
        backend.Upload(values, tensor);
        return tensor;
    }

    internal static float[] Normal(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(6.2831853 * random.NextDouble())))];
}
