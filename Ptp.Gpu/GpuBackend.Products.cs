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

    private void Multiply<TWeights>(int rows, ProductParts<TWeights> parts, bool fits)
        where TWeights : struct, IWeights
    {
        if (fits && ByTensorCores)
        {
            TensorTiles(rows, parts, innerFirst: false);
            return;
        }

        switch (Choose(rows, parts, fits))
        {
            case ProductKernel.Narrow when rows == 1:
                Narrow<RowSum, TWeights>(rows, parts);
                break;
            case ProductKernel.Narrow when rows == 2:
                Narrow<Twice<RowSum>, TWeights>(rows, parts);
                break;
            case ProductKernel.Narrow when rows <= 4:
                Narrow<Twice<Twice<RowSum>>, TWeights>(rows, parts);
                break;
            case ProductKernel.Narrow:
                Narrow<Twice<Twice<Twice<RowSum>>>, TWeights>(rows, parts);
                break;
            case ProductKernel.Tiles64:
                Tiles<Tile64, TWeights>(rows, parts, innerFirst: false);
                break;
            case ProductKernel.Tiles128:
                Tiles<Tile128, TWeights>(rows, parts, innerFirst: false);
                break;
            default:
                parts = parts.Cut(1);
                Run(rows * parts.Tiles, new MatMulKernel<TWeights> { Parts = parts, Precision = (int)Precision });
                break;
        }
    }

    private void MultiplyGradient(Tensor dY, Tensor x, Tensor dW)
    {
        var fits = ByFours(dY) && ByFours(x) && ByFours(dW);

        // The sum runs over the rows, so dY [R, N] has its inner index first.
        var sum = new ProductParts<FullWeights>([new ProductPart<FullWeights>
        {
            X = View(dY),
            W = new FullWeights { View = View(x) },
            Y = View(dW),
            Addend = View(dW),
            Inner = x.Rows,
            Columns = dW.Columns,
            Adds = 1,
        }]);
        if (fits && ByTensorCores)
        {
            TensorTiles(dW.Rows, sum, innerFirst: true);
            return;
        }

        switch (Choose(dW.Rows, sum, fits))
        {
            case ProductKernel.Tiles128:
                Tiles<Tile128, FullWeights>(dW.Rows, sum, innerFirst: true);
                break;
            case ProductKernel.Tiles64 or ProductKernel.Narrow:
                Tiles<Tile64, FullWeights>(dW.Rows, sum, innerFirst: true);
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

    private ProductKernel Choose<TWeights>(int rows, ProductParts<TWeights> parts, bool fits)
        where TWeights : struct, IWeights
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
            : parts.Cut(128).Tiles * Runs(rows, 128) >= _scope.Accelerator.NumMultiprocessors ? ProductKernel.Tiles128 : ProductKernel.Tiles64;
    }

    private void Narrow<TRows, TWeights>(int rows, ProductParts<TWeights> parts)
        where TRows : struct, IRowSums
        where TWeights : struct, IWeights
    {
        var threads = _scope.Accelerator.MaxNumThreadsPerGroup >= NarrowProduct.Threads ? NarrowProduct.Threads : GpuScope.GroupThreads;
        parts = parts.Cut(threads / Chains.Count);
        RunGroups(parts.Tiles * Runs(rows, default(TRows).Rows), threads, new NarrowProductKernel<TRows, TWeights> { Parts = parts, Rows = rows });
    }

    private void Tiles<TTile, TWeights>(int rows, ProductParts<TWeights> parts, bool innerFirst)
        where TTile : struct, ITile<TTile>
        where TWeights : struct, IWeights
    {
        var side = default(TTile).Side;
        parts = parts.Cut(side);
        RunGroups(parts.Tiles * Runs(rows, side), TiledProductKernel<TTile, TWeights>.Threads, new TiledProductKernel<TTile, TWeights>
        {
            Parts = parts,
            Rows = rows,
            InnerFirst = innerFirst ? 1 : 0,
        });
    }

    private void TensorTiles<TWeights>(int rows, ProductParts<TWeights> parts, bool innerFirst)
        where TWeights : struct, IWeights
    {
        switch ((Precision, EmulatesTensorCores))
        {
            case (ProductPrecision.BFloat16, true):
                TensorTiles<EmulatedMma<Bf16Words>, TWeights>(rows, parts, innerFirst);
                break;
            case (ProductPrecision.BFloat16, false):
                TensorTiles<PtxBf16, TWeights>(rows, parts, innerFirst);
                break;
            case (_, true):
                TensorTiles<EmulatedMma<Tf32Words>, TWeights>(rows, parts, innerFirst);
                break;
            default:
                TensorTiles<PtxTf32, TWeights>(rows, parts, innerFirst);
                break;
        }
    }

    private void TensorTiles<TMma, TWeights>(int rows, ProductParts<TWeights> parts, bool innerFirst)
        where TMma : struct, IMma
        where TWeights : struct, IWeights
    {
        parts = parts.Cut(TensorProduct.Side);
        RunGroups(parts.Tiles * Runs(rows, TensorProduct.Side), TensorProduct.Threads, new TensorProductKernel<TMma, TWeights>
        {
            Parts = parts,
            Rows = rows,
            InnerFirst = innerFirst ? 1 : 0,
        });
    }

    private static int Runs(int rows, int length) => (rows + length - 1) / length;

    /// <summary>True if every row is whole runs of four floats that start at a multiple of 16 bytes.</summary>
    private static bool ByFours(Tensor x) => x.Columns % 4 == 0 && x.Offset % 4 == 0;

    private void RunGroups<T>(int groups, int threads, T kernel)
        where T : struct, IGroupKernel => _scope.Kernels.RunGroups(_scope.Stream, groups, threads, kernel);
}
