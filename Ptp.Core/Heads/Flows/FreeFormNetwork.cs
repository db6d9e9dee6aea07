// A smooth unconstrained map of D numbers: y = x + W' h + b', h_0 = W x + b, h_{i+1} = h_i + D_i silu(U_i h_i + c_i).
// It also pushes a direction forward, dy = f'(x) v (forward mode), by ops that are recorded themselves: the tape run backwards from dy
// gives the gradient of v^T f'(x) w with respect to the weights. Refuses: sizes that are not positive.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>An encoder or decoder of a free-form flow.</summary>
public sealed class FreeFormNetwork
{
    private readonly IBackend _backend;
    private readonly (Parameter Weight, Parameter Bias) _in;
    private readonly (Parameter Weight, Parameter Bias) _out;
    private readonly (Parameter Up, Parameter UpBias, Parameter Down)[] _blocks;

    /// <summary>A network close to the identity.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="name">Of its parameters.</param>
    /// <param name="width">D.</param>
    /// <param name="hidden">H.</param>
    /// <param name="blocks">Residual blocks; 0 = an affine map.</param>
    /// <param name="seed">Seed of its weights.</param>
    public FreeFormNetwork(IBackend backend, string name, int width, int hidden, int blocks, ulong seed)
    {
        Guard.Require(width > 0 && hidden > 0 && blocks is >= 0 and <= 64, "Make a free-form network", $"width {width}, {hidden} units, {blocks} blocks",
            "positive sizes, 0 to 64 blocks", "Correct the sizes.");
        (_backend, Width) = (backend, width);
        var random = new RandomStream(seed, name);
        _in = (Matrix("in.weight", hidden, width, 1 / Math.Sqrt(width)), Bias("in.bias", hidden, 0.5));
        _blocks = [.. Enumerable.Range(0, blocks).Select(i => (
            Matrix($"block.{i}.up.weight", hidden, hidden, 1 / Math.Sqrt(hidden)), Bias($"block.{i}.up.bias", hidden, 0),
            Matrix($"block.{i}.down.weight", hidden, hidden, 1 / Math.Sqrt(hidden * blocks))))];
        _out = (Matrix("out.weight", width, hidden, 0.1 / Math.Sqrt(hidden)), Bias("out.bias", width, 0));

        Parameter Matrix(string part, int rows, int columns, double deviation)
        {
            var weight = new Parameter(backend, $"{name}.{part}", rows, columns);
            Initialise.Gaussian(weight, random, deviation);
            return weight;
        }

        Parameter Bias(string part, int columns, double deviation)
        {
            var bias = new Parameter(backend, $"{name}.{part}", 1, columns, isVector: true);
            Initialise.Gaussian(bias, random, deviation);
            return bias;
        }
    }

    /// <summary>D.</summary>
    public int Width { get; }

    /// <summary>What is trained.</summary>
    public IEnumerable<Parameter> Parameters =>
        [_in.Weight, _in.Bias, .. _blocks.SelectMany(b => (Parameter[])[b.Up, b.UpBias, b.Down]), _out.Weight, _out.Bias];

    /// <summary>f(x), [R, D].</summary>
    public Variable Run(Tape tape, Variable x)
    {
        var h = tape.Linear(x, _in.Weight, _in.Bias);
        foreach (var (up, bias, down) in _blocks)
        {
            var a = tape.Linear(h, up, bias);
            h = tape.Add(h, tape.MatMul(tape.Multiply(a, tape.Sigmoid(a)), down));
        }

        return tape.Add(x, tape.Linear(h, _out.Weight, _out.Bias));
    }

    /// <summary>f(x) and f'(x) v, [R, D] each.</summary>
    public (Variable Value, Variable Direction) Push(Tape tape, Variable x, Variable v)
    {
        var (h, dh) = (tape.Linear(x, _in.Weight, _in.Bias), tape.MatMul(v, _in.Weight));
        foreach (var (up, bias, down) in _blocks)
        {
            var (a, da) = (tape.Linear(h, up, bias), tape.MatMul(dh, up));
            var s = tape.Sigmoid(a);
            var silu = tape.Multiply(a, s);

            // silu' = s + silu (1 - s)
            var slope = tape.AddScaled(tape.Add(s, silu), tape.Multiply(silu, s), -1);
            h = tape.Add(h, tape.MatMul(silu, down));
            dh = tape.Add(dh, tape.MatMul(tape.Multiply(slope, da), down));
        }

        return (tape.Add(x, tape.Linear(h, _out.Weight, _out.Bias)), tape.Add(v, tape.MatMul(dh, _out.Weight)));
    }

    /// <summary>f(x) and f'(x) v of one point in the platform's arithmetic.</summary>
    /// <param name="x">[D].</param>
    /// <param name="v">[D].</param>
    /// <typeparam name="T">double or float.</typeparam>
    public (T[] Value, T[] Direction) Push<T>(ReadOnlySpan<T> x, ReadOnlySpan<T> v)
        where T : IFloatingPointIeee754<T>
    {
        var (h, dh) = (Product(_in.Weight, x, _in.Bias), Product(_in.Weight, v));
        foreach (var (up, bias, down) in _blocks)
        {
            var (a, da) = (Product<T>(up, h, bias), Product<T>(up, dh));
            for (var unit = 0; unit < a.Length; unit++)
            {
                var s = Smooth.Sigmoid<T, HostMath<T>>(a[unit]);
                a[unit] *= s;
                da[unit] *= s + a[unit] * (T.One - s);
            }

            (h, dh) = (Sum(h, Product<T>(down, a)), Sum(dh, Product<T>(down, da)));
        }

        return (Sum(x, Product<T>(_out.Weight, h, _out.Bias)), Sum(v, Product<T>(_out.Weight, dh)));
    }

    /// <summary>f'(x), [D, D], one pushed unit vector per column.</summary>
    public T[,] Jacobian<T>(ReadOnlySpan<T> x)
        where T : IFloatingPointIeee754<T>
    {
        var jacobian = new T[Width, Width];
        var unit = new T[Width];
        for (var column = 0; column < Width; column++)
        {
            unit.AsSpan().Clear();
            unit[column] = T.One;
            var pushed = Push<T>(x, unit).Direction;
            for (var row = 0; row < Width; row++)
            {
                jacobian[row, column] = pushed[row];
            }
        }

        return jacobian;
    }

    private T[] Product<T>(Parameter weight, ReadOnlySpan<T> x, Parameter? bias = null)
        where T : IFloatingPointIeee754<T>
    {
        var w = HostNumbers.Of<T>(_backend, weight.Value);
        var y = bias is null ? new T[weight.Value.Rows] : HostNumbers.Of<T>(_backend, bias.Value);
        for (var row = 0; row < y.Length; row++)
        {
            for (var i = 0; i < x.Length; i++)
            {
                y[row] += w[row * x.Length + i] * x[i];
            }
        }

        return y;
    }

    private static T[] Sum<T>(ReadOnlySpan<T> a, ReadOnlySpan<T> b)
        where T : IFloatingPointIeee754<T>
    {
        var sum = a.ToArray();
        for (var i = 0; i < sum.Length; i++)
        {
            sum[i] += b[i];
        }

        return sum;
    }
}
