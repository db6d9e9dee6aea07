// The ladder of the device's matrix products: every rung gives the same bits as one thread per element, forward and backward,
// whatever the shape, on simulated groups of 256 threads, and on an OpenCL or CUDA device where there is one.
// Control: a sum in another order must differ. Not here: times.

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

    [Fact]
    public void Tensor_tiles_are_products_of_rounded_operands()
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        Rounds(gpu, new Case(gpu, 1), 17, 20, 12);
        Rounds(gpu, new Case(gpu, 2), 3, 36, 132);
    }

    [DeviceFact]
    public void Tensor_tiles_are_products_of_rounded_operands_on_the_device()
    {
        using var gpu = new GpuBackend();
        for (var seed = 0; seed < 20; seed++)
        {
            var c = new Case(gpu, seed);
            Rounds(gpu, c, c.Size(150), 4 * c.Size(60), 4 * c.Size(60));
        }
    }

    /// <summary>By one thread per element and by tiles, whose sums have another order; and a row alone has the bits of a row among others.</summary>
    private static void Rounds(GpuBackend gpu, Case c, int rows, int inputs, int outputs)
    {
        var (x, dY) = (c.Tensor(rows, inputs), c.Tensor(rows, outputs));
        var packed = gpu.Pack(c.Tensor(outputs, inputs), transposed: false, null);
        (float[] Y, float[] DW) Of(ProductPrecision precision, bool tiles)
        {
            (gpu.Precision, gpu.EmulatesTensorCores) = (precision, tiles);
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

        var (single, rounded, tensor) = (Of(ProductPrecision.Single, false), Of(ProductPrecision.BFloat16, false), Of(ProductPrecision.BFloat16, true));
        foreach (var (a, b, far) in ((float[], float[], float[])[])[(rounded.Y, tensor.Y, single.Y), (rounded.DW, tensor.DW, single.DW)])
        {
            var largest = a.Max(Math.Abs);
            Assert.All(a.Zip(b), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= 1e-5f * largest, $"{pair}"));
            Assert.Contains(a.Zip(far), pair => Math.Abs(pair.First - pair.Second) > 1e-4f * largest); // control: what was not rounded differs
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
