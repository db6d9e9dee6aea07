// What every flow must keep, as checks that throw: tests run them on flows, controls run them on flows that lie.
// Source: the definition y = f(x), log|det df/dx|; Jacobians by central differences in double.
// Not here: which flows.

using System.Numerics;
using Ptp.Core.Autograd;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;
using Xunit.Sdk;

namespace Ptp.Tests.Flows;

internal static class FlowChecks
{
    public const double DoubleLimit = 1e-10;
    public const double FloatLimit = 1e-4;

    /// <summary>There and back in both orders, with log-determinants that cancel.</summary>
    public static void Inverts<T>(IFlow flow, double[] point, double limit)
        where T : IFloatingPointIeee754<T>
    {
        T[] x = [.. point.Select(v => T.CreateTruncating(v))];
        T[] y = new T[x.Length], back = new T[x.Length], z = new T[x.Length], again = new T[x.Length];
        var there = flow.Forward<T>(x, y);
        Close("f^-1(f(x))", x, back, there, Undo<T>(flow, y, back), limit);

        // The other order begins at a point of the image, moved a little where the image is the whole line.
        var home = Undo<T>(flow, y, z);
        Close("f(f^-1(y))", y, again, home, flow.Forward<T>(z, again), limit);
    }

    /// <summary>log|det| is that of the Jacobian by central differences.</summary>
    public static void HasTheJacobianItClaims(IFlow flow, double[] x, double limit)
    {
        var claimed = flow.Forward<double>(x, new double[x.Length]);
        var measured = LogDeterminant(Jacobian(flow, x));
        Require(Math.Abs(claimed - measured) <= limit, $"log|det| {claimed:R}, by differences {measured:R}");
    }

    /// <summary>No number depends on a later one.</summary>
    public static void IsTriangular(IFlow flow, double[] x)
    {
        var jacobian = Jacobian(flow, x);
        for (var i = 0; i < x.Length; i++)
        {
            for (var j = i + 1; j < x.Length; j++)
            {
                Require(jacobian[i][j] == 0, $"dy_{i}/dx_{j} = {jacobian[i][j]:R}");
            }
        }
    }

    /// <summary>A batch on a backend equals the plain code, both ways where there are both.</summary>
    public static void RunsOn(IBackend backend, IFlow flow, double[][] points, double limit)
    {
        var tape = new Tape(backend);
        float[] rows = [.. points.SelectMany(p => p.Select(v => (float)v))];
        Agrees(flow.Forward, flow.Forward, rows);
        if (flow is IBijector bijector)
        {
            Agrees(bijector.Inverse, bijector.Inverse, Images());
        }
        else if (flow is ITriangularFlow triangular)
        {
            Agrees(triangular.InverseInSteps, triangular.InverseInSteps, Images());
        }

        void Agrees(Func<Tape, Variable, Variable, Variable> batch, Plain plain, float[] from)
        {
            tape.Reset();
            var (count, width) = (points.Length, flow.Width);
            var slopes = tape.Constant(new float[from.Length], count, width);
            var y = batch(tape, tape.Constant(from, count, width), slopes);
            float[] received = new float[from.Length], logs = new float[from.Length];
            backend.Download(y.Value, received);
            backend.Download(slopes.Value, logs);
            for (var row = 0; row < count; row++)
            {
                var expected = new double[width];
                var log = plain([.. from.AsSpan(row * width, width).ToArray().Select(v => (double)v)], expected);
                Near.Holds("batch", [.. expected, log],
                    [.. received.AsSpan(row * width, width), logs.AsSpan(row * width, width).ToArray().Sum()], limit);
            }
        }

        float[] Images()
        {
            var y = new double[flow.Width];
            return [.. points.SelectMany(p =>
            {
                flow.Forward<double>([.. p.Select(v => (double)(float)v)], y);
                return y.Select(v => (float)v).ToArray();
            })];
        }
    }

    public static double[][] Jacobian(IFlow flow, double[] x)
    {
        const double Step = 1e-6;
        var columns = Enumerable.Range(0, x.Length).Select(j =>
        {
            double[] above = [.. x], below = [.. x], up = new double[x.Length], down = new double[x.Length];
            above[j] += Step;
            below[j] -= Step;
            flow.Forward<double>(above, up);
            flow.Forward<double>(below, down);
            return up.Zip(down, (a, b) => (a - b) / (above[j] - below[j])).ToArray();
        }).ToArray();
        return [.. Enumerable.Range(0, x.Length).Select(i => columns.Select(c => c[i]).ToArray())];
    }

    /// <summary>log|det| by elimination with row exchanges.</summary>
    public static double LogDeterminant(double[][] matrix)
    {
        var rows = matrix.Select(r => r.ToArray()).ToList();
        var log = 0.0;
        for (var k = 0; k < matrix.Length; k++)
        {
            var pivot = rows.Skip(k).MaxBy(r => Math.Abs(r[k]))!;
            rows.Remove(pivot);
            rows.Insert(k, pivot);
            log += Math.Log(Math.Abs(pivot[k]));
            foreach (var row in rows.Skip(k + 1))
            {
                var factor = row[k] / pivot[k];
                for (var j = k; j < row.Length; j++)
                {
                    row[j] -= factor * pivot[j];
                }
            }
        }

        return log;
    }

    private delegate double Plain(ReadOnlySpan<double> x, Span<double> y);

    private static T Undo<T>(IFlow flow, T[] y, T[] x)
        where T : IFloatingPointIeee754<T> => flow switch
        {
            IBijector bijector => bijector.Inverse<T>(y, x),
            ITriangularFlow triangular => triangular.InverseInSteps<T>(y, x),
            _ => throw new XunitException("A flow without an inverse."),
        };

    private static void Close<T>(string what, T[] expected, T[] received, T there, T home, double limit)
        where T : IFloatingPointIeee754<T>
    {
        var size = Math.Max(1, expected.Max(v => Math.Abs(double.CreateTruncating(v))));
        for (var i = 0; i < expected.Length; i++)
        {
            var error = Math.Abs(double.CreateTruncating(expected[i]) - double.CreateTruncating(received[i])) / size;
            Require(error <= limit, $"{what}: number {i} is {received[i]}, not {expected[i]}");
        }

        var sum = Math.Abs(double.CreateTruncating(there + home));
        var scale = Math.Max(1, Math.Abs(double.CreateTruncating(there)));
        Require(sum / scale <= 10 * limit, $"{what}: log-determinants {there} and {home} do not cancel");
    }

    private static void Require(bool condition, string what)
    {
        if (!condition)
        {
            throw new XunitException(what);
        }
    }
}
