// exp and softmax of 16,384 floats, rung by rung, under BenchmarkDotNet: `-- kernels --filter '*Elementary*'`.
// Scalar library calls, TensorPrimitives, FastMath on scalars and at its widest. One thread. Refuses: nothing of its own.

using BenchmarkDotNet.Attributes;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Bench.Kernels;

/// <summary>One benchmark per rung.</summary>
public class ElementaryLadder
{
    private const int Length = 16_384;
    private readonly Tensor _x;
    private readonly Tensor _y;

    public ElementaryLadder()
    {
        using var bench = new Bench(Plan.Tiny, peers: false);
        (_x, _y) = (bench.Random(1, Length, "x"), bench.Backend.Allocate(1, Length));
    }

    [Benchmark]
    public void ExpOfMathF()
    {
        var x = _x.Span;
        var y = _y.Span;
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = MathF.Exp(x[i]);
        }
    }

    [Benchmark]
    public void ExpOfTensorPrimitives() => TensorPrimitives.Exp<float>(_x.Span, _y.Span);

    [Benchmark]
    public void ExpOfFastMathScalar()
    {
        var x = _x.Span;
        var y = _y.Span;
        for (var i = 0; i < x.Length; i++)
        {
            y[i] = FastMath.Exp(x[i]);
        }
    }

    [Benchmark(Baseline = true)]
    public void ExpOfFastMath() => FastMath.Exp(_x.Span, _y.Span);

    [Benchmark]
    public void SoftmaxOfTensorPrimitives() => TensorPrimitives.SoftMax<float>(_x.Span, _y.Span);

    [Benchmark]
    public unsafe void SoftmaxOfOurs() => Softmax.InPlace(_y.Pointer, Length, 1f);
}
