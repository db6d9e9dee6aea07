// One multiplication of fragments by a warp: c [16, 8] += a [16, k] b [k, 8], operands in eight words a row, sums in F32.
//   lane = 4 g + t holds words t and t + 4 of a's rows g and g + 8 and of b's column g, and c (g | g + 8, 2t | 2t + 1): PTX ISA, fragments of
//   mma.sync.m16n8k16 (two BF16 a word) and mma.sync.m16n8k8 (one TF32 a word), which place their words alike
// Refuses: devices before sm_80, which have EmulatedMma for tests: the same fragments, handed round through shared memory.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace Ptp.Gpu.Kernels;

/// <summary>Words that a tensor core reads, and the instruction that multiplies them.</summary>
internal interface IMma
{
    /// <summary>Words of sixteen k: 8 or 16.</summary>
    int Words { get; }

    /// <summary>Words of scratch for each thread; 0 where lanes meet in hardware.</summary>
    int Scratch { get; }

    /// <summary>Rounds two k that follow each other: to one word, or to two that lie <paramref name="next"/> apart.</summary>
    void Store(ArrayView<uint> shared, int at, int next, float low, float high);

    /// <param name="c">This lane's four sums.</param>
    /// <param name="a">Its four words of a.</param>
    /// <param name="b">Its two words of b.</param>
    /// <param name="scratch">As many words for each thread of the group as <see cref="Scratch"/> says.</param>
    Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch);
}

/// <summary>A lane's part of a: rows g and g + 8, words t and t + 4.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmaA
{
    public uint Low, LowBelow, High, HighBelow;
}

/// <summary>A lane's part of b: column g, words t and t + 4.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmaB
{
    public uint Low, High;
}

/// <summary>BF16 by the instruction.</summary>
internal struct PtxBf16 : IMma
{
    public readonly int Words => default(Bf16Words).Words;

    public readonly int Scratch => 0;

    public readonly void Store(ArrayView<uint> shared, int at, int next, float low, float high) =>
        default(Bf16Words).Store(shared, at, next, low, high);

    public readonly Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch)
    {
        Ref<float> c0 = c.A, c1 = c.B, c2 = c.C, c3 = c.D;
        Input<uint> a0 = a.Low, a1 = a.LowBelow, a2 = a.High, a3 = a.HighBelow, b0 = b.Low, b1 = b.High;
        CudaAsm.EmitRef(
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};",
            ref c0, ref c1, ref c2, ref c3, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1);
        return new Float4 { A = c0.Value, B = c1.Value, C = c2.Value, D = c3.Value };
    }
}

/// <summary>TF32 by the instruction, rounded by the device's own conversion.</summary>
internal struct PtxTf32 : IMma
{
    public readonly int Words => default(Tf32Words).Words;

    public readonly int Scratch => 0;

    public readonly void Store(ArrayView<uint> shared, int at, int next, float low, float high)
    {
        shared[at] = Round(low);
        shared[at + next] = Round(high);
    }

    public readonly Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch)
    {
        Ref<float> c0 = c.A, c1 = c.B, c2 = c.C, c3 = c.D;
        Input<uint> a0 = a.Low, a1 = a.LowBelow, a2 = a.High, a3 = a.HighBelow, b0 = b.Low, b1 = b.High;
        CudaAsm.EmitRef(
            "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};",
            ref c0, ref c1, ref c2, ref c3, ref a0, ref a1, ref a2, ref a3, ref b0, ref b1);
        return new Float4 { A = c0.Value, B = c1.Value, C = c2.Value, D = c3.Value };
    }

    private static uint Round(float x)
    {
        CudaAsm.Emit("cvt.rna.tf32.f32 %0, %1;", out uint rounded, x);
        return rounded;
    }
}

/// <summary>How numbers stand in words, for any device.</summary>
internal interface IMmaWords
{
    /// <summary>As in <see cref="IMma"/>.</summary>
    int Words { get; }

    /// <summary>As in <see cref="IMma"/>.</summary>
    void Store(ArrayView<uint> shared, int at, int next, float low, float high);

    /// <summary>The number of a word that is the earlier k, or the later one of two.</summary>
    float Part(uint word, bool later);
}

/// <summary>Two BF16 a word, the earlier k in the lower half.</summary>
internal struct Bf16Words : IMmaWords
{
    public readonly int Words => 8;

    public readonly void Store(ArrayView<uint> shared, int at, int next, float low, float high) => shared[at] = DeviceMath.Pair(low, high);

    public readonly float Part(uint word, bool later) => Interop.IntAsFloat(later ? word & 0xffff0000u : word << 16);
}

/// <summary>One TF32 a word: a float of ten bits behind the point.</summary>
internal struct Tf32Words : IMmaWords
{
    public readonly int Words => 16;

    public readonly void Store(ArrayView<uint> shared, int at, int next, float low, float high)
    {
        shared[at] = Interop.FloatAsInt(DeviceMath.RoundToTf32(low));
        shared[at + next] = Interop.FloatAsInt(DeviceMath.RoundToTf32(high));
    }

    public readonly float Part(uint word, bool later) => later ? 0f : Interop.IntAsFloat(word);
}

/// <summary>What the instruction computes, for any device; all threads of the group must call it together.</summary>
internal struct EmulatedMma<TWords> : IMma
    where TWords : struct, IMmaWords
{
    public readonly int Words => default(TWords).Words;

    public readonly int Scratch => 6;

    public readonly void Store(ArrayView<uint> shared, int at, int next, float low, float high) =>
        default(TWords).Store(shared, at, next, low, high);

    public readonly Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch)
    {
        var own = Scratch * Group.IdxX;
        (scratch[own], scratch[own + 1], scratch[own + 2]) = (a.Low, a.LowBelow, a.High);
        (scratch[own + 3], scratch[own + 4], scratch[own + 5]) = (a.HighBelow, b.Low, b.High);
        Group.Barrier();
        var words = default(TWords);
        var lane = Group.IdxX % 32;
        var (g, t, warp) = (lane / 4, lane % 4, Scratch * (Group.IdxX - lane));
        for (var word = 0; word < 8; word++)
        {
            var (upper, lower) = (A(scratch, warp, g, word, 0), A(scratch, warp, g, word, 1));
            var (left, right) = (B(scratch, warp, 2 * t, word), B(scratch, warp, (2 * t) + 1, word));
            c = Add(c, words.Part(upper, false), words.Part(lower, false), words.Part(left, false), words.Part(right, false));
            if (words.Words == 8)
            {
                c = Add(c, words.Part(upper, true), words.Part(lower, true), words.Part(left, true), words.Part(right, true));
            }
        }

        Group.Barrier();
        return c;
    }

    private static Float4 Add(Float4 c, float upper, float lower, float left, float right) => new()
    {
        A = DeviceMath.Fma(upper, left, c.A),
        B = DeviceMath.Fma(upper, right, c.B),
        C = DeviceMath.Fma(lower, left, c.C),
        D = DeviceMath.Fma(lower, right, c.D),
    };

    private readonly uint A(ArrayView<uint> scratch, int warp, int g, int word, int below) =>
        scratch[warp + (Scratch * ((4 * g) + (word % 4))) + below + (word >= 4 ? 2 : 0)];

    private readonly uint B(ArrayView<uint> scratch, int warp, int column, int word) =>
        scratch[warp + (Scratch * ((4 * column) + (word % 4))) + (word >= 4 ? 5 : 4)];
}
