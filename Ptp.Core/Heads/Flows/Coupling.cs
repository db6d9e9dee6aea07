// Coupling flows (Dinh 2015, 2017; Durkan 2019): some numbers pass unchanged and tell a network how to map the others.
//   y_A = x_A;   y_B = f(x_B; p(x_A)),   log|det| = sum_B log f';   f affine: RealNVP, additive: NICE, spline: neural spline flow
// Undone in one pass, as p needs only what passed unchanged. Refuses: masks that keep nothing or all.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>A coupling layer.</summary>
public sealed class Coupling : IBijector
{
    private readonly MonotoneMap _map;
    private readonly bool[] _kept;
    private readonly Conditioner _conditioner;
    private readonly Tensor _active;

    /// <summary>A coupling layer.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="kept">True for numbers that pass unchanged, [D].</param>
    /// <param name="map">What happens to the others.</param>
    /// <param name="size">Sizes of its network.</param>
    /// <param name="seed">Seed of its weights.</param>
    public Coupling(IBackend backend, bool[] kept, MonotoneMap map, ConditionerSize size, ulong seed)
    {
        Guard.Require(kept.Contains(true) && kept.Contains(false), "Make a coupling", $"{kept.Count(k => k)} of {kept.Length} numbers kept",
            "at least one kept and one mapped", "Keep about half of them.");
        (_map, _kept) = (map, [.. kept]);
        _conditioner = new Conditioner(
            backend, "coupling", [.. kept.Select(k => k ? 0 : Conditioner.Unseen)], [.. kept.Select(_ => 1)], map.ParameterCount, size, seed);
        _active = backend.Allocate(1, kept.Length);
        backend.Upload([.. kept.Select(k => k ? 0f : 1f)], _active);
    }

    /// <inheritdoc/>
    public int Width => _kept.Length;

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => _conditioner.Parameters;

    /// <summary>Keeps every other number, the even ones first; alternate <paramref name="odd"/> from layer to layer.</summary>
    public static bool[] EveryOther(int width, bool odd) => [.. Enumerable.Range(0, width).Select(i => i % 2 == (odd ? 1 : 0))];

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T> => Apply(_map, x, y);

    /// <inheritdoc/>
    public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T> => Apply(_map.Inverse, y, x);

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes) =>
        tape.Map(_map, x, _conditioner.Run(tape, x), _active, logSlopes);

    /// <inheritdoc/>
    public Variable Inverse(Tape tape, Variable y, Variable logSlopes) =>
        tape.Map(_map.Inverse, y, _conditioner.Run(tape, y), _active, logSlopes);

    private T Apply<T>(MonotoneMap map, ReadOnlySpan<T> from, Span<T> to)
        where T : IFloatingPointIeee754<T>
    {
        var (parameters, count, log) = (_conditioner.Run(from), map.ParameterCount, T.Zero);
        for (var i = 0; i < from.Length; i++)
        {
            var mapped = _kept[i] ? new Mapped<T>(from[i], T.Zero) : map.Apply(from[i], parameters.AsSpan(i * count, count));
            to[i] = mapped.Value;
            log += mapped.LogSlope;
        }

        return log;
    }
}
