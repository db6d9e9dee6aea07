// Gradients of flows: each map against central differences in double, both directions; batches against the map; whole flows on the tape.
// Source: MonotoneMap's equations. A directional derivative checks all parameters of a flow at once.
// Not here: the ops that transformers have too.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Flows;

public sealed class FlowGradientTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    private static MonotoneMap[] Maps => [.. ((MonotoneMap[])
    [
        MonotoneMap.Additive, MonotoneMap.Affine, MonotoneMap.Gated, MonotoneMap.Sigmoid, MonotoneMap.Spline(5, 3), MonotoneMap.UnitSpline(4),
        MonotoneMap.UnitLinear(6),
    ]).SelectMany(map => (MonotoneMap[])[map, map.Inverse])];

    [Fact]
    public void Maps_have_the_gradients_of_their_values_and_slopes() => Cases.Run(60, random =>
    {
        foreach (var map in Maps)
        {
            Gradient(map, random, out var loss, out var numbers, out var gradient);
            GradientCheck.Holds($"{map.Kind}, inverted {map.Inverted}", loss, numbers, gradient);
        }
    });

    [Fact]
    public void Control_a_gradient_without_the_slopes_share_is_noticed() => Cases.Run(20, random =>
    {
        foreach (var map in Maps.Where(m => m.Kind is not (MonotoneKind.Additive or MonotoneKind.Sigmoid)))
        {
            Gradient(map, random, out var loss, out var numbers, out var gradient, slopeShare: 0.9);
            Assert.True(GradientCheck.RelativeError(loss, numbers, gradient) > 1e-3, $"{map.Kind}");
        }
    });

    [Fact]
    public void Backends_agree_with_the_map_forward_and_backward()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        foreach (var (backend, cases) in ((IBackend, int)[])[(_backend, 20), (gpu, 1)])
        {
            Cases.Run(cases, random =>
            {
                foreach (var map in Maps)
                {
                    Batch(backend, map, random);
                }
            });
        }
    }

    [Fact]
    public void Products_and_sigmoids_have_their_gradients()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        foreach (var backend in (IBackend[])[_backend, gpu])
        {
            var tape = new Tape(backend) { Recording = true };
            float[] a = [0.5f, -2, 3, 40], b = [1, -1, 0.25f, 2], c = [1, 2, 3, 4];
            var (left, right) = (Leaf(tape, a, 2), Leaf(tape, b, 2));
            var y = tape.Multiply(tape.Sigmoid(left), right);
            tape.Seed(y, c);
            tape.Backward();
            double Z(int i) => 1 / (1 + Math.Exp(-a[i]));
            Near.Holds("y", [.. a.Select((_, i) => Z(i) * b[i])], Read(backend, y.Value));
            Near.Holds("da", [.. a.Select((_, i) => c[i] * b[i] * Z(i) * (1 - Z(i)))], Read(backend, left.Gradient!));
            Near.Holds("db", [.. a.Select((_, i) => c[i] * Z(i))], Read(backend, right.Gradient!));
        }
    }

    public static TheoryData<string> Kinds => [.. FlowGens.Kinds.Select(k => k.Name).Where(n => n is not ("sigmoid" or "logit" or "permutation"))];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_flow_on_the_tape_has_the_gradient_of_its_plain_code(string name) => Cases.RunSeeds(3, seed =>
    {
        var (slope, claimed) = Directional(name, seed);
        Assert.True(Math.Abs(slope - claimed) <= 2e-3 * Math.Max(1, Math.Abs(slope)), $"{slope} by differences, {claimed} on the tape");
    });

    [Fact]
    public void Holes_in_weights_have_no_gradient()
    {
        var flow = FlowGens.Iaf(_backend, 4, MonotoneMap.Affine, 3);
        var before = flow.Parameters.Select(p => Read(_backend, p.Value)).ToArray();
        Directional(flow, new Random(3), [0.1, 0.2, 0.3, 0.4]);
        foreach (var (parameter, values) in flow.Parameters.Zip(before))
        {
            var gradient = Read(_backend, parameter.Gradient!);
            Assert.All(values.Zip(gradient).Where(p => p.First == 0), p => Assert.Equal(0, p.Second));
        }
    }

    /// <summary>The loss a value + b slope of one number, as a function of x and parameters, and its claimed gradient.</summary>
    private static void Gradient(
        MonotoneMap map, Random random, out Func<double> loss, out double[] numbers, out double[] gradient, double slopeShare = 1)
    {
        var count = map.ParameterCount;
        double[] all = [.. Enumerable.Range(0, 1 + count).Select(_ => 2 * random.NextDouble() - 1)];
        all[0] = 0.02 + 0.96 * random.NextDouble(); // every map's domain, its inverse's too
        var (a, b) = (1 + random.NextDouble(), 1 + random.NextDouble());
        loss = () =>
        {
            var mapped = map.Apply(all[0], all.AsSpan(1));
            return a * mapped.Value + b * mapped.LogSlope;
        };
        gradient = new double[1 + count];
        gradient[0] = map.Backward(all[0], all.AsSpan(1), a, b * slopeShare, gradient.AsSpan(1));
        numbers = all;
    }

    private static void Batch(IBackend backend, MonotoneMap map, Random random)
    {
        const int Rows = 3;
        const int Width = 2;
        var count = map.ParameterCount;
        float[] Draw(int n, double low, double high) => [.. Enumerable.Range(0, n).Select(_ => (float)(low + (high - low) * random.NextDouble()))];
        var (x, p) = (Draw(Rows * Width, 0.05, 0.95), Draw(Rows * Width * count, -1, 1));
        var (dY, dLog, active) = (Draw(Rows * Width, -1, 1), Draw(Rows * Width, -1, 1), (float[])[1, random.Next(2)]);
        var (dX, dP, start) = (Draw(x.Length, -1, 1), Draw(p.Length, -1, 1), Draw(x.Length, -1, 1));
        var (y, slopes, toX, toP) = (backend.Allocate(Rows, Width), Put(start), Put(dX), Put(dP));
        backend.Map(map, Put(x), Put(p), Put(active, 1), y, slopes);
        backend.MapBackward(map, Put(x), Put(p), Put(active, 1), Put(dY), Put(dLog), toX, toP);

        double[] wantY = new double[x.Length], wantLog = new double[x.Length], wantX = new double[x.Length];
        double[] numbers = [.. p.Select(v => (double)v)], sums = [.. dP.Select(v => (double)v)];
        for (var i = 0; i < x.Length; i++)
        {
            var on = active[i % Width] != 0;
            var mapped = on ? map.Apply(x[i], numbers.AsSpan(i * count, count)) : new Mapped<double>(x[i], 0);
            (wantY[i], wantLog[i]) = (mapped.Value, start[i] + mapped.LogSlope);
            wantX[i] = dX[i] + (on ? map.Backward(x[i], numbers.AsSpan(i * count, count), dY[i], dLog[i], sums.AsSpan(i * count, count)) : dY[i]);
        }

        Near.Holds($"{map.Kind}", wantY, Read(backend, y));
        Near.Holds($"log slopes of {map.Kind}", wantLog, Read(backend, slopes));
        Near.Holds($"dX of {map.Kind}", wantX, Read(backend, toX), 1e-3);
        Near.Holds($"dP of {map.Kind}", sums, Read(backend, toP), 1e-3);

        Tensor Put(float[] values, int rows = Rows)
        {
            var tensor = backend.Allocate(rows, values.Length / rows);
            backend.Upload(values, tensor);
            return tensor;
        }
    }

    private (double Slope, double Claimed) Directional(string name, int seed)
    {
        var kind = FlowGens.Kinds.Single(k => k.Name == name);
        var random = new Random(seed);
        var width = FlowGens.Width(kind, random);
        return Directional(kind.Make(_backend, width, (ulong)seed), random, FlowGens.Point(kind, random, width));
    }

    /// <summary>The loss c y + log|det| along a random change of all parameters that are not holes: by differences, and by the tape.</summary>
    private (double Slope, double Claimed) Directional(IFlow flow, Random random, double[] point)
    {
        foreach (var parameter in flow.Parameters)
        {
            parameter.SetTrainable(true);
        }

        double[] c = [.. point.Select(_ => 2 * random.NextDouble() - 1)], y = new double[point.Length];
        double[] x = [.. point.Select(v => (double)(float)v)];
        var tape = new Tape(_backend) { Recording = true };
        var slopes = tape.Empty(1, x.Length);
        _backend.Fill(0f, slopes.Value);
        var output = flow.Forward(tape, tape.Constant([.. x.Select(v => (float)v)], 1, x.Length), slopes);
        tape.Seed(output, [.. c.Select(v => (float)v)]);
        tape.Seed(slopes, [.. x.Select(_ => 1f)]);
        tape.Backward();

        const float Step = 1f / 1024;
        var (claimed, ends) = (0.0, new double[2]);
        var starts = flow.Parameters.Select(p => Read(_backend, p.Value)).ToArray();
        var ways = starts.Select(v => v.Select(n => n == 0 ? 0 : random.Next(2) * 2 - 1).ToArray()).ToArray();
        for (var end = 0; end < 2; end++)
        {
            foreach (var ((parameter, start), way) in flow.Parameters.Zip(starts).Zip(ways))
            {
                Initialise.Set(parameter, [.. start.Zip(way, (v, w) => v + (end == 0 ? -Step : Step) * w)]);
            }

            var log = flow.Forward<double>(x, y);
            ends[end] = log + y.Zip(c, (a, b) => a * b).Sum();
        }

        foreach (var ((parameter, start), way) in flow.Parameters.Zip(starts).Zip(ways))
        {
            Initialise.Set(parameter, start);
            claimed += Read(_backend, parameter.Gradient!).Zip(way, (g, w) => (double)g * w).Sum();
        }

        return ((ends[1] - ends[0]) / (2 * Step), claimed);
    }

    private static Variable Leaf(Tape tape, float[] values, int rows)
    {
        var leaf = tape.Empty(rows, values.Length / rows);
        tape.Backend.Upload(values, leaf.Value);
        return leaf;
    }

    private static float[] Read(IBackend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }

    public void Dispose() => _backend.Dispose();
}
