// Matrix products, one thread per element of the result: y = x W^T, and dW += dY^T x.
//   sum over k = sum over chains, ascending, of (sum over the chain's k, ascending, fused multiply-adds)
// The chains are a matter of K alone, so no other row of the call can change a bit, and every kernel that keeps to them gives the same bits.
// Refuses: tiles. This is the rung that tuned kernels are compared with, and what runs where groups of threads are missing.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>y[c, r] = x[r, c]; x [R, C].</summary>
internal struct TransposeKernel : IElementKernel
{
    public ArrayView<float> X, Y;
    public int Rows, Columns;

    public readonly void Element(int index)
    {
        var column = index / Rows;
        var row = index - column * Rows;
        Y[index] = X[row * Columns + column];
    }
}

/// <summary>How every product on a device splits its sum: at most sixteen chains, so that one row alone can keep a device busy.</summary>
internal static class Chains
{
    /// <summary>Most chains.</summary>
    public const int Count = 16;

    /// <summary>What a tile reads at once; a chain is a multiple of it.</summary>
    public const int Step = 16;

    /// <summary>Inner indices of a chain; the last one may be shorter.</summary>
    public static int Length(int inner) => (inner + (Count * Step) - 1) / (Count * Step) * Step;
}

/// <summary>y[r, n] = sum over k of x[r, k] w[k, n], of all parts.</summary>
internal struct MatMulKernel<TWeights> : IElementKernel
    where TWeights : struct, IWeights
{
    public ProductParts<TWeights> Parts; // tiles of one column
    public int Precision; // ProductPrecision: what both operands are rounded to

    public readonly void Element(int index)
    {
        var row = index / Parts.Tiles;
        var (part, column) = Parts.At(index - (row * Parts.Tiles));
        var (sum, length) = (0f, Chains.Length(part.Inner));
        for (var start = 0; start < part.Inner; start += length)
        {
            var chain = 0f;
            for (var k = start; k < start + length && k < part.Inner; k++)
            {
                var (x, w) = (part.X[(row * part.Inner) + k], part.W.One(k, column, part.Columns));
                chain = DeviceMath.Fma(DeviceMath.Round(x, Precision), DeviceMath.Round(w, Precision), chain);
            }

            sum += chain;
        }

        part.Keep((row * part.Columns) + column, sum);
    }
}

/// <summary>dW[n, k] += sum over r of dY[r, n] x[r, k]; dY [R, N], x [R, K], dW [N, K].</summary>
internal struct MatMulBackwardWeightKernel : IElementKernel
{
    public ArrayView<float> DY, X, DW;
    public int Rows, Outputs, Inputs, Precision;

    public readonly void Element(int index)
    {
        var output = index / Inputs;
        var input = index - output * Inputs;
        var (sum, length) = (0f, Chains.Length(Rows));
        for (var start = 0; start < Rows; start += length)
        {
            var chain = 0f;
            for (var row = start; row < start + length && row < Rows; row++)
            {
                var (dy, x) = (DY[(row * Outputs) + output], X[(row * Inputs) + input]);
                chain = DeviceMath.Fma(DeviceMath.Round(dy, Precision), DeviceMath.Round(x, Precision), chain);
            }

            sum += chain;
        }

        DW[index] += sum;
    }
}
