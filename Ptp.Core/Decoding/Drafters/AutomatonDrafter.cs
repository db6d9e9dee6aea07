// SAM decoding (Hu et al. 2024, 2411.10666): drafts what followed the longest match of the text's end, in the text itself (dynamic
// automaton) or in a corpus (static); where neither match is long enough another drafter drafts instead, PTP too.
//   copy if max(l_d, l_s - bias) >= threshold, 40 tokens; without a fall-back whatever matches, 1 + 4 l tokens at most
// Refuses: nothing.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>The numbers of SAM decoding; defaults are the authors'.</summary>
public sealed record AutomatonOptions
{
    /// <summary>Most tokens to copy.</summary>
    public int Slots { get; init; } = 40;

    /// <summary>Least match that is preferred to the fall-back.</summary>
    public int Threshold { get; init; } = 5;

    /// <summary>How much longer a match in the corpus must be than one in the text.</summary>
    public int Bias { get; init; } = 5;
}

/// <summary>Copies by longest match, else asks another drafter.</summary>
/// <param name="corpus">The static automaton, shared between texts, or null.</param>
/// <param name="fallback">Who drafts where matches are short, or null for nobody.</param>
/// <param name="options">Thresholds; null = the authors'.</param>
public sealed class AutomatonDrafter(SuffixAutomaton? corpus = null, ITreeDrafter? fallback = null, AutomatonOptions? options = null)
    : ITreeDrafter
{
    private readonly AutomatonOptions _options = options ?? new AutomatonOptions();
    private readonly SuffixAutomaton _text = new();
    private AutomatonMatch _match;

    /// <inheritdoc/>
    public int Slots => Math.Max(_options.Slots, fallback?.Slots ?? 0);

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        _text.Clear();
        _match = default;
        fallback?.Start(prompt);
    }

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        for (var i = _text.Text.Count; i < session.Tokens.Count; i++)
        {
            _text.Append(session.Tokens[i]);
            _match = corpus?.Advance(_match, session.Tokens[i]) ?? default;
        }

        var (own, other) = (_text.Repeated, _match.Length - _options.Bias);
        if (fallback is not null && Math.Max(own.Length, other) < _options.Threshold)
        {
            return fallback.Propose(session, u, g, nodes, Math.Min(depth, fallback.Slots));
        }

        // On its own the automaton copies whatever matches; the longer the match, the more of it.
        var most = fallback is null ? Math.Min(_options.Slots, 1 + 4 * Math.Max(own.Length, _match.Length)) : _options.Slots;
        most = Math.Min(most, Math.Min(depth, nodes - 1));
        ReadOnlySpan<int> copied = own.Length > 0 && own.Length >= other ? _text.Continuation(own, most)
            : _match.Length > 0 ? corpus!.Continuation(_match, most)
            : [];
        var end = copied.IndexOf(SuffixArray.Boundary);
        return ChainTree.Of(session.Tokens[^1], end < 0 ? copied : copied[..end]);
    }

    /// <inheritdoc/>
    public void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path) => fallback?.Observe(session, tree, path);
}
