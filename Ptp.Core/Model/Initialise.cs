// Starting values of parameters, from a named random stream, so that a seed fixes a model.
// Gaussian with a given deviation; residual projections shrink with depth (GPT-2, section 2.3).
// Refuses: a hidden generator.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;

namespace Ptp.Core.Model;

/// <summary>Fills parameters.</summary>
public static class Initialise
{
    /// <summary>Independent Gaussian values.</summary>
    public static void Gaussian(Parameter parameter, RandomStream random, double deviation)
    {
        var values = new float[parameter.Value.Length];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (float)(deviation * random.NextGaussian());
        }

        Set(parameter, values);
    }

    /// <summary>Given values.</summary>
    public static void Set(Parameter parameter, ReadOnlySpan<float> values)
    {
        parameter.Backend.Upload(values, parameter.Value);
        parameter.Changed();
    }

    /// <summary>One value everywhere.</summary>
    public static void Constant(Parameter parameter, float value)
    {
        parameter.Backend.Fill(value, parameter.Value);
        parameter.Changed();
    }
}
