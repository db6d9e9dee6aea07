// Elementwise ops over whole tensors, cut into pieces that the pool shares: fill, copy, add, add scaled, scale.
// Each element depends on its own operands only; memory bandwidth is the floor, so one thread is not enough.
// Refuses: shapes; callers checked that lengths agree.

using Ptp.Core.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Core.Cpu;

internal static unsafe class Elementwise
{
    private const int Piece = 1 << 15;

    public enum Op
    {
        Fill,
        Copy,
        Add,
        AddScaled,
        Scale,
    }

    /// <summary>y = op(a, b, scale), see <see cref="Piecewise"/> for each.</summary>
    public static void Run(Op op, Tensor? a, Tensor? b, float scale, Tensor y, CpuPool pool)
    {
        var job = new Job
        {
            Op = op,
            A = a is null ? null : a.Pointer,
            B = b is null ? null : b.Pointer,
            Y = y.Pointer,
            Scale = scale,
            Length = y.Length,
        };
        pool.Run((job.Length + Piece - 1) / Piece, &Piecewise, &job);
    }

    private static void Piecewise(void* context, int piece)
    {
        var job = (Job*)context;
        var start = piece * Piece;
        var length = Math.Min(Piece, job->Length - start);
        var y = new Span<float>(job->Y + start, length);
        switch (job->Op)
        {
            case Op.Fill:
                y.Fill(job->Scale);
                break;
            case Op.Copy:
                new Span<float>(job->A + start, length).CopyTo(y);
                break;
            case Op.Add:
                TensorPrimitives.Add(
                    new ReadOnlySpan<float>(job->A + start, length), new ReadOnlySpan<float>(job->B + start, length), y);
                break;
            case Op.AddScaled:
                VectorOps.AddScaled(job->A + start, job->Scale, length, job->Y + start);
                break;
            default:
                TensorPrimitives.Multiply(y, job->Scale, y);
                break;
        }
    }

    private struct Job
    {
        public float* A;
        public float* B;
        public float* Y;
        public Op Op;
        public float Scale;
        public int Length;
    }
}
