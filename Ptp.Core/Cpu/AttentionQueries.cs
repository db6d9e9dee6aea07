// The queries of a block and kernels that take four of them at a time: with four keys, or with a row of values.
//   scores[j][t] = q_j k_t as sixteen partial sums and their fold; y_j += w_j[t] v_t, t ascending. Bits are those of VectorOps, query by query.
// Here for 512 bits, in AttentionQueries.Halves.cs for 256. Refuses: machines without AVX2 and fused multiply-adds; there queries go one by one.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FourVectors = Ptp.Core.Cpu.FourVectors<System.Runtime.Intrinsics.Vector512<float>, Ptp.Core.Cpu.Lanes512>;

namespace Ptp.Core.Cpu;

/// <summary>The queries of a block: rows times the heads of one key-value head.</summary>
internal unsafe struct AttentionQueries
{
    public float* Q;
    public float* Y;
    public float* Scores;
    public nint ScoreStride;
    public nint RowStride;
    public int Group;
    public int Count;
    public int Size;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float* QueryOf(int j) => Q + Offset(j);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float* OutputOf(int j) => Y + Offset(j);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float* ScoresOf(int j) => Scores + j * ScoreStride;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly nint Offset(int j) =>
        Group == 1 ? j * RowStride : j / Group * RowStride + j % Group * (nint)Size;
}

/// <summary>Kernels of four queries; the last one repeats where there are fewer.</summary>
internal static unsafe partial class AttentionKernels
{
    /// <summary>True if there are kernels of four queries for heads of this size; their dots are those of <see cref="VectorOps"/>.</summary>
    public static bool Support(int size) => (Lanes512.AreHere || Lanes256.AreHere) && size % 16 == 0;

    /// <summary>Up to four queries from <paramref name="j"/> on with any number of keys.</summary>
    public static void Dots(AttentionQueries* queries, int j, float* keys, nint stride, int count, int place)
    {
        for (var t = 0; t < count; t += 4)
        {
            if (Lanes512.AreHere)
            {
                Dot4x4(queries, j, keys + t * stride, stride, Math.Min(4, count - t), place + t);
                continue;
            }

            for (var i = j; i < Math.Min(j + 4, queries->Count); i += 2)
            {
                Dot2x4(queries, i, keys + t * stride, stride, Math.Min(4, count - t), place + t);
            }
        }
    }

    /// <summary>Up to four queries from <paramref name="j"/> on with up to four keys; what is not there repeats the last.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void Dot4x4(AttentionQueries* queries, int j, float* keys, nint stride, int count, int place)
    {
        var last = queries->Count - 1;
        var q0 = queries->QueryOf(j);
        var q1 = queries->QueryOf(Math.Min(j + 1, last));
        var q2 = queries->QueryOf(Math.Min(j + 2, last));
        var q3 = queries->QueryOf(Math.Min(j + 3, last));
        var k0 = keys;
        var k1 = keys + Math.Min(1, count - 1) * stride;
        var k2 = keys + Math.Min(2, count - 1) * stride;
        var k3 = keys + Math.Min(3, count - 1) * stride;
        Vector512<float> a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3;
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = Vector512<float>.Zero;
        for (var i = 0; i < queries->Size; i += 16)
        {
            var (x0, x1) = (Vector512.Load(k0 + i), Vector512.Load(k1 + i));
            var (x2, x3) = (Vector512.Load(k2 + i), Vector512.Load(k3 + i));
            var q = Vector512.Load(q0 + i);
            a0 = Vector512.FusedMultiplyAdd(q, x0, a0);
            b0 = Vector512.FusedMultiplyAdd(q, x1, b0);
            c0 = Vector512.FusedMultiplyAdd(q, x2, c0);
            d0 = Vector512.FusedMultiplyAdd(q, x3, d0);
            q = Vector512.Load(q1 + i);
            a1 = Vector512.FusedMultiplyAdd(q, x0, a1);
            b1 = Vector512.FusedMultiplyAdd(q, x1, b1);
            c1 = Vector512.FusedMultiplyAdd(q, x2, c1);
            d1 = Vector512.FusedMultiplyAdd(q, x3, d1);
            q = Vector512.Load(q2 + i);
            a2 = Vector512.FusedMultiplyAdd(q, x0, a2);
            b2 = Vector512.FusedMultiplyAdd(q, x1, b2);
            c2 = Vector512.FusedMultiplyAdd(q, x2, c2);
            d2 = Vector512.FusedMultiplyAdd(q, x3, d2);
            q = Vector512.Load(q3 + i);
            a3 = Vector512.FusedMultiplyAdd(q, x0, a3);
            b3 = Vector512.FusedMultiplyAdd(q, x1, b3);
            c3 = Vector512.FusedMultiplyAdd(q, x2, c3);
            d3 = Vector512.FusedMultiplyAdd(q, x3, d3);
        }

        // Lane 4 r + t is query r with key t, folded as VectorOps folds a single dot.
        var sums = Across(
            Across(Halves(a0, a1, a2, a3), Halves(b0, b1, b2, b3)), Across(Halves(c0, c1, c2, c3), Halves(d0, d1, d2, d3)));
        var s0 = queries->ScoresOf(j) + place;
        var s1 = queries->ScoresOf(Math.Min(j + 1, last)) + place;
        var s2 = queries->ScoresOf(Math.Min(j + 2, last)) + place;
        var s3 = queries->ScoresOf(Math.Min(j + 3, last)) + place;
        if (count == 4)
        {
            sums.GetLower().GetLower().Store(s0);
            sums.GetLower().GetUpper().Store(s1);
            sums.GetUpper().GetLower().Store(s2);
            sums.GetUpper().GetUpper().Store(s3);
            return;
        }

        for (var t = 0; t < count; t++)
        {
            s0[t] = sums.GetElement(t);
            s1[t] = sums.GetElement(4 + t);
            s2[t] = sums.GetElement(8 + t);
            s3[t] = sums.GetElement(12 + t);
        }
    }

