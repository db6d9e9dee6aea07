// Softmax, cross-entropy and sums: one thread per row, or per run of 256 floats.
// The logarithm of the loss and the last sum are taken on the host in double, so no device needs double arithmetic.
// Refuses: trees of partial sums; the order of every sum is the order of the floats.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>y = exp(x - max) / sum exp(x - max); x, y [R, V], which may be the same.</summary>
internal struct SoftmaxKernel : IElementKernel
{
    public ArrayView<float> X, Y;
    public int Columns;

    public readonly void Element(int index)
    {
        var first = index * Columns;
        var max = Maximum(X, first, Columns);
        var sum = 0f;
        for (var i = first; i < first + Columns; i++)
        {
            var e = DeviceMath.Exp(X[i] - max);
            Y[i] = e;
            sum += e;
        }

        var scale = 1f / sum;
        for (var i = first; i < first + Columns; i++)
        {
            Y[i] *= scale;
        }
    }

    public static float Maximum(ArrayView<float> x, int first, int length)
    {
        var max = x[first];
        for (var i = first + 1; i < first + length; i++)
        {
            max = x[i] > max ? x[i] : max;
        }

        return max;
    }
}

/// <summary>
/// Per row: its target's logit, its maximum and sum exp(x - max), from which the host takes the loss; and, if asked,
/// x = weight * (softmax(x) - onehot). x [R, V], parts [R, 3].
/// </summary>
internal struct CrossEntropyKernel : IElementKernel
{
    public const int Parts = 3;
    public ArrayView<float> X, Weights, Results;
    public ArrayView<int> Targets;
    public int Columns, Gradient;

    public readonly void Element(int index)
    {
        var first = index * Columns;
        var target = Targets[index];
        var weight = Weights[index];
        if (target < 0 || weight == 0f)
        {
            for (var i = first; Gradient != 0 && i < first + Columns; i++)
            {
                X[i] = 0f;
            }

            return;
        }

        var max = SoftmaxKernel.Maximum(X, first, Columns);
        var sum = 0f;
        for (var i = first; i < first + Columns; i++)
        {
            sum += DeviceMath.Exp(X[i] - max);
        }

        Results[Parts * index] = X[first + target];
        Results[Parts * index + 1] = max;
        Results[Parts * index + 2] = sum;
        if (Gradient != 0)
        {
            for (var i = first; i < first + Columns; i++)
            {
                X[i] = DeviceMath.Exp(X[i] - max) * (weight / sum);
            }

            X[first + target] -= weight;
        }
    }
}

/// <summary>
/// Row by row: what KL(softmax(s t) || softmax(s x)) is made of, or the reverse, and if asked its gradient in place of x:
/// s weight (p - q), reverse s^2 weight p (x - t - sum p (x - t)).
/// </summary>
internal struct DivergenceKernel : IElementKernel
{
    public const int Parts = 5;
    public ArrayView<float> X, Teacher, Weights, Results;
    public float Scale;
    public int Columns, Gradient, Reverse;

    public readonly void Element(int index)
    {
        var first = index * Columns;
        var teacherMax = SoftmaxKernel.Maximum(Teacher, first, Columns);
        var max = SoftmaxKernel.Maximum(X, first, Columns);
        var (teacherSum, sum, gap) = (0f, 0f, 0f);
        for (var i = first; i < first + Columns; i++)
        {
            var (q, p, more) = Terms(i, teacherMax, max);
            teacherSum += q;
            sum += p;
            gap += more;
        }

        Leave(index, gap, teacherMax, teacherSum, max, sum);
        for (var i = first; Gradient != 0 && i < first + Columns; i++)
        {
            X[i] = GradientOf(index, i, gap, teacherMax, teacherSum, max, sum);
        }
    }

    /// <summary>exp of the teacher's logit, of the own one, and what they add to the gap.</summary>
    public readonly (float Q, float P, float Gap) Terms(int i, float teacherMax, float max)
    {
        var q = DeviceMath.Exp((Teacher[i] - teacherMax) * Scale);
        var p = DeviceMath.Exp((X[i] - max) * Scale);
        return (q, p, Reverse != 0 ? p * (X[i] - Teacher[i]) : q * (Teacher[i] - X[i]));
    }

    /// <summary>Writes a row's parts for the host.</summary>
    public readonly void Leave(int row, float gap, float teacherMax, float teacherSum, float max, float sum)
    {
        Results[Parts * row] = gap;
        Results[Parts * row + 1] = teacherMax;
        Results[Parts * row + 2] = teacherSum;
        Results[Parts * row + 3] = max;
        Results[Parts * row + 4] = sum;
    }

    public readonly float GradientOf(int row, int i, float gap, float teacherMax, float teacherSum, float max, float sum)
    {
        var weight = Weights[row] * Scale;
        var p = DeviceMath.Exp((X[i] - max) * Scale) * (weight / sum);
        return Reverse != 0
            ? p * Scale * (X[i] - Teacher[i] - (gap / sum))
            : p - (DeviceMath.Exp((Teacher[i] - teacherMax) * Scale) * (weight / teacherSum));
    }
}

/// <summary>Per row sum_v softplus(x_v) - x_target, before its weight; and weight (sigmoid(x) - onehot) in place of x if asked.</summary>
internal struct BinaryCrossEntropyKernel : IElementKernel
{
    public ArrayView<float> X, Weights, Results;
    public ArrayView<int> Targets;
    public int Columns, Gradient;

    public readonly void Element(int index)
    {
        var first = index * Columns;
        var target = Targets[index];
        var ignored = target < 0 || Weights[index] == 0f;
        var loss = ignored ? 0f : -X[first + target];
        for (var i = first; i < first + Columns; i++)
        {
            var x = X[i];
            var e = DeviceMath.Exp(x < 0f ? x : -x);
            loss += ignored ? 0f : (x > 0f ? x : 0f) + DeviceMath.Log1p(e);
            if (Gradient != 0)
            {
                X[i] = ignored ? 0f : Weights[index] * (((x >= 0f ? 1f : e) / (1f + e)) - (i == first + target ? 1f : 0f));
            }
        }

        Results[index] = loss;
    }
}

/// <summary>partial[j] = sum of floats (or of their squares) 256 j to 256 (j + 1).</summary>
internal struct PartialSumKernel : IElementKernel
{
    public const int Run = 256;
    public ArrayView<float> X, Partial;
    public int Length, Squares;

    public readonly void Element(int index)
    {
        var sum = 0f;
        for (var i = index * Run; i < (index + 1) * Run && i < Length; i++)
        {
            sum = DeviceMath.Fma(X[i], Squares != 0 ? X[i] : 1f, sum);
        }

        Partial[index] = sum;
    }
}
