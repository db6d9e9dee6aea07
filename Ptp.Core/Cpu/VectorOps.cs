// Small vector loops of attention: dots of one vector with many rows, weighted sums of rows, outer products.
// Each result is a fixed function of its own operands: a dot never depends on which other rows are near it.
// Refuses: matrix products, which are in MatMul, and anything with a shape check; callers did that.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using FourHalves = Ptp.Core.Cpu.FourVectors<System.Runtime.Intrinsics.Vector256<float>, Ptp.Core.Cpu.Lanes256>;

namespace Ptp.Core.Cpu;

internal static unsafe class VectorOps
{
    /// <summary>results[t] = x . rows[t] for t below count; rows lie at a stride.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void DotRows(float* x, float* rows, nint stride, int count, int size, float* results)
    {
        for (var t = 0; t < count; t += 4)
        {
            // The last group repeats its last row, so that every dot is summed in the very same way.
            var r0 = rows + t * stride;
            var r1 = rows + Math.Min(t + 1, count - 1) * stride;
            var r2 = rows + Math.Min(t + 2, count - 1) * stride;
            var r3 = rows + Math.Min(t + 3, count - 1) * stride;
            var sums = size % 16 != 0 ? Dot4(x, r0, r1, r2, r3, size)
                : Vector512.IsHardwareAccelerated ? Dot4Wide(x, r0, r1, r2, r3, size)
                : Dot4Halves(x, r0, r1, r2, r3, size);
            if (t + 4 <= count)
            {
                sums.Store(results + t);
                continue;
            }

            for (var j = t; j < count; j++)
            {
                results[j] = sums.GetElement(j - t);
            }
        }
    }

