// The flow ops of the backend contract on ILGPU: checks shapes, then launches the kernels of Kernels/Flows.
// See IBackend for the equations.
// Refuses: what the other half of this class refuses.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <inheritdoc/>
    public void MultiplyAdd(Tensor a, Tensor b, Tensor y)
    {
        Same(a, b);
        Same(a, y);
        Run(y.Length, new MultiplyAddKernel { A = View(a), B = View(b), Y = View(y) });
    }

    /// <inheritdoc/>
    public void Sigmoid(Tensor x, Tensor y)
    {
        Same(x, y);
        Run(y.Length, new SigmoidKernel { X = View(x), Y = View(y) });
    }

    /// <inheritdoc/>
    public void SigmoidBackward(Tensor y, Tensor dY, Tensor dX)
    {
        Same(y, dY);
        Same(y, dX);
        Run(y.Length, new SigmoidBackwardKernel { Y = View(y), DY = View(dY), DX = View(dX) });
    }

    /// <inheritdoc/>
    public void Map(MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor y, Tensor logSlopes)
    {
        Same(x, y);
        Same(x, logSlopes);
        Shape(parameters, x.Rows, x.Columns * map.ParameterCount);
        Shape(active, 1, x.Columns);
        Run(x.Length, new MapKernel
        {
            Map = map,
            X = View(x),
            Parameters = View(parameters),
            Active = View(active),
            Y = View(y),
            LogSlopes = View(logSlopes),
            Columns = x.Columns,
            Count = map.ParameterCount,
        });
    }

    /// <inheritdoc/>
    public void MapBackward(
        MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor dY, Tensor dLogSlopes, Tensor dX, Tensor dParameters)
    {
        Same(x, dY);
        Same(x, dLogSlopes);
        Same(x, dX);
        Shape(parameters, x.Rows, x.Columns * map.ParameterCount);
        Same(parameters, dParameters);
        Shape(active, 1, x.Columns);
        Run(x.Length, new MapBackwardKernel
        {
            Map = map,
            X = View(x),
            Parameters = View(parameters),
            Active = View(active),
            DY = View(dY),
            DLogSlopes = View(dLogSlopes),
            DX = View(dX),
            DParameters = View(dParameters),
            Columns = x.Columns,
            Count = map.ParameterCount,
        });
    }
}
