// The rules that keep a promise: x = Pick(u, p), x = argmax p, and the ratio test of speculative sampling.
//   ratio: x ~ q stands with probability min(1, p(x) / q(x)), else draw from norm(max(0, p - q)); siblings in turn, see NodeLaws.
// A draft that is deterministic given u is a point mass, q(x) = 1. All draws of the ratio are the dice's, the bonus token's too: with the
// u that made x, or with an unnormalised rest, the law is lost (docs/06-verification.md). Refuses: nothing.

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

/// <summary>Speculative sampling (Leviathan et al. 2023, Chen et al. 2023); with siblings the recursive rejection of EAGLE.</summary>
public sealed class RatioRule : LawExactRule
{
    /// <summary>The rule; it has no state.</summary>
    public static RatioRule Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "ratio";

    /// <inheritdoc/>
    public override bool ReadsRest => true;

    /// <inheritdoc/>
    public override bool ReadsPick => false;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Dice.Coin(Ratio(trial));

    /// <inheritdoc/>
    public override int Replacement(in Trial trial) => trial.Dice.Draw(trial.Rest);

    /// <summary>p(x) / q(x), p and q without the siblings tried before.</summary>
    internal static double Ratio(in Trial trial) =>
        trial.Proposal.IsEmpty ? trial.Rest[trial.Token] : trial.Rest[trial.Token] / trial.Proposal[trial.Token];
}
