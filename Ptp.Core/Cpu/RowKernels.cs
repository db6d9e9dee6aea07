// Row-wise and elementwise kernels: RMSNorm, RoPE, cross-entropy, AdamW, each with its backward beneath.
// Sums over a row run in an order that depends on its length only; sums over rows are split by column, in row order.
// Refuses: shape checks, which CpuBackend does.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ptp.Core.Tensors;

namespace Ptp.Core.Cpu;

internal static unsafe class RowKernels
{
    private const int Chunk = 1 << 14; // floats per task of an elementwise kernel
    private const int RowChunk = 16;
    private const int GainColumns = 64;

    public struct Norm
    {
        public float* X, Gain, Y, DX, DGain, Roots;
        public int Rows, Columns;
        public float Epsilon;
    }

    public struct Turn
    {
        public float* X, Cosine, Sine;
        public int* Positions;
        public int Rows, Columns, Half;
        public float Direction;
    }

    public struct Loss
    {
        public float* Logits, Weights, Teacher;
        public float Scale;
        public int* Targets;
        public double* Losses;
        public int Rows, Columns;
        public bool Gradient;
    }

    public struct Optimiser
    {
        public float* Gradient, M, V, Parameter;
        public int Length;
        public AdamWStep Step;
    }

    public static void RmsNorm(Norm* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &RmsNormTask, job);

    /// <summary>dX row by row, then dGain column by column from recomputed scales.</summary>
    public static void RmsNormBackward(Norm* job, CpuPool pool)
    {
        var roots = Scratch.Second(job->Rows);
        job->Roots = roots;
        pool.Run(Tasks(job->Rows), &RmsNormBackwardTask, job);
        if (job->DGain != null)
        {
            pool.Run((job->Columns + GainColumns - 1) / GainColumns, &RmsNormBackwardGainTask, job);
        }
    }

    public static void Rope(Turn* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &RopeTask, job);

    public static void CrossEntropy(Loss* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &CrossEntropyTask, job);

    public static void ReverseDivergence(Loss* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &ReverseDivergenceTask, job);

    public static void BinaryCrossEntropy(Loss* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &BinaryCrossEntropyTask, job);

    public static void Divergence(Loss* job, CpuPool pool) => pool.Run(Tasks(job->Rows), &DivergenceTask, job);

    public static void AdamW(Optimiser* job, CpuPool pool) => pool.Run(Chunks(job->Length), &AdamWTask, job);

    private static int Tasks(int rows) => (rows + RowChunk - 1) / RowChunk;

    private static int Chunks(int length) => (length + Chunk - 1) / Chunk;

    private static float InverseRoot(float* x, int columns, float epsilon) =>
        1f / MathF.Sqrt(VectorOps.Dot(x, x, columns) / columns + epsilon);

