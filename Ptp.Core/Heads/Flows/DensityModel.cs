// A density of D numbers that is learned by maximum likelihood: x -> z standard normal, log p(x) = log N(z) + log|det dz/dx|.
// Exact flows give the loss itself; free-form flows a surrogate whose gradient is right, and an explicit determinant where it counts.
// Refuses: nothing; shapes are the flow's.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads.Flows;

/// <summary>A learned density.</summary>
public abstract class DensityModel
{
    /// <summary>D.</summary>
    public abstract int Width { get; }

    /// <summary>What is trained.</summary>
    public abstract IEnumerable<Parameter> Parameters { get; }

    /// <summary>Records a pass over points and seeds the gradient of the sum of their losses.</summary>
    /// <param name="tape">The pass, recording.</param>
    /// <param name="x">Points, [R, D].</param>
    /// <param name="random">For losses that draw.</param>
    /// <returns>The sum of the points' losses.</returns>
    public abstract double Loss(Tape tape, Variable x, RandomStream random);

    /// <summary>log p of points, [R].</summary>
    /// <param name="tape">A pass that is not recorded.</param>
    /// <param name="points">[R * D].</param>
    public abstract double[] LogDensities(Tape tape, ReadOnlySpan<float> points);

    private protected static float[] Host(IBackend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }

    /// <summary>log N(z_r) + what is added per row.</summary>
    private protected static double[] LogNormals(float[] z, int width, Func<int, double> more)
    {
        var logs = new double[z.Length / width];
        for (var row = 0; row < logs.Length; row++)
        {
            logs[row] = more(row);
            for (var i = 0; i < width; i++)
            {
                logs[row] += Normal.LogDensity(z[row * width + i]);
            }
        }

        return logs;
    }
}

/// <summary>The density of a flow from data to noise.</summary>
/// <param name="backend">Where it lives.</param>
/// <param name="flow">x to z.</param>
public sealed class FlowDensity(IBackend backend, IFlow flow) : DensityModel
{
    /// <inheritdoc/>
    public override int Width => flow.Width;

    /// <inheritdoc/>
    public override IEnumerable<Parameter> Parameters => flow.Parameters;

    /// <inheritdoc/>
    public override double Loss(Tape tape, Variable x, RandomStream random)
    {
        var (z, slopes) = Run(tape, x);
        var ones = tape.Empty(x.Value.Rows, Width, needsGradient: false);
        backend.Fill(-1f, ones.Value);
        tape.Seed(z, z.Value);
        tape.Seed(slopes, ones.Value);
        return -Logs(z, slopes).Sum();
    }

    /// <inheritdoc/>
    public override double[] LogDensities(Tape tape, ReadOnlySpan<float> points)
    {
        tape.Reset();
        var (z, slopes) = Run(tape, tape.Constant(points, points.Length / Width, Width));
        return Logs(z, slopes);
    }

    private (Variable Z, Variable Slopes) Run(Tape tape, Variable x)
    {
        var slopes = tape.Empty(x.Value.Rows, Width);
        backend.Fill(0f, slopes.Value);
        return (flow.Forward(tape, x, slopes), slopes);
    }

    private double[] Logs(Variable z, Variable slopes)
    {
        var parts = Host(backend, slopes.Value);
        return LogNormals(Host(backend, z.Value), Width, row => parts.AsSpan(row * Width, Width).ToArray().Sum(p => (double)p));
    }
}

