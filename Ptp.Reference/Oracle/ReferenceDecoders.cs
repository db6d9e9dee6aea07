// Decoding one token at a time, and error-corrected decoding (Algorithm 1): the same function of prompt and u.
// Source: the paper's error correction; accept-if-equal between the draft and the teacher's pick from the same u.
// Refuses: drafts longer than their slots, negative limits. Not here: caches, batches, timing.

namespace Ptp.Reference.Oracle;

/// <summary>The student: at most u.Length tokens after a prefix, u[j] belonging to the j-th of them.</summary>
public delegate int[] ScalarDraft(int[] prefix, double[] u);

/// <summary>One verification.</summary>
/// <param name="Correct">Leading draft tokens that verified.</param>
/// <param name="Committed">Tokens it added to the output: Correct + 1, less in a last round that is cut.</param>
public sealed record ScalarRound(int Correct, int Committed);

/// <summary>A decoded continuation, its stop token included, and the rounds it took.</summary>
public sealed record ScalarDecoded(int[] Tokens, IReadOnlyList<ScalarRound> Rounds);

/// <summary>The two decoders that all others must equal.</summary>
/// <param name="law">The teacher's law of the next token.</param>
/// <param name="stop">Tokens that end the output (and belong to it).</param>
/// <param name="maxNew">Most tokens to produce.</param>
public sealed class ReferenceDecoders(ScalarNextLaw law, IReadOnlySet<int> stop, int maxNew)
{
    /// <summary>y_g = Pick(u_g, law(prompt, y_0..y_(g-1))).</summary>
    public int[] Autoregressive(int[] prompt, Func<int, double> u)
    {
        int[] y = [];
        while (!Finished(y))
        {
            y = [.. y, ScalarPick.Token(u(y.Length), law([.. prompt, .. y]))];
        }

        return y;
    }

    /// <summary>
    /// Drafts up to <paramref name="slots"/> tokens, verifies them against the teacher's picks, keeps what agrees.
    /// </summary>
    /// <param name="prompt">Tokens before.</param>
    /// <param name="u">u(g) belongs to generated token g, whoever proposes or verifies it.</param>
    /// <param name="student">Any student: it decides how many rounds are needed and nothing else.</param>
    /// <param name="slots">N, most draft tokens per round.</param>
    /// <param name="correctFirstToken">
    /// True where the last committed row already holds the first slot's law, as with gated adapters: the first draft
    /// token is replaced by the true one before verification, so a round commits at least two tokens.
    /// </param>
    public ScalarDecoded ErrorCorrected(
        int[] prompt, Func<int, double> u, ScalarDraft student, int slots, bool correctFirstToken = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(slots);
        int[] y = [];
        var rounds = new List<ScalarRound>();
        while (!Finished(y))
        {
            int[] committed = [.. prompt, .. y];
            var ahead = Enumerable.Range(y.Length, slots + 1).Select(u).ToArray(); // u_g .. u_(g+N)
            int[] draft = [.. student(committed, ahead[..slots])];
            if (draft.Length > slots)
            {
                throw new ArgumentException($"{draft.Length} draft tokens for {slots} slots.", nameof(student));
            }

            if (correctFirstToken && draft.Length > 0)
            {
                draft[0] = ScalarPick.Token(ahead[0], law(committed));
            }

            // One parallel call in a real decoder: the teacher's pick after each prefix of the draft.
            var verified = Enumerable.Range(0, draft.Length + 1)
                .Select(r => ScalarPick.Token(ahead[r], law([.. committed, .. draft[..r]])))
                .ToArray();
            var correct = draft.Zip(verified, (drafted, picked) => drafted == picked).TakeWhile(equal => equal).Count();

            var grown = Cut([.. y, .. verified[..(correct + 1)]]);
            rounds.Add(new(correct, grown.Length - y.Length));
            y = grown;
        }

        return new(y, rounds);
    }

    private bool Finished(int[] y) => y.Length >= maxNew || (y.Length > 0 && stop.Contains(y[^1]));

    private int[] Cut(int[] y)
    {
        var end = Array.FindIndex(y, stop.Contains) + 1;
        return y[..Math.Min(maxNew, end > 0 ? end : y.Length)];
    }
}
