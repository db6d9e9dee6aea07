// The ladder of the device's matrix products: every rung gives the same bits as one thread per element, forward and backward,
// whatever the shape, on simulated groups of 512 threads, and on an OpenCL or CUDA device where there is one.
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
