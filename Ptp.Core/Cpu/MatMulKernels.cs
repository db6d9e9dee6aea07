// Register tiles of the matrix product: c[i, j] (+)= sum over k of a[k][i] * b[k][j], one fused multiply-add per k.
// Every element is one chain of FMAs over k in ascending order, so vector width, tile height and position never show.
// Refuses: splitting the sum; other tile shapes. The 12 x 32 tile keeps 24 of 32 registers in accumulators.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

/// <summary>The number of rows of a tile as a type, so that the compiler removes the rows that are not there.</summary>
internal interface IRowCount
{
    static abstract int Count { get; }
}

internal static unsafe class MatMulKernels
{
    /// <summary>Columns of a panel.</summary>
    public const int Panel = 32;

    /// <summary>Rows of the tallest tile.</summary>
    public const int MaxRows = 12;

    private const int Unrolled = 4; // indices k per round of the loop, see QuarterKernels

    /// <summary>One row against four panels: eight chains hide the latency of the FMA.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void Row4<TWeights>(float* a, byte* b, nint panelBytes, float* c, int k, bool accumulate)
        where TWeights : struct, IWeights
    {
        var b1 = b + panelBytes;
        var b2 = b1 + panelBytes;
        var b3 = b2 + panelBytes;
        Vector512<float> c0, c1, c2, c3, c4, c5, c6, c7;
        if (accumulate)
        {
            (c0, c1, c2, c3) = (Vector512.Load(c), Vector512.Load(c + 16), Vector512.Load(c + 32), Vector512.Load(c + 48));
            (c4, c5, c6, c7) =
                (Vector512.Load(c + 64), Vector512.Load(c + 80), Vector512.Load(c + 96), Vector512.Load(c + 112));
        }
        else
        {
            c0 = c1 = c2 = c3 = c4 = c5 = c6 = c7 = Vector512<float>.Zero;
        }

        for (nint i = 0; i < k; i++)
        {
            var x = Vector512.Create(a[i]);
            var o = i * TWeights.RowBytes;
            TWeights.Prefetch(b + o);
            TWeights.Prefetch(b1 + o);
            TWeights.Prefetch(b2 + o);
            TWeights.Prefetch(b3 + o);
            var v = TWeights.Low(b + o);
            var w = TWeights.High(b + o);
            c0 = Vector512.FusedMultiplyAdd(x, v, c0);
            c1 = Vector512.FusedMultiplyAdd(x, w, c1);
            v = TWeights.Low(b1 + o);
            w = TWeights.High(b1 + o);
            c2 = Vector512.FusedMultiplyAdd(x, v, c2);
            c3 = Vector512.FusedMultiplyAdd(x, w, c3);
            v = TWeights.Low(b2 + o);
            w = TWeights.High(b2 + o);
            c4 = Vector512.FusedMultiplyAdd(x, v, c4);
            c5 = Vector512.FusedMultiplyAdd(x, w, c5);
            v = TWeights.Low(b3 + o);
            w = TWeights.High(b3 + o);
            c6 = Vector512.FusedMultiplyAdd(x, v, c6);
            c7 = Vector512.FusedMultiplyAdd(x, w, c7);
        }

        c0.Store(c);
        c1.Store(c + 16);
        c2.Store(c + 32);
        c3.Store(c + 48);
        c4.Store(c + 64);
        c5.Store(c + 80);
        c6.Store(c + 96);
        c7.Store(c + 112);
    }

