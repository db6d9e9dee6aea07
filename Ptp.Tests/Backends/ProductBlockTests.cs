// Products that are tall, deep or transposed, so that tasks pack their own strips and the sum is taken in parts: each element must be the
// definition's chain of fused multiply-adds over K, ascending, to the bit. Source: the contract's first rule, docs/05-kernels.md.
// Not here: small products, which the backend contract has; closeness, which equality makes needless.

using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Xunit;
using static Ptp.Tests.Backends.StoredWeightTests;

namespace Ptp.Tests.Backends;

[Collection(ForcedVectors.Name)]
public sealed class ProductBlockTests : IDisposable
{
    private const int Samples = 60;
    private readonly VectorWidth _before = MatMul.Width;

    public void Dispose() => MatMul.Width = _before;

    // 8 products of every width by 1 to 3 threads, up to 400 rows over up to 2,600 inner indices, plain, transposed and far ahead; a quarter of
    // them with rows 4 or 8 KiB apart, which are packed where others are read as they lie.
    [Fact]
    public void Tall_and_deep_products_are_one_chain_of_multiply_adds() => Cases.Run(8, random =>
    {
        var inner = random.Next(4) == 0 ? 1024 * (1 + random.Next(2)) : 1 + random.Next(2600);
        var (rows, columns) = (1 + random.Next(random.Next(2) == 0 ? 100 : 400), 1 + random.Next(80));
        var (a, b, start) = (Normal(random, rows * inner), Normal(random, inner * columns), Normal(random, rows * columns));
        var (aTransposed, bTransposed) = (Transpose(a, rows, inner), Transpose(b, inner, columns));
        var places = Enumerable.Range(0, Samples).Select(_ => random.Next(rows * columns)).Append(0).Append(rows * columns - 1).ToArray();
        var expected = Array.ConvertAll(places, p => Chain(a, b, p / columns, p % columns, inner, columns, start[p], 1));
        foreach (var width in VectorWidths.Here)
        {
            MatMul.Width = width;
            using var backend = new CpuBackend(1 + random.Next(3));
            var y = Put(backend, start, rows, columns);
            backend.MatMul(Put(backend, a, rows, inner), backend.Pack(Put(backend, bTransposed, columns, inner), false, null), true, y);
            Assert.Equal(expected, At(y, places));

            var dW = Put(backend, start, rows, columns);
            backend.MatMulBackwardWeight(Put(backend, aTransposed, inner, rows), Put(backend, b, inner, columns), dW);
            Assert.Equal(expected, At(dW, places));

            Assert.Equal(expected, At(Far(a, bTransposed, start, rows, inner, columns), places));
        }

        if (inner > 100)
        {
            var reversed = Array.ConvertAll(places, p => Chain(a, b, p / columns, p % columns, inner, columns, start[p], -1));
            Assert.NotEqual(expected, reversed);
        }
    });

    // 30 products of every width, 1 to 14 rows: every height of tile, over floats, near and far, and over BF16, whole panels and a last one cut off.
    [Fact]
    public void Few_rows_are_one_chain_of_multiply_adds() => Cases.Run(30, random =>
    {
        var (rows, inner, columns) = (1 + random.Next(14), 1 + random.Next(400), 1 + random.Next(140));
        var (a, b, start) = (Normal(random, rows * inner), Normal(random, inner * columns), Normal(random, rows * columns));
        if (random.Next(2) == 0)
        {
            b = Array.ConvertAll(b, v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & HalfWeights.Upper));
        }

        var places = Enumerable.Range(0, rows * columns).ToArray();
        var expected = Array.ConvertAll(places, p => Chain(a, b, p / columns, p % columns, inner, columns, start[p], 1));
        foreach (var width in VectorWidths.Here)
        {
            MatMul.Width = width;
            using var backend = new CpuBackend(1 + random.Next(3));
            var y = Put(backend, start, rows, columns);
            var packed = backend.Pack(Put(backend, Transpose(b, inner, columns), columns, inner), false, null);
            backend.MatMul(Put(backend, a, rows, inner), packed, true, y);
            Assert.Equal(expected, y.Span.ToArray());
            Assert.Equal(expected, Far(a, Transpose(b, inner, columns), start, rows, inner, columns).Span.ToArray());

            // Panels of one width's form say nothing to another: they are packed anew.
            foreach (var other in VectorWidths.Here)
            {
                MatMul.Width = other;
                start.CopyTo(y.Span);
                backend.MatMul(Put(backend, a, rows, inner), packed, true, y);
                Assert.Equal(expected, y.Span.ToArray());
            }
        }

        if (inner > 100)
        {
            Assert.NotEqual(expected, Array.ConvertAll(places, p => Chain(a, b, p / columns, p % columns, inner, columns, start[p], -1)));
        }
    });

    // A batch without rows adds nothing: the sum over none of them.
    [Fact]
    public void A_sum_over_nothing_leaves_the_gradient_alone()
    {
        using var backend = new CpuBackend(2);
        var dW = Put(backend, [1, 2, 3, 4, 5, 6], 2, 3);
        backend.MatMulBackwardWeight(backend.Allocate(0, 2), backend.Allocate(0, 3), dW);
        Assert.Equal([1, 2, 3, 4, 5, 6], dW.Span.ToArray());
    }

    /// <summary>A product whose weights count as out of every cache.</summary>
    private static unsafe Tensor Far(float[] a, float[] weights, float[] start, int rows, int inner, int columns)
    {
        using var backend = new CpuBackend(1);
        using var pool = new CpuPool(2);
        var (x, w, y) = (Put(backend, a, rows, inner), Put(backend, weights, columns, inner), Put(backend, start, rows, columns));
        var panels = PanelMemory.Take(MatMul.PanelBytes(PanelForm.Full, columns, inner));
        MatMul.Pack(w.Pointer, columns, inner, (float*)panels.Start, pool);
        MatMul.Multiply(x.Pointer, inner, 1, rows, inner, panels.Start, columns, y.Pointer, true, pool, far: true);
        GC.KeepAlive(panels);
        return y;
    }

    /// <summary>The definition: one fused multiply-add for each k, upwards or downwards.</summary>
    private static float Chain(float[] a, float[] b, int row, int column, int inner, int columns, float start, int step)
    {
        var sum = start;
        for (var k = step > 0 ? 0 : inner - 1; k >= 0 && k < inner; k += step)
        {
            sum = MathF.FusedMultiplyAdd(a[row * inner + k], b[k * columns + column], sum);
        }

        return sum;
    }

    private static float[] At(Tensor tensor, int[] places) => Array.ConvertAll(places, p => tensor.Span[p]);

    private static float[] Transpose(float[] values, int rows, int columns)
    {
        var transposed = new float[values.Length];
        for (var i = 0; i < values.Length; i++)
        {
            transposed[i % columns * rows + i / columns] = values[i];
        }

        return transposed;
    }
}
