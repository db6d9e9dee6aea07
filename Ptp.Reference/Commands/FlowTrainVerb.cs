// ptp flow train: a normalizing flow on a law in the plane whose exact density is known; log-likelihood on test points, a picture.
// What the flow sees is standardised; log-likelihoods are those of the points themselves, and the truth's stand beside them.
// Refuses: to write over a finished flow, to go on with other options.

using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Formats;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Ptp.Reference.Studies;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Trains a flow.</summary>
internal sealed class FlowTrainVerb : Verb
{
    private const int TestPoints = 10_000;
    private const string FreeForm = "free-form";
    private static readonly Dictionary<string, Func<IBackend, ulong, DensityModel>> s_flows = new()
    {
        ["spline-coupling"] = (backend, seed) => Couplings(backend, seed, MonotoneMap.Spline(12, 3.5)),
        ["affine-coupling"] = (backend, seed) => Couplings(backend, seed, MonotoneMap.Affine),
        ["maf"] = (backend, seed) => Autoregressive(backend, seed, MonotoneMap.Affine),
        ["maf-spline"] = (backend, seed) => Autoregressive(backend, seed, MonotoneMap.Spline(12, 3.5)),
    };

    private readonly Argument<string> _data = new("DATA") { Description = "A law in the plane: " + string.Join(", ", PlaneLaw.Names) + "." };
    private readonly Option<string?> _flow = Values.Word(
        "--flow", "Coupling layers and masked autoregressive ones, of splines or affine maps; or a free-form flow.",
        [.. s_flows.Keys, FreeForm], "spline-coupling");

    private readonly Option<double> _beta = Values.Number("--beta", "Free-form: weight of the round trip through encoder and decoder.", 100);
    private readonly Option<double> _spread = Values.Number(
        "--spread", "Free-form: the round trip is also learned all over a square of this half side, in quarters of the picture (2 = just the "
        + "picture): an encoder is one to one where it can be undone. 0 = at the data alone, as published.", 2.2);

    private readonly Option<int> _width = Values.Whole("--width", "Free-form: width of both networks.", 96, 1, 4096);

    private readonly Option<string?> _output = Values.Text("--output", "Folder of the flow; an unfinished run in it goes on. Default: flows/DATA.", "FOLDER");
    private readonly Option<int> _steps = Values.Whole("--steps", "Optimiser steps of the whole run.", 1500, 1);
    private readonly Option<int> _rows = Values.Whole("--rows", "Fresh points per step.", 256, 1, 1 << 20);
    private readonly Option<double?> _rate = Values.NumberOrNone("--lr", "Highest learning rate. Default: 0.005, for free-form 0.001.");
    private readonly Option<ulong> _seed = Values.Seed("Seed of weights and points.", 1);
    private readonly Option<bool> _overwrite = Values.Switch("--overwrite", "Start anew even if the folder holds a flow.");

