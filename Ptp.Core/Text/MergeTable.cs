// Byte-pair merging: repeatedly join the adjacent pair of lowest rank, leftmost first among equal ranks.
// Short sequences scan for the minimum; long ones use a heap over a linked list, O(n log n), so that one piece of
// a megabyte costs no more per byte than prose. The table maps (left, right) to (rank, result) by open addressing.

using System.Numerics;

namespace Ptp.Core.Text;

/// <summary>The ranked merges of a vocabulary.</summary>
internal sealed class MergeTable
{
    private const int ScanLimit = 48;
    private readonly ulong[] _keys;
    private readonly int[] _ranks;
    private readonly int[] _results;
    private readonly int _shift;

    /// <summary>An empty table with room for <paramref name="count"/> merges.</summary>
    public MergeTable(int count)
    {
        var size = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, 2 * count));
        _keys = new ulong[size];
        _ranks = new int[size];
        _results = new int[size];
        _shift = 64 - BitOperations.Log2((uint)size);
    }

    /// <summary>Adds a merge; false if the pair is there already.</summary>
    public bool TryAdd(int left, int right, int rank, int result)
    {
        var slot = Slot(left, right);
        if (_keys[slot] != 0)
        {
            return false;
        }

        (_keys[slot], _ranks[slot], _results[slot]) = (Key(left, right), rank, result);
        return true;
    }

    /// <summary>Merges in place and returns how many symbols are left.</summary>
    public int Merge(Span<int> symbols) => symbols.Length <= ScanLimit ? MergeByScan(symbols) : MergeByHeap(symbols);

    internal int MergeByScan(Span<int> symbols)
    {
        var count = symbols.Length;
        Span<int> ranks = stackalloc int[ScanLimit];
        for (var i = 0; i + 1 < count; i++)
        {
            ranks[i] = Rank(symbols[i], symbols[i + 1]);
        }

        while (count > 1)
        {
            var best = 0;
            for (var i = 1; i < count - 1; i++)
            {
                best = ranks[i] < ranks[best] ? i : best;
            }

            if (ranks[best] == int.MaxValue)
            {
                break;
            }

            symbols[best] = _results[Slot(symbols[best], symbols[best + 1])];
            symbols[(best + 2)..count].CopyTo(symbols[(best + 1)..]);
            ranks[(best + 1)..(count - 1)].CopyTo(ranks[best..]);
            count--;
            if (best > 0)
            {
                ranks[best - 1] = Rank(symbols[best - 1], symbols[best]);
            }

            if (best < count - 1)
            {
                ranks[best] = Rank(symbols[best], symbols[best + 1]);
            }
        }

        return count;
    }

    internal int MergeByHeap(Span<int> symbols)
    {
        var count = symbols.Length;
        var next = new int[count];
        var previous = new int[count];
        var candidates = new (int, long)[Math.Max(0, count - 1)];
        var found = 0;
        for (var i = 0; i < count; i++)
        {
            (next[i], previous[i]) = (i + 1, i - 1);
            if (i + 1 < count && Rank(symbols[i], symbols[i + 1]) is var rank and < int.MaxValue)
            {
                candidates[found++] = (i, Priority(rank, i));
            }
        }

        var queue = new PriorityQueue<int, long>(candidates[..found]);
        while (queue.TryDequeue(out var at, out var priority))
        {
            // A stale entry names a symbol that is gone or a pair that has another rank by now.
            var right = next[at];
            if (symbols[at] < 0 || right >= count || Rank(symbols[at], symbols[right]) != (int)(priority >> 32))
            {
                continue;
            }

            symbols[at] = _results[Slot(symbols[at], symbols[right])];
            symbols[right] = -1;
            next[at] = next[right];
            if (next[at] < count)
            {
                previous[next[at]] = at;
            }

            Offer(queue, symbols, at, next[at]);
            Offer(queue, symbols, previous[at], at);
        }

        var kept = 0;
        for (var i = 0; i < count; i = next[i])
        {
            symbols[kept++] = symbols[i];
        }

        return kept;
    }

    private void Offer(PriorityQueue<int, long> queue, Span<int> symbols, int left, int right)
    {
        if (left >= 0 && right < symbols.Length && Rank(symbols[left], symbols[right]) is var rank and < int.MaxValue)
        {
            queue.Enqueue(left, Priority(rank, left));
        }
    }

    private static long Priority(int rank, int position) => ((long)rank << 32) | (uint)position;

    private int Rank(int left, int right)
    {
        var slot = Slot(left, right);
        return _keys[slot] != 0 ? _ranks[slot] : int.MaxValue;
    }

    /// <summary>Where the pair is, or the empty slot where it would be.</summary>
    private int Slot(int left, int right)
    {
        var key = Key(left, right);
        var slot = (int)((key * 0x9E3779B97F4A7C15) >> _shift);
        while (_keys[slot] != key && _keys[slot] != 0)
        {
            slot = (slot + 1) & (_keys.Length - 1);
        }

        return slot;
    }

    // One is added so that no pair has the key 0, which marks an empty slot.
    private static ulong Key(int left, int right) => (((ulong)(uint)left << 32) | (uint)right) + 1;
}
