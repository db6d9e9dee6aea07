// Rules that promise nothing: they let a draft token stand where it is likely enough, near enough, or merely early enough.
// x draft token, p law, q drafter's confidence, u shared. Top-k and nucleus judge by the raw law (temperature 1, untruncated).
// Refuses: numbers out of range; distance to a cell under pick rules that have no cells on a line.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>Accept with probability min(1, kappa p(x) / q(x) + omega), else as <see cref="RatioRule"/>, which is 1, 0.</summary>
public sealed class RelaxedRatioRule : VerificationRule
{
    private readonly double _kappa;
    private readonly double _omega;

    /// <summary>A rule.</summary>
    /// <param name="kappa">Factor of the probability, at least 1: below it the rest could not make up for what is refused.</param>
    /// <param name="omega">Added chance, in [0, 1].</param>
    public RelaxedRatioRule(double kappa, double omega)
    {
        Require(kappa >= 1 && double.IsFinite(kappa), "ratio", kappa, "a factor of at least 1");
        Require(omega is >= 0 and <= 1, "ratio", omega, "an added chance in [0, 1]");
        (_kappa, _omega) = (kappa, omega);
    }

    /// <inheritdoc/>
    public override string Name => $"ratio:{Guard.Text(_kappa)},{Guard.Text(_omega)}";

    /// <inheritdoc/>
    public override bool ReadsRest => true;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Dice.Coin(_kappa * RatioRule.Ratio(trial) + _omega);

    /// <inheritdoc/>
    public override int Replacement(in Trial trial) => trial.Dice.Draw(trial.Rest);
}

/// <summary>x is one of the K likeliest tokens.</summary>
public sealed class TopKRule : VerificationRule
{
    private readonly int _count;

    /// <summary>A rule.</summary>
    /// <param name="count">K, at least 1.</param>
    public TopKRule(int count)
    {
        Require(count >= 1, "top-k", count, "a whole number of at least 1");
        _count = count;
    }

    /// <inheritdoc/>
    public override string Name => $"top-k:{Guard.Text(_count)}";

    /// <inheritdoc/>
    public override bool ReadsRawLaw => true;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => Rank(trial.Token, trial.RawLaw) < _count;

    /// <summary>Tokens that come before this one: likelier, or as likely with a lower id, the order of LogitsTransform.</summary>
    internal static int Rank(int token, ReadOnlySpan<float> law)
    {
        var rank = 0;
        for (var other = 0; other < law.Length; other++)
        {
            rank += law[other] > law[token] || (law[other] == law[token] && other < token) ? 1 : 0;
        }

        return rank;
    }
}

/// <summary>All tokens likelier than x together have less than a mass.</summary>
public sealed class NucleusRule : VerificationRule
{
    private readonly double _mass;

    /// <summary>A rule.</summary>
    /// <param name="mass">In (0, 1].</param>
    public NucleusRule(double mass)
    {
        Require(mass is > 0 and <= 1, "nucleus", mass, "a mass in (0, 1]");
        _mass = mass;
    }

    /// <inheritdoc/>
    public override string Name => $"nucleus:{Guard.Text(_mass)}";

    /// <inheritdoc/>
    public override bool ReadsRawLaw => true;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial)
    {
        var above = 0.0;
        foreach (var p in trial.RawLaw)
        {
            above += p > trial.RawLaw[trial.Token] ? p : 0;
        }

        return above < _mass;
    }
}

/// <summary>p(x) reaches a threshold.</summary>
public sealed class ThresholdRule : VerificationRule
{
    private readonly double _least;

    /// <summary>A rule.</summary>
    /// <param name="least">In [0, 1].</param>
    public ThresholdRule(double least)
    {
        Require(least is >= 0 and <= 1, "threshold", least, "a probability in [0, 1]");
        _least = least;
    }

    /// <inheritdoc/>
    public override string Name => $"threshold:{Guard.Text(_least)}";

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Law[trial.Token] >= _least;
}

/// <summary>p(x) > min(epsilon, delta e^-H(p)): the less certain the model, the less is asked of x.</summary>
public sealed class EntropyRule : VerificationRule
{
    private readonly double _epsilon;
    private readonly double _delta;

    /// <summary>A rule; the field uses 0.09 and 0.3.</summary>
    /// <param name="epsilon">Most that is ever asked, in [0, 1].</param>
    /// <param name="delta">Share of the typical probability e^-H, at least 0.</param>
    public EntropyRule(double epsilon, double delta)
    {
        Require(epsilon is >= 0 and <= 1, "entropy", epsilon, "a probability in [0, 1]");
        Require(delta >= 0 && double.IsFinite(delta), "entropy", delta, "a factor of at least 0");
        (_epsilon, _delta) = (epsilon, delta);
    }

