// Up to three products of one launch: q, k and v, gate and up, the A's or the B's of an adapter. Each has its own operands; the rows are as many.
//   y = scale * sum, or y = addend + sum;   a group takes the part in whose columns its tile lies
// A column's chains do not know its neighbours, so the bits are those of single launches. Refuses: nothing; the backend says what goes together.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>A product: x [R, K], or [K, R] where the kernel says so, w [K, N], y [R, N].</summary>
internal struct ProductPart<TWeights>
    where TWeights : struct, IWeights
{
    public ArrayView<float> X, Y, Addend; // [R, N]: y itself to go on from what it holds; not read unless Adds
    public TWeights W;
    public int Inner, Columns, Tiles, Adds;
    public float Scale;

    /// <summary>Writes a finished sum. Never a product and an addition of the same number, which compilers could make one of.</summary>
    public readonly void Keep(int at, float sum) => Y[at] = Adds != 0 ? Addend[at] + sum : Scale * sum;

    /// <summary>Writes four neighbouring sums from <paramref name="at"/> on, a multiple of four.</summary>
    public readonly void Keep(int at, Float4 sum)
    {
        var fours = Y.ByFours();
        fours[at / 4] = Adds != 0 ? Addend.ByFours()[at / 4] + sum : Scale * sum;
    }
}

/// <summary>The products of a launch.</summary>
internal struct ProductParts<TWeights>
    where TWeights : struct, IWeights
{
    /// <summary>As many as a block has that read the same rows.</summary>
    public const int Most = 3;

    public ProductPart<TWeights> First, Second, Third;
    public int Tiles; // of all of them

    public ProductParts(ReadOnlySpan<ProductPart<TWeights>> parts)
    {
        // A kernel needs valid views even of parts that no tile takes.
        (First, Second, Third) = (parts[0], parts[0] with { Columns = 0 }, parts[0] with { Columns = 0 });
        Second = parts.Length > 1 ? parts[1] : Second;
        Third = parts.Length > 2 ? parts[2] : Third;
    }

    /// <summary>The same, in tiles of so many columns.</summary>
    public readonly ProductParts<TWeights> Cut(int width)
    {
        var cut = this;
        cut.First.Tiles = (First.Columns + width - 1) / width;
        cut.Second.Tiles = (Second.Columns + width - 1) / width;
        cut.Third.Tiles = (Third.Columns + width - 1) / width;
        cut.Tiles = cut.First.Tiles + cut.Second.Tiles + cut.Third.Tiles;
        return cut;
    }

    /// <summary>The part of a tile, and the tile's number within it.</summary>
    public readonly (ProductPart<TWeights> Part, int Tile) At(int tile)
    {
        var (second, third) = (tile - First.Tiles, tile - First.Tiles - Second.Tiles);
        return second < 0 ? (First, tile) : third < 0 ? (Second, second) : (Third, third);
    }
}
