// The ladder of the matrix product y = x W^T, from three loops to packed register tiles; each rung stays runnable, and a test compares
// them all. Rungs one to four use one thread, the others all of the backend's. x [R, K], W [N, K], y [R, N].
// Refuses: shapes are trusted. Figures stand in docs/05-kernels.md.

using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Bench.Kernels;

/// <summary>One product by every rung.</summary>
internal sealed class ProductRungs : IDisposable
{
    private readonly VectorWidth _width = MatMul.Width;
    private readonly CpuBackend _backend = new();
    private readonly Tensor _x;
    private readonly Tensor _w;
    private readonly float[] _transposed; // [K, N]
    private readonly PackedMatrix _packed;
    private PackedMatrix? _onTheFly;

    /// <summary>A product of random operands.</summary>
    public ProductRungs(int rows, int inner, int columns)
    {
        using var bench = new Bench(Plan.Tiny, peers: false);
        (_x, _w, Y) = (bench.Random(rows, inner, "x"), bench.Random(columns, inner, "w"), _backend.Allocate(rows, columns));
        _transposed = new float[_w.Length];
        for (var n = 0; n < columns; n++)
        {
            for (var k = 0; k < inner; k++)
            {
                _transposed[k * columns + n] = _w.Row(n)[k];
            }
        }

        _packed = _backend.Pack(_w, false, null);
    }

    /// <summary>The result of the last rung.</summary>
    public Tensor Y { get; }

    /// <summary>Name and body of each rung, slowest first.</summary>
    public (string Name, Action Body)[] All =>
    [
        ("three loops, ijk", ThreeLoops),
        ("three loops, ikj", RowsInside),
        ("TensorPrimitives.Dot", Dots),
        ("TensorPrimitives.MultiplyAdd", MultiplyAdds),
        ("packed on the fly", PackedOnTheFly),
        ("packed before, Vector<T>", PackedPortable),
        ("packed before, 256-bit", Packed256),
        ("packed before, widest", PackedWidest),
    ];

    /// <summary>The definition: one sum per element, read across both operands' rows.</summary>
    public void ThreeLoops()
    {
        for (var i = 0; i < Y.Rows; i++)
        {
            var x = _x.Row(i);
            var y = Y.Row(i);
            for (var j = 0; j < y.Length; j++)
            {
                var w = _w.Row(j);
                var sum = 0f;
                for (var k = 0; k < x.Length; k++)
                {
                    sum += x[k] * w[k];
                }

                y[j] = sum;
            }
        }
    }

    /// <summary>The loops turned, so that the inner one runs along a row of the result; the compiler does not vectorise it.</summary>
    public void RowsInside()
    {
        for (var i = 0; i < Y.Rows; i++)
        {
            var x = _x.Row(i);
            var y = Y.Row(i);
            y.Clear();
            for (var k = 0; k < x.Length; k++)
            {
                var w = _transposed.AsSpan(k * y.Length, y.Length);
                for (var j = 0; j < y.Length; j++)
                {
                    y[j] += x[k] * w[j];
                }
            }
        }
    }

    /// <summary>A library dot per element: vectors, but every operand is read again for every element.</summary>
    public void Dots()
    {
        for (var i = 0; i < Y.Rows; i++)
        {
            var x = _x.Row(i);
            var y = Y.Row(i);
            for (var j = 0; j < y.Length; j++)
            {
                y[j] = TensorPrimitives.Dot<float>(x, _w.Row(j));
            }
        }
    }

    /// <summary>A library multiply-add per inner index: the result is read and written again each time.</summary>
    public void MultiplyAdds()
    {
        for (var i = 0; i < Y.Rows; i++)
        {
            var x = _x.Row(i);
            var y = Y.Row(i);
            y.Clear();
            for (var k = 0; k < x.Length; k++)
            {
                TensorPrimitives.MultiplyAdd(_transposed.AsSpan(k * y.Length, y.Length), x[k], y, y);
            }
        }
    }

    /// <summary>Register tiles, the weight packed in each call, as libraries without a place to keep it must.</summary>
    public void PackedOnTheFly()
    {
        _onTheFly = _backend.Pack(_w, false, _onTheFly);
        _backend.MatMul(_x, _onTheFly, false, Y);
    }

    /// <summary>Register tiles of 6 x 16.</summary>
    public void Packed256() => At(VectorWidth.V256);

    /// <summary>The same of Vector of T, for machines without intrinsics of ours.</summary>
    public void PackedPortable() => At(VectorWidth.Portable);

    /// <summary>What the library runs.</summary>
    public void PackedWidest() => _backend.MatMul(_x, _packed, false, Y);

    private void At(VectorWidth width)
    {
        MatMul.Width = VectorWidths.Here.Contains(width) ? width : _width;
        _backend.MatMul(_x, _packed, false, Y);
        MatMul.Width = _width;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _backend.Dispose();
    }
}
