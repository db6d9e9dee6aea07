// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), gradient clipping by global norm, and the
// learning-rate schedule: linear warm-up, then constant or cosine to a fraction of the peak.
// Refuses: a non-finite gradient norm (the step is skipped and reported, the parameters stay).

using Ptp.Core.Autograd;
using Ptp.Core.Tensors;

namespace Ptp.Core.Training;

/// <summary>Learning rate as a function of the step.</summary>
public sealed record LearningRate
{
    /// <summary>Highest rate.</summary>
    public double Peak { get; init; } = 1e-3;

    /// <summary>Steps of linear warm-up.</summary>
    public int WarmUp { get; init; } = 100;

    /// <summary>Steps of the run; the cosine ends here.</summary>
    public int Steps { get; init; } = 1000;

    /// <summary>Rate at the end as a fraction of the peak; 1 = constant after warm-up.</summary>
    public double FinalFraction { get; init; } = 0.1;

    /// <summary>Rate of step 1, 2, ...</summary>
    public double At(int step)
    {
        if (step < WarmUp)
        {
            return Peak * step / WarmUp;
        }

        var progress = Math.Clamp((step - WarmUp) / Math.Max(1.0, Steps - WarmUp), 0, 1);
        return Peak * (FinalFraction + (1 - FinalFraction) * 0.5 * (1 + Math.Cos(Math.PI * progress)));
    }
}

/// <summary>Constants of AdamW.</summary>
public sealed record AdamWOptions
{
    /// <summary>Decay of the first moment.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    public double Beta2 { get; init; } = 0.99;

    /// <summary>Added to the root of the second moment.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Decoupled decay, for matrices only.</summary>
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Global gradient norm is clipped to this; 0 = never.</summary>
    public double ClipNorm { get; init; } = 1;
}

/// <summary>The optimiser and its moments.</summary>
public sealed class AdamW
{
    private readonly Parameter[] _parameters;
    private readonly Tensor[] _m;
    private readonly Tensor[] _v;
    private readonly AdamWOptions _options;

    /// <summary>Moments of zero for trainable parameters.</summary>
    public AdamW(IEnumerable<Parameter> parameters, AdamWOptions options)
    {
        _parameters = [.. parameters.Where(p => p.Gradient is not null)];
        _options = options;
        _m = [.. _parameters.Select(p => p.Backend.Allocate(p.Value.Rows, p.Value.Columns))];
        _v = [.. _parameters.Select(p => p.Backend.Allocate(p.Value.Rows, p.Value.Columns))];
    }

    /// <summary>Steps taken.</summary>
    public int StepsTaken { get; set; }

    /// <summary>Parameters with their first and second moments, for checkpoints.</summary>
    public IEnumerable<(Parameter Parameter, Tensor First, Tensor Second)> State
    {
        get
        {
            for (var i = 0; i < _parameters.Length; i++)
            {
                yield return (_parameters[i], _m[i], _v[i]);
            }
        }
    }

    /// <summary>Global norm of all gradients.</summary>
    public double GradientNorm()
    {
        var sum = 0.0;
        foreach (var parameter in _parameters)
        {
            sum += parameter.Backend.SumOfSquares(parameter.Gradient!);
        }

        return Math.Sqrt(sum);
    }

    /// <summary>One step from the accumulated gradients, which are then zeroed; returns their norm before clipping.</summary>
    /// <param name="learningRate">Rate of this step.</param>
    /// <param name="gradientScale">Factor on the gradients, for example 1 / number of targets.</param>
    public double Step(double learningRate, double gradientScale)
    {
        var norm = GradientNorm() * gradientScale;
        if (double.IsFinite(norm))
        {
            StepsTaken++;
            var clip = _options.ClipNorm > 0 && norm > _options.ClipNorm ? _options.ClipNorm / norm : 1;
            for (var i = 0; i < _parameters.Length; i++)
            {
                var parameter = _parameters[i];
                var decays = !parameter.IsVector && parameter.Value.Rows > 1;
                parameter.Backend.AdamW(
                    parameter.Gradient!,
                    new AdamWStep(
                        learningRate, _options.Beta1, _options.Beta2, _options.Epsilon,
                        decays ? _options.WeightDecay : 0, StepsTaken, gradientScale * clip),
                    _m[i], _v[i], parameter.Value);
                parameter.Changed();
            }
        }

        foreach (var parameter in _parameters)
        {
            parameter.Backend.Fill(0f, parameter.Gradient!);
        }

        return norm;
    }
}
