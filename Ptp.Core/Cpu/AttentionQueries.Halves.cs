// The kernels of AttentionQueries.cs on 256 bits and sixteen registers: two queries with four keys, two with half a panel, four with a row of values.
//   scores[j][t] = q_j k_t, sixteen partial sums (two vectors) folded as VectorOps folds a single dot; y_j += w_j[t] v_t, t ascending
// The bits are those of 512 bits. Refuses: machines without AVX2 and fused multiply-adds.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FourHalves = Ptp.Core.Cpu.FourVectors<System.Runtime.Intrinsics.Vector256<float>, Ptp.Core.Cpu.Lanes256>;

namespace Ptp.Core.Cpu;

internal static unsafe partial class AttentionKernels
{
    /// <summary>Query <paramref name="j"/> and the next with up to four keys; what is not there repeats the last.</summary>
    [MethodImpl(Kernel.Whole)]
    internal static void Dot2x4(AttentionQueries* queries, int j, float* keys, nint stride, int count, int place)
    {
        var next = Math.Min(j + 1, queries->Count - 1);
        var q0 = queries->QueryOf(j);
        var q1 = queries->QueryOf(next);
        var size = queries->Size;
        var last = count - 1;
        Dot2x2(q0, q1, keys, keys + Math.Min(1, last) * stride, size, out var v0, out var v1);
        Dot2x2(q0, q1, keys + Math.Min(2, last) * stride, keys + last * stride, size, out var v2, out var v3);
        // Neighbours added twice: four keys of query 0 in the lower half, of query 1 in the upper one.
        var sums = Avx.HorizontalAdd(Avx.HorizontalAdd(v0, v1), Avx.HorizontalAdd(v2, v3));
        var s0 = queries->ScoresOf(j) + place;
        var s1 = queries->ScoresOf(next) + place;
        if (count == 4)
        {
            sums.GetLower().Store(s0);
            sums.GetUpper().Store(s1);
            return;
        }

        for (var t = 0; t < count; t++)
        {
            s0[t] = sums.GetElement(t);
            s1[t] = sums.GetElement(4 + t);
        }
    }

    /// <summary>Four of sixteen partial sums are left of each dot: query 0 in the lower half, query 1 in the upper one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Dot2x2(float* q0, float* q1, float* k0, float* k1, int size, out Vector256<float> with0, out Vector256<float> with1)
    {
        Vector256<float> a0, a1, b0, b1, c0, c1, d0, d1;
        a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = Vector256<float>.Zero;
        for (nint i = 0; i < size; i += 16)
        {
            var (x0, x1) = (Vector256.Load(q0 + i), Vector256.Load(q0 + i + 8));
            var (y0, y1) = (Vector256.Load(q1 + i), Vector256.Load(q1 + i + 8));
            var (k, l) = (Vector256.Load(k0 + i), Vector256.Load(k0 + i + 8));
            a0 = Vector256.FusedMultiplyAdd(x0, k, a0);
            a1 = Vector256.FusedMultiplyAdd(x1, l, a1);
            b0 = Vector256.FusedMultiplyAdd(y0, k, b0);
            b1 = Vector256.FusedMultiplyAdd(y1, l, b1);
            (k, l) = (Vector256.Load(k1 + i), Vector256.Load(k1 + i + 8));
            c0 = Vector256.FusedMultiplyAdd(x0, k, c0);
            c1 = Vector256.FusedMultiplyAdd(x1, l, c1);
            d0 = Vector256.FusedMultiplyAdd(y0, k, d0);
            d1 = Vector256.FusedMultiplyAdd(y1, l, d1);
        }

        with0 = Quarters(a0 + a1, b0 + b1);
        with1 = Quarters(c0 + c1, d0 + d1);
    }

    /// <summary>Lanes four apart added: those of a in the lower half, those of b in the upper one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Quarters(Vector256<float> a, Vector256<float> b) =>
        Avx.Permute2x128(a, b, 0x20) + Avx.Permute2x128(a, b, 0x31);

    /// <summary>Two queries with sixteen keys of a panel of 32.</summary>
    private static void DotHalf(float* q0, float* q1, float* panel, int size, float* scores0, float* scores1)
    {
        if (size % 64 == 0)
        {
            DotHalf<MatMulKernels.R4>(q0, q1, panel, size, scores0, scores1);
        }
        else
        {
            DotHalf<MatMulKernels.R1>(q0, q1, panel, size, scores0, scores1);
        }
    }