    public FlowTrainVerb()
        : base(
            "train",
            "Fit a normalizing flow to points of a law in the plane by maximum likelihood, then compare its density with the true one: mean "
            + "log-likelihood of 10,000 test points and a picture. Ctrl-C saves the run; the same command goes on.",
            "ptp flow train moons                                  # spline couplings, well under a minute",
            "ptp flow train checkerboard --flow affine-coupling    # what affine maps cannot do",
            "ptp flow train rings --flow free-form --steps 4000    # no invertible network at all",
            "ptp flow train moons --json")
    {
        _data.AcceptOnlyFromAmong(PlaneLaw.Names);
        Add(_data);
        foreach (var option in (Option[])[_flow, _beta, _spread, _width, _output, _steps, _rows, _rate, _seed, _overwrite])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var (name, kind) = (call.Parsed.GetValue(_data)!, call.Get(_flow)!);
        var folder = call.Get(_output) ?? Path.Combine("flows", name);
        TrainingInput.RefuseOverwrite(folder, Safetensors.SingleName, call.Get(_overwrite));
        using var backend = call.Backend();
        var law = new Standardised(PlaneLaw.Parse(name));
        var model = kind == FreeForm ? NewFreeForm(call, backend) : s_flows[kind](backend, call.Get(_seed));
        var rate = new LearningRate { Peak = call.Get(_rate) ?? (kind == FreeForm ? 1e-3 : 5e-3), WarmUp = 50, Steps = call.Get(_steps), FinalFraction = 0.02 };
        var trainer = new DensityTraining(backend, model, law.Sample, call.Get(_rows), rate, call.Get(_seed));
        TrainingInput.KeepRecord(folder, call.Get(_overwrite), new JsonObject
        {
            ["data"] = name,
            ["flow"] = kind,
            ["beta"] = kind == FreeForm ? call.Get(_beta) : null,
            ["spread"] = kind == FreeForm ? call.Get(_spread) : null,
            ["width"] = kind == FreeForm ? call.Get(_width) : null,
            ["steps"] = rate.Steps,
            ["rows"] = call.Get(_rows),
            ["lr"] = rate.Peak,
            ["seed"] = call.Get(_seed),
        });
        Resume(folder, model, trainer);
        call.Out.Note(Invariant($"{backend.Name}; {kind}, {model.Parameters.Sum(p => (long)p.Value.Length):N0} parameters; {folder}"));
        using var steps = new TrainingInput.Steps(call, "flow", rate.Steps);
        while (trainer.Optimiser.StepsTaken < rate.Steps && !call.Cancellation.IsCancellationRequested)
        {
            steps.Take(trainer.Step());
        }

        steps.Dispose();
        Safetensors.Write(Path.Combine(folder, Safetensors.SingleName), model.Parameters.Select(ModelCheckpoint.Stored), StoredType.F32);
        if (trainer.Optimiser.StepsTaken < rate.Steps)
        {
            ModelCheckpoint.SaveOptimiser(folder, trainer.Optimiser);
            call.Out.Line(Invariant($"Stopped after step {steps.Last.Step} of {rate.Steps}; the same command goes on from here."));
            return ErrorOutput.Stopped;
        }

        File.Delete(Path.Combine(folder, ModelCheckpoint.OptimiserName));
        Report(call, folder, kind, backend, model, law, steps);
        return ErrorOutput.Done;
    }

    private FreeFormDensity NewFreeForm(Call call, IBackend backend)
    {
        var (beta, spread, seed) = (call.Get(_beta), call.Get(_spread), call.Get(_seed));
        Guard.Require(beta > 0 && double.IsFinite(beta) && spread >= 0 && double.IsFinite(spread), "Train a free-form flow",
            Invariant($"--beta {beta} --spread {spread}"), "a positive weight, and a half side of 0 or more", "Leave them out for 100 and 2.2.");
        FreeFormNetwork Network(string name) => new(backend, name, 2, call.Get(_width), 3, seed);
        return new FreeFormDensity(backend, Network("encoder"), Network("decoder"), (float)beta, (float)spread);
    }

    private static void Resume(string folder, DensityModel model, DensityTraining trainer)
    {
        var file = Path.Combine(folder, Safetensors.SingleName);
        if (ModelCheckpoint.LoadOptimiser(folder, trainer.Optimiser))
        {
            using var stored = SafetensorsFile.Open(file);
            ModelCheckpoint.Restore(
                model.Parameters, stored.Names.ToDictionary(n => n, n => new StoredTensor(n, [.. stored.ShapeOf(n)], stored.Read(n))), "Go on with " + file);
        }
    }

