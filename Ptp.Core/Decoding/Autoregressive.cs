// Plain decoding, one token per call: t_g = Pick(u_g, P(. | prompt, t_<g)).
// Every other exact decoder must return these very tokens for the same u.
// Refuses: nothing beyond the decoder contract.

using System.Diagnostics;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>One call, one token.</summary>
public sealed class Autoregressive(Transformer model, SamplingOptions law, PickRule rule) : IDecoder
{
    private readonly ModelSession _session = new(model, law, rule);

    /// <inheritdoc/>
    public string Name => "ar";

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default) =>
        Rounds.Run(_session, prompt, limits, null, output =>
        {
            _session.Verify([_session.Tokens[^1]]);
            return Rounds.Commit([_session.Pick(0, u, output.Count)], [], 0, 0, output, limits, _session, committed);
        }, cancellation);
}

/// <summary>The rounds of a text and their end, the same for every decoder.</summary>
internal static class Rounds
{
    /// <summary>Runs rounds until the text ends.</summary>
    /// <param name="session">The text.</param>
    /// <param name="prompt">Its beginning.</param>
    /// <param name="limits">When to stop.</param>
    /// <param name="start">What else must be prepared for the prompt, or null.</param>
    /// <param name="round">A round: grows the generated tokens it is given; a reason to stop, or null.</param>
    /// <param name="cancellation">Stops between rounds.</param>
    public static Decoded Run(
        ModelSession session, IReadOnlyList<int> prompt, DecodeLimits limits, Action? start,
        Func<List<int>, StopReason?> round, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        session.Start(prompt);
        start?.Invoke();
        var promptSeconds = clock.Elapsed.TotalSeconds;
        var output = session.Generated;
        output.EnsureCapacity(Math.Min(limits.MaxNewTokens, session.Room));
        var stop = StopBefore(0, limits, session);
        while (stop is null)
        {
            stop = round(output)
                ?? StopBefore(output.Count, limits, session)
                ?? (cancellation.IsCancellationRequested ? StopReason.Cancelled : null);
        }

        session.Stats.AddTime(promptSeconds, clock.Elapsed.TotalSeconds - promptSeconds);
        return new Decoded([.. output], stop.Value, session.Stats);
    }

    /// <summary>A reason not to start another round.</summary>
    private static StopReason? StopBefore(int generated, DecodeLimits limits, ModelSession session) =>
        generated >= limits.MaxNewTokens ? StopReason.MaxTokens
        : session.Room <= 0 ? StopReason.ContextFull
        : null;

    /// <summary>Commits tokens up to the first end token, crops the cache, counts, and tells the caller.</summary>
    /// <param name="tokens">Verified tokens: the correct ones and one more.</param>
    /// <param name="draft">The draft as it was proposed; of a tree, the path that was right.</param>
    /// <param name="drafted">How many tokens were verified: leading ones of the draft, or all nodes of a tree.</param>
    /// <param name="correct">Leading draft tokens that were right.</param>
    /// <param name="output">Generated tokens so far; grows.</param>
    /// <param name="limits">When to stop.</param>
    /// <param name="session">The text.</param>
    /// <param name="committed">Told of the tokens; false stops.</param>
    /// <param name="branches">Slots of each branch of the call, where it branched.</param>
    /// <param name="tree">The tree whose path the draft is, if there was one.</param>
    public static StopReason? Commit(
        ReadOnlySpan<int> tokens, ReadOnlySpan<int> draft, int drafted, int correct, List<int> output, DecodeLimits limits,
        ModelSession session, Func<Commitment, bool>? committed, ReadOnlyMemory<int> branches = default, DraftTree? tree = null)
    {
        var count = Math.Min(tokens.Length, Math.Min(limits.MaxNewTokens - output.Count, session.Room));
        StopReason? stop = null;
        for (var i = 0; i < count; i++)
        {
            if (limits.EndTokens.Contains(tokens[i]))
            {
                count = i + 1;
                stop = StopReason.EndToken;
            }
        }

        output.AddRange(tokens[..count]);
        var told = session.Commit(tokens[..count]);
        session.Stats.AddRound(drafted, correct, count);
        var goOn = committed?.Invoke(new Commitment(told, Math.Min(correct, count))
        {
            Draft = session.Keep(draft),
            Verified = Math.Min(drafted, draft.Length),
            Branches = branches,
            Tree = tree,
        }) ?? true;
        return stop ?? (goOn ? null : StopReason.Cancelled);
    }
}
