// The register tile of the matrix product in Vector<T>: up to 6 rows by two vectors, for machines without 256-bit vectors.
//   c[i, j] (+)= sum over k of a[k][i] * b[k][j], one fused multiply-add per k and element: the bits of MatMulKernels
// Refuses: nothing; slower than the others by the width of the vectors.

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

internal static unsafe class PortableTile
{
    private const int TileRows = 6;
    private const int Panel = MatMulKernels.Panel;

    /// <summary>Rows against the first columns of a panel; a is packed [k][aStride], c has row stride ldc.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(
        float* a, int aStride, float* b, float* c, nint ldc, int rows, int k, bool accumulate, int columns = Panel)
    {
        for (var column = 0; column < columns; column += 2 * Vector<float>.Count)
        {
            for (var row = 0; row < rows; row += TileRows)
            {
                var count = Math.Min(TileRows, rows - row);
                Tile(a + row, aStride, b + column, c + row * ldc + column, ldc, count, k, accumulate);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Tile(float* a, nint aStride, float* b, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        // Rows that are not there repeat the last one; their results are computed and dropped.
        nint i1 = Math.Min(1, rows - 1), i2 = Math.Min(2, rows - 1), i3 = Math.Min(3, rows - 1);
        nint i4 = Math.Min(4, rows - 1), i5 = Math.Min(5, rows - 1);
        Vector<float> p0, p1, p2, p3, p4, p5, q0, q1, q2, q3, q4, q5;
        p0 = p1 = p2 = p3 = p4 = p5 = q0 = q1 = q2 = q3 = q4 = q5 = Vector<float>.Zero;
        if (accumulate)
        {
            Load(c, out p0, out q0);
            Load(c + i1 * ldc, out p1, out q1);
            Load(c + i2 * ldc, out p2, out q2);
            Load(c + i3 * ldc, out p3, out q3);
            Load(c + i4 * ldc, out p4, out q4);
            Load(c + i5 * ldc, out p5, out q5);
        }

        for (var i = 0; i < k; i++)
        {
            Load(b, out var x, out var y);
            b += Panel;
            Step(a, x, y, ref p0, ref q0);
            Step(a + i1, x, y, ref p1, ref q1);
            Step(a + i2, x, y, ref p2, ref q2);
            Step(a + i3, x, y, ref p3, ref q3);
            Step(a + i4, x, y, ref p4, ref q4);
            Step(a + i5, x, y, ref p5, ref q5);
            a += aStride;
        }

        Store(p0, q0, c);
        if (rows > 1) { Store(p1, q1, c + ldc); }
        if (rows > 2) { Store(p2, q2, c + 2 * ldc); }
        if (rows > 3) { Store(p3, q3, c + 3 * ldc); }
        if (rows > 4) { Store(p4, q4, c + 4 * ldc); }
        if (rows > 5) { Store(p5, q5, c + 5 * ldc); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(float* from, out Vector<float> p, out Vector<float> q)
    {
        p = Vector.Load(from);
        q = Vector.Load(from + Vector<float>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector<float> p, Vector<float> q, float* to)
    {
        p.Store(to);
        q.Store(to + Vector<float>.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(float* a, Vector<float> x, Vector<float> y, ref Vector<float> p, ref Vector<float> q)
    {
        var broadcast = Vector.Create(*a);
        p = Vector.FusedMultiplyAdd(broadcast, x, p);
        q = Vector.FusedMultiplyAdd(broadcast, y, q);
    }
}
