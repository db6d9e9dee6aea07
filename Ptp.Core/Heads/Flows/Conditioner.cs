// The network that tells a flow its parameters: x -> h = W x + b, twice h += Down silu(Gate h) Up h, p = W' h + b', with holes in
// the weights so that number i's parameters see only what they may (MADE, Germain et al. 2015): an input of degree a reaches
// hidden units of degree >= a, and a hidden unit of degree h reaches outputs of degree > h.
// Refuses: sizes that are not positive.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>Sizes of a conditioner.</summary>
/// <param name="Hidden">Units of its hidden layers.</param>
/// <param name="Blocks">Gated residual blocks.</param>
/// <param name="Deviation">Of the last layer's weights at the start; 0 = the flow starts as its map at parameters of zero.</param>
public sealed record ConditionerSize(int Hidden = 64, int Blocks = 2, double Deviation = 0);

/// <summary>A masked network of one flow layer.</summary>
public sealed class Conditioner
{
    /// <summary>The degree of an input that nothing may see.</summary>
    public const int Unseen = int.MaxValue;

    private readonly IBackend _backend;
    private readonly List<(Parameter Weight, float[] Mask, Tensor OnDevice)> _masked = [];
    private readonly Parameter _inBias;
    private readonly Parameter _outBias;
    private readonly Parameter[] _block; // gate, up, down of each block

    /// <summary>A network of given degrees.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="name">Of its parameters.</param>
    /// <param name="inputs">Degree of each input, 0 = seen by all, or <see cref="Unseen"/>, [D].</param>
    /// <param name="outputs">Degree of each output number, [D]; each has <paramref name="perOutput"/> parameters.</param>
    /// <param name="perOutput">P.</param>
    /// <param name="size">Sizes.</param>
    /// <param name="seed">Seed of its weights.</param>
    public Conditioner(
        IBackend backend, string name, int[] inputs, int[] outputs, int perOutput, ConditionerSize size, ulong seed)
    {
        Guard.Require(size is { Hidden: > 0, Blocks: >= 0 } && perOutput > 0 && inputs.Length > 0, "Make a conditioner",
            $"{size}, {perOutput} parameters for each of {inputs.Length} numbers", "positive sizes", "Correct the sizes.");
        _backend = backend;
        (Inputs, Outputs) = (inputs.Length, outputs.Length * perOutput);
        var random = new RandomStream(seed, name);
        var most = outputs.Max();

        // Hidden degrees 0 to the highest useful one, in turn: every conditional has units of its own.
        int[] hidden = [.. Enumerable.Range(0, size.Hidden).Select(unit => unit % Math.Max(1, most))];
        int[] wide = [.. outputs.SelectMany(degree => Enumerable.Repeat(degree, perOutput))];
        Masked("in.weight", hidden, inputs, (unit, input) => unit >= input, 1 / Math.Sqrt(inputs.Length));
        var root = 1 / Math.Sqrt(size.Hidden);
        _block = [.. Enumerable.Range(0, 3 * size.Blocks).Select(i => Masked(
            $"block.{i / 3}.{(i % 3) switch { 0 => "gate", 1 => "up", _ => "down" }}.weight", hidden, hidden, (to, from) => to >= from, root))];
        Masked("out.weight", wide, hidden, (output, unit) => output > unit, size.Deviation * root);
        _inBias = Bias("in.bias", size.Hidden, 0.5);
        _outBias = Bias("out.bias", Outputs, size.Deviation);

        Parameter Masked(string part, int[] to, int[] from, Func<int, int, bool> sees, double deviation)
        {
            var weight = new Parameter(backend, $"{name}.{part}", to.Length, from.Length);
            float[] mask = [.. to.SelectMany(t => from.Select(f => sees(t, f) ? 1f : 0f))];
            Initialise.Set(weight, [.. mask.Select(m => (float)(m * deviation * random.NextGaussian()))]);
            var onDevice = backend.Allocate(to.Length, from.Length);
            backend.Upload(mask, onDevice);
            _masked.Add((weight, mask, onDevice));
            return weight;
        }

        Parameter Bias(string part, int width, double deviation)
        {
            var bias = new Parameter(backend, $"{name}.{part}", 1, width, isVector: true);
            Initialise.Gaussian(bias, random, deviation);
            return bias;
        }
    }

    /// <summary>D.</summary>
    public int Inputs { get; }

    /// <summary>D * P.</summary>
    public int Outputs { get; }

    /// <summary>What is trained.</summary>
    public IEnumerable<Parameter> Parameters => [.. _masked.Select(m => m.Weight), _inBias, _outBias];

    /// <summary>Parameters of many points, [R, D] to [R, D * P].</summary>
    public Variable Run(Tape tape, Variable x)
    {
        foreach (var (weight, _, mask) in _masked)
        {
            tape.KeepMask(weight, mask);
        }

        var h = tape.Linear(x, _masked[0].Weight, _inBias);
        for (var i = 0; i < _block.Length; i += 3)
        {
            var gated = tape.SwiGlu(tape.MatMul(h, _block[i]), tape.MatMul(h, _block[i + 1]));
            h = tape.Add(h, tape.MatMul(gated, _block[i + 2]));
        }

        return tape.Linear(h, _masked[^1].Weight, _outBias);
    }

    /// <summary>Parameters of one point, [D * P].</summary>
    /// <param name="x">[D]; what no output may see may be anything finite.</param>
    /// <typeparam name="T">double or float.</typeparam>
    public T[] Run<T>(ReadOnlySpan<T> x)
        where T : IFloatingPointIeee754<T>
    {
        var h = Linear(x, _masked[0].Weight, Host<T>(_inBias));
        for (var i = 0; i < _block.Length; i += 3)
        {
            var (gate, up) = (Linear<T>(h, _block[i], null), Linear<T>(h, _block[i + 1], null));
            for (var unit = 0; unit < gate.Length; unit++)
            {
                gate[unit] *= Smooth.Sigmoid<T, HostMath<T>>(gate[unit]) * up[unit];
            }

            h = Linear<T>(gate, _block[i + 2], h);
        }

        return Linear<T>(h, _masked[^1].Weight, Host<T>(_outBias));
    }

    /// <summary>Sum (or null) + W x.</summary>
    private T[] Linear<T>(ReadOnlySpan<T> x, Parameter weight, T[]? sum)
        where T : IFloatingPointIeee754<T>
    {
        var w = Host<T>(weight);
        var y = sum ?? new T[weight.Value.Rows];
        for (var row = 0; row < y.Length; row++)
        {
            for (var i = 0; i < x.Length; i++)
            {
                y[row] += w[row * x.Length + i] * x[i];
            }
        }

        return y;
    }

    private T[] Host<T>(Parameter parameter)
        where T : IFloatingPointIeee754<T> => HostNumbers.Of<T>(_backend, parameter.Value);
}

/// <summary>A tensor's numbers on the host, in a wider type where that is asked for.</summary>
internal static class HostNumbers
{
    public static T[] Of<T>(IBackend backend, Tensor tensor)
        where T : IFloatingPointIeee754<T>
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return Array.ConvertAll(values, v => T.CreateTruncating(v));
    }
}
