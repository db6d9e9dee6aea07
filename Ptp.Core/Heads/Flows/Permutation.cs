// Numbers in another order: y_i = x_{order[i]}; volume is kept, log|det| = 0. Between couplings it lets every number be mapped.
// On a backend it is a product with a matrix of zeros and ones, which is exact.
// Refuses: lists that are no permutation.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>A fixed permutation.</summary>
public sealed class Permutation : IBijector
{
    private readonly int[] _order;
    private readonly Parameter _matrix;
    private readonly Parameter _back;

    /// <summary>A permutation.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="order">Where each number comes from, [D].</param>
    public Permutation(IBackend backend, int[] order)
    {
        Guard.Require(order.Order().SequenceEqual(Enumerable.Range(0, order.Length)), "Make a permutation", string.Join(", ", order),
            $"each of 0 to {order.Length - 1} once", "List where each number comes from.");
        _order = [.. order];
        _matrix = Matrix((to, from) => order[to] == from);
        _back = Matrix((to, from) => order[from] == to);

        Parameter Matrix(Func<int, int, bool> one)
        {
            var matrix = new Parameter(backend, "permutation", order.Length, order.Length);
            Initialise.Set(matrix, [.. Enumerable.Range(0, order.Length * order.Length).Select(i => one(i / order.Length, i % order.Length) ? 1f : 0f)]);
            return matrix;
        }
    }

    /// <inheritdoc/>
    public int Width => _order.Length;

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => [];

    /// <summary>The last number first.</summary>
    public static Permutation Reversal(IBackend backend, int width) => new(backend, [.. Enumerable.Range(0, width).Reverse()]);

    /// <inheritdoc/>
    public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
        where T : IFloatingPointIeee754<T>
    {
        for (var i = 0; i < y.Length; i++)
        {
            y[i] = x[_order[i]];
        }

        return T.Zero;
    }

    /// <inheritdoc/>
    public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
        where T : IFloatingPointIeee754<T>
    {
        for (var i = 0; i < y.Length; i++)
        {
            x[_order[i]] = y[i];
        }

        return T.Zero;
    }

    /// <inheritdoc/>
    public Variable Forward(Tape tape, Variable x, Variable logSlopes) => tape.MatMul(x, _matrix);

    /// <inheritdoc/>
    public Variable Inverse(Tape tape, Variable y, Variable logSlopes) => tape.MatMul(y, _back);
}
