// When a draft token may stand: the predicate that a verifier asks, and what a text decoded under it still promises.
//   path: same u, same tokens as plain decoding;  law: the same distribution;  greedy: the same tokens at temperature 0
// The promise is the rule's base class, so a parameter of type PathExactRule admits no other. Refuses: names it does not know.

using System.Globalization;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Verification;

/// <summary>What a text decoded under a rule has in common with plain decoding; each promise includes those before it.</summary>
public enum Guarantee
{
    /// <summary>Nothing: the rule trades the model's law for speed.</summary>
    None,

    /// <summary>At temperature 0 the tokens of plain decoding.</summary>
    Greedy,

    /// <summary>The law of plain decoding, whatever the draft.</summary>
    Law,

    /// <summary>The tokens of plain decoding for the same u.</summary>
    Path,
}

/// <summary>A predicate on draft tokens.</summary>
[Paper("Verification rules")]
public abstract class VerificationRule
{
    /// <summary>The names that <see cref="Parse"/> knows, for people.</summary>
    public const string Choices = "exact, ratio:KAPPA,OMEGA, argmax, top-k:K, nucleus:MASS, threshold:P, entropy:EPSILON,DELTA, "
        + "distance:D, confidence:Q, first:K, any of these with ' or exact' behind it, or with 'self:' before it";

    private const string OrExact = " or exact";
    private const string Self = "self:";

    /// <summary>The rule as options name it; <see cref="Parse"/> reads it back.</summary>
    public abstract string Name { get; }

    /// <summary>What its base class promises.</summary>
    public Guarantee Guarantee => this switch
    {
        PathExactRule => Guarantee.Path,
        LawExactRule => Guarantee.Law,
        GreedyExactRule => Guarantee.Greedy,
        _ => Guarantee.None,
    };

    /// <summary>True if it reads <see cref="Trial.RawLaw"/>, which costs a softmax per token.</summary>
    public virtual bool ReadsRawLaw => false;

    /// <summary>True if it reads <see cref="Trial.Rest"/> and <see cref="Trial.Proposal"/>.</summary>
    public virtual bool ReadsRest => false;

    /// <summary>False if it never reads <see cref="Trial.Picked"/>, which then need not be found.</summary>
    public virtual bool ReadsPick => true;

    /// <summary>True if laws are to be the drafter's own instead of the base's.</summary>
    public virtual bool ReadsOwnLaw => false;

    /// <summary>False if it reads neither law nor pick: no verifying call need be made, see <see cref="DraftAlone"/>.</summary>
    public virtual bool AsksTheBase => true;

    /// <summary>Refuses pick rules under which it has no meaning.</summary>
    /// <param name="pick">How u picks a token.</param>
    public virtual void Check(PickRule pick)
    {
        // Most rules read laws only.
    }

    /// <summary>Whether the token may stand.</summary>
    /// <param name="trial">The token and its law.</param>
    public abstract bool Accepts(in Trial trial);

    /// <summary>The token to commit where no draft token stands: behind the last that did.</summary>
    /// <param name="trial">What <see cref="Accepts"/> has just refused; token -1 if there was nothing to refuse.</param>
    public virtual int Replacement(in Trial trial) => trial.Picked;

    /// <summary>The rule of a name.</summary>
    /// <param name="name">One of <see cref="Choices"/>, numbers in invariant notation.</param>
    public static VerificationRule Parse(string name) => Find(name)
        ?? throw new PtpException("Choose a verification rule", $"'{name}'", Choices, "Name a rule of this list.");

    private static VerificationRule? Find(string name)
    {
        if (name.StartsWith(Self, StringComparison.Ordinal))
        {
            return Find(name[Self.Length..]) is { ReadsOwnLaw: false } judged ? new SelfRule(judged) : null;
        }

        if (name.EndsWith(OrExact, StringComparison.Ordinal))
        {
            return Find(name[..^OrExact.Length]) is { } first ? new OrExactRule(first) : null;
        }

        var (head, numbers) = Split(name);
        return (head, numbers) switch
        {
            ("exact", []) => ExactRule.Instance,
            ("argmax", []) => ArgmaxRule.Instance,
            ("ratio", [] or [1, 0]) => RatioRule.Instance,
            ("ratio", [var kappa, var omega]) => new RelaxedRatioRule(kappa, omega),
            ("top-k", [var k]) when k is >= 1 and <= int.MaxValue && k == Math.Floor(k) => new TopKRule((int)k),
            ("nucleus", [var mass]) => new NucleusRule(mass),
            ("threshold", [var least]) => new ThresholdRule(least),
            ("entropy", [var epsilon, var delta]) => new EntropyRule(epsilon, delta),
            ("distance", [var distance]) => new DistanceRule(distance),
            ("confidence", [var least]) => new ConfidenceRule(least),
            ("first", [var count]) => new FirstRule(count),
            _ => null,
        };
    }

    private static (string Head, double[]? Numbers) Split(string name)
    {
        var colon = name.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0)
        {
            return (name, []);
        }

        var parts = name[(colon + 1)..].Split(',');
        var numbers = new double[parts.Length];
        for (var i = 0; i < parts.Length; i++)
        {
            if (!double.TryParse(parts[i], NumberStyles.Float, CultureInfo.InvariantCulture, out numbers[i]))
            {
                return (name, null);
            }
        }

        return (name[..colon], numbers);
    }

    /// <summary>Throws unless a rule's number lies in its range; NaN lies in none.</summary>
    private protected static void Require(bool holds, string rule, double number, string range) => Guard.Require(
        holds, $"Make the verification rule '{rule}'", $"{Guard.Text(number)}", $"{range}", "Correct the number behind the colon.");
}

/// <summary>At temperature 0 the text is plain decoding's.</summary>
public abstract class GreedyExactRule : VerificationRule;

/// <summary>The text has the law of plain decoding, as every decision is one of the dice.</summary>
/// <remarks>
/// Whatever the drafter, unless the round starts from a tree whose root drafting has made known: that token is u's pick, and the
/// tokens drafted for it in an earlier round must not have looked further ahead in u. No drafter here does.
/// </remarks>
public abstract class LawExactRule : GreedyExactRule;

/// <summary>The text is plain decoding's for the same u, at any temperature, for any drafter.</summary>
public abstract class PathExactRule : LawExactRule;