    /// <summary>TRows.Count rows against one panel; a is packed [k][rows], c has row stride ldc.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void Tile512<TRows, TWeights>(float* a, byte* b, float* c, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
        where TWeights : struct, IWeights
    {
        Vector512<float> p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11;
        Vector512<float> q0, q1, q2, q3, q4, q5, q6, q7, q8, q9, q10, q11;
        p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = p8 = p9 = p10 = p11 = Vector512<float>.Zero;
        q0 = q1 = q2 = q3 = q4 = q5 = q6 = q7 = q8 = q9 = q10 = q11 = Vector512<float>.Zero;
        if (accumulate)
        {
            Load(c, ref p0, ref q0);
            if (TRows.Count > 1) { Load(c + ldc, ref p1, ref q1); }
            if (TRows.Count > 2) { Load(c + 2 * ldc, ref p2, ref q2); }
            if (TRows.Count > 3) { Load(c + 3 * ldc, ref p3, ref q3); }
            if (TRows.Count > 4) { Load(c + 4 * ldc, ref p4, ref q4); }
            if (TRows.Count > 5) { Load(c + 5 * ldc, ref p5, ref q5); }
            if (TRows.Count > 6) { Load(c + 6 * ldc, ref p6, ref q6); }
            if (TRows.Count > 7) { Load(c + 7 * ldc, ref p7, ref q7); }
            if (TRows.Count > 8) { Load(c + 8 * ldc, ref p8, ref q8); }
            if (TRows.Count > 9) { Load(c + 9 * ldc, ref p9, ref q9); }
            if (TRows.Count > 10) { Load(c + 10 * ldc, ref p10, ref q10); }
            if (TRows.Count > 11) { Load(c + 11 * ldc, ref p11, ref q11); }
        }

        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * TRows.Count, b += Unrolled * TWeights.RowBytes)
        {
            TileStep<TRows, TWeights>(0, a, b,
                ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8, ref p9, ref p10, ref p11,
                ref q0, ref q1, ref q2, ref q3, ref q4, ref q5, ref q6, ref q7, ref q8, ref q9, ref q10, ref q11);
            TileStep<TRows, TWeights>(1, a, b,
                ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8, ref p9, ref p10, ref p11,
                ref q0, ref q1, ref q2, ref q3, ref q4, ref q5, ref q6, ref q7, ref q8, ref q9, ref q10, ref q11);
            TileStep<TRows, TWeights>(2, a, b,
                ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8, ref p9, ref p10, ref p11,
                ref q0, ref q1, ref q2, ref q3, ref q4, ref q5, ref q6, ref q7, ref q8, ref q9, ref q10, ref q11);
            TileStep<TRows, TWeights>(3, a, b,
                ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8, ref p9, ref p10, ref p11,
                ref q0, ref q1, ref q2, ref q3, ref q4, ref q5, ref q6, ref q7, ref q8, ref q9, ref q10, ref q11);
        }

        for (; k > 0; k--, a += TRows.Count, b += TWeights.RowBytes)
        {
            TileStep<TRows, TWeights>(0, a, b,
                ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8, ref p9, ref p10, ref p11,
                ref q0, ref q1, ref q2, ref q3, ref q4, ref q5, ref q6, ref q7, ref q8, ref q9, ref q10, ref q11);
        }

