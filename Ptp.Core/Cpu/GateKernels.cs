// SwiGLU forward and backward, four vectors side by side (FourVectors) of the widest kind the machine has.
//   y = a z b, z = 1 / (1 + exp(-a));   dz/da = z (1 - z), so da = dy b z (1 + a (1 - z)), db = dy a z
// What is left of four vectors is padded and goes the same way. Refuses: shape checks, which CpuBackend does.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class GateKernels
{
    private const int Chunk = 1 << 14; // floats per task
    private const int Block = 1 << 10; // gates that backward keeps

    /// <summary>Y is y, or dy backward, which adds to DA and DB if asked.</summary>
    public struct Call
    {
        public float* A, B, Y, DA, DB;
        public int Length;
        public bool Accumulate;
    }

    public static void Forward(Call* call, CpuPool pool) => pool.Run(Chunks(call), &ForwardTask, call);

    public static void Backward(Call* call, CpuPool pool) => pool.Run(Chunks(call), &BackwardTask, call);

    private static int Chunks(Call* call) => (call->Length + Chunk - 1) / Chunk;

    private static void ForwardTask(void* context, int task)
    {
        if (Lanes512.AreHere)
        {
            ForwardTask<Vector512<float>, Lanes512>((Call*)context, task);
        }
        else
        {
            ForwardTask<Vector256<float>, Lanes256>((Call*)context, task);
        }
    }

    private static void BackwardTask(void* context, int task)
    {
        if (Lanes512.AreHere)
        {
            BackwardTask<Vector512<float>, Lanes512>((Call*)context, task);
        }
        else
        {
            BackwardTask<Vector256<float>, Lanes256>((Call*)context, task);
        }
    }

    private static void ForwardTask<TVector, TLanes>(Call* call, int task)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var start = task * Chunk;
        var length = Math.Min(Chunk, call->Length - start);
        var whole = length - length % FourVectors<TVector, TLanes>.Count;
        Forward<TVector, TLanes>(call->A + start, call->B + start, call->Y + start, whole);
        if (whole < length)
        {
            var (rest, at) = (length - whole, start + whole);
            float* a = stackalloc float[FourVectors<TVector, TLanes>.Count], b = stackalloc float[FourVectors<TVector, TLanes>.Count];
            Copy(call->A + at, a, rest);
            Copy(call->B + at, b, rest);
            Forward<TVector, TLanes>(a, b, a, FourVectors<TVector, TLanes>.Count);
            Copy(a, call->Y + at, rest);
        }
    }

    private static void BackwardTask<TVector, TLanes>(Call* call, int task)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var start = task * Chunk;
        var length = Math.Min(Chunk, call->Length - start);
        var whole = length - length % FourVectors<TVector, TLanes>.Count;
        var part = new Call
        {
            A = call->A + start,
            B = call->B + start,
            Y = call->Y + start,
            DA = call->DA + start,
            DB = call->DB + start,
            Length = whole,
            Accumulate = call->Accumulate,
        };
        Backward<TVector, TLanes>(&part);
        if (whole < length)
        {
            var (rest, at) = (length - whole, start + whole);
            var count = FourVectors<TVector, TLanes>.Count;
            var pad = stackalloc float[5 * count];
            part.A = pad;
            part.B = pad + count;
            part.Y = pad + 2 * count;
            part.DA = pad + 3 * count;
            part.DB = pad + 4 * count;
            part.Length = count;
            Copy(call->A + at, part.A, rest);
            Copy(call->B + at, part.B, rest);
            Copy(call->Y + at, part.Y, rest);
            Copy(call->DA + at, part.DA, rest);
            Copy(call->DB + at, part.DB, rest);
            Backward<TVector, TLanes>(&part);
            Copy(part.DA, call->DA + at, rest);
            Copy(part.DB, call->DB + at, rest);
        }
    }

    private static void Copy(float* from, float* to, int count) => new Span<float>(from, count).CopyTo(new Span<float>(to, count));

    /// <summary>y = silu(a) b; the length is a multiple of four vectors'.</summary>
    [MethodImpl(Kernel.Whole)]
    internal static void Forward<TVector, TLanes>(float* a, float* b, float* y, int length)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        for (var i = 0; i < length; i += FourVectors<TVector, TLanes>.Count)
        {
            (FastMath.Silu(FourVectors<TVector, TLanes>.Load(a + i)) * FourVectors<TVector, TLanes>.Load(b + i)).Store(y + i);
        }
    }

    /// <summary>da and db; the length is a multiple of four vectors'.</summary>
    private static void Backward<TVector, TLanes>(Call* call)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        // Gates of a block, then what is built on them: in one go, the compiler runs out of registers.
        var gates = stackalloc float[Block];
        for (var i = 0; i < call->Length; i += Block)
        {
            var length = Math.Min(Block, call->Length - i);
            Gates<TVector, TLanes>(call->A + i, gates, length);
            Gradients<TVector, TLanes>(call, i, gates, length);
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Gates<TVector, TLanes>(float* a, float* z, int length)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        for (var i = 0; i < length; i += FourVectors<TVector, TLanes>.Count)
        {
            FastMath.Sigmoid(FourVectors<TVector, TLanes>.Load(a + i)).Store(z + i);
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Gradients<TVector, TLanes>(Call* call, int from, float* gates, int length)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var one = TLanes.Create(1f);
        for (var i = 0; i < length; i += TLanes.Count)
        {
            var at = from + i;
            var (a, z, dy) = (TLanes.Load(call->A + at), TLanes.Load(gates + i), TLanes.Load(call->Y + at));
            var slope = TLanes.Add(TLanes.Multiply(a, TLanes.Subtract(one, z)), one);
            var dA = TLanes.Multiply(TLanes.Multiply(TLanes.Multiply(dy, TLanes.Load(call->B + at)), z), slope);
            var dB = TLanes.Multiply(TLanes.Multiply(dy, a), z);
            if (call->Accumulate)
            {
                dA = TLanes.Add(TLanes.Load(call->DA + at), dA);
                dB = TLanes.Add(TLanes.Load(call->DB + at), dB);
            }

            TLanes.Store(dA, call->DA + at);
            TLanes.Store(dB, call->DB + at);
        }
    }
}
