// Free-form flows: the surrogate of the inverse Jacobian (exact with a full basis, unbiased with one vector), directions pushed forward,
// gradients on the tape, explicit determinants. Densities of flows integrate to one; a density learns a law that it can hold.
// Source: equations of Hutchinson, FreeFormNetwork, DensityModel. Not here: how well it learns (ptp flow train).

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Flows;

public sealed class FreeFormTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 200 matrices of 2 to 6 rows: with g = f^-1 and a full orthonormal basis the estimate is A^-T to 1e-10.
    [Fact]
    public void A_full_basis_gives_the_inverse_transpose() => Cases.RunSeeds(200, seed =>
    {
        var random = new RandomStream((ulong)seed, "surrogate");
        var (inverse, width) = Inverse(random);
        var vectors = Hutchinson.Vectors(random, width, width);
        Assert.True(Difference(Hutchinson.InverseTranspose(vectors, Pushed(inverse, vectors)), inverse) <= 1e-10);

        // Control: normal vectors have E[v v^T] = 1 too, but no full basis of them is exact.
        double[][] normal = [.. vectors.Select(v => v.Select(_ => random.NextGaussian()).ToArray())];
        Assert.True(Difference(Hutchinson.InverseTranspose(normal, Pushed(inverse, normal)), inverse) > 1e-6);
    });

    // 20,000 single vectors: every entry's mean within 6.6 deviations of A^-T: a false alarm in 1e9 over all 9 entries.
    [Fact]
    public void One_vector_is_unbiased()
    {
        var random = new RandomStream(5, "one vector");
        double[,] inverse = { { 1.2, -0.4, 0.3 }, { 0.1, 0.8, -0.6 }, { -0.5, 0.2, 1.1 } };
        Assert.True(Alarm(1) <= 6.6);
        Assert.True(Alarm(1 / Math.Sqrt(3)) > 6.6); // control: unit vectors, the factor sqrt D forgotten

        double Alarm(double factor)
        {
            const int Draws = 20_000;
            var (sum, square) = (new double[3, 3], new double[3, 3]);
            for (var draw = 0; draw < Draws; draw++)
            {
                double[][] v = [[.. Hutchinson.Vectors(random, 3, 1)[0].Select(n => n * factor)]];
                var estimate = Hutchinson.InverseTranspose(v, Pushed(inverse, v));
                for (var i = 0; i < 9; i++)
                {
                    sum[i / 3, i % 3] += estimate[i / 3, i % 3];
                    square[i / 3, i % 3] += estimate[i / 3, i % 3] * estimate[i / 3, i % 3];
                }
            }

            return Enumerable.Range(0, 9).Max(i =>
            {
                var mean = sum[i / 3, i % 3] / Draws;
                var deviation = Math.Sqrt((square[i / 3, i % 3] / Draws - mean * mean) / Draws);
                return Math.Abs(mean - inverse[i % 3, i / 3]) / deviation;
            });
        }
    }

    // 60 networks: a pushed direction is that of central differences, on the tape and in plain code; determinants are explicit.
    [Fact]
    public void Directions_and_determinants_are_those_of_differences() => Cases.RunSeeds(60, seed =>
    {
        var random = new RandomStream((ulong)seed, "push");
        var width = 1 + random.NextInt(4);
        var network = Network(width, random);
        double[] x = [.. Gaussians(random, width)], v = [.. Gaussians(random, width)];
        var (value, direction) = network.Push<double>(x, v);
        const double Step = 1e-6;
        double[] above = [.. x.Zip(v, (a, b) => a + Step * b)], below = [.. x.Zip(v, (a, b) => a - Step * b)];
        double[] measured = [.. network.Push<double>(above, v).Value.Zip(network.Push<double>(below, v).Value, (a, b) => (a - b) / (2 * Step))];
        Assert.All(measured.Zip(direction), p => Assert.Equal(p.First, p.Second, 1e-6 * (1 + Math.Abs(p.First))));

        var tape = new Tape(_backend);
        var (onTape, pushed) = network.Push(tape, Row(tape, x), Row(tape, v));
        Near.Holds("f(x)", value, onTape.Value.Span.ToArray(), 1e-4);
        Near.Holds("f'(x) v", direction, pushed.Value.Span.ToArray(), 1e-4);
        Near.Holds("f(x) alone", value, network.Run(tape, Row(tape, x)).Value.Span.ToArray(), 1e-4);

        var logs = new FreeFormDensity(_backend, network, network, 1).LogDensities(tape, [.. x.Select(n => (float)n)]);
        var jacobian = network.Jacobian<double>(x);
        var expected = value.Sum(Normal.LogDensity) + FreeFormDensity.LogDeterminant(jacobian);
        Assert.Equal(expected, logs[0], 1e-3 * (1 + Math.Abs(expected)));
        if (width == 2)
        {
            var again = network.Jacobian<double>(x);
            var by_hand = Math.Log(Math.Abs(again[0, 0] * again[1, 1] - again[0, 1] * again[1, 0]));
            Assert.Equal(by_hand, FreeFormDensity.LogDeterminant(again), 1e-9);
        }
    });

    // 30 networks: the slope of |f|^2 / 2 - v^T f'(x) w along a random change of the weights, by differences in double and on the tape.
    [Fact]
    public void The_tape_runs_backwards_through_a_pushed_direction() => Cases.RunSeeds(30, seed =>
    {
        var random = new RandomStream((ulong)seed, "surrogate gradient");
        var width = 1 + random.NextInt(3);
        var network = Network(width, random);
        foreach (var parameter in network.Parameters)
        {
            parameter.SetTrainable(true);
        }

        double[] x = Rounded(width), v = Rounded(width), w = Rounded(width);
        var tape = new Tape(_backend) { Recording = true };
        var (value, direction) = network.Push(tape, Row(tape, x), Row(tape, w));
        tape.Seed(value, value.Value);
        tape.Seed(direction, [.. v.Select(n => (float)-n)]);
        tape.Backward();

        const float Step = 1f / 2048;
        var starts = network.Parameters.ToDictionary(p => p, p => p.Value.Span.ToArray());
        var ways = starts.ToDictionary(p => p.Key, p => p.Value.Select(_ => random.NextInt(2) * 2 - 1).ToArray());
        var claimed = network.Parameters.Sum(p => p.Gradient!.Span.ToArray().Zip(ways[p], (g, way) => (double)g * way).Sum());
        var measured = (Loss(Step) - Loss(-Step)) / (2 * Step);
        Assert.True(Math.Abs(measured - claimed) <= 2e-3 * Math.Max(1, Math.Abs(measured)), $"{measured} by differences, {claimed} on the tape");

        double Loss(float step)
        {
            foreach (var (parameter, start) in starts)
            {
                Initialise.Set(parameter, [.. start.Zip(ways[parameter], (value, way) => value + step * way)]);
            }

            var (z, dz) = network.Push<double>(x, w);
            return z.Sum(n => n * n / 2) - v.Zip(dz, (a, b) => a * b).Sum();
        }

        double[] Rounded(int count) => [.. Gaussians(random, count).Select(n => (double)(float)n)];
    });

    public static TheoryData<string> OfTheLine => ["spline coupling", "affine coupling", "MAF of splines", "invertible linear", "composition"];

    // 2 flows of each kind: the density of what becomes normal, summed over a fine grid of [-9, 9]^2.
    [Theory]
    [MemberData(nameof(OfTheLine))]
    public void A_density_integrates_to_one(string name) => Cases.RunSeeds(2, seed =>
    {
        const int Side = 300;
        var model = new FlowDensity(_backend, FlowGens.Kinds.Single(k => k.Name == name).Make(_backend, 2, (ulong)seed));
        Quieten(model);
        var points = new float[Side * Side * 2];
        for (var i = 0; i < Side * Side; i++)
        {
            (points[2 * i], points[2 * i + 1]) = ((float)(18 * ((i % Side + 0.5) / Side) - 9), (float)(18 * ((i / Side + 0.5) / Side) - 9));
        }

        var logs = model.LogDensities(new Tape(_backend), points);
        var mass = logs.Sum(Math.Exp) * 18 * 18 / (Side * Side);
        Assert.Equal(1, mass, 1e-3);
        Assert.True(Math.Abs(logs.Sum(log => Math.Exp(0.98 * log)) * 18 * 18 / (Side * Side) - 1) > 1e-3, "control");
    });

    [Fact]
    public void Training_lowers_the_loss_of_both_kinds()
    {
        static void Sample(RandomStream random, Span<double> point) => (point[0], point[1]) = (2 + 0.5 * random.NextGaussian(), random.NextGaussian() - 1);
        var test = new float[400];
        DensityTraining.Draw(Sample, new RandomStream(9, "test"), test, 2);
        var truth = -2 * 0.5 * Math.Log(2 * Math.PI * Math.E) - Math.Log(0.5);
        foreach (var model in (DensityModel[])
        [
            new FlowDensity(_backend, new InvertibleLinear(_backend, 2)),
            new FreeFormDensity(
                _backend, new FreeFormNetwork(_backend, "encoder", 2, 8, 1, 1), new FreeFormNetwork(_backend, "decoder", 2, 8, 1, 1), 30),
        ])
        {
            var before = model.LogDensities(new Tape(_backend), test).Average();
            var trainer = new DensityTraining(_backend, model, Sample, 64, new LearningRate { Peak = 0.02, WarmUp = 10, Steps = 250 }, 1);
            for (var step = 0; step < 250; step++)
            {
                trainer.Step();
            }

            var after = model.LogDensities(new Tape(_backend), test).Average();
            Assert.True(before < truth - 1 && Math.Abs(after - truth) < 0.2, $"{model.GetType().Name}: {before} before, {after} after, truth {truth}");
        }
    }

    // Two far blobs: what lies between is in no data, and only an encoder that also learned to be undone there is undone there (control: none).
    [Fact]
    public void An_encoder_that_learns_a_square_is_undone_between_the_data()
    {
        static void Sample(RandomStream random, Span<double> point) =>
            (point[0], point[1]) = (1.5 * (2 * random.NextInt(2) - 1) + 0.1 * random.NextGaussian(), 0.1 * random.NextGaussian());
        float[] between = [.. Enumerable.Range(0, 441).SelectMany(i => (float[])[-2 + i % 21 * 0.2f, -2 + i / 21 * 0.2f])];
        double[] errors = [.. ((float[])[2.2f, 0]).Select(spread =>
        {
            var model = new FreeFormDensity(
                _backend, new FreeFormNetwork(_backend, "encoder", 2, 24, 1, 1), new FreeFormNetwork(_backend, "decoder", 2, 24, 1, 1), 100, spread);
            var trainer = new DensityTraining(_backend, model, Sample, 64, new LearningRate { Peak = 5e-3, WarmUp = 10, Steps = 400 }, 1);
            for (var step = 0; step < 400; step++)
            {
                trainer.Step();
            }

            return model.RoundTrip(new Tape(_backend), between);
        })];
        Assert.True(errors[0] < 0.05 && errors[1] > 3 * errors[0], $"round trips of {errors[0]} and, control, {errors[1]}");
    }

    [Fact]
    public void A_stopped_run_goes_on_to_the_same_bits()
    {
        var folder = Directory.CreateTempSubdirectory("ptp-density-");
        try
        {
            var (whole, first, second) = (Make(), Make(), Make());
            Steps(whole.Trainer, 6);
            Steps(first.Trainer, 3);
            ModelCheckpoint.SaveOptimiser(folder.FullName, first.Trainer.Optimiser);
            ModelCheckpoint.Restore(second.Model.Parameters, first.Model.Parameters.Select(ModelCheckpoint.Stored).ToDictionary(s => s.Name), "Go on");
            Assert.True(ModelCheckpoint.LoadOptimiser(folder.FullName, second.Trainer.Optimiser));
            Steps(second.Trainer, 3);
            Assert.All(whole.Model.Parameters.Zip(second.Model.Parameters), p => Assert.Equal(p.First.Value.Span.ToArray(), p.Second.Value.Span.ToArray()));
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        (FlowDensity Model, DensityTraining Trainer) Make()
        {
            var model = new FlowDensity(_backend, FlowGens.Compose(_backend, 2, 1)); // equal layers, whose names must differ in a file
            return (model, new DensityTraining(
                _backend, model, (random, point) => (point[0], point[1]) = (random.NextGaussian(), random.NextDouble()), 16, new LearningRate(), 1));
        }

        static void Steps(DensityTraining trainer, int count)
        {
            for (var step = 0; step < count; step++)
            {
                trainer.Step();
            }
        }
    }

    [Fact]
    public void Impossible_sizes_are_refused()
    {
        Assert.Throws<PtpException>(() => new FreeFormNetwork(_backend, "x", 0, 1, 1, 1));
        Assert.Throws<PtpException>(() => Hutchinson.Vectors(new RandomStream(1, "x"), 2, 3));
        Assert.Throws<PtpException>(() => new DensityTraining(
            _backend, new FlowDensity(_backend, new InvertibleLinear(_backend, 2)), (_, _) => { }, 0, new LearningRate(), 1));
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>Weights of a flow a little nearer to zero, so that a grid can hold its density.</summary>
    private static void Quieten(FlowDensity model)
    {
        foreach (var parameter in model.Parameters)
        {
            Initialise.Set(parameter, [.. parameter.Value.Span.ToArray().Select(v => 0.6f * v)]);
        }
    }

    private FreeFormNetwork Network(int width, RandomStream random)
    {
        var network = new FreeFormNetwork(_backend, "network", width, 2 + random.NextInt(8), random.NextInt(3), 1);
        foreach (var parameter in network.Parameters)
        {
            Initialise.Gaussian(parameter, random, 0.5);
        }

        return network;
    }

    private static Variable Row(Tape tape, double[] values) => tape.Constant([.. values.Select(v => (float)v)], 1, values.Length);

    private static IEnumerable<double> Gaussians(RandomStream random, int count) => Enumerable.Range(0, count).Select(_ => random.NextGaussian());

    /// <summary>A^-1 for a well conditioned A = (A^-1)^-1: the inverse is what is drawn.</summary>
    private static (double[,] Inverse, int Width) Inverse(RandomStream random)
    {
        var width = 2 + random.NextInt(5);
        var inverse = new double[width, width];
        for (var i = 0; i < width * width; i++)
        {
            inverse[i / width, i % width] = 0.5 * random.NextGaussian() + (i / width == i % width ? 2 : 0);
        }

        return (inverse, width);
    }

    /// <summary>g'(z) v = A^-1 v.</summary>
    private static double[][] Pushed(double[,] inverse, double[][] vectors) => [.. vectors.Select(v =>
        Enumerable.Range(0, v.Length).Select(row => v.Select((n, column) => inverse[row, column] * n).Sum()).ToArray())];

    /// <summary>Largest distance of an estimate from A^-T.</summary>
    private static double Difference(double[,] estimate, double[,] inverse) => Enumerable.Range(0, estimate.Length).Max(i =>
    {
        var width = inverse.GetLength(0);
        return Math.Abs(estimate[i / width, i % width] - inverse[i % width, i / width]);
    });
}
