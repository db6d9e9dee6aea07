// The contract of a decoder: prompt + auxiliaries + limits -> tokens, streamed as they are committed, + DecodeStats.
// u_g belongs to generated token g, whatever the decoder; so every exact decoder returns the same tokens.
// Refuses: an empty prompt, a prompt that leaves no room in the context.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Why a text ended.</summary>
public enum StopReason
{
    /// <summary>An end token was picked.</summary>
    EndToken,

    /// <summary>The limit of new tokens was reached.</summary>
    MaxTokens,

    /// <summary>The model's context is full.</summary>
    ContextFull,

    /// <summary>The caller stopped it.</summary>
    Cancelled,
}

/// <summary>When to stop.</summary>
/// <param name="MaxNewTokens">Most tokens to generate.</param>
/// <param name="EndTokens">Ids that end the text; the id itself is the last token returned.</param>
public sealed record DecodeLimits(int MaxNewTokens, IReadOnlyList<int> EndTokens);

/// <summary>Tokens that one round committed: the first <paramref name="Correct"/> were drafted and verified.</summary>
/// <param name="Tokens">Committed tokens, in order; this memory stays as it is.</param>
/// <param name="Correct">How many of them the draft had right.</param>
public readonly record struct Commitment(ReadOnlyMemory<int> Tokens, int Correct)
{
    /// <summary>
    /// The draft as it was proposed. Its first token may be wrong although the round counts it as correct: where drafting
    /// reveals the exact first token, that takes its place before the draft is verified. To be read at once: the next round's
    /// draft takes this memory.
    /// </summary>
    public ReadOnlyMemory<int> Draft { get; init; }

    /// <summary>How many leading tokens of the draft were verified; a decoder may drop the rest unseen.</summary>
    public int Verified { get; init; }

    /// <summary>Slots that the same call drafted ahead for the case of m = 0, 1, ... right tokens, [q + 1]; empty where calls do not branch.</summary>
    public ReadOnlyMemory<int> Branches { get; init; }

    /// <summary>The tree that was verified, of which the draft is the path that was right; null for chains. To be read at once, too.</summary>
    public DraftTree? Tree { get; init; }
}

/// <summary>What a decoder returns.</summary>
/// <param name="Tokens">Generated tokens, prompt excluded.</param>
/// <param name="Stop">Why it ended.</param>
/// <param name="Stats">Counts and times.</param>
public sealed record Decoded(int[] Tokens, StopReason Stop, DecodeStats Stats);

/// <summary>Turns a prompt and auxiliaries into tokens.</summary>
public interface IDecoder
{
    /// <summary>Its name, as the command line knows it.</summary>
    string Name { get; }

    /// <summary>Decodes.</summary>
    /// <param name="prompt">At least one token.</param>
    /// <param name="u">u_g for generated token g = 0, 1, ...</param>
    /// <param name="limits">When to stop.</param>
    /// <param name="committed">Told of each round; false stops the text there.</param>
    /// <param name="cancellation">Stops between rounds.</param>
    /// <exception cref="PtpException">The prompt is empty or too long, or logits are not finite.</exception>
    Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default);
}
