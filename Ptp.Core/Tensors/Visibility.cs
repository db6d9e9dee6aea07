// Which keys each row of a call may attend to: one range of the cache, plus ranges of the call's own rows.
// Causal, packed documents, completions, draft branches and trees are all built from this one description.
// Refuses: dense masks; nothing here is of size R x T. Visible keys are visited in the order cache, then own rows.

namespace Ptp.Core.Tensors;

/// <summary>Visibility of R rows: a cache range and ascending own-row ranges per row.</summary>
public sealed class Visibility
{
    private int[] _cacheStart = new int[16];
    private int[] _cacheEnd = new int[16];
    private int[] _rangeOffset = new int[17];
    private int[] _rangeStart = new int[16];
    private int[] _rangeEnd = new int[16];
    private int _ranges;

    /// <summary>R, rows described so far.</summary>
    public int Rows { get; private set; }

    /// <summary>First visible cache entry of each row, [R].</summary>
    public ReadOnlySpan<int> CacheStart => _cacheStart.AsSpan(0, Rows);

    /// <summary>One past the last visible cache entry of each row, [R].</summary>
    public ReadOnlySpan<int> CacheEnd => _cacheEnd.AsSpan(0, Rows);

    /// <summary>Row r owns ranges RangeOffset[r] to RangeOffset[r + 1], [R + 1].</summary>
    public ReadOnlySpan<int> RangeOffset => _rangeOffset.AsSpan(0, Rows + 1);

    /// <summary>First own row of each range.</summary>
    public ReadOnlySpan<int> RangeStart => _rangeStart.AsSpan(0, _ranges);

    /// <summary>One past the last own row of each range.</summary>
    public ReadOnlySpan<int> RangeEnd => _rangeEnd.AsSpan(0, _ranges);

    /// <summary>Forgets all rows and keeps the memory.</summary>
    public Visibility Clear()
    {
        (Rows, _ranges) = (0, 0);
        return this;
    }

    /// <summary>Starts the next row: it sees cache entries [start, end) and no own row yet.</summary>
    public Visibility AddRow(int cacheStart, int cacheEnd)
    {
        if (Rows == _cacheStart.Length)
        {
            Array.Resize(ref _cacheStart, 2 * Rows);
            Array.Resize(ref _cacheEnd, 2 * Rows);
            Array.Resize(ref _rangeOffset, 2 * Rows + 1);
        }

        _cacheStart[Rows] = cacheStart;
        _cacheEnd[Rows] = cacheEnd;
        Rows++;
        _rangeOffset[Rows] = _ranges;
        return this;
    }

    /// <summary>Lets the row started last also see own rows [start, end); ranges come in ascending order.</summary>
    public Visibility AddRange(int start, int end)
    {
        if (end <= start)
        {
            return this;
        }

        if (_ranges == _rangeStart.Length)
        {
            Array.Resize(ref _rangeStart, 2 * _ranges);
            Array.Resize(ref _rangeEnd, 2 * _ranges);
        }

        _rangeStart[_ranges] = start;
        _rangeEnd[_ranges] = end;
        _ranges++;
        _rangeOffset[Rows] = _ranges;
        return this;
    }

    /// <summary>Adds <paramref name="count"/> causal rows: each sees the cache range, and own rows from the first on.</summary>
    public Visibility AddCausal(int cacheStart, int cacheEnd, int count)
    {
        var first = Rows;
        for (var i = 0; i < count; i++)
        {
            AddRow(cacheStart, cacheEnd).AddRange(first, first + i + 1);
        }

        return this;
    }

    /// <summary>Plain causal visibility of <paramref name="rows"/> rows after a cache of <paramref name="cached"/>.</summary>
    public static Visibility Causal(int cached, int rows) => new Visibility().AddCausal(0, cached, rows);

    /// <summary>Number of keys that <paramref name="row"/> sees.</summary>
    public int KeysOf(int row)
    {
        var keys = _cacheEnd[row] - _cacheStart[row];
        for (var range = _rangeOffset[row]; range < _rangeOffset[row + 1]; range++)
        {
            keys += _rangeEnd[range] - _rangeStart[range];
        }

        return keys;
    }

    /// <summary>Checks every range against the sizes of a call.</summary>
    /// <param name="rows">R.</param>
    /// <param name="cacheCapacity">Entries in the cache, 0 without one.</param>
    /// <exception cref="PtpException">A range is out of bounds, out of order, or a row sees nothing.</exception>
    public void Check(int rows, int cacheCapacity)
    {
        Guard.Require(rows == Rows, "Attend", $"{rows} rows and a visibility of {Rows}", "equal numbers",
            "Describe every row of the call.");
        for (var row = 0; row < Rows; row++)
        {
            var last = 0;
            var ok = _cacheStart[row] >= 0 && _cacheStart[row] <= _cacheEnd[row] && _cacheEnd[row] <= cacheCapacity;
            for (var range = _rangeOffset[row]; range < _rangeOffset[row + 1]; range++)
            {
                ok &= _rangeStart[range] >= last && _rangeEnd[range] <= rows;
                last = _rangeEnd[range];
            }

            Guard.Require(ok && KeysOf(row) > 0, "Attend",
                $"row {row} with cache [{_cacheStart[row]}, {_cacheEnd[row]}) and own rows up to {last}",
                $"at least one key, ascending ranges within {cacheCapacity} cached and {rows} own rows",
                "Let each row see at least itself.");
        }
    }
}