    [MethodImpl(Kernel.Whole)]
    private static void RmsNormTask(void* context, int task)
    {
        var job = (Norm*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        for (var row = task * RowChunk; row < end; row++)
        {
            var x = job->X + (nint)row * job->Columns;
            var y = job->Y + (nint)row * job->Columns;
            var scale = InverseRoot(x, job->Columns, job->Epsilon);
            var i = 0;
            var s = Vector256.Create(scale);
            for (; i + 8 <= job->Columns; i += 8)
            {
                (Vector256.Load(x + i) * s * Vector256.Load(job->Gain + i)).Store(y + i);
            }

            for (; i < job->Columns; i++)
            {
                y[i] = x[i] * scale * job->Gain[i];
            }
        }
    }

    /// <summary>y = x s g with s = (mean x^2 + e)^-1/2, so dx = s (g dy) - x s^3 mean(x g dy).</summary>
    [MethodImpl(Kernel.Whole)]
    private static void RmsNormBackwardTask(void* context, int task)
    {
        var job = (Norm*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        for (var row = task * RowChunk; row < end; row++)
        {
            var x = job->X + (nint)row * job->Columns;
            var dy = job->Y + (nint)row * job->Columns;
            var dx = job->DX + (nint)row * job->Columns;
            var s = InverseRoot(x, job->Columns, job->Epsilon);
            job->Roots[row] = s;
            var sums = Vector256<float>.Zero;
            var i = 0;
            for (; i + 8 <= job->Columns; i += 8)
            {
                sums += Vector256.Load(x + i) * Vector256.Load(job->Gain + i) * Vector256.Load(dy + i);
            }

            var dot = Vector256.Sum(sums);
            for (; i < job->Columns; i++)
            {
                dot += x[i] * job->Gain[i] * dy[i];
            }

            var k = -s * s * s * dot / job->Columns;
            var vs = Vector256.Create(s);
            var vk = Vector256.Create(k);
            for (i = 0; i + 8 <= job->Columns; i += 8)
            {
                var g = Vector256.Load(job->Gain + i) * Vector256.Load(dy + i) * vs;
                (Vector256.Load(dx + i) + g + Vector256.Load(x + i) * vk).Store(dx + i);
            }

            for (; i < job->Columns; i++)
            {
                dx[i] += job->Gain[i] * dy[i] * s + x[i] * k;
            }
        }
    }

    /// <summary>dg = sum over rows of x s dy, for one block of columns, rows in ascending order.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void RmsNormBackwardGainTask(void* context, int task)
    {
        var job = (Norm*)context;
        var start = task * GainColumns;
        var end = Math.Min(job->Columns, start + GainColumns);
        for (var row = 0; row < job->Rows; row++)
        {
            var x = job->X + (nint)row * job->Columns;
            var dy = job->Y + (nint)row * job->Columns;
            var s = Vector256.Create(job->Roots[row]);
            var i = start;
            for (; i + 8 <= end; i += 8)
            {
                (Vector256.Load(job->DGain + i) + Vector256.Load(x + i) * Vector256.Load(dy + i) * s)
                    .Store(job->DGain + i);
            }

            for (; i < end; i++)
            {
                job->DGain[i] += x[i] * dy[i] * job->Roots[row];
            }
        }
    }

    /// <summary>(a, b) -> (a cos - b sin, b cos + a sin) for a = x[i], b = x[i + K/2]; direction -1 turns back.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void RopeTask(void* context, int task)
    {
        var job = (Turn*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        for (var row = task * RowChunk; row < end; row++)
        {
            var cosine = job->Cosine + (nint)job->Positions[row] * job->Half;
            var sine = job->Sine + (nint)job->Positions[row] * job->Half;
            var direction = Vector256.Create(job->Direction);
            for (var head = 0; head < job->Columns; head += 2 * job->Half)
            {
                var a = job->X + (nint)row * job->Columns + head;
                var b = a + job->Half;
                var i = 0;
                for (; i + 8 <= job->Half; i += 8)
                {
                    var c = Vector256.Load(cosine + i);
                    var s = Vector256.Load(sine + i) * direction;
                    var (x, y) = (Vector256.Load(a + i), Vector256.Load(b + i));
                    (x * c - y * s).Store(a + i);
                    (y * c + x * s).Store(b + i);
                }

                for (; i < job->Half; i++)
                {
                    var s = sine[i] * job->Direction;
                    var (x, y) = (a[i], b[i]);
                    a[i] = x * cosine[i] - y * s;
                    b[i] = y * cosine[i] + x * s;
                }
            }
        }
    }

    private static void CrossEntropyTask(void* context, int task)
    {
        var job = (Loss*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        var scratch = job->Gradient ? null : Scratch.First(job->Columns);
        for (var row = task * RowChunk; row < end; row++)
        {
            job->Losses[row] = Softmax.CrossEntropyRow(
                job->Logits + (nint)row * job->Columns, job->Columns, job->Targets[row],
                job->Weights == null ? 1f : job->Weights[row], job->Gradient, scratch);
        }
    }

    private static void DivergenceTask(void* context, int task)
    {
        var job = (Loss*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        var scratch = Scratch.First(2 * job->Columns);
        for (var row = task * RowChunk; row < end; row++)
        {
            var first = (nint)row * job->Columns;
            job->Losses[row] = Softmax.DivergenceRow(
                job->Logits + first, job->Teacher + first, job->Columns, job->Scale,
                job->Weights == null ? 1f : job->Weights[row], job->Gradient, scratch);
        }
    }

    private static void ReverseDivergenceTask(void* context, int task)
    {
        var job = (Loss*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        var scratch = Scratch.First(2 * job->Columns);
        for (var row = task * RowChunk; row < end; row++)
        {
            var first = (nint)row * job->Columns;
            job->Losses[row] = LossRows.ReverseDivergence(
                job->Logits + first, job->Teacher + first, job->Columns, job->Scale,
                job->Weights == null ? 1f : job->Weights[row], job->Gradient, scratch);
        }
    }

    private static void BinaryCrossEntropyTask(void* context, int task)
    {
        var job = (Loss*)context;
        var end = Math.Min(job->Rows, (task + 1) * RowChunk);
        for (var row = task * RowChunk; row < end; row++)
        {
            job->Losses[row] = LossRows.BinaryCrossEntropy(
                job->Logits + (nint)row * job->Columns, job->Columns, job->Targets[row],
                job->Weights == null ? 1f : job->Weights[row], job->Gradient);
        }
    }

    /// <summary>p -= lr * (m^ / (sqrt(v^) + e) + decay * p), m^ and v^ corrected for their start at zero.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void AdamWTask(void* context, int task)
    {
        var job = (Optimiser*)context;
        var step = job->Step;
        var (b1, b2) = ((float)step.Beta1, (float)step.Beta2);
        var correction1 = 1 - Math.Pow(step.Beta1, step.Step);
        var correction2 = 1 - Math.Pow(step.Beta2, step.Step);
        var rate = (float)(step.LearningRate / correction1);
        var root = (float)(1 / Math.Sqrt(correction2));
        var keep = (float)(1 - step.LearningRate * step.WeightDecay);
        var (epsilon, scale) = ((float)step.Epsilon, (float)step.GradientScale);
        var i = task * Chunk;
        var end = Math.Min(job->Length, i + Chunk);
        var (vb1, vb2) = (Vector256.Create(b1), Vector256.Create(b2));
        var (wb1, wb2) = (Vector256.Create(1 - b1), Vector256.Create(1 - b2));
        for (; i + 8 <= end; i += 8)
        {
            var g = Vector256.Load(job->Gradient + i) * scale;
            var m = vb1 * Vector256.Load(job->M + i) + wb1 * g;
            var v = vb2 * Vector256.Load(job->V + i) + wb2 * g * g;
            m.Store(job->M + i);
            v.Store(job->V + i);
            var update = m * rate / (Vector256.Sqrt(v) * root + Vector256.Create(epsilon));
            (Vector256.Load(job->Parameter + i) * keep - update).Store(job->Parameter + i);
        }

        for (; i < end; i++)
        {
            var g = job->Gradient[i] * scale;
            var m = job->M[i] = b1 * job->M[i] + (1 - b1) * g;
            var v = job->V[i] = b2 * job->V[i] + (1 - b2) * g * g;
            job->Parameter[i] = job->Parameter[i] * keep - m * rate / (MathF.Sqrt(v) * root + epsilon);
        }
    }
}
