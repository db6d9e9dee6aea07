// How close texts are to what the base would have written, when the verification rule does not promise it.
//   q-bar = mean over answers of exp(mean ln p_base), in %;  PPL = mean of exp(-mean ln p_base);  gzip ratio: bytes over zipped bytes
//   p_align: z = sum (ln p(t) - E ln p) / sqrt(sum Var ln p) on the sampling law, two-sided.  Refuses: empty answers and texts.

using System.IO.Compression;
using System.Text;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>How a token's log probability compares with what the law lets one expect.</summary>
/// <param name="LogProbability">ln p(t).</param>
/// <param name="Mean">E ln p = sum over v of p ln p: minus the entropy.</param>
/// <param name="Variance">Of ln p under p.</param>
public readonly record struct TokenSurprise(double LogProbability, double Mean, double Variance);

/// <summary>Whether tokens are as surprising as draws from their laws.</summary>
/// <param name="Z">Standard deviations above what is expected: positive if the tokens are too likely.</param>
/// <param name="PValue">Two-sided chance of such a Z, or a larger one, for tokens that were drawn from their laws.</param>
/// <param name="Tokens">Tokens that entered.</param>
/// <param name="Skipped">Tokens below e^-20, which a sampler does not produce: more than none is a finding of its own.</param>
public readonly record struct Alignment(double Z, double PValue, int Tokens, int Skipped);

/// <summary>Measures of texts.</summary>
[Paper("Faithfulness")]
public static class Faithfulness
{
    private const double LeastLog = -20;

    /// <summary>q-bar: the mean over answers of the geometric mean probability of their tokens, in percent.</summary>
    /// <param name="answers">ln p of each token under the base, per answer.</param>
    public static double MeanProbability(IReadOnlyCollection<double[]> answers) => 100 * MeanExp(answers, 1);

    /// <summary>PPL: the mean over answers of their perplexity.</summary>
    /// <param name="answers">ln p of each token under the base, per answer.</param>
    public static double Perplexity(IReadOnlyCollection<double[]> answers) => MeanExp(answers, -1);

    /// <summary>What <see cref="Align"/> needs of one token.</summary>
    /// <param name="token">The token of the text.</param>
    /// <param name="law">The sampling law at its place, after temperature and truncation, [V].</param>
    public static TokenSurprise Surprise(int token, ReadOnlySpan<float> law)
    {
        var (mean, square) = (0.0, 0.0);
        foreach (double p in law)
        {
            if (p > 0)
            {
                var log = Math.Log(p);
                mean += p * log;
                square += p * log * log;
            }
        }

        return new TokenSurprise(Math.Log(law[token]), mean, Math.Max(0, square - mean * mean));
    }

    /// <summary>p_align of tokens, pooled over texts.</summary>
    /// <param name="tokens">The tokens' <see cref="Surprise"/>.</param>
    public static Alignment Align(IEnumerable<TokenSurprise> tokens)
    {
        var (excess, variance, count, skipped) = (0.0, 0.0, 0, 0);
        foreach (var token in tokens)
        {
            if (token.LogProbability < LeastLog)
            {
                skipped++;
                continue;
            }

            count++;
            excess += token.LogProbability - token.Mean;
            variance += token.Variance;
        }

        // Laws without any choice, as at temperature 0, can be followed in one way only.
        var z = variance > 0 ? excess / Math.Sqrt(variance) : 0;
        return new Alignment(z, TwoSided(z), count, skipped);
    }

    /// <summary>UTF-8 bytes of a text over the bytes of its gzip: large for texts that repeat themselves.</summary>
    /// <param name="text">A text; the ratio of very short ones is small, as gzip adds some twenty bytes.</param>
    public static double GzipRatio(string text)
    {
        Guard.Require(text.Length > 0, "Measure repetition", "an empty text", "at least one character", "Leave out empty texts.");
        var bytes = Encoding.UTF8.GetBytes(text);
        using var zipped = new MemoryStream();
        using (var gzip = new GZipStream(zipped, CompressionLevel.Optimal, leaveOpen: true))
        {
            gzip.Write(bytes);
        }

        return bytes.Length / (double)zipped.Length;
    }

    /// <summary>P(|Z| >= |z|) of a standard normal Z.</summary>
    internal static double TwoSided(double z)
    {
        var x = Math.Abs(z) / Math.Sqrt(2);
        if (x < 2)
        {
            // erf x = 2 / sqrt pi * sum (-1)^n x^(2n+1) / (n! (2n+1)); no cancellation to speak of below 2.
            var (term, sum) = (x, x);
            for (var n = 1; Math.Abs(term) > 1e-17; n++)
            {
                term *= -x * x / n;
                sum += term / (2 * n + 1);
            }

            return Math.Max(0, 1 - 2 / Math.Sqrt(Math.PI) * sum);
        }

        // erfc x = e^(-x^2) / sqrt pi / (x + (1/2) / (x + 1 / (x + (3/2) / (x + ...)))).
        var fraction = x;
        for (var n = 80; n >= 1; n--)
        {
            fraction = x + n / 2.0 / fraction;
        }

        return Math.Exp(-x * x) / (Math.Sqrt(Math.PI) * fraction);
    }

    private static double MeanExp(IReadOnlyCollection<double[]> answers, int sign)
    {
        Guard.Require(answers.Count > 0 && answers.All(answer => answer.Length > 0), "Measure answers",
            $"{answers.Count} answers, some of them without tokens", "at least one answer, none of them empty", "Leave out empty answers.");
        return answers.Average(answer => Math.Exp(sign * answer.Average()));
    }
}