    /// <summary>y += sum over t of weights[t] * rows[t], t ascending.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void AddWeightedRows(float* weights, float* rows, nint stride, int count, int size, float* y)
    {
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i + 64 <= size; i += 64)
            {
                var s0 = Vector512.Load(y + i);
                var s1 = Vector512.Load(y + i + 16);
                var s2 = Vector512.Load(y + i + 32);
                var s3 = Vector512.Load(y + i + 48);
                var row = rows + i;
                for (var t = 0; t < count; t++, row += stride)
                {
                    var w = Vector512.Create(weights[t]);
                    s0 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row), s0);
                    s1 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row + 16), s1);
                    s2 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row + 32), s2);
                    s3 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row + 48), s3);
                }

                s0.Store(y + i);
                s1.Store(y + i + 16);
                s2.Store(y + i + 32);
                s3.Store(y + i + 48);
            }

            for (; i + 48 <= size; i += 48)
            {
                var (s0, s1, s2) = (Vector512.Load(y + i), Vector512.Load(y + i + 16), Vector512.Load(y + i + 32));
                var row = rows + i;
                for (var t = 0; t < count; t++, row += stride)
                {
                    var w = Vector512.Create(weights[t]);
                    s0 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row), s0);
                    s1 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row + 16), s1);
                    s2 = Vector512.FusedMultiplyAdd(w, Vector512.Load(row + 32), s2);
                }

                s0.Store(y + i);
                s1.Store(y + i + 16);
                s2.Store(y + i + 32);
            }

            for (; i + 16 <= size; i += 16)
            {
                var s = Vector512.Load(y + i);
                var row = rows + i;
                for (var t = 0; t < count; t++, row += stride)
                {
                    s = Vector512.FusedMultiplyAdd(Vector512.Create(weights[t]), Vector512.Load(row), s);
                }

                s.Store(y + i);
            }
        }

        for (; Lanes256.AreHere && i + 64 <= size; i += 64)
        {
            // Eight sums: one every half cycle of a multiply-add's latency.
            var (s, u) = (FourHalves.Load(y + i), FourHalves.Load(y + i + 32));
            var row = rows + i;
            for (var t = 0; t < count; t++, row += stride)
            {
                s = FourHalves.MultiplyAdd(FourHalves.Load(row), weights[t], s);
                u = FourHalves.MultiplyAdd(FourHalves.Load(row + 32), weights[t], u);
            }

            s.Store(y + i);
            u.Store(y + i + 32);
        }

        for (; Lanes256.AreHere && i + 32 <= size; i += 32)
        {
            var s = FourHalves.Load(y + i);
            var row = rows + i;
            for (var t = 0; t < count; t++, row += stride)
            {
                s = FourHalves.MultiplyAdd(FourHalves.Load(row), weights[t], s);
            }

            s.Store(y + i);
        }

        for (; i + 8 <= size; i += 8)
        {
            var s = Vector256.Load(y + i);
            var row = rows + i;
            for (var t = 0; t < count; t++, row += stride)
            {
                s = Vector256.FusedMultiplyAdd(Vector256.Create(weights[t]), Vector256.Load(row), s);
            }

            s.Store(y + i);
        }

        for (; i < size; i++)
        {
            var s = y[i];
            for (var t = 0; t < count; t++)
            {
                s = MathF.FusedMultiplyAdd(weights[t], rows[t * stride + i], s);
            }

            y[i] = s;
        }
    }

    /// <summary>rows[t] += weights[t] * x.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void AddOuter(float* weights, float* x, int count, int size, float* rows, nint stride)
    {
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            for (; i + 64 <= size; i += 64)
            {
                var x0 = Vector512.Load(x + i);
                var x1 = Vector512.Load(x + i + 16);
                var x2 = Vector512.Load(x + i + 32);
                var x3 = Vector512.Load(x + i + 48);
                var row = rows + i;
                for (var t = 0; t < count; t++, row += stride)
                {
                    var w = Vector512.Create(weights[t]);
                    Vector512.FusedMultiplyAdd(w, x0, Vector512.Load(row)).Store(row);
                    Vector512.FusedMultiplyAdd(w, x1, Vector512.Load(row + 16)).Store(row + 16);
                    Vector512.FusedMultiplyAdd(w, x2, Vector512.Load(row + 32)).Store(row + 32);
                    Vector512.FusedMultiplyAdd(w, x3, Vector512.Load(row + 48)).Store(row + 48);
                }
            }
        }

        for (; Lanes256.AreHere && i + 32 <= size; i += 32)
        {
            var part = FourHalves.Load(x + i);
            var row = rows + i;
            for (var t = 0; t < count; t++, row += stride)
            {
                FourHalves.MultiplyAdd(part, weights[t], FourHalves.Load(row)).Store(row);
            }
        }

        for (var t = 0; i < size && t < count; t++)
        {
            AddScaled(x + i, weights[t], size - i, rows + t * stride + i);
        }
    }

    /// <summary>y += scale * x.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void AddScaled(float* x, float scale, int length, float* y)
    {
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            var wide = Vector512.Create(scale);
            for (; i + 16 <= length; i += 16)
            {
                Vector512.FusedMultiplyAdd(wide, Vector512.Load(x + i), Vector512.Load(y + i)).Store(y + i);
            }
        }

        var s = Vector256.Create(scale);
        for (; i + 8 <= length; i += 8)
        {
            Vector256.FusedMultiplyAdd(s, Vector256.Load(x + i), Vector256.Load(y + i)).Store(y + i);
        }

        for (; i < length; i++)
        {
            y[i] = MathF.FusedMultiplyAdd(scale, x[i], y[i]);
        }
    }

    /// <summary>dp[t] = p[t] * (dp[t] - mean) * scale: the gradient of scaled scores through softmax.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void SoftmaxGradient(float* p, float* dp, float mean, float scale, int count)
    {
        var t = 0;
        var m = Vector256.Create(mean);
        var s = Vector256.Create(scale);
        for (; t + 8 <= count; t += 8)
        {
            (Vector256.Load(p + t) * (Vector256.Load(dp + t) - m) * s).Store(dp + t);
        }

        for (; t < count; t++)
        {
            dp[t] = p[t] * (dp[t] - mean) * scale;
        }
    }

    /// <summary>a . b in one fixed order that depends on the length only.</summary>
    [MethodImpl(Kernel.Whole)]
    public static float Dot(float* a, float* b, int length)
    {
        Vector256<float> s0 = default, s1 = default;
        var i = 0;
        for (; i + 16 <= length; i += 16)
        {
            s0 = Vector256.FusedMultiplyAdd(Vector256.Load(a + i), Vector256.Load(b + i), s0);
            s1 = Vector256.FusedMultiplyAdd(Vector256.Load(a + i + 8), Vector256.Load(b + i + 8), s1);
        }

        var sum = Vector256.Sum(s0 + s1);
        for (; i < length; i++)
        {
            sum = MathF.FusedMultiplyAdd(a[i], b[i], sum);
        }

        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Dot4Wide(float* x, float* r0, float* r1, float* r2, float* r3, int size)
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        for (var i = 0; i < size; i += 16)
        {
            var v = Vector512.Load(x + i);
            s0 = Vector512.FusedMultiplyAdd(v, Vector512.Load(r0 + i), s0);
            s1 = Vector512.FusedMultiplyAdd(v, Vector512.Load(r1 + i), s1);
            s2 = Vector512.FusedMultiplyAdd(v, Vector512.Load(r2 + i), s2);
            s3 = Vector512.FusedMultiplyAdd(v, Vector512.Load(r3 + i), s3);
        }

        return Fold(Fold(s0), Fold(s1), Fold(s2), Fold(s3));
    }

    /// <summary>The same sixteen sums of each dot, in two vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Dot4Halves(float* x, float* r0, float* r1, float* r2, float* r3, int size)
    {
        Vector256<float> s0, s1, s2, s3, t0, t1, t2, t3;
        s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = default;
        for (nint i = 0; i < size; i += 16)
        {
            var (v, w) = (Vector256.Load(x + i), Vector256.Load(x + i + 8));
            s0 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r0 + i), s0);
            t0 = Vector256.FusedMultiplyAdd(w, Vector256.Load(r0 + i + 8), t0);
            s1 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r1 + i), s1);
            t1 = Vector256.FusedMultiplyAdd(w, Vector256.Load(r1 + i + 8), t1);
            s2 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r2 + i), s2);
            t2 = Vector256.FusedMultiplyAdd(w, Vector256.Load(r2 + i + 8), t2);
            s3 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r3 + i), s3);
            t3 = Vector256.FusedMultiplyAdd(w, Vector256.Load(r3 + i + 8), t3);
        }

        return Fold(Fold(s0 + t0), Fold(s1 + t1), Fold(s2 + t2), Fold(s3 + t3));
    }

    private static Vector128<float> Dot4(float* x, float* r0, float* r1, float* r2, float* r3, int size)
    {
        Vector256<float> s0 = default, s1 = default, s2 = default, s3 = default;
        var i = 0;
        for (; i + 8 <= size; i += 8)
        {
            var v = Vector256.Load(x + i);
            s0 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r0 + i), s0);
            s1 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r1 + i), s1);
            s2 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r2 + i), s2);
            s3 = Vector256.FusedMultiplyAdd(v, Vector256.Load(r3 + i), s3);
        }

        var sums = Fold(Fold(s0), Fold(s1), Fold(s2), Fold(s3));
        for (; i < size; i++)
        {
            var column = Vector128.Create(r0[i], r1[i], r2[i], r3[i]);
            sums = Vector128.FusedMultiplyAdd(Vector128.Create(x[i]), column, sums);
        }

        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(Vector512<float> v) => Fold(v.GetLower() + v.GetUpper());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(Vector256<float> v) => v.GetLower() + v.GetUpper();

    /// <summary>The four horizontal sums, (0+1)+(2+3) in each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fold(
        Vector128<float> a, Vector128<float> b, Vector128<float> c, Vector128<float> d)
    {
        if (Sse3.IsSupported)
        {
            return Sse3.HorizontalAdd(Sse3.HorizontalAdd(a, b), Sse3.HorizontalAdd(c, d));
        }

        static float Across(Vector128<float> v) =>
            v.GetElement(0) + v.GetElement(1) + (v.GetElement(2) + v.GetElement(3));
        return Vector128.Create(Across(a), Across(b), Across(c), Across(d));
    }
}
