// The other features of u: those that the paper's ablation compares (its section 4.1: u itself, a thermometer; and its code: sawtooth,
// cosines, a table of n rows), and clocks, the scale on which races compare: g = -ln(-ln u), a Gumbel number. Each with a bias feature.
// Small networks behind them ("NN") are in AuxiliaryMlp. Refuses: thermometers and tables of less than two steps.

namespace Ptp.Core.Paper;

/// <summary>A fixed number of features of each number, written one number at a time, and a constant 1 for the bias.</summary>
/// <param name="each">Features of one number.</param>
public abstract class SingleNumberEmbedding(int each) : AuxiliaryEmbedding
{
    /// <summary>Features of one number.</summary>
    protected int Each => each;

    /// <inheritdoc/>
    public sealed override int FeatureCount(int numbersPerToken) => numbersPerToken * each + 1;

    /// <inheritdoc/>
    protected sealed override void Write(ReadOnlySpan<float> u, Span<float> features)
    {
        for (var j = 0; j < u.Length; j++)
        {
            WriteOne(u[j], features.Slice(j * each, each));
        }

        features[^1] = 1f;
    }

    /// <summary>Writes the features of one number.</summary>
    /// <param name="u">A number in [0, 1).</param>
    /// <param name="features">Its features.</param>
    protected abstract void WriteOne(float u, Span<float> features);
}

/// <summary>u itself ("fl" in the paper's ablation), moved and scaled to mean 0 and variance 1.</summary>
public sealed class NumberEmbedding() : SingleNumberEmbedding(1)
{
    /// <inheritdoc/>
    public override string Name => "number";

    /// <inheritdoc/>
    protected override void WriteOne(float u, Span<float> features) => features[0] = (u - 0.5f) * MathF.Sqrt(12);
}

/// <summary>A thermometer ("th"): feature i is +1 if u &lt;= i / n, else -1, i = 1..n.</summary>
/// <param name="steps">n, at least 2.</param>
public sealed class ThermometerEmbedding(int steps) : SingleNumberEmbedding(steps)
{
    /// <inheritdoc/>
    public override string Name => $"thermometer:{Each}";

    /// <inheritdoc/>
    protected override void WriteOne(float u, Span<float> features)
    {
        for (var i = 0; i < Each; i++)
        {
            features[i] = (double)u * Each <= i + 1 ? 1f : -1f;
        }
    }
}

/// <summary>One of n rows: feature i is 1 if i = floor(n u), else 0 ("round" in the paper's code).</summary>
/// <param name="rows">n, at least 2.</param>
public sealed class TableEmbedding(int rows) : SingleNumberEmbedding(rows)
{
    /// <inheritdoc/>
    public override string Name => $"table:{Each}";

    /// <inheritdoc/>
    protected override void WriteOne(float u, Span<float> features)
    {
        features.Clear();
        features[(int)((double)u * Each)] = 1f; // double: a float product could round up to n
    }
}

/// <summary>Sawtooth waves: j (u mod 1/j), j = 1..32, as -1 to 1. The paper's code leaves out the factor j, so that late waves vanish.</summary>
public sealed class SawtoothEmbedding() : SingleNumberEmbedding(Waves)
{
    private const int Waves = 32;

    /// <inheritdoc/>
    public override string Name => "sawtooth";

    /// <inheritdoc/>
    protected override void WriteOne(float u, Span<float> features)
    {
        for (var j = 1; j <= Waves; j++)
        {
            var turns = (double)u * j;
            features[j - 1] = (float)(2 * (turns - Math.Floor(turns)) - 1);
        }
    }
}

/// <summary>Half waves: cos(pi j u), j = 1..32.</summary>
public sealed class CosineEmbedding() : SingleNumberEmbedding(Waves)
{
    private const int Waves = 32;

    /// <inheritdoc/>
    public override string Name => "cosine";

    /// <inheritdoc/>
    protected override void WriteOne(float u, Span<float> features)
    {
        for (var j = 1; j <= Waves; j++)
        {
            features[j - 1] = (float)Math.Cos(Math.PI * j * u);
        }
    }
}

/// <summary>
/// For numbers that race in groups of K (race:K, or Gumbel-max with K = V): each as the Gumbel number g = -ln(-ln u), scaled to mean 0 and
/// variance 1, and its chance to win among its group, softmax(g / s). A race is won by the largest sum of g and ln p, so what a network that
/// knows ln p still has to do is an addition and a comparison; the chances alone are a guess of the token before anything is known. Our addition.
/// </summary>
/// <param name="racers">K, at least 2.</param>
public sealed class ClockEmbedding(int racers) : AuxiliaryEmbedding
{
    private const double Mean = 0.57721566490153286; // Euler's constant
    private const double Deviation = 1.2825498301618641; // pi / sqrt 6
    private const double Scale = 4; // shares of many racers are small
    private static readonly double[] s_softness = [1, 0.5];

    /// <inheritdoc/>
    public override string Name => $"clocks:{racers}";

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => (1 + s_softness.Length) * numbersPerToken + 1;

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features)
    {
        Span<double> gumbel = stackalloc double[Math.Min(racers, u.Length)];
        for (var first = 0; first < u.Length; first += racers)
        {
            var count = Math.Min(racers, u.Length - first);
            for (var j = 0; j < count; j++)
            {
                gumbel[j] = -Math.Log(-Math.Log(u[first + j] + 0.5 / Cell.Grid)); // the middle of u's step of the grid: 0 has a logarithm
                features[first + j] = (float)((gumbel[j] - Mean) / Deviation);
            }

            for (var s = 0; s < s_softness.Length; s++)
            {
                var shares = features.Slice((1 + s) * u.Length + first, count);
                var sum = 0.0;
                for (var j = 0; j < count; j++)
                {
                    sum += Math.Exp(gumbel[j] / s_softness[s]);
                }

                for (var j = 0; j < count; j++)
                {
                    shares[j] = (float)(Scale * Math.Exp(gumbel[j] / s_softness[s]) / sum);
                }
            }
        }

        features[^1] = 1f;
    }
}
