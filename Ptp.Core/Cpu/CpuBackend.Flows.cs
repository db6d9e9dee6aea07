// The flow ops of the backend contract on the CPU: formulas of Heads/Flows over pointers, rows shared by the pool.
// See IBackend for the equations.
// Refuses: vectors; a map of one number branches on where the number lies, and flows are narrow.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Core.Cpu;

public sealed unsafe partial class CpuBackend
{
    /// <inheritdoc/>
    public void MultiplyAdd(Tensor a, Tensor b, Tensor y)
    {
        Same(a, b);
        Same(a, y);
        TensorPrimitives.MultiplyAdd(a.Span, b.Span, y.Span, y.Span);
    }

    /// <inheritdoc/>
    public void Sigmoid(Tensor x, Tensor y)
    {
        Same(x, y);
        float* from = x.Pointer, to = y.Pointer;
        for (var i = 0; i < y.Length; i++)
        {
            to[i] = FastMath.Sigmoid(from[i]);
        }
    }

    /// <inheritdoc/>
    public void SigmoidBackward(Tensor y, Tensor dY, Tensor dX)
    {
        Same(y, dY);
        Same(y, dX);
        float* value = y.Pointer, from = dY.Pointer, to = dX.Pointer;
        for (var i = 0; i < y.Length; i++)
        {
            to[i] += from[i] * value[i] * (1f - value[i]);
        }
    }

    /// <inheritdoc/>
    public void Map(MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor y, Tensor logSlopes)
    {
        Same(x, y);
        Same(x, logSlopes);
        Shape(parameters, x.Rows, x.Columns * map.ParameterCount);
        Shape(active, 1, x.Columns);
        var job = new MapJob
        {
            Map = map,
            X = x.Pointer,
            Parameters = parameters.Pointer,
            Active = active.Pointer,
            Y = y.Pointer,
            LogSlopes = logSlopes.Pointer,
            Columns = x.Columns,
        };
        _pool.Run(x.Rows, &MapRow, &job);
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
        var job = new MapJob
        {
            Map = map,
            X = x.Pointer,
            Parameters = parameters.Pointer,
            Active = active.Pointer,
            Y = dY.Pointer,
            LogSlopes = dLogSlopes.Pointer,
            DX = dX.Pointer,
            DParameters = dParameters.Pointer,
            Columns = x.Columns,
        };
        _pool.Run(x.Rows, &MapBackwardRow, &job);
    }

    private static void MapRow(void* context, int row)
    {
        var job = (MapJob*)context;
        var count = job->Map.ParameterCount;
        for (var i = row * job->Columns; i < (row + 1) * job->Columns; i++)
        {
            if (job->Active[i - row * job->Columns] == 0)
            {
                job->Y[i] = job->X[i];
                continue;
            }

            var mapped = job->Map.Apply<float, HostMath<float>, FloatsAt>(job->X[i], new FloatsAt(job->Parameters + i * count));
            job->Y[i] = mapped.Value;
            job->LogSlopes[i] += mapped.LogSlope;
        }
    }

    private static void MapBackwardRow(void* context, int row)
    {
        var job = (MapJob*)context;
        var count = job->Map.ParameterCount;
        for (var i = row * job->Columns; i < (row + 1) * job->Columns; i++)
        {
            job->DX[i] += job->Active[i - row * job->Columns] == 0
                ? job->Y[i]
                : job->Map.Backward<float, HostMath<float>, FloatsAt, FloatsAt>(
                    job->X[i], new FloatsAt(job->Parameters + i * count), job->Y[i], job->LogSlopes[i],
                    new FloatsAt(job->DParameters + i * count));
        }
    }

    /// <summary>Backward reads dY and dLogSlopes where forward writes.</summary>
    private struct MapJob
    {
        public MonotoneMap Map;
        public float* X;
        public float* Parameters;
        public float* Active;
        public float* Y;
        public float* LogSlopes;
        public float* DX;
        public float* DParameters;
        public int Columns;
    }
}