/// <summary>
/// A free-form flow: z = f(x), x = g(z) where training made them inverses;
/// loss |z|^2 / 2 - v^T f'(x) SG[g'(z) v] + beta |x - g(f(x))|^2, whose value is no likelihood. A density needs f to be one to one wherever
/// it is asked for, between data too: so g learns to invert f at points of a cube as well, beta |y - g(f(y))|^2, y uniform.
/// </summary>
/// <param name="backend">Where it lives.</param>
/// <param name="encoder">f.</param>
/// <param name="decoder">g.</param>
/// <param name="beta">Large enough that g really inverts f.</param>
/// <param name="spread">The cube is [-spread, spread]^D; 0 = data alone, as published.</param>
public sealed class FreeFormDensity(
    IBackend backend, FreeFormNetwork encoder, FreeFormNetwork decoder, float beta, float spread = 0) : DensityModel
{
    private readonly Tape _decoding = new(backend); // g'(z) v is a constant: not recorded

    /// <inheritdoc/>
    public override int Width => encoder.Width;

    /// <inheritdoc/>
    public override IEnumerable<Parameter> Parameters => [.. encoder.Parameters, .. decoder.Parameters];

    /// <inheritdoc/>
    public override double Loss(Tape tape, Variable x, RandomStream random)
    {
        var (rows, count) = (x.Value.Rows, x.Value.Length);
        var v = new float[count];
        for (var row = 0; row < rows; row++)
        {
            var vector = Hutchinson.Vectors(random, Width, 1)[0];
            for (var i = 0; i < Width; i++)
            {
                v[row * Width + i] = (float)vector[i];
            }
        }

        _decoding.Reset();
        var at = encoder.Run(_decoding, _decoding.Constant(Host(backend, x.Value), rows, Width));
        var pushed = decoder.Push(_decoding, at, _decoding.Constant(v, rows, Width)).Direction;
        var (z, direction) = encoder.Push(tape, x, tape.Constant(Host(backend, pushed.Value), rows, Width));
        float[] noise = Host(backend, z.Value), along = Host(backend, direction.Value);
        tape.Seed(z, z.Value);
        tape.Seed(direction, [.. v.Select(n => -n)]);
        var loss = Enumerable.Range(0, count).Sum(i => 0.5 * noise[i] * noise[i] - v[i] * along[i]) + Returned(tape, x, z);
        if (spread > 0)
        {
            var y = tape.Constant([.. v.Select(_ => spread * (float)(2 * random.NextDouble() - 1))], rows, Width);
            loss += Returned(tape, y, encoder.Run(tape, y));
        }

        return loss;
    }

    /// <summary>beta |x - g(z)|^2, its gradient recorded.</summary>
    private double Returned(Tape tape, Variable x, Variable z)
    {
        var back = tape.AddScaled(decoder.Run(tape, z), x, -1);
        var error = Host(backend, back.Value);
        tape.Seed(back, [.. error.Select(e => 2 * beta * e)]);
        return beta * error.Sum(e => (double)e * e);
    }

    /// <inheritdoc/>
    public override double[] LogDensities(Tape tape, ReadOnlySpan<float> points)
    {
        tape.Reset();
        var rows = points.Length / Width;
        var x = tape.Constant(points, rows, Width);
        var columns = new float[Width][];
        float[] z = [];
        for (var column = 0; column < Width; column++)
        {
            var unit = new float[rows * Width];
            for (var row = 0; row < rows; row++)
            {
                unit[row * Width + column] = 1;
            }

            var (value, direction) = encoder.Push(tape, x, tape.Constant(unit, rows, Width));
            (z, columns[column]) = (Host(backend, value.Value), Host(backend, direction.Value));
        }

        var jacobian = new double[Width, Width];
        return LogNormals(z, Width, row =>
        {
            for (var i = 0; i < Width * Width; i++)
            {
                jacobian[i / Width, i % Width] = columns[i % Width][row * Width + i / Width];
            }

            return LogDeterminant(jacobian);
        });
    }

    /// <summary>Mean |x - g(f(x))| of points: what is left to an inverse.</summary>
    /// <param name="tape">A pass that is not recorded.</param>
    /// <param name="points">[R * D].</param>
    public double RoundTrip(Tape tape, ReadOnlySpan<float> points)
    {
        tape.Reset();
        var rows = points.Length / Width;
        var x = tape.Constant(points, rows, Width);
        var error = Host(backend, tape.AddScaled(decoder.Run(tape, encoder.Run(tape, x)), x, -1).Value);
        return Enumerable.Range(0, rows).Average(row => Math.Sqrt(error.AsSpan(row * Width, Width).ToArray().Sum(e => (double)e * e)));
    }

    /// <summary>log|det| by elimination with pivots; the matrix is destroyed.</summary>
    internal static double LogDeterminant(double[,] matrix)
    {
        var (width, log) = (matrix.GetLength(0), 0.0);
        for (var step = 0; step < width; step++)
        {
            var pivot = Enumerable.Range(step, width - step).MaxBy(row => Math.Abs(matrix[row, step]));
            for (var column = 0; column < width; column++)
            {
                (matrix[step, column], matrix[pivot, column]) = (matrix[pivot, column], matrix[step, column]);
            }

            log += Math.Log(Math.Abs(matrix[step, step]));
            for (var row = step + 1; row < width; row++)
            {
                var factor = matrix[row, step] / matrix[step, step];
                for (var column = step; column < width; column++)
                {
                    matrix[row, column] -= factor * matrix[step, column];
                }
            }
        }

        return log;
    }
}