    /// <summary>Sixteen partial sums of each of four dots become four of each: the upper half onto the lower, twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Halves(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var ab = Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);
        var cd = Avx512F.Shuffle4x128(c, d, 0b01_00_01_00) + Avx512F.Shuffle4x128(c, d, 0b11_10_11_10);
        return Avx512F.Shuffle4x128(ab, cd, 0b10_00_10_00) + Avx512F.Shuffle4x128(ab, cd, 0b11_01_11_01);
    }

    /// <summary>Neighbours added, as a horizontal add does in every 128 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Across(Vector512<float> a, Vector512<float> b) =>
        Avx512F.Shuffle(a, b, 0b10_00_10_00) + Avx512F.Shuffle(a, b, 0b11_01_11_01);

    /// <summary>Two queries with a panel of 32 keys, [size][32]: lanes are keys, so that sums and their fold need no shuffles.</summary>
    public static void Dot2x32(float* q0, float* q1, float* panel, int size, float* scores0, float* scores1)
    {
        if (Lanes512.AreHere)
        {
            DotWhole(q0, q1, panel, size, scores0, scores1);
            return;
        }

        DotHalf(q0, q1, panel, size, scores0, scores1);
        DotHalf(q0, q1, panel + 16, size, scores0 + 16, scores1 + 16);
    }

    [MethodImpl(Kernel.Whole)]
    private static void DotWhole(float* q0, float* q1, float* panel, int size, float* scores0, float* scores1)
    {
        // The fold of a single dot: lanes 8 apart, then 4, then neighbours, then the two that are left.
        var sum = Folded(q0, q1, panel, size, 0);
        sum += Folded(q0, q1, panel, size, 1);
        var other = Folded(q0, q1, panel, size, 2);
        sum += other + Folded(q0, q1, panel, size, 3);
        sum.A.Store(scores0);
        sum.B.Store(scores0 + 16);
        sum.C.Store(scores1);
        sum.D.Store(scores1 + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors Folded(float* q0, float* q1, float* panel, int size, int lane)
    {
        var sum = Partial(q0, q1, panel, size, lane);
        sum += Partial(q0, q1, panel, size, lane + 8);
        var other = Partial(q0, q1, panel, size, lane + 4);
        return sum + (other + Partial(q0, q1, panel, size, lane + 12));
    }

    /// <summary>Every sixteenth product from <paramref name="lane"/> on: query 0 with 2 x 16 keys, then query 1.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors Partial(float* q0, float* q1, float* panel, int size, int lane)
    {
        Vector512<float> a, b, c, d;
        a = b = c = d = Vector512<float>.Zero;
        var keys = panel + lane * 32;
        for (nint i = lane; i < size; i += 16, keys += 16 * 32)
        {
            var (x0, x1) = (Vector512.Load(keys), Vector512.Load(keys + 16));
            var (w0, w1) = (Vector512.Create(q0[i]), Vector512.Create(q1[i]));
            a = Vector512.FusedMultiplyAdd(w0, x0, a);
            b = Vector512.FusedMultiplyAdd(w0, x1, b);
            c = Vector512.FusedMultiplyAdd(w1, x0, c);
            d = Vector512.FusedMultiplyAdd(w1, x1, d);
        }

        return new FourVectors(a, b, c, d);
    }

    /// <summary>y += w_t v_t for queries j to j + 3, t from <paramref name="place"/> on, or as many queries as there are.</summary>
    public static void AddWeighted(AttentionQueries* queries, int j, float* values, nint stride, int count, int place)
    {
        if (!Lanes512.AreHere)
        {
            AddWeightedHalves(queries, j, values, stride, count, place);
            return;
        }

        var i = 0;
        for (; i + 64 <= queries->Size; i += 64)
        {
            AddWeighted<MatMulKernels.R4>(queries, j, values + i, stride, count, place, i);
        }

        switch (queries->Size - i)
        {
            case 16: AddWeighted<MatMulKernels.R1>(queries, j, values + i, stride, count, place, i); break;
            case 32: AddWeighted<MatMulKernels.R2>(queries, j, values + i, stride, count, place, i); break;
            case 48: AddWeighted<MatMulKernels.R3>(queries, j, values + i, stride, count, place, i); break;
        }
    }

    /// <summary>The same for one to four vectors of columns.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void AddWeighted<TVectors>(
        AttentionQueries* queries, int j, float* values, nint stride, int count, int place, int column)
        where TVectors : struct, IRowCount
    {
        var last = queries->Count - 1;
        var w0 = queries->ScoresOf(j) + place;
        var w1 = queries->ScoresOf(Math.Min(j + 1, last)) + place;
        var w2 = queries->ScoresOf(Math.Min(j + 2, last)) + place;
        var w3 = queries->ScoresOf(Math.Min(j + 3, last)) + place;
        var y0 = queries->OutputOf(j) + column;
        var y1 = queries->OutputOf(Math.Min(j + 1, last)) + column;
        var y2 = queries->OutputOf(Math.Min(j + 2, last)) + column;
        var y3 = queries->OutputOf(Math.Min(j + 3, last)) + column;
        Vector512<float> a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3;
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = default;
        Load<TVectors>(y0, ref a0, ref a1, ref a2, ref a3);
        Load<TVectors>(y1, ref b0, ref b1, ref b2, ref b3);
        Load<TVectors>(y2, ref c0, ref c1, ref c2, ref c3);
        Load<TVectors>(y3, ref d0, ref d1, ref d2, ref d3);
        for (var t = 0; t < count; t++, values += stride)
        {
            Vector512<float> v0, v1, v2, v3;
            v0 = v1 = v2 = v3 = default;
            Load<TVectors>(values, ref v0, ref v1, ref v2, ref v3);
            Step<TVectors>(w0[t], v0, v1, v2, v3, ref a0, ref a1, ref a2, ref a3);
            Step<TVectors>(w1[t], v0, v1, v2, v3, ref b0, ref b1, ref b2, ref b3);
            Step<TVectors>(w2[t], v0, v1, v2, v3, ref c0, ref c1, ref c2, ref c3);
            Step<TVectors>(w3[t], v0, v1, v2, v3, ref d0, ref d1, ref d2, ref d3);
        }

        // A repeated query writes the same numbers to the same place.
        Store<TVectors>(y0, a0, a1, a2, a3);
        Store<TVectors>(y1, b0, b1, b2, b3);
        Store<TVectors>(y2, c0, c1, c2, c3);
        Store<TVectors>(y3, d0, d1, d2, d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<TVectors>(
        float* at, ref Vector512<float> a, ref Vector512<float> b, ref Vector512<float> c, ref Vector512<float> d)
        where TVectors : struct, IRowCount
    {
        a = Vector512.Load(at);
        if (TVectors.Count > 1) { b = Vector512.Load(at + 16); }
        if (TVectors.Count > 2) { c = Vector512.Load(at + 32); }
        if (TVectors.Count > 3) { d = Vector512.Load(at + 48); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TVectors>(
        float weight, Vector512<float> v0, Vector512<float> v1, Vector512<float> v2, Vector512<float> v3,
        ref Vector512<float> a, ref Vector512<float> b, ref Vector512<float> c, ref Vector512<float> d)
        where TVectors : struct, IRowCount
    {
        var w = Vector512.Create(weight);
        a = Vector512.FusedMultiplyAdd(w, v0, a);
        if (TVectors.Count > 1) { b = Vector512.FusedMultiplyAdd(w, v1, b); }
        if (TVectors.Count > 2) { c = Vector512.FusedMultiplyAdd(w, v2, c); }
        if (TVectors.Count > 3) { d = Vector512.FusedMultiplyAdd(w, v3, d); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TVectors>(float* y, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
        where TVectors : struct, IRowCount
    {
        a.Store(y);
        if (TVectors.Count > 1) { b.Store(y + 16); }
        if (TVectors.Count > 2) { c.Store(y + 32); }
        if (TVectors.Count > 3) { d.Store(y + 48); }
    }
}
