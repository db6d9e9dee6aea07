// Sums over a row, shared by the 256 threads of a group: RMSNorm, softmax, cross-entropy and its kin, sums of tensors.
//   sum of a row = pairwise sums over threads of (sum over the thread's elements i, i + 256, ..., ascending)
// a matter of the row's length alone, so a row's bits do not depend on its neighbours; equations are in IBackend.
// Refuses: shape checks, which GpuBackend does. Element kernels do the same where groups are missing, in another order.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>What a group's threads agree on.</summary>
internal static class Together
{
    /// <summary>Threads of a group that shares a row; a power of two.</summary>
    public const int Threads = 256;

    /// <summary>The sum of all threads' values, in one fixed order, for every thread.</summary>
    public static float Sum(ArrayView<float> shared, float value)
    {
        Put(shared, value);
        for (var half = Threads / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half)
            {
                shared[Group.IdxX] += shared[Group.IdxX + half];
            }

            Group.Barrier();
        }

        return shared[0];
    }

    /// <summary>The largest of all threads' values, for every thread.</summary>
    public static float Maximum(ArrayView<float> shared, float value)
    {
        Put(shared, value);
        for (var half = Threads / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half && shared[Group.IdxX + half] > shared[Group.IdxX])
            {
                shared[Group.IdxX] = shared[Group.IdxX + half];
            }

            Group.Barrier();
        }

        return shared[0];
    }

    /// <summary>The largest of a row of floats, for every thread.</summary>
    public static float Maximum(ArrayView<float> shared, ArrayView<float> x, int first, int length)
    {
        var max = float.NegativeInfinity;
        for (int i = Group.IdxX; i < length; i += Threads)
        {
            max = x[first + i] > max ? x[first + i] : max;
        }

        return Maximum(shared, max);
    }

    private static void Put(ArrayView<float> shared, float value)
    {
        Group.Barrier(); // somebody may still read the last result
        shared[Group.IdxX] = value;
        Group.Barrier();
    }
}

/// <summary>y = x s g, s = (mean(x^2) + e)^-1/2, one group per row; x, y [R, C], gain [1, C].</summary>
internal struct RmsNormGroupKernel : IGroupKernel
{
    public ArrayView<float> X, Gain, Y;
    public int Columns;
    public float Epsilon;

    public readonly void Run()
    {
        var first = Grid.IdxX * Columns;
        var s = InverseRoot(X, first, Columns, Epsilon);
        for (int i = Group.IdxX; i < Columns; i += Together.Threads)
        {
            Y[first + i] = X[first + i] * s * Gain[i];
        }
    }

    public static float InverseRoot(ArrayView<float> x, int first, int columns, float epsilon)
    {
        var sum = 0f;
        for (int i = Group.IdxX; i < columns; i += Together.Threads)
        {
            sum = DeviceMath.Fma(x[first + i], x[first + i], sum);
        }

        return 1f / MathF.Sqrt((Together.Sum(SharedMemory.Allocate<float>(Together.Threads), sum) / columns) + epsilon);
    }
}

/// <summary>dx += s (g dy) - x s^3 mean(x g dy), one group per row; leaves s [R] for the gain's gradient.</summary>
internal struct RmsNormBackwardGroupKernel : IGroupKernel
{
    public ArrayView<float> X, Gain, S, DY, DX;
    public int Columns;
    public float Epsilon;

    public readonly void Run()
    {
        var first = Grid.IdxX * Columns;
        var s = RmsNormGroupKernel.InverseRoot(X, first, Columns, Epsilon);
        var dot = 0f;
        for (int i = Group.IdxX; i < Columns; i += Together.Threads)
        {
            dot = DeviceMath.Fma(X[first + i] * Gain[i], DY[first + i], dot);
        }

        dot = Together.Sum(SharedMemory.Allocate<float>(Together.Threads), dot);
        var k = -s * s * s * dot / Columns;
        for (int i = Group.IdxX; i < Columns; i += Together.Threads)
        {
            DX[first + i] += (Gain[i] * DY[first + i] * s) + (X[first + i] * k);
        }

        if (Group.IdxX == 0)
        {
            S[Grid.IdxX] = s;
        }
    }
}

/// <summary>y = exp(x - max) / sum exp(x - max), one group per row; x and y may be the same.</summary>
internal struct SoftmaxGroupKernel : IGroupKernel
{
    public ArrayView<float> X, Y;
    public int Columns;