    private static void Report(
        Call call, string folder, string kind, IBackend backend, DensityModel model, Standardised law, TrainingInput.Steps steps)
    {
        var tape = new Tape(backend);
        var test = new float[2 * TestPoints];
        DensityTraining.Draw(law.Sample, new RandomStream(2, "test points"), test, 2);
        var (learned, truth) = (model.LogDensities(tape, test).Average() + law.LogScale, law.LogDensities(test).Average());
        var grid = law.Grid();
        double[] density = [.. model.LogDensities(tape, grid).Select(log => log + law.LogScale)];
        var mass = density.Sum(Math.Exp) * law.SquareArea;
        var picture = Path.Combine(folder, "density.svg");
        var bytes = Encoding.UTF8.GetBytes(DensityPlot.Draw([("true density", law.LogDensities(grid)), (kind, density)]));
        AtomicFile.Write(picture, stream => stream.Write(bytes));
        var error = model is FreeFormDensity free ? free.RoundTrip(tape, test) : 0;
        call.Out.Line(Invariant($"test log-likelihood {learned:0.000} nats, true law {truth:0.000}; mass inside the picture {mass:0.000}; {picture}"));
        if (model is FreeFormDensity)
        {
            call.Out.Line(Invariant($"round trip through encoder and decoder: {error:0.0000} of a standard deviation"));
        }

        call.Out.Result(new JsonObject
        {
            ["output"] = folder,
            ["flow"] = kind,
            ["parameters"] = model.Parameters.Sum(p => (long)p.Value.Length),
            ["steps"] = steps.Last.Step,
            ["test_log_likelihood"] = Output.Number(learned),
            ["true_log_likelihood"] = Output.Number(truth),
            ["mass"] = Output.Number(mass),
            ["round_trip"] = Output.Number(error),
            ["seconds"] = Output.Number(steps.Seconds),
            ["picture"] = picture,
        });
    }

    private static FlowDensity Couplings(IBackend backend, ulong seed, MonotoneMap map)
    {
        var size = new ConditionerSize(Hidden: 48);
        var layers = new List<IBijector>();
        for (var i = 0; i < 6; i++)
        {
            layers.Add(new InvertibleLinear(backend, 2, 0.1, seed + (ulong)i));
            layers.Add(new Coupling(backend, Coupling.EveryOther(2, i % 2 == 0), map, size, seed + (ulong)i));
        }

        layers.Add(new InvertibleLinear(backend, 2));
        return new FlowDensity(backend, new Composition(layers));
    }

    private static FlowDensity Autoregressive(IBackend backend, ulong seed, MonotoneMap map)
    {
        var size = new ConditionerSize(Hidden: 48);
        return new FlowDensity(backend, new FlowChain([.. Enumerable.Range(0, 6).SelectMany(i => (IFlow[])
        [
            new Permutation(backend, [1, 0]),
            new MaskedAutoregressive(backend, map, AutoregressiveFlow.Network(backend, 2, map, size, seed + (ulong)i)),
        ])]));
    }

    /// <summary>A law in the units of its frame: a quarter of its width and height.</summary>
    private sealed class Standardised(PlaneLaw law)
    {
        private readonly (double X, double Y) _middle = ((law.Frame.Left + law.Frame.Right) / 2, (law.Frame.Bottom + law.Frame.Top) / 2);
        private readonly (double X, double Y) _unit = ((law.Frame.Right - law.Frame.Left) / 4, (law.Frame.Top - law.Frame.Bottom) / 4);

        /// <summary>What log densities gain when points go back to their own units.</summary>
        public double LogScale => -Math.Log(_unit.X * _unit.Y);

        /// <summary>Area of a square of the picture, own units.</summary>
        public double SquareArea => 16 * _unit.X * _unit.Y / (DensityPlot.Side * DensityPlot.Side);

        public void Sample(RandomStream random, Span<double> point)
        {
            var (x, y) = law.Sample(random);
            (point[0], point[1]) = ((x - _middle.X) / _unit.X, (y - _middle.Y) / _unit.Y);
        }

        /// <summary>Squares of the picture, standardised, [Side * Side * 2].</summary>
        public float[] Grid()
        {
            var points = DensityPlot.Points(law.Frame);
            for (var i = 0; i < points.Length; i += 2)
            {
                (points[i], points[i + 1]) = ((float)((points[i] - _middle.X) / _unit.X), (float)((points[i + 1] - _middle.Y) / _unit.Y));
            }

            return points;
        }

        /// <summary>True log densities, own units, of standardised points.</summary>
        public double[] LogDensities(float[] points) => [.. Enumerable.Range(0, points.Length / 2).Select(i =>
            law.LogDensity(points[2 * i] * _unit.X + _middle.X, points[2 * i + 1] * _unit.Y + _middle.Y))];
    }
}
