// Matrix products on tensor cores: both operands rounded to BF16 on their way into shared memory, sums in F32, sixteen k at a time, ascending.
//   mma.sync.m16n8k16: lane = 4 g + t holds a (g | g + 8, 2t.. | 2t + 8..), b (2t.. | 2t + 8.., g), c (g | g + 8, 2t..): PTX ISA, matrix fragments
// The order depends on K alone, so a row's bits do not depend on its neighbours. Refuses: what TiledProductKernel refuses; devices before
// sm_80, which have EmulatedMma for tests: the same fragments, handed round through shared memory.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime.Cuda;

namespace Ptp.Gpu.Kernels;

/// <summary>One multiplication of fragments by a warp: c [16, 8] += a [16, 16] b [16, 8].</summary>
internal interface IMma
{
    /// <param name="c">This lane's four sums.</param>
    /// <param name="a">Its eight numbers of a, in pairs.</param>
    /// <param name="b">Its four numbers of b, in pairs.</param>
    /// <param name="scratch">Six words for each thread of the group, or nothing where lanes meet in hardware.</param>
    Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch);

    /// <summary>Words of scratch for each thread.</summary>
    int Scratch { get; }
}

/// <summary>A lane's part of a: rows g and g + 8, k 2t and 2t + 8.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmaA
{
    public uint Low, LowBelow, High, HighBelow;
}

/// <summary>A lane's part of b: column g, k 2t and 2t + 8.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MmaB
{
    public uint Low, High;
}

/// <summary>The instruction.</summary>
internal struct PtxMma : IMma
{
    public readonly int Scratch => 0;

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

/// <summary>What the instruction computes, for any device; all threads of the group must call it together.</summary>
internal struct EmulatedMma : IMma
{
    private const int Words = 6;

    public readonly int Scratch => Words;

    public readonly Float4 Multiply(Float4 c, MmaA a, MmaB b, ArrayView<uint> scratch)
    {
        var own = Words * Group.IdxX;
        (scratch[own], scratch[own + 1], scratch[own + 2]) = (a.Low, a.LowBelow, a.High);
        (scratch[own + 3], scratch[own + 4], scratch[own + 5]) = (a.HighBelow, b.Low, b.High);
        Group.Barrier();
        var lane = Group.IdxX % 32;
        var (g, t, warp) = (lane / 4, lane % 4, Words * (Group.IdxX - lane));
        for (var k = 0; k < 16; k++)
        {
            var (upper, lower) = (A(scratch, warp, g, k, 0), A(scratch, warp, g, k, 1));
            var (left, right) = (B(scratch, warp, 2 * t, k), B(scratch, warp, (2 * t) + 1, k));
            c = new Float4
            {
                A = DeviceMath.Fma(upper, left, c.A),
                B = DeviceMath.Fma(upper, right, c.B),
                C = DeviceMath.Fma(lower, left, c.C),
                D = DeviceMath.Fma(lower, right, c.D),
            };
        }

        Group.Barrier();
        return c;
    }

    private static float A(ArrayView<uint> scratch, int warp, int g, int k, int below) =>
        Half(scratch[warp + (Words * ((4 * g) + (k % 8 / 2))) + below + (k >= 8 ? 2 : 0)], k);

    private static float B(ArrayView<uint> scratch, int warp, int column, int k) =>
        Half(scratch[warp + (Words * ((4 * column) + (k % 8 / 2))) + (k >= 8 ? 5 : 4)], k);

    private static float Half(uint pair, int k) => Interop.IntAsFloat(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
}

/// <summary>Sums of one row of fragments: 16 rows by 32 columns of a warp.</summary>
internal struct MmaRow
{
    private Float4 _0, _1, _2, _3;

    public void Step<TMma>(TMma mma, MmaA a, ArrayView<uint> b, int at, ArrayView<uint> scratch)
        where TMma : struct, IMma
    {
        _0 = mma.Multiply(_0, a, At(b, at), scratch);
        _1 = mma.Multiply(_1, a, At(b, at + 8), scratch);
        _2 = mma.Multiply(_2, a, At(b, at + 16), scratch);
        _3 = mma.Multiply(_3, a, At(b, at + 24), scratch);
    }

    public readonly Float4 Sums(int block) => block == 0 ? _0 : block == 1 ? _1 : block == 2 ? _2 : _3;

