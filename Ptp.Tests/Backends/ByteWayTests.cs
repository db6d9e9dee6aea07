// Every way to sums of products of bytes, against whole numbers added one by one: bytes at their ends, rows that are no numbers, odd shapes.
// Source: ByteWays.cs; numbers are chosen so that all scales are 1 and every float on the way is exact.
// Controls: a row with one other number has another product; a row that is no number has none.

using System.Runtime.Intrinsics.X86;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Xunit;

namespace Ptp.Tests.Backends;

[Collection(ForcedVectors.Name)]
public sealed class ByteWayTests : IDisposable
{
    private const int Block = 64;
    private readonly VectorWidth _before = MatMul.Width;
    private readonly bool _dots = ByteWays.Dots;

    public void Dispose() => (MatMul.Width, ByteWays.Dots) = (_before, _dots);

    [Fact]
    public void Ways_are_chosen_from_the_best_down()
    {
        foreach (var (width, dots) in Here())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            Assert.Equal(
                width == VectorWidth.Portable ? ByteWay.Portable
                    : dots ? ByteWay.Dots
                    : width == VectorWidth.V512 ? ByteWay.Words512
                    : Avx2.IsSupported ? ByteWay.Words256
                    : ByteWay.Portable,
                ByteWays.Best);
        }
    }

    // 60 products of up to 23 rows of -127, -126, -1, 0, 1, 126 and 127: four blocks of such numbers stay below 2^24.
    [Fact]
    public void Every_way_gives_the_sums_of_whole_numbers() => Cases.Run(60, random =>
    {
        var (rows, inputs, outputs) = (1 + random.Next(23), 1 + random.Next(4 * Block), 1 + random.Next(70));
        var (x, w) = (Ends(random, rows, inputs), Ends(random, outputs, inputs));
        var expected = Sums(x, w, rows, inputs, outputs);
        foreach (var (width, dots) in Here())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            Assert.Equal(expected, Product(x, w, rows, inputs, outputs, 1 + random.Next(3)));
        }

        var other = (float[])x.Clone();
        var at = Array.FindIndex(w, v => v != 0);
        other[at] = x[at] == 127 ? -127 : 127; // the first output has a weight that is not 0
        Assert.NotEqual(expected, Product(other, w, rows, inputs, outputs, 1));
    });

    // 30 products of up to 13 rows, one of which holds a NaN or an infinity: it has no product, and its neighbours have their own.
    [Fact]
    public void A_row_that_is_no_number_leaves_its_neighbours_alone() => Cases.Run(30, random =>
    {
        var (rows, inputs, outputs) = (1 + random.Next(13), 1 + random.Next(3 * Block), 1 + random.Next(50));
        var (x, w) = (Ends(random, rows, inputs), Ends(random, outputs, inputs));
        var expected = Sums(x, w, rows, inputs, outputs);
        var bad = random.Next(rows);
        float[] nothing = [float.NaN, float.PositiveInfinity, float.NegativeInfinity];
        x[(bad * inputs) + random.Next(inputs)] = nothing[random.Next(3)];
        foreach (var (width, dots) in Here())
        {
            (MatMul.Width, ByteWays.Dots) = (width, dots);
            var y = Product(x, w, rows, inputs, outputs, 1);
            for (var row = 0; row < rows; row++)
            {
                var (had, has) = (expected.AsSpan(row * outputs, outputs).ToArray(), y.AsSpan(row * outputs, outputs).ToArray());
                if (row == bad)
                {
                    Assert.All(has, v => Assert.True(float.IsNaN(v)));
                }
                else
                {
                    Assert.Equal(had, has);
                }
            }
        }
    });

    private static IEnumerable<(VectorWidth Width, bool Dots)> Here() =>
        from width in VectorWidths.Here
        from dots in new[] { false, AvxVnni.IsSupported }.Distinct()
        where !dots || width != VectorWidth.Portable
        select (width, dots);

    /// <summary>Numbers at the ends of bytes and around 0; each block of a row holds a 127 or -127, so that its scale is 1.</summary>
    private static float[] Ends(Random random, int rows, int inputs)
    {
        float[] values = [-127, -126, -1, 0, 1, 126, 127];
        var x = new float[rows * inputs];
        for (var row = 0; row < rows; row++)
        {
            for (var k = 0; k < inputs; k++)
            {
                x[(row * inputs) + k] = values[random.Next(values.Length)];
            }

            for (var k = 0; k < inputs; k += Block)
            {
                x[(row * inputs) + k + random.Next(Math.Min(Block, inputs - k))] = random.Next(2) == 0 ? 127 : -127;
            }
        }

        return x;
    }

    private static float[] Sums(float[] x, float[] w, int rows, int inputs, int outputs)
    {
        var y = new float[rows * outputs];
        for (var i = 0; i < y.Length; i++)
        {
            var (row, output, sum) = (i / outputs, i % outputs, 0L);
            for (var k = 0; k < inputs; k++)
            {
                sum += (long)x[(row * inputs) + k] * (long)w[(output * inputs) + k];
            }

            y[i] = sum;
        }

        return y;
    }

    private static float[] Product(float[] x, float[] w, int rows, int inputs, int outputs, int threads)
    {
        using var backend = new CpuBackend(threads);
        var packed = backend.Pack(StoredWeightTests.Put(backend, w, outputs, inputs), false, null, WeightFormat.Int8);
        var y = backend.Allocate(rows, outputs);
        backend.MatMul(StoredWeightTests.Put(backend, x, rows, inputs), packed, false, y);
        return y.Span.ToArray();
    }
}
