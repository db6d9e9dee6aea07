// REST (He et al. 2023, 2311.08252): the longest suffix of the text that stands in a corpus; what followed it there, merged into a
// trie, of which the most frequent prefixes are the draft tree. Nothing is trained.
// A prefix is at least as frequent as what begins with it, so parents come first. Refuses: nothing; without a match no draft.

using System.Runtime.InteropServices;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Drafts out of a corpus.</summary>
/// <param name="corpus">The datastore.</param>
/// <param name="longest">Most tokens to match.</param>
/// <param name="shortest">Fewest tokens to match.</param>
/// <param name="slots">Most tokens of a continuation.</param>
public sealed class RetrievalDrafter(SuffixArray corpus, int longest = 16, int shortest = 2, int slots = 10) : ITreeDrafter
{
    private const int MostFound = 256;
    private readonly TreeBuilder _builder = new();

    /// <inheritdoc/>
    public int Slots => slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        var text = CollectionsMarshal.AsSpan(session.Tokens);
        var builder = _builder.Start(text[^1], nodes, depth);
        for (var n = Math.Min(longest, text.Length); n >= shortest; n--)
        {
            var (first, end) = corpus.Find(text[^n..]);
            if (end > first)
            {
                Fill(builder, first, end, n, Math.Min(slots, depth), nodes - 1);
                break;
            }
        }

        return builder.Tree;
    }

    /// <summary>The most frequent prefixes of the continuations, frequent ones first, short ones first among equals.</summary>
    private void Fill(TreeBuilder builder, int first, int end, int offset, int most, int nodes)
    {
        var trie = new List<(int Parent, int Token, int Depth, int Count)> { (-1, -1, 0, 0) };
        var children = new Dictionary<(int Parent, int Token), int>();
        var step = Math.Max(1.0, (end - first) / (double)MostFound); // evenly over the range, where it is long
        for (var rank = (double)first; rank < end; rank += step)
        {
            var at = 0;
            foreach (var token in corpus.Continuation((int)rank, offset, most))
            {
                if (!children.TryGetValue((at, token), out var child))
                {
                    children[(at, token)] = child = trie.Count;
                    trie.Add((at, token, trie[at].Depth + 1, 0));
                }

                at = child;
                trie[at] = trie[at] with { Count = trie[at].Count + 1 };
            }
        }

        var placed = new int[trie.Count];
        Array.Fill(placed, -1);
        placed[0] = 0;
        foreach (var i in Enumerable.Range(1, trie.Count - 1).OrderByDescending(i => trie[i].Count).ThenBy(i => trie[i].Depth).Take(nodes))
        {
            placed[i] = builder.Add(placed[trie[i].Parent], trie[i].Token);
        }
    }
}
