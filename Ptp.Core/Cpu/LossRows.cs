// Two more losses of a row, beside those in Softmax: reverse KL, KL(softmax(s x) || softmax(s t)), and binary cross-entropy,
//   sum_v softplus(x_v) - x_target: every token of the vocabulary its own yes or no (PTP section 3.1).
// Refuses: nothing; shapes are checked by the backend. Sums depend on the length only.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class LossRows
{
    private const int Run = 64; // factors of a product of 1 + e <= 2 each: far from a float's end

    /// <summary>weight * KL(p || q), p = softmax(scale * x), q = softmax(scale * teacher); x becomes its gradient if asked.</summary>
    /// <param name="x">Logits, [V].</param>
    /// <param name="teacher">Logits, [V].</param>
    /// <param name="length">V.</param>
    /// <param name="scale">1 / temperature.</param>
    /// <param name="weight">Factor.</param>
    /// <param name="gradient">True to replace x.</param>
    /// <param name="scratch">[2 V].</param>
    [MethodImpl(Kernel.Whole)]
    public static double ReverseDivergence(
        float* x, float* teacher, int length, float scale, float weight, bool gradient, float* scratch)
    {
        var p = scratch;
        var q = scratch + length;
        new Span<float>(x, length).CopyTo(new Span<float>(p, length));
        new Span<float>(teacher, length).CopyTo(new Span<float>(q, length));
        var pSum = Softmax.ExpShifted(p, length, scale, out var max);
        var qSum = Softmax.ExpShifted(q, length, scale, out var teacherMax);
        Softmax.ScaleBy(p, length, 1f / pSum);

        // log p_j - log q_j = s (x_j - t_j) - constant; the constant falls out of the gradient s p_j (a_j - sum p a), a = s (x - t).
        var (i, sums) = (0, Vector256<float>.Zero);
        for (; i + 8 <= length; i += 8)
        {
            sums += Vector256.Load(p + i) * (Vector256.Load(x + i) - Vector256.Load(teacher + i));
        }

        var gap = (double)Vector256.Sum(sums);
        for (; i < length; i++)
        {
            gap += p[i] * (x[i] - teacher[i]);
        }

        var (factor, mean) = (Vector256.Create(weight * scale), Vector256.Create((float)gap));
        for (i = 0; gradient && i + 8 <= length; i += 8)
        {
            (factor * Vector256.Load(p + i) * (scale * (Vector256.Load(x + i) - Vector256.Load(teacher + i) - mean))).Store(x + i);
        }

        for (; gradient && i < length; i++)
        {
            x[i] = weight * scale * p[i] * (scale * (x[i] - teacher[i] - (float)gap));
        }

        return weight * (scale * (gap - max + teacherMax) - Math.Log(pSum) + Math.Log(qSum));
    }

    /// <summary>weight * (sum_v softplus(x_v) - x_target); x becomes weight * (sigmoid(x) - onehot) if asked.</summary>
    [MethodImpl(Kernel.Whole)]
    public static double BinaryCrossEntropy(float* x, int length, int target, float weight, bool gradient)
    {
        if (target < 0 || weight == 0f)
        {
            if (gradient)
            {
                new Span<float>(x, length).Clear();
            }

            return 0;
        }

        var loss = -(double)x[target];
        float* e = stackalloc float[Run], above = stackalloc float[Run];
        for (var start = 0; start < length; start += Run)
        {
            // softplus(x) = max(x, 0) + log(1 + exp(-|x|)): one logarithm for a run of factors.
            var count = Math.Min(Run, length - start);
            Split(x + start, e, above, count);
            FastMath.Exp(e, e, count);
            var (positive, product) = SumAndProduct(above, e, count);
            if (gradient)
            {
                Sigmoids(x + start, e, count, weight);
            }

            loss += positive + Math.Log(product);
        }

        if (gradient)
        {
            x[target] -= weight;
        }

        return weight * loss;
    }

    /// <summary>sum_i x_i and prod_i (1 + e_i), in order; a function of its own, since among calls both would live in memory: 4 ns a step instead of 1.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (float Sum, float Product) SumAndProduct(float* x, float* e, int count)
    {
        var (sum, product) = (0f, 1f);
        for (var i = 0; i < count; i++)
        {
            sum += x[i];
            product *= 1f + e[i];
        }

        return (sum, product);
    }

    /// <summary>-|x| and max(x, 0).</summary>
    private static void Split(float* x, float* below, float* above, int count)
    {
        var i = 0;
        for (; i + 8 <= count; i += 8)
        {
            var v = Vector256.Load(x + i);
            (-Vector256.Abs(v)).Store(below + i);
            Vector256.MaxNative(Vector256<float>.Zero, v).Store(above + i); // NaN stays
        }

        for (; i < count; i++)
        {
            (below[i], above[i]) = (-MathF.Abs(x[i]), MathF.Max(x[i], 0f));
        }
    }

    /// <summary>x = weight / (1 + exp(-x)), from e = exp(-|x|).</summary>
    private static void Sigmoids(float* x, float* e, int count, float weight)
    {
        var i = 0;
        var one = Vector256<float>.One;
        for (; i + 8 <= count; i += 8)
        {
            var (a, b) = (Vector256.Load(x + i), Vector256.Load(e + i));
            var over = Vector256.ConditionalSelect(Vector256.GreaterThanOrEqual(a, Vector256<float>.Zero), one, b);
            (weight * (over / (one + b))).Store(x + i);
        }

        for (; i < count; i++)
        {
            x[i] = weight * ((x[i] >= 0 ? 1f : e[i]) / (1f + e[i]));
        }
    }
}
