// How long drafts stay right, as a branching process: of S_{i-1} strands that are right so far, Bin(S_{i-1}, Theta_i) stay so, where
//   Theta_i = 0 with probability pi0 (not in the first generation), else Beta(alpha, beta), shared by all strands
//   T = min { i : S_i = 0 },  S[w, d] = P(T >= d | w strands),  a call commits G = 1 + T.  Refuses: parameters off (0, 1); pi0 may be 0.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Branching;

/// <summary>Strands of drafts that live and die together.</summary>
/// <remarks>
/// T counts the token that a round knows anyway, so T is 1 at least; of draft tokens that must be verified, T - 1 are right.
/// </remarks>
[Paper("Branching model")]
public sealed record BranchingModel
{
    /// <summary>A model.</summary>
    /// <param name="inflation">pi0, the chance that a generation after the first kills all strands, in [0, 1).</param>
    /// <param name="mean">p, the mean chance of a strand to live on, in (0, 1).</param>
    /// <param name="correlation">rho, how much strands of a generation share their fate, in (0, 1).</param>
    public BranchingModel(double inflation, double mean, double correlation)
    {
        Guard.Require(
            inflation is >= 0 and < 1 && mean is > 0 and < 1 && correlation is > 0 and < 1, "Make a branching model",
            $"pi0 = {Guard.Text(inflation)}, p = {Guard.Text(mean)}, rho = {Guard.Text(correlation)}",
            "pi0 in [0, 1), p and rho in (0, 1)", "Fit it to observed drafts with BranchingData.Fit.");
        (Inflation, Mean, Correlation) = (inflation, mean, correlation);
    }

    /// <summary>pi0.</summary>
    public double Inflation { get; }

    /// <summary>p = alpha / (alpha + beta).</summary>
    public double Mean { get; }

    /// <summary>rho = 1 / (1 + alpha + beta).</summary>
    public double Correlation { get; }

    /// <summary>S[w][d] = P(T >= d | w strands), [width + 1][depth + 1]; S[0] is zero.</summary>
    /// <remarks>No strand grows beyond <paramref name="depth"/>: what would come later is cut off by not being in the table.</remarks>
    /// <param name="width">Most strands.</param>
    /// <param name="depth">Longest strand.</param>
    public double[][] Survival(int width, int depth)
    {
        Guard.Require(width is >= 0 and <= 4096 && depth is >= 1 and <= 4096, "Tabulate survival",
            $"{width} strands of {depth} tokens", "0 to 4096 strands of 1 to 4096 tokens", "Ask for a smaller table.");
        var survival = new double[width + 1][];
        for (var w = 0; w <= width; w++)
        {
            survival[w] = new double[depth + 1];
            survival[w].AsSpan(0, Math.Min(2, depth + 1)).Fill(w == 0 ? 0 : 1);
        }

        var kernel = Kernel(width);
        for (var d = 2; d <= depth; d++)
        {
            // From d = 3 on the rest of the way begins in a generation that may be inflated.
            var spared = d == 2 ? 1 : 1 - Inflation;
            for (var w = 1; w <= width; w++)
            {
                var alive = 0.0;
                for (var j = 1; j <= w; j++)
                {
                    alive += kernel[w][j] * survival[j][d - 1];
                }

                survival[w][d] = spared * alive;
            }
        }

        return survival;
    }

    /// <summary>E[G] = 1 + sum over d of S[w][d]: tokens that a call with w equally long strands commits.</summary>
    /// <param name="strands">w.</param>
    /// <param name="depth">Their length.</param>
    public double ExpectedTokens(int strands, int depth)
    {
        Guard.Require(strands >= 1, "Expect the tokens of a call", $"{strands} strands", "at least 1", "Pass the strands of a call.");
        return 1 + Survival(strands, depth)[strands].Skip(1).Sum();
    }

    /// <summary>Chances of m = 0 .. width strands to leave j, without inflation, [width + 1][m + 1].</summary>
    internal double[][] Kernel(int width)
    {
        var law = new BetaBinomial(Mean, Correlation, width);
        var kernel = new double[width + 1][];
        for (var m = 0; m <= width; m++)
        {
            kernel[m] = new double[m + 1];
            for (var j = 0; j <= m; j++)
            {
                kernel[m][j] = Math.Exp(law.Log(m, j));
            }
        }

        return kernel;
    }
}

/// <summary>Logarithms of Beta-binomial probabilities, from sums of logarithms instead of gamma functions.</summary>
internal sealed class BetaBinomial
{
    private readonly double[] _successes; // ln alpha (alpha + 1) .. (alpha + n - 1)
    private readonly double[] _failures;
    private readonly double[] _all;
    private readonly double[] _factorials;

    public BetaBinomial(double mean, double correlation, int most)
    {
        var total = (1 - correlation) / correlation;
        _successes = Rising(mean * total, most);
        _failures = Rising((1 - mean) * total, most);
        _all = Rising(total, most);
        _factorials = Rising(1, most);
    }

    /// <summary>ln P(j of m live on).</summary>
    public double Log(int m, int j) =>
        _factorials[m] - _factorials[j] - _factorials[m - j] + _successes[j] + _failures[m - j] - _all[m];

    private static double[] Rising(double first, int most)
    {
        var sums = new double[most + 1];
        for (var n = 0; n < most; n++)
        {
            sums[n + 1] = sums[n] + Math.Log(first + n);
        }

        return sums;
    }
}
