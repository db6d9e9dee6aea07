// The register tile of the matrix product in Vector<T>: up to 6 rows by two vectors, for machines without 256-bit vectors.
//   c[i, j] (+)= sum over k of a[k][i] * b[k][j], one fused multiply-add per k and element: the bits of MatMulKernels
// Refuses: nothing; slower than the others by the width of the vectors.

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

internal static unsafe class PortableTile
{
    private const int TileRows = 6;
    private const int Unrolled = 4; // indices k per round of the loop, see QuarterKernels
    private const int Panel = MatMulKernels.Panel;

    /// <summary>Rows against the first columns of a panel [k][32]; a is packed [k][aStride], c has row stride ldc.</summary>
    public static void Run(
        float* a, int aStride, float* b, float* c, nint ldc, int rows, int k, bool accumulate, int columns = Panel)
    {
        var second = (nint)Vector<float>.Count;
        for (nint column = 0; column < columns; column += 2 * second)
        {
            Rows(a, aStride, b + column, Panel, second, c + column, second, ldc, rows, k, accumulate);
        }
    }

    /// <summary>Rows against the four quarters of a panel, <paramref name="stream"/> floats apart.</summary>
    public static void Strip(float* a, float* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        Pair(a, rows, b, stream, c, ldc, rows, k, accumulate);
        Pair(a, rows, b + 2 * stream, stream, c + 2 * QuarterPanels.Columns, ldc, rows, k, accumulate);
    }

    /// <summary>Rows against two of them: a vector of each at a time, or two vectors of one and then of the other.</summary>
    public static void Pair(float* a, nint aStride, float* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        const int columns = QuarterPanels.Columns;
        if (Vector<float>.Count == columns)
        {
            Rows(a, aStride, b, columns, stream, c, columns, ldc, rows, k, accumulate);
            return;
        }

        var second = (nint)Vector<float>.Count;
        for (nint column = 0; column < columns; column += 2 * second)
        {
            Rows(a, aStride, b + column, columns, second, c + column, second, ldc, rows, k, accumulate);
            Rows(a, aStride, b + stream + column, columns, second, c + columns + column, second, ldc, rows, k, accumulate);
        }
    }

    /// <summary>Rows against two vectors of columns: the second lies <paramref name="bSecond"/> floats on in b, cSecond in c.</summary>
    private static void Rows(
        float* a, nint aStride, float* b, nint bRow, nint bSecond, float* c, nint cSecond, nint ldc, int rows, int k, bool accumulate)
    {
        for (; rows > 0; rows -= TileRows, a += TileRows, c += TileRows * ldc)
        {
            switch (rows)
            {
                case 1: Tile<MatMulKernels.R1>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
                case 2: Tile<MatMulKernels.R2>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
                case 3: Tile<MatMulKernels.R3>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
                case 4: Tile<MatMulKernels.R4>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
                case 5: Tile<MatMulKernels.R5>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
                default: Tile<MatMulKernels.R6>(a, aStride, b, bRow, bSecond, c, cSecond, ldc, k, accumulate); break;
            }
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Tile<TRows>(
        float* a, nint aStride, float* b, nint bRow, nint bSecond, float* c, nint cSecond, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
    {
        Vector<float> p0, p1, p2, p3, p4, p5, q0, q1, q2, q3, q4, q5;
        p0 = p1 = p2 = p3 = p4 = p5 = Vector<float>.Zero;
        q0 = q1 = q2 = q3 = q4 = q5 = Vector<float>.Zero;
        if (accumulate)
        {
            (p0, q0) = (Vector.Load(c), Vector.Load(c + cSecond));
            if (TRows.Count > 1) { (p1, q1) = (Vector.Load(c + ldc), Vector.Load(c + ldc + cSecond)); }
            if (TRows.Count > 2) { (p2, q2) = (Vector.Load(c + 2 * ldc), Vector.Load(c + 2 * ldc + cSecond)); }
            if (TRows.Count > 3) { (p3, q3) = (Vector.Load(c + 3 * ldc), Vector.Load(c + 3 * ldc + cSecond)); }
            if (TRows.Count > 4) { (p4, q4) = (Vector.Load(c + 4 * ldc), Vector.Load(c + 4 * ldc + cSecond)); }
            if (TRows.Count > 5) { (p5, q5) = (Vector.Load(c + 5 * ldc), Vector.Load(c + 5 * ldc + cSecond)); }
        }

        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * aStride, b += Unrolled * bRow)
        {
            Step<TRows>(0, a, aStride, b, bRow, bSecond, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            Step<TRows>(1, a, aStride, b, bRow, bSecond, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            Step<TRows>(2, a, aStride, b, bRow, bSecond, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            Step<TRows>(3, a, aStride, b, bRow, bSecond, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
        }

        for (; k > 0; k--, a += aStride, b += bRow)
        {
            Step<TRows>(0, a, aStride, b, bRow, bSecond, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
        }

        Store(p0, q0, c, cSecond);
        if (TRows.Count > 1) { Store(p1, q1, c + ldc, cSecond); }
        if (TRows.Count > 2) { Store(p2, q2, c + 2 * ldc, cSecond); }
        if (TRows.Count > 3) { Store(p3, q3, c + 3 * ldc, cSecond); }
        if (TRows.Count > 4) { Store(p4, q4, c + 4 * ldc, cSecond); }
        if (TRows.Count > 5) { Store(p5, q5, c + 5 * ldc, cSecond); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector<float> p, Vector<float> q, float* to, nint second)
    {
        p.Store(to);
        q.Store(to + second);
    }

    /// <summary>One k, the <paramref name="step"/>th from where a and b point.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TRows>(
        int step, float* a, nint aStride, float* b, nint bRow, nint bSecond,
        ref Vector<float> p0, ref Vector<float> q0, ref Vector<float> p1, ref Vector<float> q1, ref Vector<float> p2, ref Vector<float> q2,
        ref Vector<float> p3, ref Vector<float> q3, ref Vector<float> p4, ref Vector<float> q4, ref Vector<float> p5, ref Vector<float> q5)
        where TRows : struct, IRowCount
    {
        var x = Vector.Load(b + step * bRow);
        var y = Vector.Load(b + step * bRow + bSecond);
        Step(a[step * aStride], x, y, ref p0, ref q0);
        if (TRows.Count > 1) { Step(a[step * aStride + 1], x, y, ref p1, ref q1); }
        if (TRows.Count > 2) { Step(a[step * aStride + 2], x, y, ref p2, ref q2); }
        if (TRows.Count > 3) { Step(a[step * aStride + 3], x, y, ref p3, ref q3); }
        if (TRows.Count > 4) { Step(a[step * aStride + 4], x, y, ref p4, ref q4); }
        if (TRows.Count > 5) { Step(a[step * aStride + 5], x, y, ref p5, ref q5); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(float a, Vector<float> x, Vector<float> y, ref Vector<float> p, ref Vector<float> q)
    {
        var broadcast = Vector.Create(a);
        p = Vector.FusedMultiplyAdd(broadcast, x, p);
        q = Vector.FusedMultiplyAdd(broadcast, y, q);
    }
}
