// Autoregressive flows: number i is mapped with parameters that a masked network reads off the numbers before it.
//   MAF (Papamakarios 2017), from data to noise: z_i = f^-1(x_i; p(x_<i));  IAF (Kingma 2016), from noise to data: x_i = f(z_i; p(z_<i))
// Each runs its own direction in one pass and the other in D. MAF with f and IAF with f^-1 and the same net are one function, so what the
// one does in a pass the other undoes in steps. Refuses: a cheap inverse, by its type.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>What both have in common: y_i = f(x_i; p(x_&lt;i)).</summary>
public abstract class AutoregressiveFlow : ITriangularFlow
{
    private readonly MonotoneMap _map;
    private readonly Conditioner _conditioner;
    private readonly Tensor _all;

    private protected AutoregressiveFlow(MonotoneMap map, Conditioner conditioner, IBackend backend)
    {
        (_map, _conditioner, Width) = (map, conditioner, conditioner.Inputs);
        _all = backend.Allocate(1, Width);
        backend.Fill(1f, _all);
        Guard.Require(conditioner.Outputs == Width * map.ParameterCount, "Make an autoregressive flow",
            $"a network of {conditioner.Outputs} outputs", $"{Width} times {map.ParameterCount}", "Make it with Network and the same map.");
    }

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => _conditioner.Parameters;

    /// <summary>A network whose parameters of number i see numbers before i alone.</summary>
    public static Conditioner Network(IBackend backend, int width, MonotoneMap map, ConditionerSize size, ulong seed)
    {
        int[] degrees = [.. Enumerable.Range(1, width)];
        return new Conditioner(backend, "autoregressive", degrees, degrees, map.ParameterCount, size, seed);
    }

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T>
    {
        var (parameters, count, log) = (_conditioner.Run(x), _map.ParameterCount, T.Zero);
        for (var i = 0; i < x.Length; i++)
        {
            var mapped = _map.Apply(x[i], parameters.AsSpan(i * count, count));
            y[i] = mapped.Value;
            log += mapped.LogSlope;
        }

        return log;
    }

    /// <inheritdoc/>
    public T InverseInSteps<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>
    {
        var (map, count, log) = (_map.Inverse, _map.ParameterCount, T.Zero);
        x.Clear();
        for (var i = 0; i < x.Length; i++)
        {
            var mapped = map.Apply(y[i], _conditioner.Run<T>(x).AsSpan(i * count, count));
            x[i] = mapped.Value;
            log += mapped.LogSlope;
        }

        return log;
    }

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes) =>
        tape.Map(_map, x, _conditioner.Run(tape, x), _all, logSlopes);

    /// <inheritdoc/>
    public Variable InverseInSteps(Tape tape, Variable y, Variable logSlopes)
    {
        var x = tape.Empty(y.Value.Rows, Width, needsGradient: false);
        tape.Backend.Fill(0f, x.Value);
        for (var sweep = 1; sweep <= Width; sweep++)
        {
            // Only the last sweep's slopes belong to the answer.
            var slopes = sweep == Width ? logSlopes : tape.Empty(y.Value.Rows, Width, needsGradient: false);
            x = tape.Map(_map.Inverse, y, _conditioner.Run(tape, x), _all, slopes);
        }

        return x;
    }
}

/// <summary>MAF: data to noise in one pass, so densities are fast and samples slow.</summary>
/// <param name="backend">Where it lives.</param>
/// <param name="map">f, noise to data.</param>
/// <param name="network">Made by <see cref="AutoregressiveFlow.Network"/>.</param>
public sealed class MaskedAutoregressive(IBackend backend, MonotoneMap map, Conditioner network)
    : AutoregressiveFlow(map.Inverse, network, backend);

/// <summary>IAF: noise to data in one pass, so samples are fast and densities of given data slow.</summary>
/// <param name="backend">Where it lives.</param>
/// <param name="map">f, noise to data; <see cref="MonotoneMap.Gated"/> is the stabilised form.</param>
/// <param name="network">Made by <see cref="AutoregressiveFlow.Network"/>.</param>
public sealed class InverseAutoregressive(IBackend backend, MonotoneMap map, Conditioner network)
    : AutoregressiveFlow(map, network, backend);
