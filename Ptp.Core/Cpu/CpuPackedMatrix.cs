// A weight in panels of 32 outputs, [ceil(N / 32)][K][32]: one sequential stream per panel. Weights that are BF16 numbers, as those
// of most files are, get panels of BF16 for calls of few rows, which are bound by reading; the bits of products stay the same.
// Refuses: nothing. Forms are made when a call first needs them; the weight must not change in between without a new Fill.

using Ptp.Core.Tensors;

namespace Ptp.Core.Cpu;

/// <summary>The CPU's packed weight.</summary>
internal sealed class CpuPackedMatrix(CpuBackend backend, int outputs, int inputs, bool transposed) : PackedMatrix
{
    private readonly Lock _gate = new();
    private Tensor? _weight;
    private Tensor? _full;
    private Tensor? _half;
    private volatile bool _fullFresh;
    private volatile bool _halfFresh;
    private bool _isHalf;

    public override int Outputs => outputs;

    public override int Inputs => inputs;

    /// <summary>True for the backward product's form.</summary>
    public bool Transposed => transposed;

    /// <summary>Takes a new weight.</summary>
    public unsafe void Fill(Tensor weight, CpuPool pool)
    {
        (_weight, _fullFresh, _halfFresh) = (weight, false, false);
        _isHalf = !transposed && MatMul.Use512 && HalfWeights.Hold(weight.Pointer, weight.Length);
        if (!_isHalf)
        {
            Full(pool);
        }
    }

    /// <summary>The panels for a call of so many rows.</summary>
    public Tensor Panels(int rows, CpuPool pool, out bool half)
    {
        half = _isHalf && rows <= MatMul.HalfRows && MatMul.Use512;
        if (half ? _halfFresh : _fullFresh)
        {
            return half ? _half! : _full!;
        }

        lock (_gate)
        {
            return half ? Half(pool) : Full(pool);
        }
    }

    private unsafe Tensor Full(CpuPool pool)
    {
        if (!_fullFresh)
        {
            _full ??= backend.Allocate(1, MatMul.PackedLength(outputs, inputs));
            if (transposed)
            {
                MatMul.PackRows(_weight!.Pointer, inputs, outputs, _full.Pointer, pool);
            }
            else
            {
                MatMul.Pack(_weight!.Pointer, outputs, inputs, _full.Pointer, pool);
            }

            _fullFresh = true;
        }

        return _full!;
    }

    private unsafe Tensor Half(CpuPool pool)
    {
        if (!_halfFresh)
        {
            _half ??= backend.Allocate(1, MatMul.PackedLength(outputs, inputs) / 2);
            MatMul.PackHalf(_weight!.Pointer, outputs, inputs, _half.Pointer, pool);
            _halfFresh = true;
        }

        return _half!;
    }
}
