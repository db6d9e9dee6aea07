// Matrix products on tensor cores: both operands rounded to BF16 or TF32 on their way into shared memory, sums in F32, sixteen k at a time,
// ascending. The order depends on K alone, so a row's bits do not depend on its neighbours. See Mma.cs for fragments and instructions.
// Refuses: what TiledProductKernel refuses, and devices without the instruction, which have an emulated one for tests.

using ILGPU;

namespace Ptp.Gpu.Kernels;

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
    public const int PitchB = Side + 8; // words from word to word of k: four words by eight columns fall into 32 banks

    /// <summary>Words from row to row, 12 or 20: eight rows by four words fall into 32 banks.</summary>
    public static int PitchA(int words) => words + 4;
}

/// <summary>
/// y[m, n] = sum over k of x(m, k) w[k, n], one group of eight warps per tile of 128 x 128, 64 x 32 of it a warp; operands as in
/// <see cref="TiledProductKernel{TTile, TWeights}"/>.
/// </summary>
internal struct TensorProductKernel<TMma, TWeights> : IGroupKernel
    where TMma : struct, IMma
    where TWeights : struct, IWeights
{
    public ProductParts<TWeights> Parts;
    public int Rows, InnerFirst;

    public readonly void Run()
    {
        var mma = default(TMma);
        var pitch = TensorProduct.PitchA(mma.Words);
        var (sizeA, sizeB) = (TensorProduct.Side * pitch, mma.Words * TensorProduct.PitchB);
        var sharedA = SharedMemory.Allocate<uint>(2 * TensorProduct.Side * (default(TMma).Words + 4));
        var sharedB = SharedMemory.Allocate<uint>(2 * default(TMma).Words * TensorProduct.PitchB);
        var scratch = SharedMemory.Allocate<uint>(mma.Scratch == 0 ? 1 : TensorProduct.Threads * 6);
        var row = Grid.IdxX / Parts.Tiles;
        var (part, column) = Parts.At(Grid.IdxX - (row * Parts.Tiles));
        row *= TensorProduct.Side;
        column *= TensorProduct.Side;
        var (warp, lane) = (Group.IdxX / 32, Group.IdxX % 32);
        var (g, t) = (lane / 4, lane % 4);
        var (down, right) = (64 * (warp / 4), 32 * (warp % 4));
        MmaRow s0 = default, s1 = default, s2 = default, s3 = default;
        var half = 0;
        for (var k = 0; k < part.Inner; k += TensorProduct.Step)
        {
            var (slabA, slabB) = (half * sizeA, half * sizeB);
            StoreA(part, sharedA, slabA, row, k);
            StoreB(part, sharedB, slabB, column, k);
            Group.Barrier();
            for (var word = 0; word < mma.Words; word += 8)
            {
                var a = slabA + ((down + g) * pitch) + t + word;
                var b = slabB + ((t + word) * TensorProduct.PitchB) + right + g;
                s0.Step(mma, At(sharedA, a), sharedB, b, scratch);
                s1.Step(mma, At(sharedA, a + (16 * pitch)), sharedB, b, scratch);
                s2.Step(mma, At(sharedA, a + (32 * pitch)), sharedB, b, scratch);
                s3.Step(mma, At(sharedA, a + (48 * pitch)), sharedB, b, scratch);
            }

            half = 1 - half;
        }

        for (var block = 0; block < 4; block++)
        {
            var at = column + right + (8 * block) + (2 * t);
            Keep(part, row + down + g, at, s0.Sums(block));
            Keep(part, row + down + 16 + g, at, s1.Sums(block));
            Keep(part, row + down + 32 + g, at, s2.Sums(block));
            Keep(part, row + down + 48 + g, at, s3.Sums(block));
        }
    }

    private static MmaA At(ArrayView<uint> a, int at)
    {
        var below = at + (8 * TensorProduct.PitchA(default(TMma).Words));
        return new MmaA { Low = a[at], LowBelow = a[below], High = a[at + 4], HighBelow = a[below + 4] };
    }

    private readonly void Keep(ProductPart<TWeights> part, int row, int column, Float4 sums)
    {
        Keep(part, row, column, sums.A);
        Keep(part, row, column + 1, sums.B);
        Keep(part, row + 8, column, sums.C);
        Keep(part, row + 8, column + 1, sums.D);
    }

    private readonly void Keep(ProductPart<TWeights> part, int row, int column, float sum)
    {
        if (row < Rows && column < part.Columns)
        {
            part.Keep((row * part.Columns) + column, sum);
        }
    }

    /// <summary>128 rows by sixteen k, [row, word].</summary>
    private readonly void StoreA(ProductPart<TWeights> part, ArrayView<uint> shared, int slab, int row, int k)
    {
        var mma = default(TMma);
        var (pitch, pair) = (TensorProduct.PitchA(mma.Words), mma.Words / 8);
        if (InnerFirst != 0)
        {
            StorePairs(new FullWeights { View = part.X }, k, part.Inner, row, Rows, shared, slab + (4 * (Group.IdxX % 32) * pitch) + (Group.IdxX / 32 * pair), 1, pitch);
            return;
        }

        k += 4 * (Group.IdxX % 4);
        for (var m = Group.IdxX / 4; m < TensorProduct.Side; m += TensorProduct.Threads / 4)
        {
            var x = row + m < Rows && k < part.Inner ? part.X.ByFours()[(((row + m) * part.Inner) + k) / 4] : default;
            var at = slab + (m * pitch) + (2 * pair * (Group.IdxX % 4));
            mma.Store(shared, at, 1, x.A, x.B);
            mma.Store(shared, at + pair, 1, x.C, x.D);
        }
    }

    /// <summary>Sixteen k by 128 columns, [word, column].</summary>
    private static void StoreB(ProductPart<TWeights> part, ArrayView<uint> shared, int slab, int column, int k)
    {
        var pair = default(TMma).Words / 8 * TensorProduct.PitchB;
        StorePairs(part.W, k, part.Inner, column, part.Columns, shared, slab + (Group.IdxX / 32 * pair) + (4 * (Group.IdxX % 32)), TensorProduct.PitchB, 1);
    }

    /// <summary>Two k by four columns of an operand that has k first: 32 threads a pair of k.</summary>
    private static void StorePairs<T>(T x, int k, int inner, int first, int width, ArrayView<uint> shared, int at, int next, int apart)
        where T : struct, IWeights
    {
        var mma = default(TMma);
        k += 2 * (Group.IdxX / 32);
        first += 4 * (Group.IdxX % 32);
        var (low, high) = (Load(x, k, inner, first, width), Load(x, k + 1, inner, first, width));
        mma.Store(shared, at, next, low.A, high.A);
        mma.Store(shared, at + apart, next, low.B, high.B);
        mma.Store(shared, at + (2 * apart), next, low.C, high.C);
        mma.Store(shared, at + (3 * apart), next, low.D, high.D);
    }

    private static Float4 Load<T>(T x, int k, int inner, int first, int width)
        where T : struct, IWeights => k < inner && first < width ? x.Along(k, first, width) : default;
}
