// A drafter: context + auxiliaries -> a chain of proposed tokens with confidences.
// A proposal of a drafter that is deterministic given u is a point mass: its token is all its law. One that was drawn with dice of its
// own (ModelSession.Dice) carries the law it was drawn from. Refuses: nothing; what may share u is the verifier's affair (Verification).

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>A chain of draft tokens, in memory of its drafter: it stands until the next one is proposed.</summary>
/// <param name="tokens">Draft of tokens g, g + 1, ...</param>
/// <param name="confidences">Probability the drafter gives each, [N].</param>
/// <param name="knowsFirstLaw">
/// True if drafting also ran the last committed token through the verifier: its row is in the cache and law row 0 is P(t_g).
/// </param>
public readonly ref struct Draft(ReadOnlySpan<int> tokens, ReadOnlySpan<float> confidences, bool knowsFirstLaw)
{
    /// <summary>Draft of tokens g, g + 1, ...</summary>
    public ReadOnlySpan<int> Tokens { get; } = tokens;

    /// <summary>Probability the drafter gives each, [N].</summary>
    public ReadOnlySpan<float> Confidences { get; } = confidences;

    /// <summary>True if law row 0 is P(t_g) already.</summary>
    public bool KnowsFirstLaw { get; } = knowsFirstLaw;

    /// <summary>What held-out text makes of the confidences: the chance of each token to be right if all before it are, [N]; empty = not measured.</summary>
    public ReadOnlySpan<double> Chances { get; init; }

    /// <summary>The law q that each token was drawn from by <see cref="ModelSession.Dice"/>, [N][V]; null if tokens are point masses.</summary>
    public float[][]? Laws { get; init; }
}

/// <summary>Proposes tokens that a verifier checks.</summary>
public interface IDrafter
{
    /// <summary>Most tokens per draft.</summary>
    int Slots { get; }

    /// <summary>
    /// True if <see cref="Propose"/> runs all committed tokens that the cache lacks in its own call, or needs none of them cached;
    /// false if the cache must hold all but the last.
    /// </summary>
    bool RunsUncached => false;

    /// <summary>Prepares for a new text.</summary>
    void Start(IReadOnlyList<int> prompt);

    /// <summary>Drafts tokens g to g + count - 1.</summary>
    /// <param name="session">The text on the verifier; all committed tokens but the last are cached, unless <see cref="RunsUncached"/>.</param>
    /// <param name="u">Auxiliaries, shared with the verifier.</param>
    /// <param name="g">Index of the first token to draft.</param>
    /// <param name="count">Tokens to draft, at most <see cref="Slots"/>.</param>
    Draft Propose(ModelSession session, Auxiliaries u, long g, int count);
}
