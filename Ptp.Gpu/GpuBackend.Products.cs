// Which kernel multiplies: chains side by side for a few rows, tiles for many, one thread per element where neither can run.
// All of them sum in the order of Chains, so the choice changes the time and never a bit; ProductKernel names one for tests and benches.
// Refuses: a kernel by name that cannot multiply these shapes.

using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

/// <summary>The rungs of the device's product ladder.</summary>
public enum ProductKernel
{
    /// <summary>The fastest for the shape.</summary>
    Best,

    /// <summary>One thread per element: any shape, any device.</summary>
    Elements,

    /// <summary>512 threads (or 256) for 32 columns (or 16) of up to eight rows at a time.</summary>
    Narrow,

    /// <summary>256 threads for a tile of 64 x 64.</summary>
    Tiles64,

    /// <summary>256 threads for a tile of 128 x 128.</summary>
    Tiles128,
}

/// <summary>What products multiply; they always sum floats.</summary>
public enum ProductPrecision
{
    /// <summary>Floats.</summary>
    Single,

    /// <summary>
    /// Operands rounded to BF16, on tensor cores where the device has them (CUDA, sm_80 and later), else one thread per element: a slightly
    /// different model, and every decoder is exact to it.
    /// </summary>
    BFloat16,

    /// <summary>The same with TF32, floats of ten bits behind the point: an eighth of BF16's rounding at half of its speed.</summary>
    Tf32,
}

public sealed partial class GpuBackend
{
    /// <summary>Up to so many rows a call's time is that of reading its weights, and the narrow kernel reads them best.</summary>
    private const int NarrowRows = 2 * NarrowProduct.MaxRows;

    /// <summary>Forces a rung of the ladder; the result is the same to the bit.</summary>
    public ProductKernel Product { get; set; }

    /// <summary>What products multiply, for every number of rows alike.</summary>
    public ProductPrecision Precision { get; set; }

    /// <summary>True for CUDA devices that multiply BF16 and TF32 by warps (sm_80 and later).</summary>
    public bool HasTensorCores => _scope.HasTensorCores;

    /// <summary>Tensor cores as shared memory would do it: tests of the kernel on devices without.</summary>
    internal bool EmulatesTensorCores { get; set; }

    private bool ByTensorCores =>
        Precision != ProductPrecision.Single && Product == ProductKernel.Best && (HasTensorCores || EmulatesTensorCores);

    /// <summary>True if the device can run a rung.</summary>
    public bool Has(ProductKernel rung) => _scope.HasGroups || rung is ProductKernel.Best or ProductKernel.Elements;

    private void Multiply(Tensor x, GpuPackedMatrix w, bool accumulate, Tensor y)
    {
        if (w.IsHalf)
        {
            Multiply(x, w, new HalfWeights { View = Words(w.Weight) }, accumulate, y);
        }
        else
        {
            Multiply(x, w, new FullWeights { View = View(w.Weight) }, accumulate, y);
        }
    }

    private void Multiply<TWeights>(Tensor x, GpuPackedMatrix w, TWeights weights, bool accumulate, Tensor y)
        where TWeights : struct, IWeights
    {
        var fits = ByFours(x) && ByFours(w.Weight) && ByFours(y);
        if (fits && ByTensorCores)
        {
            TensorTiles(x, weights, w.Inputs, innerFirst: false, accumulate, y);
            return;
        }

        switch (Choose(x.Rows, w.Outputs, fits))
        {
            case ProductKernel.Narrow when x.Rows == 1:
                Narrow<RowSum, TWeights>(x, weights, accumulate, y);
                break;
            case ProductKernel.Narrow when x.Rows == 2:
                Narrow<Twice<RowSum>, TWeights>(x, weights, accumulate, y);
                break;
            case ProductKernel.Narrow when x.Rows <= 4:
                Narrow<Twice<Twice<RowSum>>, TWeights>(x, weights, accumulate, y);
                break;
            case ProductKernel.Narrow:
                Narrow<Twice<Twice<Twice<RowSum>>>, TWeights>(x, weights, accumulate, y);
                break;
            case ProductKernel.Tiles64:
                Tiles<Tile64, TWeights>(x, weights, w.Inputs, innerFirst: false, accumulate, y);
                break;
            case ProductKernel.Tiles128:
                Tiles<Tile128, TWeights>(x, weights, w.Inputs, innerFirst: false, accumulate, y);
                break;
            default:
                Run(y.Length, new MatMulKernel<TWeights>
                {
                    X = View(x),
                    W = weights,
                    Y = View(y),
                    Inputs = w.Inputs,
                    Outputs = w.Outputs,
                    Accumulate = accumulate ? 1 : 0,
                    Precision = (int)Precision,
                });
                break;
        }
    }

    private void MultiplyGradient(Tensor dY, Tensor x, Tensor dW)
    {
        var fits = ByFours(dY) && ByFours(x) && ByFours(dW);
        var rows = new FullWeights { View = View(x) };
        if (fits && ByTensorCores)
        {
            TensorTiles(dY, rows, x.Rows, innerFirst: true, accumulate: true, dW);
            return;
        }

        // The sum runs over the rows, so dY [R, N] has its inner index first.
        var kernel = Choose(dW.Rows, dW.Columns, fits);
        switch (kernel)
        {
            case ProductKernel.Tiles128:
                Tiles<Tile128, FullWeights>(dY, rows, x.Rows, innerFirst: true, accumulate: true, dW);
                break;
            case ProductKernel.Tiles64 or ProductKernel.Narrow:
                Tiles<Tile64, FullWeights>(dY, rows, x.Rows, innerFirst: true, accumulate: true, dW);
                break;
            default:
                Run(dW.Length, new MatMulBackwardWeightKernel
                {
                    DY = View(dY),
                    X = View(x),
                    DW = View(dW),
                    Rows = x.Rows,
                    Outputs = dY.Columns,
                    Inputs = x.Columns,
                    Precision = (int)Precision,
                });
                break;
        }
    }

