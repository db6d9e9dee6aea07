// Register tiles of a matrix product: four columns at a time, 4 x 4 sums of a thread, or four such blocks.
//   sums[i, j] += a[i] b[j], one fused multiply-add each, in the order in which the steps come
// Refuses: nothing; the product that owns the tile keeps its borders.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace Ptp.Gpu.Kernels;

/// <summary>Four neighbouring floats, moved by one instruction where they start at a multiple of 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Float4
{
    public float A, B, C, D;

    /// <summary>x w + y, each rounded once.</summary>
    public static Float4 Fma(float x, Float4 w, Float4 y) => new()
    {
        A = DeviceMath.Fma(x, w.A, y.A),
        B = DeviceMath.Fma(x, w.B, y.B),
        C = DeviceMath.Fma(x, w.C, y.C),
        D = DeviceMath.Fma(x, w.D, y.D),
    };

    public static Float4 operator *(float x, Float4 y) => new() { A = x * y.A, B = x * y.B, C = x * y.C, D = x * y.D };

    public static Float4 operator +(Float4 x, Float4 y) => new() { A = x.A + y.A, B = x.B + y.B, C = x.C + y.C, D = x.D + y.D };
}

internal static class ViewsByFours
{
    /// <summary>The same floats by fours; the view must start at a multiple of 16 bytes.</summary>
    public static ArrayView<Float4> ByFours(this ArrayView<float> x) => x.AsAligned(16).Cast<Float4>();
}

/// <summary>What one of 256 threads sums: a square of a tile of <see cref="Side"/> rows and columns.</summary>
internal interface ITile<TSelf>
    where TSelf : struct, ITile<TSelf>
{
    /// <summary>Rows and columns of the group's tile.</summary>
    int Side { get; }

    /// <summary>Adds the outer product of one inner index: from <paramref name="at"/> on stand the tile's rows and columns, by fours.</summary>
    void Step(ArrayView<Float4> a, ArrayView<Float4> b, int at);

    /// <summary>Adds the sums of a chain.</summary>
    void Add(TSelf chain);

    /// <summary>Row i of the thread's rows, four of its columns: block 0 or 1 of each direction.</summary>
    Float4 Row(int i, int block);
}

/// <summary>A thread's 4 x 4 of a tile of 64 x 64.</summary>
internal struct Tile64 : ITile<Tile64>
{
    private Float4 _0, _1, _2, _3;

    public readonly int Side => 64;

    public void Step(ArrayView<Float4> a, ArrayView<Float4> b, int at) => Step(a[at + (Group.IdxX / 16)], b[at + (Group.IdxX % 16)]);

    public void Step(Float4 a, Float4 b)
    {
        _0 = Float4.Fma(a.A, b, _0);
        _1 = Float4.Fma(a.B, b, _1);
        _2 = Float4.Fma(a.C, b, _2);
        _3 = Float4.Fma(a.D, b, _3);
    }

    public void Add(Tile64 chain)
    {
        _0 += chain._0;
        _1 += chain._1;
        _2 += chain._2;
        _3 += chain._3;
    }

    public readonly Float4 Row(int i, int block) => i == 0 ? _0 : i == 1 ? _1 : i == 2 ? _2 : _3;
}

/// <summary>A thread's 8 x 8 of a tile of 128 x 128: four blocks, 64 apart, so that neighbours read neighbouring floats.</summary>
internal struct Tile128 : ITile<Tile128>
{
    private Tile64 _00, _01, _10, _11;

    public readonly int Side => 128;

    public void Step(ArrayView<Float4> a, ArrayView<Float4> b, int at)
    {
        var (y, x) = (at + (Group.IdxX / 16), at + (Group.IdxX % 16));
        var (a0, a1, b0, b1) = (a[y], a[y + 16], b[x], b[x + 16]);
        _00.Step(a0, b0);
        _01.Step(a0, b1);
        _10.Step(a1, b0);
        _11.Step(a1, b1);
    }

    public void Add(Tile128 chain)
    {
        _00.Add(chain._00);
        _01.Add(chain._01);
        _10.Add(chain._10);
        _11.Add(chain._11);
    }

    public readonly Float4 Row(int i, int block) =>
        i < 4 ? (block == 0 ? _00.Row(i, 0) : _01.Row(i, 0)) : block == 0 ? _10.Row(i - 4, 0) : _11.Row(i - 4, 0);
}

/// <summary>What one thread of a narrow product sums: one column's products with a few rows.</summary>
internal interface IRowSums
{
    /// <summary>How many rows.</summary>
    int Rows { get; }

    /// <summary>Adds four inner indices of x [.., K / 4] by fours, from where each row starts, times four weights.</summary>
    void Step(ArrayView<Float4> x, int at, int stride, int last, Float4 w);

    /// <summary>Writes the sums, <paramref name="stride"/> apart.</summary>
    void Store(ArrayView<float> sums, int at, int stride);
}

/// <summary>One row.</summary>
internal struct RowSum : IRowSums
{
    private float _sum;

    public readonly int Rows => 1;

    public void Step(ArrayView<Float4> x, int at, int stride, int last, Float4 w) => Step(x[at], w);

    public void Step(Float4 x, Float4 w)
    {
        _sum = DeviceMath.Fma(x.A, w.A, _sum);
        _sum = DeviceMath.Fma(x.B, w.B, _sum);
        _sum = DeviceMath.Fma(x.C, w.C, _sum);
        _sum = DeviceMath.Fma(x.D, w.D, _sum);
    }

    public readonly void Store(ArrayView<float> sums, int at, int stride) => sums[at] = _sum;
}

/// <summary>Two of something: two rows, four, eight.</summary>
internal struct Twice<T> : IRowSums
    where T : struct, IRowSums
{
    private T _first, _second;

    public readonly int Rows => 2 * _first.Rows;

    public void Step(ArrayView<Float4> x, int at, int stride, int last, Float4 w)
    {
        var (first, second) = (_first, _second);
        first.Step(x, at, stride, last, w);
        var next = at + (first.Rows * stride);
        second.Step(x, next < last ? next : last, stride, last, w); // a row too many reads the last one and is not kept
        (_first, _second) = (first, second);
    }

    public readonly void Store(ArrayView<float> sums, int at, int stride)
    {
        _first.Store(sums, at, stride);
        _second.Store(sums, at + (_first.Rows * stride), stride);
    }
}