    /// <summary>The same for sizes that are so many times sixteen.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void DotHalf<TSteps>(float* q0, float* q1, float* panel, int size, float* scores0, float* scores1)
        where TSteps : struct, IRowCount
    {
        // Four sums at a time leave room for two more groups of the fold; multiply-adds of the next group hide the latency of this one's.
        var sum = FoldedHalf<TSteps>(q0, q1, panel, size, 0);
        sum += FoldedHalf<TSteps>(q0, q1, panel, size, 1);
        var other = FoldedHalf<TSteps>(q0, q1, panel, size, 2);
        sum += other + FoldedHalf<TSteps>(q0, q1, panel, size, 3);
        sum.A.Store(scores0);
        sum.B.Store(scores0 + 8);
        sum.C.Store(scores1);
        sum.D.Store(scores1 + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourHalves FoldedHalf<TSteps>(float* q0, float* q1, float* panel, int size, int lane)
        where TSteps : struct, IRowCount
    {
        var sum = PairHalf<TSteps>(q0, q1, panel, size, lane);
        return sum + PairHalf<TSteps>(q0, q1, panel, size, lane + 4);
    }

    /// <summary>Every sixteenth product from <paramref name="lane"/> and from eight behind it on: query 0 with 2 x 8 keys, then query 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourHalves PairHalf<TSteps>(float* q0, float* q1, float* panel, int size, int lane)
        where TSteps : struct, IRowCount
    {
        const int step = 16 * 32;
        Vector256<float> a, b, c, d, e, f, g, h;
        a = b = c = d = e = f = g = h = Vector256<float>.Zero;
        var keys = panel + lane * 32;
        nint i = lane;
        do
        {
            var (x, y) = (Vector256.Load(keys), Vector256.Load(keys + 8));
            var (w, u) = (Vector256.Create(q0[i]), Vector256.Create(q1[i]));
            a = Vector256.FusedMultiplyAdd(w, x, a);
            b = Vector256.FusedMultiplyAdd(w, y, b);
            c = Vector256.FusedMultiplyAdd(u, x, c);
            d = Vector256.FusedMultiplyAdd(u, y, d);
            (x, y) = (Vector256.Load(keys + 8 * 32), Vector256.Load(keys + 8 * 32 + 8));
            (w, u) = (Vector256.Create(q0[i + 8]), Vector256.Create(q1[i + 8]));
            e = Vector256.FusedMultiplyAdd(w, x, e);
            f = Vector256.FusedMultiplyAdd(w, y, f);
            g = Vector256.FusedMultiplyAdd(u, x, g);
            h = Vector256.FusedMultiplyAdd(u, y, h);
            if (TSteps.Count == 4) // fewer branches
            {
                (x, y) = (Vector256.Load(keys + step), Vector256.Load(keys + step + 8));
                (w, u) = (Vector256.Create(q0[i + 16]), Vector256.Create(q1[i + 16]));
                a = Vector256.FusedMultiplyAdd(w, x, a);
                b = Vector256.FusedMultiplyAdd(w, y, b);
                c = Vector256.FusedMultiplyAdd(u, x, c);
                d = Vector256.FusedMultiplyAdd(u, y, d);
                (x, y) = (Vector256.Load(keys + step + 8 * 32), Vector256.Load(keys + step + 8 * 32 + 8));
                (w, u) = (Vector256.Create(q0[i + 24]), Vector256.Create(q1[i + 24]));
                e = Vector256.FusedMultiplyAdd(w, x, e);
                f = Vector256.FusedMultiplyAdd(w, y, f);
                g = Vector256.FusedMultiplyAdd(u, x, g);
                h = Vector256.FusedMultiplyAdd(u, y, h);
                (x, y) = (Vector256.Load(keys + 2 * step), Vector256.Load(keys + 2 * step + 8));
                (w, u) = (Vector256.Create(q0[i + 32]), Vector256.Create(q1[i + 32]));
                a = Vector256.FusedMultiplyAdd(w, x, a);
                b = Vector256.FusedMultiplyAdd(w, y, b);
                c = Vector256.FusedMultiplyAdd(u, x, c);
                d = Vector256.FusedMultiplyAdd(u, y, d);
                (x, y) = (Vector256.Load(keys + 2 * step + 8 * 32), Vector256.Load(keys + 2 * step + 8 * 32 + 8));
                (w, u) = (Vector256.Create(q0[i + 40]), Vector256.Create(q1[i + 40]));
                e = Vector256.FusedMultiplyAdd(w, x, e);
                f = Vector256.FusedMultiplyAdd(w, y, f);
                g = Vector256.FusedMultiplyAdd(u, x, g);
                h = Vector256.FusedMultiplyAdd(u, y, h);
                (x, y) = (Vector256.Load(keys + 3 * step), Vector256.Load(keys + 3 * step + 8));
                (w, u) = (Vector256.Create(q0[i + 48]), Vector256.Create(q1[i + 48]));
                a = Vector256.FusedMultiplyAdd(w, x, a);
                b = Vector256.FusedMultiplyAdd(w, y, b);
                c = Vector256.FusedMultiplyAdd(u, x, c);
                d = Vector256.FusedMultiplyAdd(u, y, d);
                (x, y) = (Vector256.Load(keys + 3 * step + 8 * 32), Vector256.Load(keys + 3 * step + 8 * 32 + 8));
                (w, u) = (Vector256.Create(q0[i + 56]), Vector256.Create(q1[i + 56]));
                e = Vector256.FusedMultiplyAdd(w, x, e);
                f = Vector256.FusedMultiplyAdd(w, y, f);
                g = Vector256.FusedMultiplyAdd(u, x, g);
                h = Vector256.FusedMultiplyAdd(u, y, h);
            }

            i += 16 * TSteps.Count;
            keys += TSteps.Count * step;
        }
        while (i < size);

        return new FourHalves(a + e, b + f, c + g, d + h);
    }

    /// <summary>y += w_t v_t for queries j to j + 3, sixteen columns at a time; a repeated query writes the same numbers to the same place.</summary>
    [MethodImpl(Kernel.Whole)]
    internal static void AddWeightedHalves(AttentionQueries* queries, int j, float* values, nint stride, int count, int place)
    {
        var last = queries->Count - 1;
        var (j1, j2, j3) = (Math.Min(j + 1, last), Math.Min(j + 2, last), Math.Min(j + 3, last));
        var y0 = queries->OutputOf(j);
        var y1 = queries->OutputOf(j1);
        var y2 = queries->OutputOf(j2);
        var y3 = queries->OutputOf(j3);
        for (nint i = 0; i < queries->Size; i += 16)
        {
            var w0 = queries->ScoresOf(j) + place;
            var w1 = queries->ScoresOf(j1) + place;
            var w2 = queries->ScoresOf(j2) + place;
            var w3 = queries->ScoresOf(j3) + place;
            var (a0, a1) = (Vector256.Load(y0 + i), Vector256.Load(y0 + i + 8));
            var (b0, b1) = (Vector256.Load(y1 + i), Vector256.Load(y1 + i + 8));
            var (c0, c1) = (Vector256.Load(y2 + i), Vector256.Load(y2 + i + 8));
            var (d0, d1) = (Vector256.Load(y3 + i), Vector256.Load(y3 + i + 8));
            var v = values + i;
            nint t = 0;
            for (; t + 2 <= count; t += 2, v += 2 * stride)
            {
                AddValue(w0 + t, w1 + t, w2 + t, w3 + t, v, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
                AddValue(w0 + t + 1, w1 + t + 1, w2 + t + 1, w3 + t + 1, v + stride, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            }

            if (t < count)
            {
                AddValue(w0 + t, w1 + t, w2 + t, w3 + t, v, ref a0, ref a1, ref b0, ref b1, ref c0, ref c1, ref d0, ref d1);
            }

            a0.Store(y0 + i);
            a1.Store(y0 + i + 8);
            b0.Store(y1 + i);
            b1.Store(y1 + i + 8);
            c0.Store(y2 + i);
            c1.Store(y2 + i + 8);
            d0.Store(y3 + i);
            d1.Store(y3 + i + 8);
        }
    }

    /// <summary>Sixteen columns of a row of values, weighed for four queries.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddValue(
        float* w0, float* w1, float* w2, float* w3, float* v,
        ref Vector256<float> a0, ref Vector256<float> a1, ref Vector256<float> b0, ref Vector256<float> b1,
        ref Vector256<float> c0, ref Vector256<float> c1, ref Vector256<float> d0, ref Vector256<float> d1)
    {
        var (v0, v1) = (Vector256.Load(v), Vector256.Load(v + 8));
        var w = Vector256.Create(*w0);
        a0 = Vector256.FusedMultiplyAdd(w, v0, a0);
        a1 = Vector256.FusedMultiplyAdd(w, v1, a1);
        w = Vector256.Create(*w1);
        b0 = Vector256.FusedMultiplyAdd(w, v0, b0);
        b1 = Vector256.FusedMultiplyAdd(w, v1, b1);
        w = Vector256.Create(*w2);
        c0 = Vector256.FusedMultiplyAdd(w, v0, c0);
        c1 = Vector256.FusedMultiplyAdd(w, v1, c1);
        w = Vector256.Create(*w3);
        d0 = Vector256.FusedMultiplyAdd(w, v0, d0);
        d1 = Vector256.FusedMultiplyAdd(w, v1, d1);
    }
}
