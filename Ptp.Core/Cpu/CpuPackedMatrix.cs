// A weight in panels of 32 outputs, [ceil(N / 32)][K][32] for 512-bit vectors, in quarters of eight for others (QuarterPanels.cs).
// Weights that are BF16 numbers, as those of most files are, get panels of BF16 for calls of few rows, which are bound by reading; the
// bits of products stay the same. Weights asked for as int8 get panels of bytes and scales (ByteWeights.cs).
// Refuses: nothing. Forms are made when first needed; the weight must not change in between without a new Fill.

using Ptp.Core.Tensors;

namespace Ptp.Core.Cpu;

/// <summary>How panels hold weights.</summary>
internal enum PanelForm
{
    /// <summary>Floats.</summary>
    Full,

    /// <summary>BF16, two to a word; the same bits of every product.</summary>
    Half,

    /// <summary>Signed bytes with a scale for 64 of them.</summary>
    Bytes,
}

/// <summary>The CPU's packed weight.</summary>
internal sealed unsafe class CpuPackedMatrix(int outputs, int inputs, bool transposed, WeightFormat format) : PackedMatrix
{
    private const long LastCache = 100_000_000; // bytes read since a weight was, beyond which no cache has it; no bit depends on it
    private readonly Lock _gate = new();
    private readonly PanelMemory?[] _panels = new PanelMemory?[3];
    private readonly bool[] _fresh = new bool[3];
    private VectorWidth _width; // whose panels these are
    private Tensor? _weight;
    private bool _isHalf;
    private long _lastRead;
    private int _farCalls;

    public override int Outputs => outputs;

    public override int Inputs => inputs;

    /// <summary>True for the backward product's form.</summary>
    public bool Transposed => transposed;

    /// <summary>How the weights are stored.</summary>
    public WeightFormat Format => format;

    /// <summary>Takes a new weight.</summary>
    public void Fill(Tensor weight, CpuPool pool)
    {
        _weight = weight;
        Array.Clear(_fresh);
        _isHalf = !transposed && MatMul.Width != VectorWidth.Portable && HalfWeights.Hold(weight.Pointer, weight.Length);
        if (format == WeightFormat.Int8 || !_isHalf)
        {
            Panels(int.MaxValue, pool, out _);
        }
    }

    /// <summary>The panels for a call of so many rows.</summary>
    public PanelMemory Panels(int rows, CpuPool pool, out PanelForm form)
    {
        form = format == WeightFormat.Int8 && !transposed ? PanelForm.Bytes
            : _isHalf && rows <= MatMul.HalfRows && MatMul.Width != VectorWidth.Portable ? PanelForm.Half
            : PanelForm.Full;
        var i = (int)form;
        if (!Volatile.Read(ref _fresh[i]) || _width != MatMul.Width)
        {
            lock (_gate)
            {
                Make(form, pool);
            }
        }

        return _panels[i]!;
    }

    /// <summary>True if, three calls in a row, so much else was read since the last one that no cache had this weight any more.</summary>
    /// <remarks>In a row, because a single pause is no habit, and kernels for weights far away are compiled when first used.</remarks>
    /// <param name="read">Bytes of weights that the backend has read so far, this call's among them.</param>
    public bool IsFar(long read)
    {
        _farCalls = read - Interlocked.Exchange(ref _lastRead, read) > LastCache ? _farCalls + 1 : 0;
        return _farCalls >= 3;
    }

    private void Make(PanelForm form, CpuPool pool)
    {
        var i = (int)form;
        if (_width != MatMul.Width)
        {
            Array.Clear(_fresh);
            _width = MatMul.Width;
        }

        if (_fresh[i])
        {
            return;
        }

        _panels[i] ??= PanelMemory.Take(MatMul.PanelBytes(form, outputs, inputs));
        var weight = _weight!.Pointer;
        var panels = _panels[i]!.Start;
        switch (form)
        {
            case PanelForm.Bytes: MatMul.PackBytes(weight, outputs, inputs, panels, pool); break;
            case PanelForm.Half: MatMul.PackHalf(weight, outputs, inputs, panels, pool); break;
            default:
                if (transposed)
                {
                    MatMul.PackRows(weight, inputs, outputs, (float*)panels, pool);
                }
                else
                {
                    MatMul.Pack(weight, outputs, inputs, (float*)panels, pool);
                }

                break;
        }

        Volatile.Write(ref _fresh[i], true);
    }
}
