// How packed weights [K, N] stand in the device's memory: as floats, or as BF16 where every weight is one already, which halves what a call reads.
//   BF16: word [k / 2, n] holds w[k, n] in its lower and w[k + 1, n] in its upper half, k even: a shift and a mask give the floats back
// The floats are the very ones that were packed, so products keep their bits. Refuses: rounding; other weights stay floats.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace Ptp.Gpu.Kernels;

/// <summary>The weights of a product.</summary>
internal interface IWeights
{
    /// <summary>w[k, column].</summary>
    /// <param name="k">Inner index.</param>
    /// <param name="column">Which output.</param>
    /// <param name="columns">N.</param>
    float One(int k, int column, int columns);

    /// <summary>w[k, column] to w[k, column + 3]; column and N are multiples of four.</summary>
    Float4 Along(int k, int column, int columns);

    /// <summary>w[k, column] to w[k + 3, column]; k is a multiple of four.</summary>
    Float4 Down(int k, int column, int columns);
}

/// <summary>Floats.</summary>
internal struct FullWeights : IWeights
{
    public ArrayView<float> View;

    public readonly float One(int k, int column, int columns) => View[(k * columns) + column];

    public readonly Float4 Along(int k, int column, int columns) => View.ByFours()[((k * columns) + column) / 4];

    public readonly Float4 Down(int k, int column, int columns)
    {
        var at = (k * columns) + column;
        return new Float4 { A = View[at], B = View[at + columns], C = View[at + (2 * columns)], D = View[at + (3 * columns)] };
    }
}

/// <summary>BF16, two to a word.</summary>
internal struct HalfWeights : IWeights
{
    public ArrayView<uint> View;

    public readonly float One(int k, int column, int columns) => Half(View[(k / 2 * columns) + column], k);

    public readonly Float4 Along(int k, int column, int columns)
    {
        var words = View.AsAligned(16).Cast<Words>()[((k / 2 * columns) + column) / 4];
        return new Float4 { A = Half(words.A, k), B = Half(words.B, k), C = Half(words.C, k), D = Half(words.D, k) };
    }

    public readonly Float4 Down(int k, int column, int columns)
    {
        var at = (k / 2 * columns) + column;
        var (first, second) = (View[at], View[at + columns]);
        return new Float4 { A = Half(first, 0), B = Half(first, 1), C = Half(second, 0), D = Half(second, 1) };
    }

    private static float Half(uint pair, int k) => Interop.IntAsFloat(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);

    [StructLayout(LayoutKind.Sequential)]
    private struct Words
    {
        public uint A, B, C, D;
    }
}

/// <summary>Words of BF16 [ceil(K / 2), N] from a weight [N, K] whose floats are BF16 already.</summary>
internal struct HalvePairsKernel : IElementKernel
{
    public ArrayView<float> X;
    public ArrayView<uint> Y;
    public int Rows, Columns; // N, K

    public readonly void Element(int index)
    {
        var k = 2 * (index / Rows);
        var at = ((index - (k / 2 * Rows)) * Columns) + k;
        Y[index] = DeviceMath.Pair(X[at], k + 1 < Columns ? X[at + 1] : 0f);
    }
}

/// <summary>found[i] = 1 if one of x[i], x[i + stride], ... is no BF16, else 0.</summary>
internal struct FindLongKernel : IElementKernel
{
    public ArrayView<float> X, Found;
    public int Length, Stride;

    public readonly void Element(int index)
    {
        var bits = 0u;
        for (var i = index; i < Length; i += Stride)
        {
            bits |= Interop.FloatAsInt(X[i]);
        }

        Found[index] = (bits & 0xffffu) == 0u ? 0f : 1f;
    }
}
