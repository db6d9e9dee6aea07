// Floats in the memory of one device; tensors are views of them, as on the CPU.
// ILGPU frees a buffer when it is collected, or when its accelerator is disposed.
// Refuses: reading from the host. Download goes through the backend.

using ILGPU;
using ILGPU.Runtime;
using Ptp.Core.Tensors;

namespace Ptp.Gpu;

/// <summary>Device memory of one <see cref="GpuBackend"/>.</summary>
public sealed class GpuStorage : TensorStorage
{
    private readonly MemoryBuffer1D<float, Stride1D.Dense> _buffer;

    internal GpuStorage(GpuScope scope, MemoryBuffer1D<float, Stride1D.Dense> buffer) =>
        (Scope, _buffer) = (scope, buffer);

    /// <inheritdoc/>
    public override long Length => _buffer.Length;

    internal GpuScope Scope { get; }

    internal ArrayView<float> View(long offset, long length) => _buffer.View.BaseView.SubView(offset, length);
}

/// <summary>A weight as [inputs, outputs]: neighbouring threads, one per output, read neighbouring floats, or words of <see cref="Kernels.HalfWeights"/>.</summary>
internal sealed class GpuPackedMatrix(int outputs, int inputs, Tensor weight, bool isHalf) : PackedMatrix
{
    public override int Outputs => outputs;

    public override int Inputs => inputs;

    /// <summary>Floats [inputs, outputs], or the memory of words [ceil(inputs / 2), outputs].</summary>
    public Tensor Weight => weight;

    public bool IsHalf => isHalf;
}