    /// <inheritdoc/>
    public override string Name => $"entropy:{Guard.Text(_epsilon)},{Guard.Text(_delta)}";

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial)
    {
        var entropy = 0.0;
        foreach (double p in trial.Law)
        {
            entropy -= p > 0 ? p * Math.Log(p) : 0;
        }

        return trial.Law[trial.Token] > Math.Min(_epsilon, _delta * Math.Exp(-entropy));
    }
}

/// <summary>u lies in the cell [lo, hi) of x or no further than a distance from it: max(lo - u, u - hi) at most that.</summary>
/// <remarks>At distance 0 it is <see cref="ExactRule"/>: the cell is half-open, so u = hi is the next token's and refused.</remarks>
public sealed class DistanceRule : VerificationRule
{
    private readonly double _distance;

    /// <summary>A rule.</summary>
    /// <param name="distance">In [0, 1].</param>
    public DistanceRule(double distance)
    {
        Require(distance is >= 0 and <= 1, "distance", distance, "a distance in [0, 1]");
        _distance = distance;
    }

    /// <inheritdoc/>
    public override string Name => $"distance:{Guard.Text(_distance)}";

    /// <inheritdoc/>
    public override void Check(PickRule pick) => Guard.Require(
        pick is InverseCdf, "Verify by the distance of u to a cell", $"the pick rule {pick.Name}", "inverse-cdf",
        "Decode with inverse-cdf, or verify by another rule.");

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial)
    {
        var cell = Cell.Of(trial.Token, trial.Law);
        double u = trial.U;
        return cell.Contains(u) || (_distance > 0 && Math.Max(cell.Left - u, u - cell.Right) <= _distance);
    }
}

/// <summary>The drafter is sure enough: q(x) reaches a threshold. The base is not asked.</summary>
public sealed class ConfidenceRule : VerificationRule
{
    private readonly double _least;

    /// <summary>A rule.</summary>
    /// <param name="least">In [0, 1].</param>
    public ConfidenceRule(double least)
    {
        Require(least is >= 0 and <= 1, "confidence", least, "a probability in [0, 1]");
        _least = least;
    }

    /// <inheritdoc/>
    public override string Name => $"confidence:{Guard.Text(_least)}";

    /// <inheritdoc/>
    public override bool AsksTheBase => false;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Confidence >= _least;
}

/// <summary>The first k tokens of a draft, unseen; a fraction of k is the chance of one more.</summary>
public sealed class FirstRule : VerificationRule
{
    private readonly double _count;

    /// <summary>A rule.</summary>
    /// <param name="count">k, at least 0.</param>
    public FirstRule(double count)
    {
        Require(count >= 0 && double.IsFinite(count), "first", count, "a count of at least 0");
        _count = count;
    }

    /// <inheritdoc/>
    public override string Name => $"first:{Guard.Text(_count)}";

    /// <inheritdoc/>
    public override bool AsksTheBase => false;

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) =>
        trial.Place + 1 <= _count || (trial.Place < _count && trial.Dice.Coin(_count - trial.Place));
}

/// <summary>x stands if a rule says so or x = Pick(u, p); what replaces it is Pick(u, p). It refuses less than either alone.</summary>
public sealed class OrExactRule(VerificationRule first) : VerificationRule
{
    /// <inheritdoc/>
    public override string Name => first.Name + " or exact";

    /// <inheritdoc/>
    public override bool ReadsRawLaw => first.ReadsRawLaw;

    /// <inheritdoc/>
    public override bool ReadsOwnLaw => first.ReadsOwnLaw;

    /// <inheritdoc/>
    public override void Check(PickRule pick) => first.Check(pick);

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => trial.Token == trial.Picked || first.Accepts(trial);
}

/// <summary>Another rule on the drafter's own laws: the adapted network judges what it drafted, and the base has no say.</summary>
public sealed class SelfRule(VerificationRule judged) : VerificationRule
{
    /// <inheritdoc/>
    public override string Name => "self:" + judged.Name;

    /// <inheritdoc/>
    public override bool ReadsRawLaw => judged.ReadsRawLaw;

    /// <inheritdoc/>
    public override bool ReadsOwnLaw => true;

    /// <inheritdoc/>
    public override void Check(PickRule pick) => judged.Check(pick);

    /// <inheritdoc/>
    public override bool Accepts(in Trial trial) => judged.Accepts(trial);

    /// <inheritdoc/>
    public override int Replacement(in Trial trial) => judged.Replacement(trial);
}
