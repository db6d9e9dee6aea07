// exp, softmax and SwiGLU on one thread against TensorPrimitives, and their errors in units in the last place (ulp).
//   error in ulp = |computed - true| / (distance of neighbouring floats at the true value), truth in double
// Floor of a time: the same vector copied. Refuses: denormal results, which exp here flushes to zero by design.

using System.Reflection;
using Ptp.Bench.Peers;
using Ptp.Core.Cpu;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Bench.Rows;

/// <summary>Rows about elementary functions.</summary>
internal static unsafe class ElementwiseRows
{
    private const string Group = "Elementary functions, one thread";
    private static readonly string s_version = typeof(TensorPrimitives).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>Times and errors.</summary>
    public static IEnumerable<Row> All(Bench bench)
    {
        var length = bench.Plan.Of(64, 16384, 16384);
        var (x, b, y) = (bench.Random(1, length, "x"), bench.Random(1, length, "b"), bench.Backend.Allocate(1, length));
        var theirs = new float[length];
        var scratch = new float[length];
        IEnumerable<Row> Time(string name, Action ours, params Contestant[] peers) => Contest.Run(
            bench.Plan, Group, $"{name}, {length} floats", Unit.NanosecondsPerElement, 1e9 / length, s => Clock.Time(ours, s), peers,
            () => 1e9 / length * Clock.Time(() => x.Span.CopyTo(scratch), bench.Plan.Slice / 2), warmUp: bench.Plan.Of(0, 0.7, 0.7)); // TensorPrimitives runs in a slow tier for half a second

        var softmax = bench.Random(1, length, "softmax");
        return Time("exp", () => FastMath.Exp(x.Span, y.Span), Primitives(() => TensorPrimitives.Exp<float>(x.Span, theirs)))
            .Concat(Time("softmax", () => Softmax.InPlace(softmax.Pointer, length, 1f),
                Primitives(() => TensorPrimitives.SoftMax<float>(x.Span, theirs)), OnnxSoftmax(bench, length)))
            .Concat(Time("silu(a) b", () => bench.OneThread.SwiGlu(x, b, y), Primitives(() =>
            {
                TensorPrimitives.Sigmoid<float>(x.Span, theirs);
                TensorPrimitives.Multiply(theirs, x.Span, theirs);
                TensorPrimitives.Multiply(theirs, b.Span, theirs);
            })))
            .Concat(Errors(bench));
    }

    /// <summary>Largest errors over all of the arguments' range, 65,536 at a time.</summary>
    public static IEnumerable<Row> Errors(Bench bench)
    {
        const int block = 1 << 16;
        var blocks = bench.Plan.Of(1, 32, 256);
        var (x, one, y) = (bench.Backend.Allocate(1, block), bench.Backend.Allocate(1, block), bench.Backend.Allocate(1, block));
        bench.Backend.Fill(1f, one);
        var theirs = new float[block];
        double ownExp = 0, theirExp = 0, ownSilu = 0, theirSilu = 0;
        for (var i = 0; i < blocks; i++)
        {
            for (var j = 0; j < block; j++)
            {
                // Evenly over [-87, 88], each block between the points of the others.
                x.Span[j] = (float)(-87 + 175.0 * (j + (i + 0.5) / blocks) / block);
            }

            FastMath.Exp(x.Span, y.Span);
            ownExp = Math.Max(ownExp, Worst(x.Span, y.Span, Math.Exp));
            TensorPrimitives.Exp<float>(x.Span, theirs);
            theirExp = Math.Max(theirExp, Worst(x.Span, theirs, Math.Exp));
            static double Silu(double a) => a / (1 + Math.Exp(-a));
            bench.OneThread.SwiGlu(x, one, y);
            ownSilu = Math.Max(ownSilu, Worst(x.Span, y.Span, Silu));
            TensorPrimitives.Sigmoid<float>(x.Span, theirs);
            TensorPrimitives.Multiply(theirs, x.Span, theirs);
            theirSilu = Math.Max(theirSilu, Worst(x.Span, theirs, Silu));
        }

        Row Error(string name, double own, double their) =>
            new(Group, $"{name}, largest error on [-87, 88]", own, Unit.Ulp, Primitives(null).Label, their, their / own, 0.5, 0.5 / own);
        yield return Error("exp", ownExp, theirExp);
        yield return Error("silu", ownSilu, theirSilu);
    }

    private static double Worst(ReadOnlySpan<float> x, ReadOnlySpan<float> y, Func<double, double> truth)
    {
        var worst = 0.0;
        for (var i = 0; i < x.Length; i++)
        {
            var exact = truth(x[i]);
            var rounded = MathF.Abs((float)exact);
            if (rounded is >= 1.2e-38f and < float.MaxValue) // below, exp flushes to zero
            {
                worst = Math.Max(worst, Math.Abs(y[i] - exact) / (MathF.BitIncrement(rounded) - (double)rounded));
            }
        }

        return worst;
    }

    private static Contestant Primitives(Action? body) => Contestant.Of("TensorPrimitives", s_version, body);

    private static Contestant OnnxSoftmax(Bench bench, int length) => bench.AskOnnx(onnx =>
    {
        var (x, y) = (new OnnxTensor("x", [1, length]), new OnnxTensor("y", [1, length]));
        return onnx.Session(OnnxGraph.Model([x], y, new OnnxNode("Softmax", ["x"], "y")),
            [(x, bench.Random(1, length, "x").Span.ToArray())], (y, new float[length]));
    });
}
