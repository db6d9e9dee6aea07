// Fits a density to points drawn afresh at every step: mean loss, AdamW, warm-up and cosine.
// Parameters are numbered in the order of the model, so that a file can tell those of equal layers apart.
// Refuses: nothing; the sampler and the model belong to the caller.

using Ptp.Core.Autograd;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Draws one point, [D].</summary>
/// <param name="random">Where it comes from.</param>
/// <param name="point">Receives it.</param>
public delegate void PointSampler(RandomStream random, Span<double> point);

/// <summary>Trainer of a density.</summary>
public sealed class DensityTraining
{
    private readonly DensityModel _model;
    private readonly PointSampler _sampler;
    private readonly LearningRate _rate;
    private readonly ulong _seed;
    private readonly Tape _tape;
    private readonly float[] _points;

    /// <summary>A trainer; the model becomes trainable.</summary>
    /// <param name="backend">Where the model lives.</param>
    /// <param name="model">What is trained.</param>
    /// <param name="sampler">Data.</param>
    /// <param name="rows">R, points per step.</param>
    /// <param name="rate">Schedule.</param>
    /// <param name="seed">Seed of the data.</param>
    public DensityTraining(Tensors.IBackend backend, DensityModel model, PointSampler sampler, int rows, LearningRate rate, ulong seed)
    {
        Guard.Require(rows > 0, "Train a density", $"{rows} points per step", "at least one", "256 suit two dimensions.");
        (_model, _sampler, _rate, _seed) = (model, sampler, rate, seed);
        _points = new float[rows * model.Width];
        var index = 0;
        foreach (var parameter in model.Parameters)
        {
            parameter.Name = FormattableString.Invariant($"{index++}.{parameter.Name}");
            parameter.SetTrainable(true);
        }

        Optimiser = new AdamW(model.Parameters, new AdamWOptions { WeightDecay = 0 });
        _tape = new Tape(backend) { Recording = true };
    }

    /// <summary>The optimiser.</summary>
    public AdamW Optimiser { get; }

    /// <summary>One step on fresh points; the loss is their mean.</summary>
    public StepReport Step()
    {
        var step = Optimiser.StepsTaken + 1;
        var random = new RandomStream(_seed, FormattableString.Invariant($"points of step {step}"));
        var rows = _points.Length / _model.Width;
        Draw(_sampler, random, _points, _model.Width);
        _tape.Reset();
        var loss = _model.Loss(_tape, _tape.Constant(_points, rows, _model.Width), random) / rows;
        _tape.Backward();
        var rate = _rate.At(step);
        return new StepReport(step, loss, rate, Optimiser.Step(rate, 1.0 / rows), rows);
    }

    /// <summary>Fills an array with points, [R * D].</summary>
    public static void Draw(PointSampler sampler, RandomStream random, Span<float> points, int width)
    {
        Span<double> point = stackalloc double[width];
        for (var start = 0; start < points.Length; start += width)
        {
            sampler(random, point);
            for (var i = 0; i < width; i++)
            {
                points[start + i] = (float)point[i];
            }
        }
    }
}