        Store(p0, q0, c);
        if (TRows.Count > 1) { Store(p1, q1, c + ldc); }
        if (TRows.Count > 2) { Store(p2, q2, c + 2 * ldc); }
        if (TRows.Count > 3) { Store(p3, q3, c + 3 * ldc); }
        if (TRows.Count > 4) { Store(p4, q4, c + 4 * ldc); }
        if (TRows.Count > 5) { Store(p5, q5, c + 5 * ldc); }
        if (TRows.Count > 6) { Store(p6, q6, c + 6 * ldc); }
        if (TRows.Count > 7) { Store(p7, q7, c + 7 * ldc); }
        if (TRows.Count > 8) { Store(p8, q8, c + 8 * ldc); }
        if (TRows.Count > 9) { Store(p9, q9, c + 9 * ldc); }
        if (TRows.Count > 10) { Store(p10, q10, c + 10 * ldc); }
        if (TRows.Count > 11) { Store(p11, q11, c + 11 * ldc); }
    }

    /// <summary>One k, the <paramref name="step"/>th from where a and b point: a number in the code, so that addresses cost nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TileStep<TRows, TWeights>(
        int step, float* a, byte* b,
        ref Vector512<float> p0, ref Vector512<float> p1, ref Vector512<float> p2, ref Vector512<float> p3,
        ref Vector512<float> p4, ref Vector512<float> p5, ref Vector512<float> p6, ref Vector512<float> p7,
        ref Vector512<float> p8, ref Vector512<float> p9, ref Vector512<float> p10, ref Vector512<float> p11,
        ref Vector512<float> q0, ref Vector512<float> q1, ref Vector512<float> q2, ref Vector512<float> q3,
        ref Vector512<float> q4, ref Vector512<float> q5, ref Vector512<float> q6, ref Vector512<float> q7,
        ref Vector512<float> q8, ref Vector512<float> q9, ref Vector512<float> q10, ref Vector512<float> q11)
        where TRows : struct, IRowCount
        where TWeights : struct, IWeights
    {
        var x = TWeights.Low(b + step * TWeights.RowBytes);
        var y = TWeights.High(b + step * TWeights.RowBytes);
        TWeights.Prefetch(b + step * TWeights.RowBytes);
        Step(a[step * TRows.Count], x, y, ref p0, ref q0);
        if (TRows.Count > 1) { Step(a[step * TRows.Count + 1], x, y, ref p1, ref q1); }
        if (TRows.Count > 2) { Step(a[step * TRows.Count + 2], x, y, ref p2, ref q2); }
        if (TRows.Count > 3) { Step(a[step * TRows.Count + 3], x, y, ref p3, ref q3); }
        if (TRows.Count > 4) { Step(a[step * TRows.Count + 4], x, y, ref p4, ref q4); }
        if (TRows.Count > 5) { Step(a[step * TRows.Count + 5], x, y, ref p5, ref q5); }
        if (TRows.Count > 6) { Step(a[step * TRows.Count + 6], x, y, ref p6, ref q6); }
        if (TRows.Count > 7) { Step(a[step * TRows.Count + 7], x, y, ref p7, ref q7); }
        if (TRows.Count > 8) { Step(a[step * TRows.Count + 8], x, y, ref p8, ref q8); }
        if (TRows.Count > 9) { Step(a[step * TRows.Count + 9], x, y, ref p9, ref q9); }
        if (TRows.Count > 10) { Step(a[step * TRows.Count + 10], x, y, ref p10, ref q10); }
        if (TRows.Count > 11) { Step(a[step * TRows.Count + 11], x, y, ref p11, ref q11); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(float* c, ref Vector512<float> p, ref Vector512<float> q)
    {
        p = Vector512.Load(c);
        q = Vector512.Load(c + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> p, Vector512<float> q, float* c)
    {
        p.Store(c);
        q.Store(c + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        float a, Vector512<float> x, Vector512<float> y, ref Vector512<float> p, ref Vector512<float> q)
    {
        var broadcast = Vector512.Create(a);
        p = Vector512.FusedMultiplyAdd(broadcast, x, p);
        q = Vector512.FusedMultiplyAdd(broadcast, y, q);
    }

    internal readonly struct R1 : IRowCount { public static int Count => 1; }
    internal readonly struct R2 : IRowCount { public static int Count => 2; }
    internal readonly struct R3 : IRowCount { public static int Count => 3; }
    internal readonly struct R4 : IRowCount { public static int Count => 4; }
    internal readonly struct R5 : IRowCount { public static int Count => 5; }
    internal readonly struct R6 : IRowCount { public static int Count => 6; }
    internal readonly struct R7 : IRowCount { public static int Count => 7; }
    internal readonly struct R8 : IRowCount { public static int Count => 8; }
    internal readonly struct R9 : IRowCount { public static int Count => 9; }
    internal readonly struct R10 : IRowCount { public static int Count => 10; }
    internal readonly struct R11 : IRowCount { public static int Count => 11; }
    internal readonly struct R12 : IRowCount { public static int Count => 12; }
}
