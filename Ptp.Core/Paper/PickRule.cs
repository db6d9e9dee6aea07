// How numbers become a token, and how a known token becomes numbers again: the two directions of one rule.
// inverse-cdf is the paper's rule (Pick and Cell, one number per token); the others stand in Decoding and give every token the
// same probability, but forgive a drafter's slightly wrong law more often. Refuses: names it does not know.

using System.Globalization;
using Ptp.Core.Decoding;

namespace Ptp.Core.Paper;

/// <summary>A deterministic choice of a token from uniform numbers and a law; its law is exactly the given one.</summary>
public abstract class PickRule
{
    /// <summary>The names that <see cref="Parse"/> knows, for people.</summary>
    public const string Choices = "inverse-cdf, permuted-cdf, tree, race:K with K from 2 to 4096, or gumbel";

    /// <summary>The same as a pattern, for help texts.</summary>
    public const string Forms = "inverse-cdf|permuted-cdf|tree|race:K|gumbel";

    /// <summary>The rule as options and files name it.</summary>
    public abstract string Name { get; }

    /// <summary>How many uniform numbers one token takes.</summary>
    /// <param name="vocabularySize">V.</param>
    public abstract int NumbersPerToken(int vocabularySize);

    /// <summary>The token that the numbers choose.</summary>
    /// <param name="u">Numbers in [0, 1), one per <see cref="NumbersPerToken"/>.</param>
    /// <param name="law">Probabilities, [V].</param>
    public abstract int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law);

    /// <summary>The token the numbers probably choose from a law of which only an approximation is known.</summary>
    /// <param name="u">Numbers in [0, 1).</param>
    /// <param name="law">The approximation, [V].</param>
    /// <param name="softness">How far its cells may be off, see <see cref="PickGuess"/>.</param>
    /// <param name="confidence">The probability that the guess is right.</param>
    public int Guess(ReadOnlySpan<float> u, ReadOnlySpan<float> law, double softness, out float confidence)
    {
        if (softness <= 0)
        {
            var exact = Pick(u, law);
            confidence = law[exact];
            return exact;
        }

        Span<int> token = [0];
        Span<float> chance = [0];
        var best = new BestGuesses(token, chance);
        Guess(u, law, softness, ref best);
        confidence = chance[0];
        return best.Count > 0 ? token[0] : throw Paper.Pick.NotALaw(law.Length, 0);
    }

    /// <summary>The tokens the numbers most probably choose from a law of which only an approximation is known.</summary>
    /// <param name="u">Numbers in [0, 1).</param>
    /// <param name="law">The approximation, [V].</param>
    /// <param name="softness">How far it may be off; above 0.</param>
    /// <param name="best">Receives the tokens and the probability that each is right.</param>
    public abstract void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best);

    /// <summary>Numbers that choose the given token; false if no numbers of the grid do.</summary>
    /// <param name="token">An id below V.</param>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="noise">Where in the cell.</param>
    /// <param name="beta">Shape of the noise: Beta(beta, beta), 1 is uniform.</param>
    /// <param name="u">Receives the numbers.</param>
    public abstract bool TryDraw(
        int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u);

    /// <summary>The rule of a name.</summary>
    /// <param name="name">One of <see cref="Choices"/>.</param>
    public static PickRule Parse(string name) => Find(name)
        ?? throw new PtpException("Choose a pick rule", $"'{name}'", Choices, "Name a rule of this list.");

    /// <summary>The rule of a name, or null.</summary>
    internal static PickRule? Find(string? name) => name switch
    {
        "inverse-cdf" => InverseCdf.Instance,
        "permuted-cdf" => new PermutedCdf(),
        "tree" => TreePick.Instance,
        "gumbel" => new RacePick(0),
        _ when name?.StartsWith("race:", StringComparison.Ordinal) == true
            && int.TryParse(name.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out var arity)
            && arity is >= 2 and <= 4096 => new RacePick(arity),
        _ => null,
    };
}

/// <summary>The paper's rule: one number, cells in id order.</summary>
[Paper("Eq. 2")]
public sealed class InverseCdf : PickRule
{
    /// <summary>The rule; it has no state.</summary>
    public static InverseCdf Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "inverse-cdf";

    /// <inheritdoc/>
    public override int NumbersPerToken(int vocabularySize) => 1;

    /// <inheritdoc/>
    public override int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law) => Paper.Pick.Token(u[0], law);

    /// <inheritdoc/>
    public override void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best) =>
        PickGuess.Tokens(u[0], law, softness, ref best);

    /// <inheritdoc/>
    public override bool TryDraw(
        int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u) =>
        Cell.TryDraw(token, law, BetaNoise.Sample(beta, noise), out u[0]);
}
