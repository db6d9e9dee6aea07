// The only softmax of the repository, y_j = exp(x_j - max) / sum, and the losses that are built on it.
// TensorPrimitives.SoftMax does not subtract the maximum (logit 89 gives NaN), so it is not used anywhere.
// Refuses: temperature and truncation, which belong to LogitsTransform. Sums depend on the length only.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class Softmax
{
    private const int Lanes = 16;

    /// <summary>x = softmax(scale * x) over <paramref name="length"/> floats.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void InPlace(float* x, int length, float scale)
    {
        var sum = ExpShifted(x, length, scale, out _);
        ScaleBy(x, length, 1f / sum);
    }

    /// <summary>x = exp(scale * (x - max)); returns the sum, in sixteen lanes that are added at the end.</summary>
    [MethodImpl(Kernel.Whole)]
    public static float ExpShifted(float* x, int length, float scale, out float max)
    {
        max = Max(x, length);
        // What is left of sixteen is padded by what has no weight, so that it goes as the rest does.
        var whole = length & -Lanes;
        var tail = stackalloc float[Lanes];
        new Span<float>(tail, Lanes).Fill(float.NegativeInfinity);
        new Span<float>(x + whole, length - whole).CopyTo(new Span<float>(tail, Lanes));
        float total;
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            var sums = Lanes512.AreHere ? ExpOfMost<Vector512<float>, Lanes512>(x, whole, max, scale, out i).A : default;
            var shift = Vector512.Create(max);
            var factor = Vector512.Create(scale);
            for (; i < whole; i += Lanes)
            {
                var e = FastMath.ExpBelowZero((Vector512.Load(x + i) - shift) * factor);
                e.Store(x + i);
                sums += e;
            }

            var rest = FastMath.ExpBelowZero((Vector512.Load(tail) - shift) * factor);
            rest.Store(tail);
            total = Vector512.Sum(sums + rest);
        }
        else
        {
            var sums = Lanes256.AreHere ? ExpOfMost<Vector256<float>, Lanes256>(x, whole, max, scale, out i) : default;
            var (low, high) = (sums.A, sums.B);
            var shift = Vector256.Create(max);
            var factor = Vector256.Create(scale);
            for (; i <= whole; i += Lanes)
            {
                var at = i < whole ? x + i : tail;
                var a = FastMath.ExpBelowZero((Vector256.Load(at) - shift) * factor);
                var b = FastMath.ExpBelowZero((Vector256.Load(at + 8) - shift) * factor);
                a.Store(at);
                b.Store(at + 8);
                low += a;
                high += b;
            }

            total = Vector512.Sum(Vector512.Create(low, high));
        }

        new Span<float>(tail, length - whole).CopyTo(new Span<float>(x + whole, length - whole));
        return total;
    }

    /// <summary>The exponentials of as many as fill four vectors, and their number; returns the sums of sixteen lanes, in one vector or in A and B.</summary>
    [MethodImpl(Kernel.Whole)]
    private static FourVectors<TVector, TLanes> ExpOfMost<TVector, TLanes>(float* x, int length, float max, float scale, out int count)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var (a, b) = (TLanes.Create(0f), TLanes.Create(0f));
        for (count = 0; count + FourVectors<TVector, TLanes>.Count <= length; count += FourVectors<TVector, TLanes>.Count)
        {
            var e = FastMath.ExpBelowZero((FourVectors<TVector, TLanes>.Load(x + count) - max) * scale);
            e.Store(x + count);
            // In the order of sixteen at a time.
            a = TLanes.Add(a, e.A);
            if (TLanes.Count == Lanes)
            {
                a = TLanes.Add(TLanes.Add(TLanes.Add(a, e.B), e.C), e.D);
            }
            else
            {
                (a, b) = (TLanes.Add(a, e.C), TLanes.Add(TLanes.Add(b, e.B), e.D));
            }
        }

        return new(a, b, b, b);
    }

    /// <summary>The largest of those that are numbers, or NaN; the sum of exponentials sees a NaN in any case.</summary>
    [MethodImpl(Kernel.Whole)]
    private static float Max(float* x, int length)
    {
        var i = 0;
        var max = float.NegativeInfinity;
        if (length >= 2 * Lanes && Vector512.IsHardwareAccelerated)
        {
            var a = Vector512.Load(x);
            var b = Vector512.Load(x + Lanes);
            for (i = 2 * Lanes; i + 2 * Lanes <= length; i += 2 * Lanes)
            {
                a = Vector512.MaxNative(a, Vector512.Load(x + i));
                b = Vector512.MaxNative(b, Vector512.Load(x + i + Lanes));
            }

            a = Vector512.MaxNative(a, b);
            max = Across(Vector256.MaxNative(a.GetLower(), a.GetUpper()));
        }
        else
        {
            var a = Vector256.Create(float.NegativeInfinity);
            var (b, c, d) = (a, a, a);
            for (; i + 32 <= length; i += 32)
            {
                a = Vector256.MaxNative(a, Vector256.Load(x + i));
                b = Vector256.MaxNative(b, Vector256.Load(x + i + 8));
                c = Vector256.MaxNative(c, Vector256.Load(x + i + 16));
                d = Vector256.MaxNative(d, Vector256.Load(x + i + 24));
            }

            for (; i + 8 <= length; i += 8)
            {
                a = Vector256.MaxNative(a, Vector256.Load(x + i));
            }

            max = Across(Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d)));
        }

        for (; i < length; i++)
        {
            max = MathF.Max(max, x[i]);
        }

        return max;
    }

    private static float Across(Vector256<float> v)
    {
        var half = Vector128.MaxNative(v.GetLower(), v.GetUpper());
        return MathF.Max(MathF.Max(half[0], half[1]), MathF.Max(half[2], half[3]));
    }

    /// <summary>softmax(logits)[token], without writing the rest.</summary>
    public static float ProbabilityOf(ReadOnlySpan<float> logits, int token)
    {
        var scratch = Scratch.First(logits.Length);
        logits.CopyTo(new Span<float>(scratch, logits.Length));
        var sum = ExpShifted(scratch, logits.Length, 1f, out _);
        return scratch[token] / sum;
    }

    /// <summary>x *= scale.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void ScaleBy(float* x, int length, float scale)
    {
        var i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            var wide = Vector512.Create(scale);
            for (; i + Lanes <= length; i += Lanes)
            {
                (Vector512.Load(x + i) * wide).Store(x + i);
            }
        }

        var s = Vector256.Create(scale);
        for (; i + 8 <= length; i += 8)
        {
            (Vector256.Load(x + i) * s).Store(x + i);
        }

        for (; i < length; i++)
        {
            x[i] *= scale;
        }
    }

    /// <summary>-log softmax(x)[target] * weight; x becomes weight * (softmax(x) - onehot) if asked.</summary>
    public static double CrossEntropyRow(float* x, int length, int target, float weight, bool gradient, float* scratch)
    {
        if (target < 0 || weight == 0f)
        {
            if (gradient)
            {
                new Span<float>(x, length).Clear();
            }

            return 0;
        }

        var logit = x[target];
        if (!gradient)
        {
            new Span<float>(x, length).CopyTo(new Span<float>(scratch, length));
            x = scratch;
        }

        var sum = ExpShifted(x, length, 1f, out var max);
        // L = log sum_j exp(x_j) - x_t  =>  dx_j = softmax(x)_j - [j = t]
        if (gradient)
        {
            ScaleBy(x, length, weight / sum);
            x[target] -= weight;
        }

        return weight * (Math.Log(sum) + max - logit);
    }

    /// <summary>weight * KL(softmax(scale * teacher) || softmax(scale * x)); x becomes its gradient if asked.</summary>
    public static double DivergenceRow(
        float* x, float* teacher, int length, float scale, float weight, bool gradient, float* scratch)
    {
        var q = scratch;
        var p = gradient ? x : scratch + length;
        new Span<float>(teacher, length).CopyTo(new Span<float>(q, length));
        var qSum = ExpShifted(q, length, scale, out var teacherMax);
        var cross = WeightedGap(q, teacher, x, length) / qSum;
        if (!gradient)
        {
            new Span<float>(x, length).CopyTo(new Span<float>(p, length));
        }

        var pSum = ExpShifted(p, length, scale, out var max);
        // sum_j q_j (log q_j - log p_j), log q_j = scale (t_j - max t) - log sum; dx_j = scale (p_j - q_j)
        if (gradient)
        {
            Mix(p, weight * scale / pSum, q, -weight * scale / qSum, length);
        }

        return weight * (scale * (cross + max - teacherMax) + Math.Log(pSum) - Math.Log(qSum));
    }

    /// <summary>sum_j q_j (a_j - b_j), in eight lanes and then the rest.</summary>
    private static double WeightedGap(float* q, float* a, float* b, int length)
    {
        var i = 0;
        Vector256<float> sums = default;
        for (; i + 8 <= length; i += 8)
        {
            sums += Vector256.Load(q + i) * (Vector256.Load(a + i) - Vector256.Load(b + i));
        }

        var total = (double)Vector256.Sum(sums);
        for (; i < length; i++)
        {
            total += q[i] * (a[i] - b[i]);
        }

        return total;
    }

    /// <summary>x = a x + b y.</summary>
    private static void Mix(float* x, float a, float* y, float b, int length)
    {
        var i = 0;
        var (va, vb) = (Vector256.Create(a), Vector256.Create(b));
        for (; i + 8 <= length; i += 8)
        {
            (va * Vector256.Load(x + i) + vb * Vector256.Load(y + i)).Store(x + i);
        }

        for (; i < length; i++)
        {
            x[i] = a * x[i] + b * y[i];
        }
    }
}
