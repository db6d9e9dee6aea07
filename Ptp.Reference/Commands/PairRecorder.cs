// Incompatible pairs (PTP section 6.2): do two tokens that were predicted in one call fit each other?
//   per round at token g: d0, d1 = the drafter's own first two tokens; incompatible if P(d0) = 0 or P(d1 | d0) = 0
// P is the base model's law after temperature, top-k and top-p. Refuses: rounds that drafted fewer than two tokens.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>A drafter that remembers the first two tokens of every draft.</summary>
/// <param name="inner">The drafter itself.</param>
internal sealed class PairRecorder(IDrafter inner) : IDrafter
{
    /// <summary>A drafted pair and the index of its first token.</summary>
    internal readonly record struct Pair(int Index, int First, int Second);

    /// <summary>Pairs of the current text.</summary>
    public List<Pair> Pairs { get; } = [];

    /// <inheritdoc/>
    public int Slots => inner.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        Pairs.Clear();
        inner.Start(prompt);
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        var draft = inner.Propose(session, u, g, count);
        if (draft.Tokens.Length >= 2)
        {
            Pairs.Add(new Pair((int)g, draft.Tokens[0], draft.Tokens[1]));
        }

        return draft;
    }

    /// <summary>Counts pairs that the law forbids, by running the base model over the finished text.</summary>
    public static int CountIncompatible(
        ModelSession session, IReadOnlyList<int> prompt, IReadOnlyList<int> generated, IReadOnlyList<Pair> pairs)
    {
        session.Start(prompt);
        var count = 0;
        foreach (var pair in pairs)
        {
            var length = prompt.Count + pair.Index;
            var ids = new List<int>();
            for (var at = session.Cache.Length; at < length; at++)
            {
                ids.Add(at < prompt.Count ? prompt[at] : generated[at - prompt.Count]);
            }

            if (length >= session.Model.Config.MaxContext || ids.Count == 0)
            {
                break;
            }

            session.Verify([.. ids, pair.First]);
            var fits = session.Law(ids.Count - 1)[pair.First] > 0 && session.Law(ids.Count)[pair.Second] > 0;
            session.Cache.Crop(length);
            count += fits ? 0 : 1;
        }

        return count;
    }
}
