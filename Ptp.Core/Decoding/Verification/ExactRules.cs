// The rules that keep a promise: x = Pick(u, p), x = argmax p, and the ratio test of a draft that is a point mass given u.
//   ratio: accept x with probability p(x), else draw from p without x, renormalised.  Output: p(x) [y = x] + (1 - p(x)) p(y) / (1 - p(x))
// Both draws of the ratio are fresh: with the u that made x, or with an unnormalised rest, the law is lost (docs/06-verification.md).

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>x = Pick(u, p): the draft stands where plain decoding agrees.</summary>
public sealed class ExactRule : PathExactRule
{
    /// <summary>The rule; it has no state.</summary>
    public static ExactRule Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "exact";

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Token == trial.Picked;
}

/// <summary>x = argmax p, equal probabilities by id: at temperature 0 that is Pick, above it a preference for the likeliest.</summary>
public sealed class ArgmaxRule : GreedyExactRule
{
    /// <summary>The rule; it has no state.</summary>
    public static ArgmaxRule Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "argmax";

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => TopKRule.Rank(trial.Token, trial.Law) == 0;
}

/// <summary>Speculative sampling for a drafter that is deterministic given u: q is a point mass, whatever its confidence.</summary>
public sealed class RatioRule : LawExactRule
{
    /// <summary>The rule; it has no state.</summary>
    public static RatioRule Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "ratio";

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => AcceptsByRatio(trial, 1, 0);

    /// <inheritdoc/>
    public override int Replacement(in Trial trial) => Residual(trial);

    /// <summary>True with probability min(1, kappa p(x) + omega).</summary>
    internal static bool AcceptsByRatio(in Trial trial, double kappa, double omega) =>
        trial.Random.NextDouble() < kappa * trial.Law[trial.Token] + omega
        || PositiveRest(trial) <= 0; // rounding can leave p(x) below one with nothing else to draw

    /// <summary>A token of the law without x.</summary>
    internal static int Residual(in Trial trial)
    {
        var scale = (float)(1 / PositiveRest(trial));
        var rest = new float[trial.Law.Length];
        for (var token = 0; token < rest.Length; token++)
        {
            rest[token] = token == trial.Token ? 0 : trial.Law[token] * scale;
        }

        return Pick.Token(trial.Random.NextDouble(), rest);
    }

    private static double PositiveRest(in Trial trial)
    {
        var rest = 0.0;
        for (var token = 0; token < trial.Law.Length; token++)
        {
            rest += token == trial.Token ? 0 : trial.Law[token];
        }

        return rest;
    }
}
