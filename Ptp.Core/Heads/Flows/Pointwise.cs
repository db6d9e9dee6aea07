// Every number mapped by itself, with learned parameters of its own or none: sigmoid and logit, scale and shift, marginal splines.
//   y_i = f(x_i; p_i), log|det| = sum_i log f'
// Refuses: nothing; the map refuses what it cannot be.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>An elementwise layer.</summary>
public sealed class Pointwise : IBijector
{
    private readonly MonotoneMap _map;
    private readonly Parameter? _parameters;
    private readonly Tensor _all;

    /// <summary>An elementwise layer.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="width">D.</param>
    /// <param name="map">f.</param>
    /// <param name="deviation">Of its parameters at the start.</param>
    /// <param name="seed">Their seed.</param>
    public Pointwise(IBackend backend, int width, MonotoneMap map, double deviation = 0, ulong seed = 0)
    {
        (_map, Width) = (map, width);
        if (map.ParameterCount > 0)
        {
            _parameters = new Parameter(backend, "elementwise.parameters", 1, width * map.ParameterCount, isVector: true);
            Initialise.Gaussian(_parameters, new RandomStream(seed, "elementwise"), deviation);
        }

        _all = backend.Allocate(1, width);
        backend.Fill(1f, _all);
    }

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => _parameters is null ? [] : [_parameters];

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T> => Apply(_map, x, y);

    /// <inheritdoc/>
    public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T> => Apply(_map.Inverse, y, x);

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes) => Apply(tape, _map, x, logSlopes);

    /// <inheritdoc/>
    public Variable Inverse(Tape tape, Variable y, Variable logSlopes) => Apply(tape, _map.Inverse, y, logSlopes);

    private Variable Apply(Tape tape, MonotoneMap map, Variable x, Variable logSlopes)
    {
        var rows = x.Value.Rows;
        return tape.Map(map, x, _parameters is null ? tape.Empty(rows, 0) : tape.Rows(_parameters, rows), _all, logSlopes);
    }

    private T Apply<T>(MonotoneMap map, ReadOnlySpan<T> from, Span<T> to)
        where T : IFloatingPointIeee754<T>
    {
        var (count, log) = (map.ParameterCount, T.Zero);
        var parameters = _parameters is null ? [] : HostNumbers.Of<T>(_parameters.Backend, _parameters.Value);
        for (var i = 0; i < from.Length; i++)
        {
            var mapped = map.Apply(from[i], parameters.AsSpan(i * count, count));
            to[i] = mapped.Value;
            log += mapped.LogSlope;
        }

        return log;
    }
}