    private static MmaB At(ArrayView<uint> b, int at) => new() { Low = b[at], High = b[at + (4 * TensorProduct.PitchB)] };
}

/// <summary>Sizes of a tile.</summary>
internal static class TensorProduct
{
    public const int Side = 128;
    public const int Step = 16;
    public const int Threads = 256;
    public const int PitchA = (Step / 2) + 4; // words from row to row: eight rows by four pairs fall into 32 banks
    public const int PitchB = Side + 8; // words from pair to pair of k: four pairs by eight columns fall into 32 banks
}

/// <summary>
/// c[m, n] = (or +=) sum over k of a(m, k) b[k, n], one group of eight warps per tile of 128 x 128, 64 x 32 of it a warp; operands as in
/// <see cref="TiledProductKernel{TTile}"/>.
/// </summary>
internal struct TensorProductKernel<TMma> : IGroupKernel
    where TMma : struct, IMma
{
    private const int SlabA = TensorProduct.Side * TensorProduct.PitchA;
    private const int SlabB = TensorProduct.Step / 2 * TensorProduct.PitchB;
    public ArrayView<float> A, B, C;
    public int Rows, Columns, Inner, TileColumns, InnerFirst, Accumulate;

    public readonly void Run()
    {
        var sharedA = SharedMemory.Allocate<uint>(2 * SlabA);
        var sharedB = SharedMemory.Allocate<uint>(2 * SlabB);
        var mma = default(TMma);
        var scratch = SharedMemory.Allocate<uint>(mma.Scratch == 0 ? 1 : TensorProduct.Threads * 6);
        var row = Grid.IdxX / TileColumns;
        var column = (Grid.IdxX - (row * TileColumns)) * TensorProduct.Side;
        row *= TensorProduct.Side;
        var (warp, lane) = (Group.IdxX / 32, Group.IdxX % 32);
        var (g, t) = (lane / 4, lane % 4);
        var (down, right) = (64 * (warp / 4), 32 * (warp % 4));
        MmaRow s0 = default, s1 = default, s2 = default, s3 = default;
        var half = 0;
        for (var k = 0; k < Inner; k += TensorProduct.Step)
        {
            var (slabA, slabB) = (half * SlabA, half * SlabB);
            StoreA(sharedA, slabA, row, k);
            StoreB(sharedB, slabB, column, k);
            Group.Barrier();
            var a = slabA + ((down + g) * TensorProduct.PitchA) + t;
            var b = slabB + (t * TensorProduct.PitchB) + right + g;
            s0.Step(mma, At(sharedA, a), sharedB, b, scratch);
            s1.Step(mma, At(sharedA, a + (16 * TensorProduct.PitchA)), sharedB, b, scratch);
            s2.Step(mma, At(sharedA, a + (32 * TensorProduct.PitchA)), sharedB, b, scratch);
            s3.Step(mma, At(sharedA, a + (48 * TensorProduct.PitchA)), sharedB, b, scratch);
            half = 1 - half;
        }

        for (var block = 0; block < 4; block++)
        {
            var at = column + right + (8 * block) + (2 * t);
            Keep(row + down + g, at, s0.Sums(block));
            Keep(row + down + 16 + g, at, s1.Sums(block));
            Keep(row + down + 32 + g, at, s2.Sums(block));
            Keep(row + down + 48 + g, at, s3.Sums(block));
        }
    }

    private static MmaA At(ArrayView<uint> a, int at) => new()
    {
        Low = a[at],
        LowBelow = a[at + (8 * TensorProduct.PitchA)],
        High = a[at + 4],
        HighBelow = a[at + (8 * TensorProduct.PitchA) + 4],
    };

    private readonly void Keep(int row, int column, Float4 sums)
    {
        Keep(row, column, sums.A);
        Keep(row, column + 1, sums.B);
        Keep(row + 8, column, sums.C);
        Keep(row + 8, column + 1, sums.D);
    }

    private readonly void Keep(int row, int column, float sum)
    {
        if (row < Rows && column < Columns)
        {
            var at = (row * Columns) + column;
            C[at] = Accumulate == 0 ? sum : C[at] + sum;
        }
    }

    /// <summary>128 rows by sixteen k as pairs of k, [row, pair].</summary>
    private readonly void StoreA(ArrayView<uint> shared, int slab, int row, int k)
    {
        if (InnerFirst != 0)
        {
            StorePairs(A, k, row, Rows, shared, slab + (4 * (Group.IdxX % 32) * TensorProduct.PitchA) + (Group.IdxX / 32), TensorProduct.PitchA);
            return;
        }

        k += 4 * (Group.IdxX % 4);
        for (var m = Group.IdxX / 4; m < TensorProduct.Side; m += TensorProduct.Threads / 4)
        {
            var x = row + m < Rows && k < Inner ? A.ByFours()[(((row + m) * Inner) + k) / 4] : default;
            var at = slab + (m * TensorProduct.PitchA) + (2 * (Group.IdxX % 4));
            shared[at] = DeviceMath.Pair(x.A, x.B);
            shared[at + 1] = DeviceMath.Pair(x.C, x.D);
        }
    }

    /// <summary>Sixteen k by 128 columns as pairs of k, [pair, column].</summary>
    private readonly void StoreB(ArrayView<uint> shared, int slab, int column, int k) =>
        StorePairs(B, k, column, Columns, shared, slab + (Group.IdxX / 32 * TensorProduct.PitchB) + (4 * (Group.IdxX % 32)), 1);

    /// <summary>Two k by four columns of an operand that has k first: 32 threads a pair of k.</summary>
    private readonly void StorePairs(ArrayView<float> x, int k, int first, int width, ArrayView<uint> shared, int at, int apart)
    {
        k += 2 * (Group.IdxX / 32);
        first += 4 * (Group.IdxX % 32);
        var (low, high) = (Load(x, k, first, width), Load(x, k + 1, first, width));
        shared[at] = DeviceMath.Pair(low.A, high.A);
        shared[at + apart] = DeviceMath.Pair(low.B, high.B);
        shared[at + (2 * apart)] = DeviceMath.Pair(low.C, high.C);
        shared[at + (3 * apart)] = DeviceMath.Pair(low.D, high.D);
    }

    private readonly Float4 Load(ArrayView<float> x, int k, int first, int width) =>
        k < Inner && first < width ? x.ByFours()[((k * width) + first) / 4] : default;
}
