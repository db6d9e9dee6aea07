// Register tiles for calls of 2 to 6 rows, which is what drafts and verifications are: two panels at once, so that the chains
// of fused multiply-adds are many enough to hide their latency where a single panel would leave the units idle.
// Each element is the same chain over k as in MatMulKernels, hence the same bits. Refuses: one row, more than six.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class NarrowKernels
{
    /// <summary>The most rows that this tile takes; four accumulators each.</summary>
    public const int MaxRows = 6;

    private const int Unrolled = 4; // indices k per round of the loop, see QuarterKernels

    /// <summary>TRows.Count rows against two panels; a is packed [k][rows], c has row stride ldc.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void TwoPanels<TRows, TWeights>(
        float* a, byte* b, nint panelBytes, float* c, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
        where TWeights : struct, IWeights
    {
        Vector512<float> p0, p1, p2, p3, p4, p5;
        Vector512<float> q0, q1, q2, q3, q4, q5;
        Vector512<float> r0, r1, r2, r3, r4, r5;
        Vector512<float> s0, s1, s2, s3, s4, s5;
        p0 = p1 = p2 = p3 = p4 = p5 = Vector512<float>.Zero;
        q0 = q1 = q2 = q3 = q4 = q5 = Vector512<float>.Zero;
        r0 = r1 = r2 = r3 = r4 = r5 = Vector512<float>.Zero;
        s0 = s1 = s2 = s3 = s4 = s5 = Vector512<float>.Zero;
        if (accumulate)
        {
            Load(c, ref p0, ref q0, ref r0, ref s0);
            Load(c + ldc, ref p1, ref q1, ref r1, ref s1);
            if (TRows.Count > 2) { Load(c + 2 * ldc, ref p2, ref q2, ref r2, ref s2); }
            if (TRows.Count > 3) { Load(c + 3 * ldc, ref p3, ref q3, ref r3, ref s3); }
            if (TRows.Count > 4) { Load(c + 4 * ldc, ref p4, ref q4, ref r4, ref s4); }
            if (TRows.Count > 5) { Load(c + 5 * ldc, ref p5, ref q5, ref r5, ref s5); }
        }

        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * TRows.Count, b += Unrolled * TWeights.RowBytes)
        {
            Step<TRows, TWeights>(0, a, b, panelBytes, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref q0, ref q1, ref q2, ref q3, ref q4, ref q5,
                ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref s0, ref s1, ref s2, ref s3, ref s4, ref s5);
            Step<TRows, TWeights>(1, a, b, panelBytes, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref q0, ref q1, ref q2, ref q3, ref q4, ref q5,
                ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref s0, ref s1, ref s2, ref s3, ref s4, ref s5);
            Step<TRows, TWeights>(2, a, b, panelBytes, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref q0, ref q1, ref q2, ref q3, ref q4, ref q5,
                ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref s0, ref s1, ref s2, ref s3, ref s4, ref s5);
            Step<TRows, TWeights>(3, a, b, panelBytes, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref q0, ref q1, ref q2, ref q3, ref q4, ref q5,
                ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref s0, ref s1, ref s2, ref s3, ref s4, ref s5);
        }

        for (; k > 0; k--, a += TRows.Count, b += TWeights.RowBytes)
        {
            Step<TRows, TWeights>(0, a, b, panelBytes, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref q0, ref q1, ref q2, ref q3, ref q4, ref q5,
                ref r0, ref r1, ref r2, ref r3, ref r4, ref r5, ref s0, ref s1, ref s2, ref s3, ref s4, ref s5);
        }

        Store(p0, q0, r0, s0, c);
        Store(p1, q1, r1, s1, c + ldc);
        if (TRows.Count > 2) { Store(p2, q2, r2, s2, c + 2 * ldc); }
        if (TRows.Count > 3) { Store(p3, q3, r3, s3, c + 3 * ldc); }
        if (TRows.Count > 4) { Store(p4, q4, r4, s4, c + 4 * ldc); }
        if (TRows.Count > 5) { Store(p5, q5, r5, s5, c + 5 * ldc); }
    }

    /// <summary>One k, the <paramref name="step"/>th from where a and b point.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TRows, TWeights>(
        int step, float* a, byte* b, nint panelBytes,
        ref Vector512<float> p0, ref Vector512<float> p1, ref Vector512<float> p2,
        ref Vector512<float> p3, ref Vector512<float> p4, ref Vector512<float> p5,
        ref Vector512<float> q0, ref Vector512<float> q1, ref Vector512<float> q2,
        ref Vector512<float> q3, ref Vector512<float> q4, ref Vector512<float> q5,
        ref Vector512<float> r0, ref Vector512<float> r1, ref Vector512<float> r2,
        ref Vector512<float> r3, ref Vector512<float> r4, ref Vector512<float> r5,
        ref Vector512<float> s0, ref Vector512<float> s1, ref Vector512<float> s2,
        ref Vector512<float> s3, ref Vector512<float> s4, ref Vector512<float> s5)
        where TRows : struct, IRowCount
        where TWeights : struct, IWeights
    {
        var (w, x) = (TWeights.Low(b + step * TWeights.RowBytes), TWeights.High(b + step * TWeights.RowBytes));
        var y = TWeights.Low(b + panelBytes + step * TWeights.RowBytes);
        var z = TWeights.High(b + panelBytes + step * TWeights.RowBytes);
        TWeights.Prefetch(b + step * TWeights.RowBytes);
        TWeights.Prefetch(b + panelBytes + step * TWeights.RowBytes);
        Step(a[step * TRows.Count], w, x, y, z, ref p0, ref q0, ref r0, ref s0);
        Step(a[step * TRows.Count + 1], w, x, y, z, ref p1, ref q1, ref r1, ref s1);
        if (TRows.Count > 2) { Step(a[step * TRows.Count + 2], w, x, y, z, ref p2, ref q2, ref r2, ref s2); }
        if (TRows.Count > 3) { Step(a[step * TRows.Count + 3], w, x, y, z, ref p3, ref q3, ref r3, ref s3); }
        if (TRows.Count > 4) { Step(a[step * TRows.Count + 4], w, x, y, z, ref p4, ref q4, ref r4, ref s4); }
        if (TRows.Count > 5) { Step(a[step * TRows.Count + 5], w, x, y, z, ref p5, ref q5, ref r5, ref s5); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(
        float* c, ref Vector512<float> p, ref Vector512<float> q, ref Vector512<float> r, ref Vector512<float> s)
    {
        p = Vector512.Load(c);
        q = Vector512.Load(c + 16);
        r = Vector512.Load(c + 32);
        s = Vector512.Load(c + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(
        Vector512<float> p, Vector512<float> q, Vector512<float> r, Vector512<float> s, float* c)
    {
        p.Store(c);
        q.Store(c + 16);
        r.Store(c + 32);
        s.Store(c + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        float a, Vector512<float> w, Vector512<float> x, Vector512<float> y, Vector512<float> z,
        ref Vector512<float> p, ref Vector512<float> q, ref Vector512<float> r, ref Vector512<float> s)
    {
        var broadcast = Vector512.Create(a);
        p = Vector512.FusedMultiplyAdd(broadcast, w, p);
        q = Vector512.FusedMultiplyAdd(broadcast, x, q);
        r = Vector512.FusedMultiplyAdd(broadcast, y, r);
        s = Vector512.FusedMultiplyAdd(broadcast, z, s);
    }
}
