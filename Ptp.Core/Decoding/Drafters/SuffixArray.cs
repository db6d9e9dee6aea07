// All suffixes of a corpus in order: where a sequence stands is a range, found by binary search. The datastore of REST.
// Suffixes are compared over their first 32 tokens, which is more than any match that is asked for; equal ones stay in text order.
// Refuses: an empty corpus, sequences longer than it compares.

namespace Ptp.Core.Decoding.Drafters;

/// <summary>A sorted index of a corpus.</summary>
public sealed class SuffixArray
{
    /// <summary>Ends a document: no id, so nothing matches across it.</summary>
    public const int Boundary = -1;

    /// <summary>Tokens that suffixes are compared over.</summary>
    public const int Compared = 32;
    private readonly int[] _text;
    private readonly int[] _order;

    /// <summary>Sorts a corpus.</summary>
    /// <param name="documents">Token ids of each document.</param>
    public SuffixArray(IEnumerable<int[]> documents)
    {
        _text = [.. documents.SelectMany(document => (int[])[.. document, Boundary])];
        Guard.Require(_text.Length > 0, "Index a corpus", "no documents", "at least one", "Name a corpus with text in it.");
        _order = new int[_text.Length];
        for (var i = 0; i < _order.Length; i++)
        {
            _order[i] = i;
        }

        Array.Sort(_order, (a, b) => Compare(a, b));
    }

    /// <summary>Tokens and boundaries.</summary>
    public int Length => _text.Length;

    /// <summary>Where a sequence stands: ranks [first, end) of suffixes that begin with it.</summary>
    public (int First, int End) Find(ReadOnlySpan<int> sequence)
    {
        Guard.Require(sequence.Length <= Compared, "Look up a sequence", $"{sequence.Length} tokens", $"at most {Compared}", "Look up fewer.");
        return (Bound(sequence, inclusive: false), Bound(sequence, inclusive: true));
    }

    /// <summary>The tokens of the suffix of a rank, from an offset on, to the end of its document.</summary>
    public ReadOnlySpan<int> Continuation(int rank, int offset, int most)
    {
        var from = Math.Min(_order[rank] + offset, _text.Length);
        var span = _text.AsSpan(from, Math.Min(most, _text.Length - from));
        var end = span.IndexOf(Boundary);
        return end < 0 ? span : span[..end];
    }

    private int Compare(int a, int b)
    {
        var order = _text.AsSpan(a, Math.Min(Compared, _text.Length - a))
            .SequenceCompareTo(_text.AsSpan(b, Math.Min(Compared, _text.Length - b)));
        return order != 0 ? order : a.CompareTo(b);
    }

    /// <summary>The first rank whose suffix is not before the sequence; with <paramref name="inclusive"/>, not begun by it either.</summary>
    private int Bound(ReadOnlySpan<int> sequence, bool inclusive)
    {
        var (low, high) = (0, _order.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            var suffix = _text.AsSpan(_order[middle]);
            var order = suffix[..Math.Min(sequence.Length, suffix.Length)].SequenceCompareTo(sequence);
            (low, high) = order < 0 || (inclusive && order == 0) ? (middle + 1, high) : (low, middle);
        }

        return low;
    }
}
