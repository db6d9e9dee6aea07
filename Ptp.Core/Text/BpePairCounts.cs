// The state of BPE training: every distinct word as a list of tokens, how often each adjacent pair occurs, and in
// which words. A merge visits only the words that hold its pair and corrects the counts of the neighbours.
// Heap entries are never removed, only checked against the present count when they surface.

namespace Ptp.Core.Text;

/// <summary>Pair counts with incremental updates.</summary>
internal sealed class BpePairCounts
{
    private sealed class Pair(int left, int right)
    {
        public int Left { get; } = left;

        public int Right { get; } = right;

        public long Count { get; set; }

        /// <summary>True if the count rose since the pair was last put on the heap.</summary>
        public bool Raised { get; set; }

        /// <summary>Words that held the pair when it was counted; some may hold it no longer.</summary>
        public List<int> Words { get; } = [];
    }

    private readonly List<byte[]> _tokens = [];
    private readonly Dictionary<byte[], int> _ids = new(ByteComparer.Instance);
    private readonly int[][] _words;
    private readonly int[] _lengths;
    private readonly long[] _weights;
    private readonly Dictionary<long, Pair> _pairs = [];
    private readonly List<Pair> _raised = [];
    private readonly PriorityQueue<Pair, (long Count, Pair Pair)> _heap;

    /// <summary>Counts the pairs of all words.</summary>
    /// <param name="words">Distinct words with the number of their occurrences.</param>
    public BpePairCounts(Dictionary<byte[], long> words)
    {
        for (var b = 0; b < 256; b++)
        {
            _tokens.Add([(byte)b]);
            _ids.Add(_tokens[b], b);
        }

        _heap = new(Comparer<(long Count, Pair Pair)>.Create(BestFirst));
        _words = new int[words.Count][];
        _lengths = new int[words.Count];
        _weights = new long[words.Count];
        var index = 0;
        foreach (var (word, weight) in words)
        {
            _words[index] = Array.ConvertAll(word, b => (int)b);
            (_lengths[index], _weights[index]) = (word.Length, weight);
            for (var i = 0; i + 1 < word.Length; i++)
            {
                Change(word[i], word[i + 1], weight, index);
            }

            index++;
        }

        PushRaised();
    }

    /// <summary>Merges until there are <paramref name="limit"/> more tokens or no pair is left.</summary>
    public (List<byte[]> Tokens, List<BpeMerge> Merges) Run(
        int limit, IProgress<BpeProgress>? progress, CancellationToken cancellation)
    {
        var merges = new List<BpeMerge>(limit);
        while (_tokens.Count < 256 + limit && Best() is { } best)
        {
            cancellation.ThrowIfCancellationRequested();
            byte[] bytes = [.. _tokens[best.Left], .. _tokens[best.Right]];
            if (!_ids.TryGetValue(bytes, out var id))
            {
                // Two ways to the same bytes are one token: a vocabulary file has room for one id per string.
                id = _tokens.Count;
                _tokens.Add(bytes);
                _ids.Add(bytes, id);
            }

            merges.Add(new BpeMerge(best.Left, best.Right, id));
            Merge(best, id);
            if (merges.Count % 64 == 0)
            {
                progress?.Report(new BpeProgress(true, _tokens.Count - 256, limit));
            }
        }

        return (_tokens, merges);
    }

    private Pair? Best()
    {
        while (_heap.TryDequeue(out var pair, out var entry))
        {
            if (entry.Count == pair.Count && pair.Count > 0)
            {
                return pair;
            }

            if (pair.Count > 0)
            {
                _heap.Enqueue(pair, (pair.Count, pair));
            }
        }

        return null;
    }

    private void Merge(Pair pair, int id)
    {
        var seen = -1;
        pair.Words.Sort();
        foreach (var word in pair.Words)
        {
            if (word != seen)
            {
                MergeWord(word, pair.Left, pair.Right, id);
                seen = word;
            }
        }

        // No occurrence is left, so what the neighbours' corrections did to this pair itself does not count.
        _pairs.Remove(Key(pair.Left, pair.Right));
        pair.Count = 0;
        PushRaised();
    }

    private void MergeWord(int index, int left, int right, int id)
    {
        var word = _words[index];
        var length = _lengths[index];
        var weight = _weights[index];
        var kept = 0;
        for (var i = 0; i < length; i++)
        {
            if (i + 1 == length || word[i] != left || word[i + 1] != right)
            {
                word[kept++] = word[i];
                continue;
            }

            if (kept > 0)
            {
                Change(word[kept - 1], left, -weight, index);
                Change(word[kept - 1], id, weight, index);
            }

            if (i + 2 < length)
            {
                Change(right, word[i + 2], -weight, index);
                Change(id, word[i + 2], weight, index);
            }

            word[kept++] = id;
            i++;
        }

        _lengths[index] = kept;
    }

    private void Change(int left, int right, long by, int word)
    {
        var key = Key(left, right);
        if (!_pairs.TryGetValue(key, out var pair))
        {
            _pairs[key] = pair = new Pair(left, right);
        }

        pair.Count += by;
        if (by < 0)
        {
            return;
        }

        if (pair.Words.Count == 0 || pair.Words[^1] != word)
        {
            pair.Words.Add(word);
        }

        if (!pair.Raised)
        {
            pair.Raised = true;
            _raised.Add(pair);
        }
    }

    private void PushRaised()
    {
        foreach (var pair in _raised)
        {
            pair.Raised = false;
            if (pair.Count > 0)
            {
                _heap.Enqueue(pair, (pair.Count, pair));
            }
        }

        _raised.Clear();
    }

    private int BestFirst((long Count, Pair Pair) x, (long Count, Pair Pair) y)
    {
        if (x.Count != y.Count)
        {
            return y.Count.CompareTo(x.Count);
        }

        var left = _tokens[y.Pair.Left].AsSpan().SequenceCompareTo(_tokens[x.Pair.Left]);
        return left != 0 ? left : _tokens[y.Pair.Right].AsSpan().SequenceCompareTo(_tokens[x.Pair.Right]);
    }

    private static long Key(int left, int right) => ((long)left << 32) | (uint)right;
}
