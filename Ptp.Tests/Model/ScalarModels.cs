// A library model seen by the oracle: the same weights in double, under the same names.
// Source: both sides use the tensor names of Hugging Face.
// Not here: comparisons.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Reference.Oracle;

namespace Ptp.Tests;

internal static class ScalarModels
{
    public static ScalarTransformer Of(Transformer model)
    {
        var c = model.Config;
        var config = new ScalarConfig(
            c.VocabularySize, c.HiddenSize, c.IntermediateSize, c.Layers, c.Heads, c.KeyValueHeads, c.HeadSize,
            c.RopeTheta, c.NormEpsilon, c.TieEmbeddings);
        return new ScalarTransformer(config, model.Parameters.ToDictionary(p => p.Name, Values));
    }

    public static ScalarLora Of(GatedLora lora)
    {
        Dictionary<string, double[]> Named(string suffix) => lora.Parameters
            .Where(p => p.Name.EndsWith(suffix, StringComparison.Ordinal))
            .ToDictionary(p => p.Name[..^suffix.Length], Values);
        return new ScalarLora(lora.Rank, lora.Scale, Named(".lora_A.weight"), Named(".lora_B.weight"));
    }

    public static double[] Values(Parameter parameter) => Doubles(parameter.Value.Span.ToArray());

    public static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);
}
