// Ops of flows: products, sigmoid, monotone maps; the maps' formulas are Ptp.Core's own generic ones, compiled for the device.
// Equations are in IBackend. A map's element is one number of one row with its P parameters.
// Refuses: shape checks, which GpuBackend does.

using ILGPU;
using Ptp.Core.Heads.Flows;

namespace Ptp.Gpu.Kernels;

/// <summary>exp and log that mean the same on every device.</summary>
internal readonly struct DeviceElementary : IElementary<float>
{
    public float Exp(float x) => DeviceMath.Exp(x);

    public float Log(float x) => DeviceMath.Log(x);

    public float Sqrt(float x) => MathF.Sqrt(x);

    public float Of(float high, float low = 0) => high + low;
}

/// <summary>Floats of a view from a place on.</summary>
internal readonly struct FloatsInView(ArrayView<float> view, int first) : INumbers<float>, ISums<float>
{
    private readonly ArrayView<float> _view = view;
    private readonly int _first = first;

    public float Get(int index) => _view[_first + index];

    public void Add(int index, float value)
    {
        var view = _view;
        view[_first + index] += value;
    }
}

internal struct MultiplyAddKernel : IElementKernel
{
    public ArrayView<float> A, B, Y;

    public readonly void Element(int index) => Y[index] = DeviceMath.Fma(A[index], B[index], Y[index]);
}

internal struct SigmoidKernel : IElementKernel
{
    public ArrayView<float> X, Y;

    public readonly void Element(int index) => Y[index] = 1f / (1f + DeviceMath.Exp(-X[index]));
}

internal struct SigmoidBackwardKernel : IElementKernel
{
    public ArrayView<float> Y, DY, DX;

    public readonly void Element(int index) => DX[index] += DY[index] * Y[index] * (1f - Y[index]);
}

internal struct MapKernel : IElementKernel
{
    public MonotoneMap Map;
    public ArrayView<float> X, Parameters, Active, Y, LogSlopes;
    public int Columns, Count;

    public readonly void Element(int index)
    {
        if (Active[index % Columns] == 0f)
        {
            Y[index] = X[index];
            return;
        }

        var mapped = Map.Apply<float, DeviceElementary, FloatsInView>(X[index], new FloatsInView(Parameters, index * Count));
        Y[index] = mapped.Value;
        LogSlopes[index] += mapped.LogSlope;
    }
}

internal struct MapBackwardKernel : IElementKernel
{
    public MonotoneMap Map;
    public ArrayView<float> X, Parameters, Active, DY, DLogSlopes, DX, DParameters;
    public int Columns, Count;

    public readonly void Element(int index)
    {
        if (Active[index % Columns] == 0f)
        {
            DX[index] += DY[index];
            return;
        }

        DX[index] += Map.Backward<float, DeviceElementary, FloatsInView, FloatsInView>(
            X[index], new FloatsInView(Parameters, index * Count), DY[index], DLogSlopes[index], new FloatsInView(DParameters, index * Count));
    }
}
