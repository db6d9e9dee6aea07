// Ops that a block asks for together, in one launch each: up to three products with what is added behind them, and RoPE on the way to the cache.
//   IBackend.Together; the bits are those of the parts, one after the other
// Refuses: to launch together what no kernel reads alike: floats beside BF16, whole fours beside others, unequal numbers of rows. Those go alone.

using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public void MatMul(ReadOnlySpan<Product> products)
    {
        foreach (var product in products)
        {
            product.Check();
            var (x, w, y) = (product.X, Packed(product), product.Y);
            Shape(x, y.Rows, w.Inputs);
            Shape(y, x.Rows, w.Outputs);
            Same(product.Addend ?? y, y);
        }

        if (GoTogether(products))
        {
            Multiply(products);
        }
        else if (products.Length == 1)
        {
            products[0].Run(this); // its addend starts between fours
        }
        else
        {
            MatMul(products[..(products.Length / 2)]);
            MatMul(products[(products.Length / 2)..]);
        }
    }

    /// <inheritdoc/>
    public void RopeAndStore(
        RopeTable table, ReadOnlySpan<int> positions, Tensor q, Tensor keys, Tensor values, ReadOnlySpan<int> slots, CachedKeys cache)
    {
        Same(keys, values);
        Same(q.Rows, keys.Rows);
        int[] kept;
        if (slots.IsEmpty)
        {
            kept = new int[q.Rows];
            Array.Fill(kept, -1); // nowhere
        }
        else
        {
            Same(slots.Length, q.Rows);
            Same(cache.Keys!, cache.Values!);
            Same(cache.Keys!.Columns, keys.Columns);
            CheckSlots(slots, cache.Keys);
            kept = LastOfEach(slots);
        }

        CheckTurn(table, positions, q);
        CheckTurn(table, positions, keys);
        Run((q.Length / 2) + keys.Length, new RopeAndStoreKernel
        {
            Turn = TurnOf(table, positions, 1f),
            Q = View(q),
            Keys = View(keys),
            Values = View(values),
            CachedKeys = View(cache.Keys ?? keys), // without slots nothing goes there, but a kernel needs valid views
            CachedValues = View(cache.Values ?? values),
            Slots = _scope.Ints(kept),
            QueryPairs = q.Columns / 2,
            KeyPairs = keys.Columns / 2,
        });
    }

    private void Multiply(ReadOnlySpan<Product> products)
    {
        var (rows, fits) = (products[0].X.Rows, ByFours(products[0]));
        if (Packed(products[0]).IsHalf)
        {
            Multiply(rows, Parts(products, static (gpu, weight) => new HalfWeights { View = gpu.Words(weight) }), fits);
        }
        else
        {
            Multiply(rows, Parts(products, static (gpu, weight) => new FullWeights { View = gpu.View(weight) }), fits);
        }
    }

    private ProductParts<TWeights> Parts<TWeights>(ReadOnlySpan<Product> products, Func<GpuBackend, Tensor, TWeights> read)
        where TWeights : struct, IWeights
    {
        var parts = new ProductPart<TWeights>[products.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            var (w, y) = (Packed(products[i]), products[i].Y);
            parts[i] = new ProductPart<TWeights>
            {
                X = View(products[i].X),
                W = read(this, w.Weight),
                Y = View(y),
                Addend = View(products[i].Addend ?? y),
                Inner = w.Inputs,
                Columns = w.Outputs,
                Adds = products[i].Accumulate || products[i].Addend is not null ? 1 : 0,
                Scale = products[i].Scale,
            };
        }

        return new ProductParts<TWeights>(parts);
    }

    /// <summary>True if one kernel reads all of them alike; which one is then asked once, for all.</summary>
    private static bool GoTogether(ReadOnlySpan<Product> products)
    {
        var elements = 0L;
        foreach (var product in products)
        {
            elements += product.Y.Length;
            var fits = ByFours(product);
            if (product.X.Rows != products[0].X.Rows || Packed(product).IsHalf != Packed(products[0]).IsHalf || fits != ByFours(products[0])
                || (fits && product.Addend is { } addend && !ByFours(addend)))
            {
                return false;
            }
        }

        return products.Length is > 0 and <= ProductParts<FullWeights>.Most && elements <= MaxLength;
    }

    private static bool ByFours(Product product) => ByFours(product.X) && ByFours(Packed(product).Weight) && ByFours(product.Y);

    private static GpuPackedMatrix Packed(Product product) => product.Weight as GpuPackedMatrix ?? throw new PtpException(
        "Multiply by a packed weight", $"a {product.Weight.GetType().Name}", "a weight packed on a device",
        "Pack it with the backend that multiplies.");
}
