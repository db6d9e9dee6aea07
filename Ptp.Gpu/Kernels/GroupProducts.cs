// Matrix products by groups of threads: tiles in shared memory and registers for many rows, whole chains side by side for few.
//   y[r, n] = sum over chains of (sum over k of the chain of x[r, k] w[k, n]), in the order of Chains: the bits of MatMulKernel
// Refuses: rows and columns that are no multiple of four floats, or do not start at a multiple of 16 bytes; the backend asks first.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>
/// y[m, n] = sum over k of x(m, k) w[k, n], one group of 256 threads per tile of a part; x is [M, K], or [K, M] if
/// <see cref="InnerFirst"/>. While a step of sixteen k is multiplied out of one half of the shared memory, the next is on its way to the other.
/// </summary>
internal struct TiledProductKernel<TTile, TWeights> : IGroupKernel
    where TTile : struct, ITile<TTile>
    where TWeights : struct, IWeights
{
    public const int Threads = 256;
    private const int Pitch = 128 + 4; // floats from one k to the next; four more than a tile, so that transposing spreads over the banks
    private const int Slab = 2 * Chains.Step * Pitch;
    public ProductParts<TWeights> Parts;
    public int Rows, InnerFirst;

    public readonly void Run()
    {
        var sharedA = SharedMemory.Allocate<float>(Slab);
        var sharedB = SharedMemory.Allocate<float>(Slab);
        var (tile, chain) = (default(TTile), default(TTile));
        var side = tile.Side;
        var row = Grid.IdxX / Parts.Tiles;
        var (part, column) = Parts.At(Grid.IdxX - (row * Parts.Tiles));
        row *= side;
        column *= side;
        var length = Chains.Length(part.Inner);
        var (end, half) = (length, 0);

        // A thread moves one run of four floats of each operand per 64 rows of the tile.
        var (a0, b0) = (LoadA(part, row, 0), LoadB(part, column, 0));
        var (a1, b1) = side > 64 ? (LoadA(part, row + 64, 0), LoadB(part, column + 64, 0)) : (default, default);
        for (var k = 0; k < part.Inner; k += Chains.Step)
        {
            var slab = half * Chains.Step * Pitch;
            StoreA(sharedA, slab, a0);
            StoreB(sharedB, slab, b0);
            if (side > 64)
            {
                StoreA(sharedA, slab + 64, a1);
                StoreB(sharedB, slab + 64, b1);
            }

            Group.Barrier();
            (a0, b0) = (LoadA(part, row, k + Chains.Step), LoadB(part, column, k + Chains.Step));
            if (side > 64)
            {
                (a1, b1) = (LoadA(part, row + 64, k + Chains.Step), LoadB(part, column + 64, k + Chains.Step));
            }

            for (var i = 0; i < Chains.Step; i++)
            {
                chain.Step(sharedA.ByFours(), sharedB.ByFours(), (slab + (i * Pitch)) / 4);
            }

            half = 1 - half;
            if (k + Chains.Step == end)
            {
                tile.Add(chain);
                chain = default;
                end += length;
            }
        }

        tile.Add(chain);
        for (var block = 0; block < side / 64; block++)
        {
            for (var i = 0; i < side / 16; i++)
            {
                var m = row + (64 * (i / 4)) + (4 * (Group.IdxX / 16)) + (i % 4);
                var n = column + (64 * block) + (4 * (Group.IdxX % 16));
                if (m < Rows && n < part.Columns)
                {
                    part.Keep((m * part.Columns) + n, tile.Row(i, block));
                }
            }
        }
    }

    private readonly Float4 LoadA(ProductPart<TWeights> part, int row, int k)
    {
        if (InnerFirst != 0)
        {
            return Load(new FullWeights { View = part.X }, k, part.Inner, row, Rows);
        }

        var m = row + (Group.IdxX / 4);
        var at = k + (4 * (Group.IdxX % 4));
        return m < Rows && at < part.Inner ? part.X.ByFours()[((m * part.Inner) + at) / 4] : default;
    }

    private static Float4 LoadB(ProductPart<TWeights> part, int column, int k) => Load(part.W, k, part.Inner, column, part.Columns);

    /// <summary>Sixteen k by 64 of an operand that has k first: sixteen threads a row.</summary>
    private static Float4 Load<T>(T x, int k, int inner, int first, int width)
        where T : struct, IWeights
    {
        k += Group.IdxX / 16;
        first += 4 * (Group.IdxX % 16);
        return k < inner && first < width ? x.Along(k, first, width) : default;
    }

    private readonly void StoreA(ArrayView<float> shared, int at, Float4 value)
    {
        if (InnerFirst != 0)
        {
            StoreB(shared, at, value);
            return;
        }

        at += (4 * (Group.IdxX % 4) * Pitch) + (Group.IdxX / 4);
        shared[at] = value.A;
        shared[at + Pitch] = value.B;
        shared[at + (2 * Pitch)] = value.C;
        shared[at + (3 * Pitch)] = value.D;
    }

    private static void StoreB(ArrayView<float> shared, int at, Float4 value) =>
        shared.ByFours()[((at + (Group.IdxX / 16 * Pitch)) / 4) + (Group.IdxX % 16)] = value;
}

/// <summary>Sizes of a narrow product.</summary>
internal static class NarrowProduct
{
    public const int Threads = 32 * Chains.Count;
    public const int MaxRows = 8;
}

/// <summary>
/// y[r, n] = sum over k of x[r, k] w[k, n] for a few rows: 512 threads are 32 columns of a part by sixteen chains (256, where groups are no larger,
/// 16 columns), so that a single row reads its weights once, all of them at the same time, 128 bytes a warp.
/// </summary>
internal struct NarrowProductKernel<TRows, TWeights> : IGroupKernel
    where TRows : struct, IRowSums
    where TWeights : struct, IWeights
{
    private const int MaxRows = NarrowProduct.MaxRows;
    public ProductParts<TWeights> Parts;
    public int Rows;

    public readonly void Run()
    {
        var shared = SharedMemory.Allocate<float>(NarrowProduct.Threads * MaxRows);
        var sums = default(TRows);
        var columns = Group.DimX / Chains.Count;
        var block = Grid.IdxX / Parts.Tiles;
        var (part, tile) = Parts.At(Grid.IdxX - (block * Parts.Tiles));
        var column = (tile * columns) + (Group.IdxX % columns);
        var chain = Group.IdxX / columns;
        var first = block * sums.Rows;
        var (length, stride) = (Chains.Length(part.Inner), part.Inner / 4);
        var start = chain * length;
        var end = start + length < part.Inner ? start + length : part.Inner;
        var x = part.X.ByFours();
        var read = column < part.Columns ? column : part.Columns - 1;
        for (var k = start; k < end; k += 4)
        {
            sums.Step(x, (first * stride) + (k / 4), stride, ((Rows - 1) * stride) + (k / 4), part.W.Down(k, read, part.Columns));
        }

        sums.Store(shared, Group.IdxX, Group.DimX);
        Group.Barrier();

        // The threads of chain r add up row r.
        if (chain < sums.Rows && first + chain < Rows && column < part.Columns)
        {
            var total = 0f;
            for (var i = 0; i < Chains.Count; i++)
            {
                total += shared[(chain * Group.DimX) + (i * columns) + (Group.IdxX % columns)];
            }

            part.Keep(((first + chain) * part.Columns) + column, total);
        }
    }
}