    private ProductKernel Choose(int rows, int columns, bool fits)
    {
        if (Precision != ProductPrecision.Single)
        {
            return ProductKernel.Elements; // the only one of these kernels that rounds its operands
        }

        if (Product != ProductKernel.Best)
        {
            Guard.Require(Product == ProductKernel.Elements || (fits && Has(Product)), $"Multiply by {Product}",
                fits ? $"a device with groups of {_scope.Accelerator.MaxNumThreadsPerGroup} threads" : "rows that are no multiple of four floats",
                $"groups of {GpuScope.GroupThreads} threads and rows of whole fours", "Leave the choice to ProductKernel.Best.");
            return Product;
        }

        return !fits || !_scope.HasGroups ? ProductKernel.Elements
            : rows <= NarrowRows ? ProductKernel.Narrow
            : TilesOf(rows, columns, 128) >= _scope.Accelerator.NumMultiprocessors ? ProductKernel.Tiles128 : ProductKernel.Tiles64;
    }

    private void Narrow<TRows, TWeights>(Tensor x, TWeights weights, bool accumulate, Tensor y)
        where TRows : struct, IRowSums
        where TWeights : struct, IWeights
    {
        var threads = _scope.Accelerator.MaxNumThreadsPerGroup >= NarrowProduct.Threads ? NarrowProduct.Threads : GpuScope.GroupThreads;
        var (rows, columns) = (default(TRows).Rows, threads / Chains.Count);
        var tiles = (y.Columns + columns - 1) / columns;
        RunGroups(tiles * ((x.Rows + rows - 1) / rows), threads, new NarrowProductKernel<TRows, TWeights>
        {
            X = View(x),
            W = weights,
            Y = View(y),
            Rows = x.Rows,
            Inputs = x.Columns,
            Outputs = y.Columns,
            Tiles = tiles,
            Accumulate = accumulate ? 1 : 0,
        });
    }

    private void Tiles<TTile, TWeights>(Tensor a, TWeights b, int inner, bool innerFirst, bool accumulate, Tensor c)
        where TTile : struct, ITile<TTile>
        where TWeights : struct, IWeights
    {
        var side = default(TTile).Side;
        RunGroups(TilesOf(c.Rows, c.Columns, side), TiledProductKernel<TTile, TWeights>.Threads, new TiledProductKernel<TTile, TWeights>
        {
            A = View(a),
            B = b,
            C = View(c),
            Rows = c.Rows,
            Columns = c.Columns,
            Inner = inner,
            TileColumns = (c.Columns + side - 1) / side,
            InnerFirst = innerFirst ? 1 : 0,
            Accumulate = accumulate ? 1 : 0,
        });
    }

    private void TensorTiles<TWeights>(Tensor a, TWeights b, int inner, bool innerFirst, bool accumulate, Tensor c)
        where TWeights : struct, IWeights
    {
        switch ((Precision, EmulatesTensorCores))
        {
            case (ProductPrecision.BFloat16, true):
                TensorTiles<EmulatedMma<Bf16Words>, TWeights>(a, b, inner, innerFirst, accumulate, c);
                break;
            case (ProductPrecision.BFloat16, false):
                TensorTiles<PtxBf16, TWeights>(a, b, inner, innerFirst, accumulate, c);
                break;
            case (_, true):
                TensorTiles<EmulatedMma<Tf32Words>, TWeights>(a, b, inner, innerFirst, accumulate, c);
                break;
            default:
                TensorTiles<PtxTf32, TWeights>(a, b, inner, innerFirst, accumulate, c);
                break;
        }
    }

    private void TensorTiles<TMma, TWeights>(Tensor a, TWeights b, int inner, bool innerFirst, bool accumulate, Tensor c)
        where TMma : struct, IMma
        where TWeights : struct, IWeights => RunGroups(
        TilesOf(c.Rows, c.Columns, TensorProduct.Side), TensorProduct.Threads, new TensorProductKernel<TMma, TWeights>
        {
            A = View(a),
            B = b,
            C = View(c),
            Rows = c.Rows,
            Columns = c.Columns,
            Inner = inner,
            TileColumns = (c.Columns + TensorProduct.Side - 1) / TensorProduct.Side,
            InnerFirst = innerFirst ? 1 : 0,
            Accumulate = accumulate ? 1 : 0,
        });

    private static int TilesOf(int rows, int columns, int side) => (rows + side - 1) / side * ((columns + side - 1) / side);

    /// <summary>True if every row is whole runs of four floats that start at a multiple of 16 bytes.</summary>
    private static bool ByFours(Tensor x) => x.Columns % 4 == 0 && x.Offset % 4 == 0;

    private void RunGroups<T>(int groups, int threads, T kernel)
        where T : struct, IGroupKernel => _scope.Kernels.RunGroups(_scope.Stream, groups, threads, kernel);
}
