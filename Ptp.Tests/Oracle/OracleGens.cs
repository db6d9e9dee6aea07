// Random numbers, weights, models and languages for the tests, each a function of a seed.
// Source: seeds from the tests; a language's law is a hash of its prefix, so every prefix has its own law.
// Not here: distributions of real models. Zeros and near-ties are more common here than in nature.

using Ptp.Reference.Oracle;

namespace Ptp.Tests.Oracle;

/// <summary>Generators for tests with the oracle.</summary>
public static class OracleGens
{
    /// <summary>Standard normal numbers times <paramref name="scale"/>.</summary>
    public static double[] Normal(Random random, int count, double scale = 1)
    {
        var values = new double[count];
        for (var i = 0; i < count; i++)
        {
            var radius = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble()));
            values[i] = scale * radius * Math.Cos(2 * Math.PI * random.NextDouble());
        }

        return values;
    }

    /// <summary>Random weights: linears scaled by 1 / sqrt(inputs), gains around one.</summary>
    public static Dictionary<string, double[]> Weights(ScalarConfig config, Random random) =>
        config.WeightShapes.ToDictionary(pair => pair.Key, pair => pair.Value is [var outputs, var inputs]
            ? Normal(random, outputs * inputs, 1 / Math.Sqrt(inputs))
            : Array.ConvertAll(Normal(random, pair.Value[0], 0.3), value => 1 + value));

    /// <summary>A random adapter, B not zero, on every linear.</summary>
    public static ScalarLora Lora(ScalarConfig config, int rank, double scale, Random random) => new(
        rank, scale,
        config.Linears.ToDictionary(
            pair => pair.Key, pair => Normal(random, rank * pair.Value.Inputs, 1 / Math.Sqrt(pair.Value.Inputs))),
        config.Linears.ToDictionary(pair => pair.Key, pair => Normal(random, pair.Value.Outputs * rank, 0.5)));

    /// <summary>A tiny model with grouped heads; every size differs from every other.</summary>
    public static ScalarConfig TinyConfig(bool tied) =>
        new(Vocabulary: 7, Hidden: 6, Intermediate: 5, Layers: 2, Heads: 4, KeyValueHeads: 2, HeadSize: 4,
            RopeTheta: 100, NormEps: 1e-3, tied);

    /// <summary>
    /// A law of <paramref name="vocabulary"/> tokens per prefix, about a quarter of the entries zero.
    /// </summary>
    public static ScalarNextLaw Language(int seed, int vocabulary, double zeros = 0.25) => prefix =>
    {
        var hash = unchecked((uint)seed * 2654435761u + 1);
        foreach (var token in prefix)
        {
            hash = unchecked((hash ^ (uint)(token + 1)) * 16777619u);
            hash ^= hash >> 15;
        }

        var random = new Random(unchecked((int)hash));
        var law = new double[vocabulary];
        for (var token = 0; token < vocabulary; token++)
        {
            law[token] = random.NextDouble() < zeros ? 0 : random.NextDouble();
        }

        law[random.Next(vocabulary)] += 0.1; // at least one token is possible
        var total = law.Sum();
        return Array.ConvertAll(law, probability => probability / total);
    };

    /// <summary>u_g = f(seed, g), prefix-stable.</summary>
    public static Func<int, double> Auxiliaries(int seed) => g => new Random(unchecked(seed * 7919 + g)).NextDouble();
}
