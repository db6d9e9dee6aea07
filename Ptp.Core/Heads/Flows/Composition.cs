// Flows one after the other: f = f_n o .. o f_1, log|det| adds up, the inverse runs the other way.
// A chain of bijectors is a bijector; a chain with a triangular flow in it is a flow only, so its type offers no inverse.
// Refuses: an empty chain, flows of different widths.

using System.Numerics;
using Ptp.Core.Autograd;

namespace Ptp.Core.Heads.Flows;

/// <summary>Any flows in a row.</summary>
public class FlowChain : IFlow
{
    private readonly IReadOnlyList<IFlow> _flows;

    /// <summary>A chain.</summary>
    /// <param name="flows">The first is applied first.</param>
    public FlowChain(IReadOnlyList<IFlow> flows)
    {
        Guard.Require(flows.Count > 0 && flows.All(f => f.Width == flows[0].Width), "Compose flows",
            $"widths {string.Join(", ", flows.Select(f => f.Width))}", "at least one flow, all of one width", "Correct the list.");
        _flows = [.. flows];
    }

    /// <inheritdoc/>
    public int Width => _flows[0].Width;

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => _flows.SelectMany(f => f.Parameters);

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T>
    {
        var (from, log) = (x.ToArray(), T.Zero);
        foreach (var flow in _flows)
        {
            log += flow.Forward(from, y);
            y.CopyTo(from);
        }

        return log;
    }

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes) =>
        _flows.Aggregate(x, (y, flow) => flow.Forward(tape, y, logSlopes));
}

/// <summary>Bijectors in a row.</summary>
/// <param name="flows">The first is applied first.</param>
public sealed class Composition(IReadOnlyList<IBijector> flows) : FlowChain(flows), IBijector
{
    private readonly IBijector[] _back = [.. flows.Reverse()];

    /// <inheritdoc/>
    public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>
    {
        var (from, log) = (y.ToArray(), T.Zero);
        foreach (var flow in _back)
        {
            log += flow.Inverse(from, x);
            x.CopyTo(from);
        }

        return log;
    }

    /// <inheritdoc/>
    public Variable Inverse(Tape tape, Variable y, Variable logSlopes) =>
        _back.Aggregate(y, (x, flow) => flow.Inverse(tape, x, logSlopes));
}
