// Matrix products, one thread per element of the result: y = x W^T, and dW += dY^T x.
// Each element is one chain of fused multiply-adds in ascending order, so no other row of the call can change a bit.
// Refuses: tiles, split sums, tensor cores. This is the rung that tuned kernels are compared with.

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

/// <summary>y[r, n] = (or +=) sum over k of x[r, k] w[k, n]; x [R, K], w [K, N], y [R, N].</summary>
internal struct MatMulKernel : IElementKernel
{
    public ArrayView<float> X, W, Y;
    public int Inputs, Outputs, Accumulate;

    public readonly void Element(int index)
    {
        var row = index / Outputs;
        var output = index - row * Outputs;
        var sum = 0f;
        for (var k = 0; k < Inputs; k++)
        {
            sum = DeviceMath.Fma(X[row * Inputs + k], W[k * Outputs + output], sum);
        }

        Y[index] = Accumulate == 0 ? sum : Y[index] + sum;
    }
}

/// <summary>dW[n, k] += sum over r of dY[r, n] x[r, k]; dY [R, N], x [R, K], dW [N, K].</summary>
internal struct MatMulBackwardWeightKernel : IElementKernel
{
    public ArrayView<float> DY, X, DW;
    public int Rows, Outputs, Inputs;

    public readonly void Element(int index)
    {
        var output = index / Inputs;
        var input = index - output * Inputs;
        var sum = 0f;
        for (var row = 0; row < Rows; row++)
        {
            sum = DeviceMath.Fma(DY[row * Outputs + output], X[row * Inputs + input], sum);
        }

        DW[index] += sum;
    }
}
