// Ops that a block always asks for together, so that a device may do them in one launch and a CPU wake its threads once.
//   several y_i = x_i W_i^T at a time, with what is added behind a product; RoPE of queries and keys with their way to the cache
// Not here: new numbers. Each equals its parts done one after the other, to the bit, and that is what a backend without them does.

namespace Ptp.Core.Tensors;

/// <summary>One of several products that do not read each other: y = x W^T or y += x W^T, else y = scale * x W^T or y = addend + x W^T.</summary>
/// <param name="X">[R, K].</param>
/// <param name="Weight">W, [N, K].</param>
/// <param name="Y">[R, N].</param>
/// <param name="Accumulate">True to go on from what y holds, as <see cref="IBackend.MatMul(Tensor, PackedMatrix, bool, Tensor)"/> does.</param>
/// <param name="Scale">A factor on the finished sum; 1 unless y is written and nothing is added.</param>
/// <param name="Addend">[R, N], added to the finished sum, or null.</param>
public readonly record struct Product(
    Tensor X, PackedMatrix Weight, Tensor Y, bool Accumulate = false, float Scale = 1f, Tensor? Addend = null)
{
    /// <summary>Does it by the ops that it stands for.</summary>
    public void Run(IBackend backend)
    {
        backend.MatMul(X, Weight, Accumulate, Y);
        Finish(backend);
    }

    /// <summary>Refuses a sum that would be followed by two things.</summary>
    public void Check() => Guard.Require((Accumulate ? 1 : 0) + (Scale != 1f ? 1 : 0) + (Addend is null ? 0 : 1) <= 1, "Multiply matrices",
        $"a product that is accumulated ({Accumulate}), scaled ({Scale}) and added to ({Addend is not null})", "at most one of these",
        "Do the others as ops of their own.");

    /// <summary>What follows the sum.</summary>
    public void Finish(IBackend backend)
    {
        Check();
        if (Scale != 1f)
        {
            backend.Scale(Scale, Y);
        }

        if (Addend is not null)
        {
            backend.Add(Addend, Y, Y);
        }
    }
}

public partial interface IBackend
{
    /// <summary>Products that do not read each other's results, in any order or at once.</summary>
    void MatMul(ReadOnlySpan<Product> products)
    {
        foreach (var product in products)
        {
            product.Run(this);
        }
    }

    /// <summary>Turns queries and keys by their positions, in place, and stores keys and values where the cache wants them.</summary>
    /// <param name="table">Cosines and sines.</param>
    /// <param name="positions">Of each row, [R].</param>
    /// <param name="q">[R, H * K].</param>
    /// <param name="keys">[R, G * K].</param>
    /// <param name="values">[R, G * K].</param>
    /// <param name="slots">Where each row goes in the cache, [R]; negative = nowhere; empty = no row is stored.</param>
    /// <param name="cache">Has keys and values if there are slots.</param>
    void RopeAndStore(
        RopeTable table, ReadOnlySpan<int> positions, Tensor q, Tensor keys, Tensor values, ReadOnlySpan<int> slots, CachedKeys cache)
    {
        Rope(table, positions, q);
        Rope(table, positions, keys);
        if (!slots.IsEmpty)
        {
            Scatter(keys, slots, cache.Keys!);
            Scatter(values, slots, cache.Values!);
        }
    }
}
