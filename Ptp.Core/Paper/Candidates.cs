// Several u for the same place (PTP appendix "Abundant computational resources"): write M texts from M independent u, keep one.
//   central: arg min_m sum_k |(u_k - F_left) / (F_right - F_left) - 1/2|: places in cells are independent of the tokens, so the law stays
//   longest match: arg max_m of correct draft tokens: favours texts that are easy to draft, so the law does not stay. Refuses: it, unnamed.

namespace Ptp.Core.Paper;

/// <summary>Which of M candidates is kept.</summary>
[Paper("Candidates")]
public abstract class CandidateChoice
{
    /// <summary>The choice as options name it.</summary>
    public abstract string Name { get; }

    /// <summary>True if the kept text has the very law of any one candidate.</summary>
    public abstract bool KeepsLaw { get; }

    /// <summary>Index of the candidate to keep.</summary>
    /// <param name="places">For each candidate, where in its token's cell each u lies, in [0, 1), see <see cref="Place"/>; [M][K].</param>
    /// <param name="correct">For each candidate, its leading correct draft tokens, [M].</param>
    public abstract int Choose(IReadOnlyList<double[]> places, IReadOnlyList<int> correct);

    /// <summary>Where u lies in its token's cell, in [0, 1].</summary>
    /// <param name="u">The number.</param>
    /// <param name="law">The law that u picked from, [V].</param>
    public static double Place(float u, ReadOnlySpan<float> law)
    {
        var cell = Cell.Of(Pick.Token(u, law), law);
        return Math.Clamp((u - cell.Left) / cell.Width, 0, 1);
    }

    /// <summary>The choice of a name; what changes the law must be asked for with that word.</summary>
    /// <param name="name">"central" or "biased:longest-match".</param>
    public static CandidateChoice Parse(string name) => name switch
    {
        "central" => new CentralCandidate(),
        "biased:longest-match" => new LongestMatch(),
        _ => throw new PtpException(
            "Choose among candidates", $"'{name}'", "central, or biased:longest-match", name == "longest-match"
                ? "Keeping the longest match changes the law of the text; say biased:longest-match if that is meant."
                : "Name a choice of this list."),
    };
}

/// <summary>The candidate whose u lie closest to the middle of their cells: those a slightly wrong drafter gets right most often.</summary>
public sealed class CentralCandidate : CandidateChoice
{
    /// <inheritdoc/>
    public override string Name => "central";

    /// <inheritdoc/>
    public override bool KeepsLaw => true;

    /// <inheritdoc/>
    public override int Choose(IReadOnlyList<double[]> places, IReadOnlyList<int> correct) =>
        places.Select((p, m) => (Distance: p.Sum(x => Math.Abs(x - 0.5)), m)).Min().m;
}

/// <summary>The candidate with most correct draft tokens. The kept text no longer has the model's law.</summary>
public sealed class LongestMatch : CandidateChoice
{
    /// <inheritdoc/>
    public override string Name => "biased:longest-match";

    /// <inheritdoc/>
    public override bool KeepsLaw => false;

    /// <inheritdoc/>
    public override int Choose(IReadOnlyList<double[]> places, IReadOnlyList<int> correct) =>
        correct.Select((c, m) => (-c, m)).Min().m;
}