    public readonly void Run()
    {
        var shared = SharedMemory.Allocate<float>(Together.Threads);
        var first = Grid.IdxX * Columns;
        var max = Together.Maximum(shared, X, first, Columns);
        var sum = 0f;
        for (int i = Group.IdxX; i < Columns; i += Together.Threads)
        {
            var e = DeviceMath.Exp(X[first + i] - max);
            Y[first + i] = e;
            sum += e;
        }

        var scale = 1f / Together.Sum(shared, sum);
        for (int i = Group.IdxX; i < Columns; i += Together.Threads)
        {
            Y[first + i] *= scale;
        }
    }
}

/// <summary>CrossEntropyKernel with one group per row: the same parts [R, 3], the same gradient.</summary>
internal struct CrossEntropyGroupKernel : IGroupKernel
{
    public CrossEntropyKernel Call;

    public readonly void Run()
    {
        var (x, columns) = (Call.X, Call.Columns);
        var shared = SharedMemory.Allocate<float>(Together.Threads);
        var first = Grid.IdxX * columns;
        var weight = Call.Weights[Grid.IdxX];
        var ignored = Call.Targets[Grid.IdxX] < 0 || weight == 0f; // all threads pass every barrier all the same
        var target = ignored ? 0 : Call.Targets[Grid.IdxX];
        var max = Together.Maximum(shared, x, first, columns);
        var sum = 0f;
        for (int i = Group.IdxX; i < columns; i += Together.Threads)
        {
            sum += DeviceMath.Exp(x[first + i] - max);
        }

        sum = Together.Sum(shared, sum);
        if (Group.IdxX == 0)
        {
            var parts = CrossEntropyKernel.Parts * Grid.IdxX;
            Call.Results[parts] = x[first + target];
            Call.Results[parts + 1] = max;
            Call.Results[parts + 2] = sum;
        }

        Group.Barrier(); // the target's logit is read before its gradient takes its place
        for (int i = Group.IdxX; Call.Gradient != 0 && i < columns; i += Together.Threads)
        {
            var gradient = DeviceMath.Exp(x[first + i] - max) * (weight / sum);
            x[first + i] = ignored ? 0f : i == target ? gradient - weight : gradient;
        }
    }
}

/// <summary>DivergenceKernel with one group per row: the same parts [R, 5], the same gradient.</summary>
internal struct DivergenceGroupKernel : IGroupKernel
{
    public DivergenceKernel Call;

    public readonly void Run()
    {
        var shared = SharedMemory.Allocate<float>(Together.Threads);
        var first = Grid.IdxX * Call.Columns;
        var teacherMax = Together.Maximum(shared, Call.Teacher, first, Call.Columns);
        var max = Together.Maximum(shared, Call.X, first, Call.Columns);
        var (teacherSum, sum, gap) = (0f, 0f, 0f);
        for (int i = Group.IdxX; i < Call.Columns; i += Together.Threads)
        {
            var (q, p, more) = Call.Terms(first + i, teacherMax, max);
            teacherSum += q;
            sum += p;
            gap += more;
        }

        teacherSum = Together.Sum(shared, teacherSum);
        sum = Together.Sum(shared, sum);
        gap = Together.Sum(shared, gap);
        if (Group.IdxX == 0)
        {
            Call.Leave(Grid.IdxX, gap, teacherMax, teacherSum, max, sum);
        }

        for (int i = Group.IdxX; Call.Gradient != 0 && i < Call.Columns; i += Together.Threads)
        {
            Call.X[first + i] = Call.GradientOf(Grid.IdxX, first + i, gap, teacherMax, teacherSum, max, sum);
        }
    }
}

/// <summary>partial[j] = sum of the floats (or of their squares) of run j, one group per run.</summary>
internal struct PartialSumGroupKernel : IGroupKernel
{
    public const int Length = 32 * Together.Threads;
    public PartialSumKernel Call;

    public readonly void Run()
    {
        var sum = 0f;
        for (var i = (Grid.IdxX * Length) + Group.IdxX; i < (Grid.IdxX + 1) * Length && i < Call.Length; i += Together.Threads)
        {
            sum = DeviceMath.Fma(Call.X[i], Call.Squares != 0 ? Call.X[i] : 1f, sum);
        }

        sum = Together.Sum(SharedMemory.Allocate<float>(Together.Threads), sum);
        if (Group.IdxX == 0)
        {
            Call.Partial[Grid.IdxX] = sum;
        }
    }
}
