// The tape's flow ops: product, sigmoid, bias rows, weights with holes, and monotone maps with their log-slopes.
// Each as in the other half: forward now, its backward (equations in IBackend) pushed for later.
// Refuses: broadcasting beyond one bias row.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;

namespace Ptp.Core.Autograd;

public sealed partial class Tape
{
    /// <summary>a * b, elementwise.</summary>
    public Variable Multiply(Variable a, Variable b)
    {
        var y = new Variable(
            _arena.RentZeroed(a.Value.Rows, a.Value.Columns),
            Recording && (a.Gradient is not null || b.Gradient is not null) ? _arena.RentZeroed(a.Value.Rows, a.Value.Columns) : null);
        backend.MultiplyAdd(a.Value, b.Value, y.Value);
        if (y.Gradient is not null)
        {
            _backward.Add(() =>
            {
                if (a.Gradient is not null)
                {
                    backend.MultiplyAdd(y.Gradient, b.Value, a.Gradient);
                }

                if (b.Gradient is not null)
                {
                    backend.MultiplyAdd(y.Gradient, a.Value, b.Gradient);
                }
            });
        }

        return y;
    }

    /// <summary>1 / (1 + exp(-x)).</summary>
    public Variable Sigmoid(Variable x)
    {
        var y = Empty(x.Value.Rows, x.Value.Columns, x.Gradient is not null);
        backend.Sigmoid(x.Value, y.Value);
        if (y.Gradient is not null)
        {
            _backward.Add(() => backend.SigmoidBackward(y.Value, y.Gradient, x.Gradient!));
        }

        return y;
    }

    /// <summary>x W^T + bias, [R, K] to [R, N].</summary>
    /// <param name="x">[R, K].</param>
    /// <param name="weight">[N, K].</param>
    /// <param name="bias">[1, N].</param>
    public Variable Linear(Variable x, Parameter weight, Parameter bias)
    {
        var y = Rows(bias, x.Value.Rows);
        MatMul(x, weight, y, accumulate: true);
        return y;
    }

    /// <summary>A row [1, N] repeated, [R, N].</summary>
    public Variable Rows(Parameter row, int rows)
    {
        var y = Empty(rows, row.Value.Columns);
        Embedding(row, new int[rows], y);
        return y;
    }

    /// <summary>Keeps holes in a weight: once every op recorded after this is replayed, its gradient is zero where the mask is.</summary>
    public void KeepMask(Parameter weight, Tensor mask)
    {
        if (Recording && weight.Gradient is { } gradient)
        {
            _backward.Add(() =>
            {
                var masked = _arena.RentZeroed(mask.Rows, mask.Columns);
                backend.MultiplyAdd(gradient, mask, masked);
                backend.Copy(masked, gradient);
            });
        }
    }

    /// <summary>A monotone map of every active column; adds to <paramref name="logSlopes"/>, [R, D].</summary>
    /// <param name="map">Which.</param>
    /// <param name="x">[R, D].</param>
    /// <param name="parameters">[R, D * P].</param>
    /// <param name="active">[1, D], 0 where a column passes unchanged.</param>
    /// <param name="logSlopes">[R, D].</param>
    public Variable Map(MonotoneMap map, Variable x, Variable parameters, Tensor active, Variable logSlopes)
    {
        var y = Empty(x.Value.Rows, x.Value.Columns);
        backend.Map(map, x.Value, parameters.Value, active, y.Value, logSlopes.Value);
        if (Recording && y.Gradient is not null)
        {
            _backward.Add(() => backend.MapBackward(
                map, x.Value, parameters.Value, active, y.Gradient, logSlopes.Gradient!,
                x.Gradient ?? _arena.RentZeroed(x.Value.Rows, x.Value.Columns),
                parameters.Gradient ?? _arena.RentZeroed(parameters.Value.Rows, parameters.Value.Columns)));
        }

        return y;
    }
}
