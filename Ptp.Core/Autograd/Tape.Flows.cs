// The tape's flow ops: product, scaled sum, sigmoid, bias rows, weights with holes, and monotone maps with their log-slopes.
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
        var y = Empty(a.Value.Rows, a.Value.Columns, a.Gradient is not null || b.Gradient is not null);
        backend.Fill(0f, y.Value);
        backend.MultiplyAdd(a.Value, b.Value, y.Value);
        if (Records(y))
        {
            Record(new Step { X = a, Z = b, Y = y }, static (tape, in s) =>
            {
                if (s.X.Gradient is not null)
                {
                    tape.Backend.MultiplyAdd(tape.Whole(s.Y), s.Z.Value, tape.Whole(s.X));
                }

                if (s.Z.Gradient is not null)
                {
                    tape.Backend.MultiplyAdd(tape.Whole(s.Y), s.X.Value, tape.Whole(s.Z));
                }
            });
        }

        return y;
    }

    /// <summary>a + scale * b.</summary>
    public Variable AddScaled(Variable a, Variable b, float scale)
    {
        var y = Empty(a.Value.Rows, a.Value.Columns, a.Gradient is not null || b.Gradient is not null);
        backend.Copy(a.Value, y.Value);
        backend.AddScaled(b.Value, scale, y.Value);
        if (Records(y))
        {
            Record(new Step { X = a, Z = b, Y = y, Scale = scale }, static (tape, in s) =>
            {
                tape.Pass(tape.Whole(s.Y), s.X);
                if (s.Z.Gradient is not null)
                {
                    tape.Backend.AddScaled(tape.Whole(s.Y), s.Scale, tape.Whole(s.Z));
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
        if (Records(y))
        {
            Record(new Step { X = x, Y = y }, static (tape, in s) =>
                tape.Backend.SigmoidBackward(s.Y.Value, tape.Whole(s.Y), tape.Whole(s.X)));
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
        if (Recording && weight.Gradient is not null)
        {
            Record(new Step { Weight = weight, Mask = mask }, static (tape, in s) =>
            {
                var masked = tape._arena.RentZeroed(s.Mask.Rows, s.Mask.Columns);
                tape.Backend.MultiplyAdd(s.Weight.Gradient!, s.Mask, masked);
                tape.Backend.Copy(masked, s.Weight.Gradient!);
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
        if (Records(y))
        {
            var step = new Step { Map = map, X = x, Z = parameters, Mask = active, Y = y, Values = logSlopes };
            Record(step, static (tape, in s) => tape.Backend.MapBackward(
                s.Map, s.X.Value, s.Z.Value, s.Mask, tape.Whole(s.Y), tape.Whole(s.Values), tape.WholeOrSpare(s.X), tape.WholeOrSpare(s.Z)));
        }

        return y;
    }

    /// <summary>The gradient of a loss with respect to a result of the pass: what <see cref="Backward"/> starts from. Adds to it.</summary>
    /// <param name="y">The result, [R, C].</param>
    /// <param name="gradient">d loss / d y, [R * C].</param>
    public void Seed(Variable y, ReadOnlySpan<float> gradient)
    {
        var seed = _arena.Rent(y.Value.Rows, y.Value.Columns);
        backend.Upload(gradient, seed);
        Pass(seed, y);
    }

    /// <summary>As above, of a gradient on the same backend.</summary>
    public void Seed(Variable y, Tensor gradient) => Pass(gradient, y);
}
