// An invertible linear map by its LU factors (Kingma and Dhariwal 2018): y = (I + L)((diag exp(s) + N) x + t).
//   L strictly lower, N strictly upper triangular, log|det| = sum s: always invertible, the determinant costs nothing
// The inverse is two substitutions. Refuses: learned permutations; put a Permutation beside it.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>A linear layer with a bias.</summary>
public sealed class InvertibleLinear : IBijector
{
    private readonly IBackend _backend;
    private readonly Parameter _lower;
    private readonly Parameter _upper;
    private readonly Parameter _scale; // t_i, s_i
    private readonly Tensor _lowerMask;
    private readonly Tensor _upperMask;
    private readonly Tensor _all;

    /// <summary>A linear layer.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="width">D.</param>
    /// <param name="deviation">Of all parameters at the start; 0 = the identity.</param>
    /// <param name="seed">Their seed.</param>
    public InvertibleLinear(IBackend backend, int width, double deviation = 0, ulong seed = 0)
    {
        (_backend, Width) = (backend, width);
        var random = new RandomStream(seed, "invertible linear");
        (_lower, _lowerMask) = Triangle("linear.lower.weight", (row, column) => column < row);
        (_upper, _upperMask) = Triangle("linear.upper.weight", (row, column) => column > row);
        _scale = new Parameter(backend, "linear.scale", 1, 2 * width, isVector: true);
        Initialise.Gaussian(_scale, random, deviation);
        _all = backend.Allocate(1, width);
        backend.Fill(1f, _all);

        (Parameter, Tensor) Triangle(string name, Func<int, int, bool> inside)
        {
            var weight = new Parameter(backend, name, width, width);
            float[] mask = [.. Enumerable.Range(0, width * width).Select(i => inside(i / width, i % width) ? 1f : 0f)];
            Initialise.Set(weight, [.. mask.Select(m => (float)(m * deviation * random.NextGaussian()))]);
            var onDevice = backend.Allocate(width, width);
            backend.Upload(mask, onDevice);
            return (weight, onDevice);
        }
    }

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => [_lower, _upper, _scale];

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T>
    {
        var (lower, upper, scale) = Numbers<T>();
        var log = T.Zero;
        for (var i = 0; i < Width; i++)
        {
            y[i] = x[i] * T.Exp(scale[2 * i + 1]) + scale[2 * i];
            log += scale[2 * i + 1];
            for (var j = i + 1; j < Width; j++)
            {
                y[i] += upper[i * Width + j] * x[j];
            }
        }

        for (var i = Width - 1; i >= 0; i--)
        {
            for (var j = 0; j < i; j++)
            {
                y[i] += lower[i * Width + j] * y[j];
            }
        }

        return log;
    }

    /// <inheritdoc/>
    public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>
    {
        var (lower, upper, scale) = Numbers<T>();
        var log = T.Zero;
        y.CopyTo(x);
        for (var i = 0; i < Width; i++)
        {
            for (var j = 0; j < i; j++)
            {
                x[i] -= lower[i * Width + j] * x[j];
            }
        }

        for (var i = Width - 1; i >= 0; i--)
        {
            for (var j = i + 1; j < Width; j++)
            {
                x[i] -= upper[i * Width + j] * x[j];
            }

            x[i] = (x[i] - scale[2 * i]) * T.Exp(-scale[2 * i + 1]);
            log -= scale[2 * i + 1];
        }

        return log;
    }

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes)
    {
        tape.KeepMask(_lower, _lowerMask);
        tape.KeepMask(_upper, _upperMask);
        var scaled = tape.Map(MonotoneMap.Affine, x, tape.Rows(_scale, x.Value.Rows), _all, logSlopes);
        var high = tape.Add(scaled, tape.MatMul(x, _upper));
        return tape.Add(high, tape.MatMul(high, _lower));
    }

    /// <inheritdoc/>
    public Variable Inverse(Tape tape, Variable y, Variable logSlopes)
    {
        // Nilpotent factors: D sweeps of u = y - L u, then of x = exp(-s)(u - t - N x), are the substitutions, row by row.
        var u = Solve(y, _lower, sum => sum);
        var scale = tape.Rows(_scale, y.Value.Rows);
        var slopes = tape.Empty(y.Value.Rows, Width, needsGradient: false);
        var x = Solve(u, _upper, sum => tape.Map(MonotoneMap.Affine.Inverse, sum, scale, _all, slopes));
        tape.Map(MonotoneMap.Affine.Inverse, u, scale, _all, logSlopes); // for its slopes, which are the same at any point
        return x;

        Variable Solve(Variable right, Parameter triangle, Func<Variable, Variable> finish)
        {
            var solution = finish(right);
            for (var sweep = 1; sweep < Width; sweep++)
            {
                var sum = tape.Empty(right.Value.Rows, Width, needsGradient: false);
                _backend.Copy(right.Value, sum.Value);
                _backend.AddScaled(tape.MatMul(solution, triangle).Value, -1f, sum.Value);
                solution = finish(sum);
            }

            return solution;
        }
    }

    private (T[] Lower, T[] Upper, T[] Scale) Numbers<T>()
        where T : IFloatingPointIeee754<T> =>
        (HostNumbers.Of<T>(_backend, _lower.Value), HostNumbers.Of<T>(_backend, _upper.Value), HostNumbers.Of<T>(_backend, _scale.Value));
}
