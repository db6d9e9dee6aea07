// Observed drafts, and the branching model that makes them likeliest: pi0, p and rho by Nelder and Mead in logits.
//   ln L = sum over observed steps m -> j of ln P[m, j];  P[m, j] = (1 - pi0) BetaBin(j; m) + pi0 [j = 0], pi0 = 0 in generation 1
// A history that ends before zero was cut off and says nothing more. Refuses: histories that grow, begin at zero, or go on after it.

namespace Ptp.Core.Decoding.Branching;

/// <summary>Steps of strands that were seen, and what they say about the model.</summary>
public sealed class BranchingData
{
    private const double Farthest = 16; // logits: a chance of 1e-7 is as good as none
    private static readonly double[][] s_starts = [[-3, 0.5, 0], [-1, 0, -2], [-5, 1.5, 2]];
    private readonly Dictionary<(bool First, int From, int To), long> _steps = [];
    private int _widest;

    /// <summary>Steps counted.</summary>
    public long Steps => _steps.Values.Sum();

    /// <summary>Adds one call: strands right at the start, after token 1 of the draft, after token 2, and so on.</summary>
    /// <param name="survivors">K, S_1, S_2, ...; ends with 0 unless the strands were cut off alive.</param>
    public void Add(ReadOnlySpan<int> survivors)
    {
        for (var i = 0; i < survivors.Length; i++)
        {
            Guard.Require(
                i == 0 ? survivors[0] > 0 : survivors[i - 1] > 0 && survivors[i] >= 0 && survivors[i] <= survivors[i - 1],
                "Add strands", $"{survivors[i]} at place {i}", "a count that starts above zero, never grows and ends at its first zero",
                "Pass how many strands were right after each token.");
        }

        for (var i = 1; i < survivors.Length; i++)
        {
            AddSteps(i == 1, survivors[i - 1], survivors[i], 1);
        }
    }

    /// <summary>Adds the rounds of decoded texts, one strand each.</summary>
    /// <param name="stats">Counts of any decoder that drafts chains.</param>
    /// <param name="known">
    /// Leading slots that are right by construction and no observation: 1 where the first draft token is replaced by the exact
    /// one (<see cref="Paper.ErrorCorrectedDecoding"/> with gated slots), 0 for branches.
    /// </param>
    public void Add(DecodeStats stats, int known)
    {
        for (var slot = known; slot < stats.SlotReached.Length; slot++)
        {
            AddSteps(slot == known, 1, 1, stats.SlotRight[slot]);
            AddSteps(slot == known, 1, 0, stats.SlotReached[slot] - stats.SlotRight[slot]);
        }
    }

    /// <summary>ln of the probability of all steps.</summary>
    /// <param name="model">The model to judge.</param>
    public double LogLikelihood(BranchingModel model)
    {
        var law = new BetaBinomial(model.Mean, model.Correlation, _widest);
        var sum = 0.0;
        foreach (var ((first, from, to), count) in _steps)
        {
            var log = law.Log(from, to);
            var inflation = first ? 0 : model.Inflation;
            sum += count * (to > 0 ? log + Math.Log(1 - inflation) : Math.Log(inflation + (1 - inflation) * Math.Exp(log)));
        }

        return sum;
    }

    /// <summary>The likeliest model. One strand alone says nothing about rho, and then any rho is returned.</summary>
    public BranchingModel Fit()
    {
        Guard.Require(
            _steps.Count > 0, "Fit a branching model", "no steps", "at least one observed step", "Add histories of drafts first.");
        return s_starts.Select(start => Model(NelderMead.Minimise(x => -LogLikelihood(Model(x)), start))).MaxBy(LogLikelihood)!;
    }

    private static BranchingModel Model(double[] logits) => new(Chance(logits[0]), Chance(logits[1]), Chance(logits[2]));

    private static double Chance(double logit) => 1 / (1 + Math.Exp(-Math.Clamp(logit, -Farthest, Farthest)));

    private void AddSteps(bool first, int from, int to, long count)
    {
        if (count > 0)
        {
            _steps[(first, from, to)] = _steps.GetValueOrDefault((first, from, to)) + count;
            _widest = Math.Max(_widest, from);
        }
    }
}
