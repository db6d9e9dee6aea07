// The ladder of the device's matrix products: every rung gives the same bits as one thread per element, forward and backward,
// whatever the shape, on simulated groups of 256 threads, and on an OpenCL or CUDA device where there is one.
// Control: a sum in another order must differ. Not here: times.

using Ptp.Core.Tensors;
using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuProductTests
{
    [Fact]
    public void Every_rung_has_the_same_bits()
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        Same(gpu, new Case(gpu, 1), 3, 36, 40);
        Same(gpu, new Case(gpu, 2), 18, 72, 68);
    }

    [DeviceFact]
    public void Every_rung_has_the_same_bits_on_the_device()
    {
        using var gpu = new GpuBackend();
        for (var seed = 0; seed < 60; seed++)
        {
            var c = new Case(gpu, seed);
            Same(gpu, c, c.Size(seed % 2 == 0 ? 20 : 300), 4 * c.Size(200), 4 * c.Size(150));
        }
    }

    [Theory]
    [InlineData(ProductPrecision.BFloat16, 132)]
    [InlineData(ProductPrecision.Tf32, 12)]
    public void Tensor_tiles_are_products_of_rounded_operands(ProductPrecision precision, int outputs)
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        Rounds(gpu, precision, new Case(gpu, 1), 17, 20, outputs);
    }

    [DeviceFact]
    public void Tensor_tiles_are_products_of_rounded_operands_on_the_device()
    {
        using var gpu = new GpuBackend();
        for (var seed = 0; seed < 20; seed++)
        {
            var c = new Case(gpu, seed);
            Rounds(gpu, seed % 2 == 0 ? ProductPrecision.BFloat16 : ProductPrecision.Tf32, c, c.Size(150), 4 * c.Size(60), 4 * c.Size(60));
        }
    }

    /// <summary>Generated: 15 shapes, odd inner sizes among them, one thread per element.</summary>
    [Fact]
    public void Short_weights_give_the_bits_of_long_ones()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        for (var seed = 0; seed < 15; seed++)
        {
            var c = new Case(gpu, seed);
            Halves(gpu, c, c.Size(4), c.Size(40), c.Size(9));
        }
    }

    [Fact]
    public void Short_weights_give_the_bits_of_long_ones_on_every_rung()
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        Halves(gpu, new Case(gpu, 1), 3, 20, 12);
    }

    [DeviceFact]
    public void Short_weights_give_the_bits_of_long_ones_on_the_device()
    {
        using var gpu = new GpuBackend();
        for (var seed = 0; seed < 40; seed++)
        {
            var c = new Case(gpu, seed);
            Halves(gpu, c, c.Size(seed % 2 == 0 ? 20 : 200), 4 * c.Size(100), 4 * c.Size(80));
        }
    }

    /// <summary>500 floats of all sizes and the ties among them: to the nearest of seven or ten bits, by the definition in whole numbers.</summary>
    [Fact]
    public void Operands_are_rounded_to_the_nearest()
    {
        var random = new Random(1);
        var (evenTies, awayTies) = (0, 0);
        for (var i = 0; i < 500; i++)
        {
            var bits = (random.Next(2) == 0 ? 0u : 0x80000000u) | ((uint)random.Next(1, 255) << 23) | (uint)random.Next(1 << 23);
            foreach (var (dropped, evenly) in ((int, bool)[])[(16, true), (13, false)])
            {
                var (unit, half) = (1u << dropped, 1u << (dropped - 1));
                var x = BitConverter.UInt32BitsToSingle(i % 2 == 0 ? bits : (bits & ~(unit - 1)) | half); // every other one is a tie
                var (whole, rest) = (BitConverter.SingleToUInt32Bits(x) / unit, BitConverter.SingleToUInt32Bits(x) % unit);
                var up = rest > half || (rest == half && (!evenly || whole % 2 == 1));
                var expected = BitConverter.UInt32BitsToSingle((whole + (up ? 1u : 0u)) * unit);
                Assert.Equal(expected, evenly ? DeviceMath.RoundToBf16(x) : DeviceMath.RoundToTf32(x));
                evenTies += evenly && rest == half && !up ? 1 : 0; // control: rounding the other way would differ here
                awayTies += !evenly && rest == half && whole % 2 == 0 ? 1 : 0;
            }
        }

        Assert.True(evenTies > 50 && awayTies > 50);
        foreach (var bad in (float[])[float.NaN, BitConverter.UInt32BitsToSingle(0x7f800001), BitConverter.UInt32BitsToSingle(0xffffffff)])
        {
            Assert.True(float.IsNaN(DeviceMath.RoundToBf16(bad)) && float.IsNaN(DeviceMath.RoundToTf32(bad)));
        }

        Assert.Equal(float.PositiveInfinity, DeviceMath.RoundToTf32(float.MaxValue));
    }

    /// <summary>Weights that are BF16 are packed as such; with a few more that are not, the same columns are packed as floats.</summary>
    private static void Halves(GpuBackend gpu, Case c, int rows, int inputs, int outputs)
    {
        var x = c.Tensor(rows, inputs);
        var weights = Array.ConvertAll(c.Floats(outputs * inputs), DeviceMath.RoundToBf16);
        weights[0] += weights[0] == 0f ? 1f : 0f;
        PackedMatrix Pack(float[] w, PackedMatrix? reuse = null)
        {
            var tensor = gpu.Allocate(w.Length / inputs, inputs);
            gpu.Upload(w, tensor);
            return gpu.Pack(tensor, transposed: false, reuse);
        }

        float[] Of(PackedMatrix w, ProductKernel kernel, ProductPrecision precision)
        {
            (gpu.Product, gpu.Precision) = (kernel, precision);
            var y = gpu.Allocate(rows, w.Outputs);
            gpu.MatMul(x, w, accumulate: false, y);
            (gpu.Product, gpu.Precision) = (ProductKernel.Best, ProductPrecision.Single);
            return [.. c.Read(y).Chunk(w.Outputs).SelectMany(row => row.Take(outputs))];
        }

        var (half, full) = (Pack(weights), Pack([.. weights, .. Enumerable.Repeat(1.1f, 4 * inputs)]));
        Assert.True(((GpuPackedMatrix)half).IsHalf && !((GpuPackedMatrix)full).IsHalf);
        foreach (var kernel in Enum.GetValues<ProductKernel>().Where(gpu.Has))
        {
            Assert.Equal(Of(full, kernel, ProductPrecision.Single), Of(half, kernel, ProductPrecision.Single));
        }

        foreach (var precision in (ProductPrecision[])[ProductPrecision.BFloat16, ProductPrecision.Tf32])
        {
            Assert.Equal(Of(full, ProductKernel.Elements, precision), Of(half, ProductKernel.Elements, precision));
        }

        // Control: one weight with one bit more keeps floats, and its product differs from that of the rounded one.
        var longer = weights.ToArray();
        longer[0] = BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(longer[0]) | 0x4000u);
        var packed = Pack(longer, half);
        Assert.True(packed != half && !((GpuPackedMatrix)packed).IsHalf);
        Assert.NotEqual(Of(half, ProductKernel.Best, ProductPrecision.Single), Of(packed, ProductKernel.Best, ProductPrecision.Single));
        Assert.Same(packed, Pack(weights, packed)); // floats stay floats: training does not ask again
    }

    /// <summary>By one thread per element and by tiles, whose sums have another order; and a row alone has the bits of a row among others.</summary>
    private static void Rounds(GpuBackend gpu, ProductPrecision precision, Case c, int rows, int inputs, int outputs)
    {
        var (x, dY) = (c.Tensor(rows, inputs), c.Tensor(rows, outputs));
        var packed = gpu.Pack(c.Tensor(outputs, inputs), transposed: false, null);
        (float[] Y, float[] DW) Of(ProductPrecision wanted, bool tiles)
        {
            (gpu.Precision, gpu.EmulatesTensorCores) = (wanted, tiles);
            var (y, dW) = (gpu.Allocate(rows, outputs), gpu.Allocate(outputs, inputs));
            gpu.MatMul(x, packed, accumulate: false, y);
            gpu.MatMulBackwardWeight(dY, x, dW);
            if (tiles)
            {
                var alone = gpu.Allocate(1, outputs);
                gpu.MatMul(x.Slice(rows - 1, 1), packed, accumulate: false, alone);
                Assert.Equal(c.Read(y)[^outputs..], c.Read(alone));
            }

            gpu.Precision = ProductPrecision.Single;
            return (c.Read(y), c.Read(dW));
        }

        // Control: operands that were not rounded, or rounded to the other precision, differ by more than the order of a sum.
        var other = precision == ProductPrecision.Tf32 ? ProductPrecision.BFloat16 : ProductPrecision.Tf32;
        var (rounded, tensor, single, otherwise) = (Of(precision, false), Of(precision, true), Of(ProductPrecision.Single, false), Of(other, false));
        foreach (var (a, b, far, wrong) in ((float[], float[], float[], float[])[])
            [(rounded.Y, tensor.Y, single.Y, otherwise.Y), (rounded.DW, tensor.DW, single.DW, otherwise.DW)])
        {
            var largest = a.Max(Math.Abs);
            Assert.All(a.Zip(b), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= 2e-6f * largest, $"{pair}"));
            Assert.Contains(a.Zip(far), pair => Math.Abs(pair.First - pair.Second) > 2e-5f * largest);
            Assert.Contains(a.Zip(wrong), pair => Math.Abs(pair.First - pair.Second) > 2e-5f * largest);
        }
    }

    private static void Same(GpuBackend gpu, Case c, int rows, int inputs, int outputs)
    {
        var (x, w, dY) = (c.Tensor(rows, inputs), c.Tensor(outputs, inputs), c.Tensor(rows, outputs));
        var start = c.Floats(Math.Max(rows, inputs) * outputs);
        var packed = gpu.Pack(w, transposed: false, null);
        float[] Of(ProductKernel kernel, bool gradient, bool accumulate)
        {
            gpu.Product = kernel;
            var y = gradient ? gpu.Allocate(outputs, inputs) : gpu.Allocate(rows, outputs);
            gpu.Upload(start.AsSpan(0, y.Length), y);
            if (gradient)
            {
                gpu.MatMulBackwardWeight(dY, x, y);
            }
            else
            {
                gpu.MatMul(x, packed, accumulate, y);
            }

            gpu.Product = ProductKernel.Best;
            return c.Read(y);
        }

        // Control: the same sums with k from the end, in one kernel, have other bits.
        var forwards = Of(ProductKernel.Elements, gradient: false, accumulate: false);
        var (reversedX, reversedW) = (c.Read(x), c.Read(w));
        for (var row = 0; row < Math.Max(rows, outputs); row++)
        {
            Array.Reverse(reversedX, Math.Min(row, rows) * inputs, row < rows ? inputs : 0);
            Array.Reverse(reversedW, Math.Min(row, outputs) * inputs, row < outputs ? inputs : 0);
        }

        var y = gpu.Allocate(rows, outputs);
        var (otherX, otherW) = (gpu.Allocate(rows, inputs), gpu.Allocate(outputs, inputs));
        gpu.Upload(reversedX, otherX);
        gpu.Upload(reversedW, otherW);
        gpu.MatMul(otherX, gpu.Pack(otherW, transposed: false, null), accumulate: false, y);
        Assert.True(inputs < 16 || !forwards.SequenceEqual(c.Read(y)));

        foreach (var (gradient, accumulate) in (ReadOnlySpan<(bool, bool)>)[(false, false), (false, true), (true, true)])
        {
            var expected = Of(ProductKernel.Elements, gradient, accumulate);
            foreach (var kernel in Enum.GetValues<ProductKernel>())
            {
                Assert.Equal(expected, Of(kernel, gradient, accumulate));
            }
        }
    }
}
