// Two queries with four keys on 256 bits: sixteen partial sums of a dot are two vectors, so four dots fill the accumulators of a step.
//   scores[j][t] = q_j k_t, folded as VectorOps folds a single dot; the bits are its bits
// Not here: panels and weighted sums, which are one text for both widths. Refuses: machines without AVX2 and fused multiply-adds.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe partial class AttentionKernels
{
    /// <summary>Query <paramref name="j"/> and the next with up to four keys; what is not there repeats the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
}
