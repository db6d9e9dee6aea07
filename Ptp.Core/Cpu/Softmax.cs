// The only softmax of the repository, y_j = exp(x_j - max) / sum, and the cross-entropy that is built on it.
// TensorPrimitives.SoftMax does not subtract the maximum (logit 89 gives NaN), so it is not used anywhere.
// Refuses: temperature and truncation, which belong to LogitsTransform. Sums depend on the length only.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class Softmax
{
    /// <summary>x = softmax(scale * x) over <paramref name="length"/> floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void InPlace(float* x, int length, float scale)
    {
        var sum = ExpShifted(x, length, scale, out _);
        ScaleBy(x, length, 1f / sum);
    }

    /// <summary>x = exp(scale * (x - max)); returns the sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float ExpShifted(float* x, int length, float scale, out float max)
    {
        var i = 0;
        var largest = Vector256.Create(float.NegativeInfinity);
        for (; i + 8 <= length; i += 8)
        {
            largest = Vector256.Max(largest, Vector256.Load(x + i));
        }

        max = float.NegativeInfinity;
        for (var lane = 0; lane < 8; lane++)
        {
            max = MathF.Max(max, largest.GetElement(lane));
        }

        for (; i < length; i++)
        {
            max = MathF.Max(max, x[i]);
        }

        i = 0;
        var total = 0f;
        if (Vector512.IsHardwareAccelerated)
        {
            var shift = Vector512.Create(max);
            var factor = Vector512.Create(scale);
            Vector512<float> sums = default;
            for (; i + 16 <= length; i += 16)
            {
                var e = FastMath.Exp((Vector512.Load(x + i) - shift) * factor);
                e.Store(x + i);
                sums += e;
            }

            total = Vector512.Sum(sums);
        }
        else
        {
            var shift = Vector256.Create(max);
            var factor = Vector256.Create(scale);
            Vector256<float> low = default, high = default;
            for (; i + 16 <= length; i += 16)
            {
                var a = FastMath.Exp((Vector256.Load(x + i) - shift) * factor);
                var b = FastMath.Exp((Vector256.Load(x + i + 8) - shift) * factor);
                a.Store(x + i);
                b.Store(x + i + 8);
                low += a;
                high += b;
            }

            total = Vector512.Sum(Vector512.Create(low, high));
        }

        for (; i < length; i++)
        {
            x[i] = FastMath.Exp((x[i] - max) * scale);
            total += x[i];
        }

        return total;
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ScaleBy(float* x, int length, float scale)
    {
        var i = 0;
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
}
