// Lookahead decoding (Fu et al. 2024, 2402.02057): beside each text runs a window of W columns and N - 1 rows of Jacobi guesses; its
// columns are n-grams the model itself would write, and a pool keeps the latest G of each first token as drafts.
//   row 0: a chain below the last token; row r, column j: sees row 0 up to j and column j above itself. That is a draft tree.
// Departure: a path of window tokens that verifies is kept as well. Refuses: windows without columns, n-grams shorter than two.

using System.Numerics.Tensors;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>A two-dimensional Jacobi window and its pool of n-grams.</summary>
public sealed class LookaheadDrafter : ITreeDrafter
{
    private readonly int _columns;
    private readonly int _length;
    private readonly int _guesses;
    private readonly Dictionary<int, List<int[]>> _pool = [];
    private readonly List<int[]> _rows = [];
    private readonly TreeBuilder _builder = new();
    private int[]? _lastRow; // nodes of the window's last row in the tree that is being verified

    /// <summary>An empty pool.</summary>
    /// <param name="columns">W.</param>
    /// <param name="length">N, tokens of an n-gram.</param>
    /// <param name="guesses">G, n-grams kept and tried per token.</param>
    public LookaheadDrafter(int columns = 7, int length = 5, int guesses = 7)
    {
        Guard.Require(columns >= 1 && length >= 2 && guesses >= 1, "Make a lookahead window", $"W = {columns}, N = {length}, G = {guesses}",
            "a column, n-grams of two tokens, a guess", "The authors use W = 7, N = 5, G = 7.");
        (_columns, _length, _guesses) = (columns, length, guesses);
    }

    /// <inheritdoc/>
    public int Slots => _columns + 2 * _length;

    /// <summary>Rows of a full call: the last token, the window, and a full pool.</summary>
    public int FullNodes => 1 + (_columns + _guesses) * (_length - 1);

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        // One row, long enough to lose a column while each further row is filled; its tokens come from the prompt, as in the original.
        _rows.Clear();
        var random = new RandomStream((ulong)prompt.Count, "lookahead window");
        _rows.Add([.. Enumerable.Range(0, _columns + _length - 2).Select(_ => prompt[random.NextInt(prompt.Count)])]);
        _pool.Clear();
    }

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        var last = session.Tokens[^1];
        var builder = _builder.Start(last, nodes, depth);
        foreach (var guess in _pool.TryGetValue(last, out var known) ? Enumerable.Reverse(known) : [])
        {
            builder.AddPath(0, guess);
        }

        _lastRow = null;
        var width = _rows[0].Length;
        if (builder.Count + width * _rows.Count <= nodes && width + _rows.Count - 1 <= depth)
        {
            var above = new int[width];
            for (var j = 0; j < width; j++)
            {
                above[j] = builder.Add(j == 0 ? 0 : above[j - 1], _rows[0][j], share: false);
            }

            for (var row = 1; row < _rows.Count; row++)
            {
                for (var j = 0; j < width; j++)
                {
                    above[j] = builder.Add(above[j], _rows[row][j], share: false);
                }
            }

            _lastRow = above;
        }

        return builder.Tree;
    }

    /// <inheritdoc/>
    public void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path)
    {
        if (_lastRow is null)
        {
            return;
        }

        int[] fresh = [.. _lastRow.Select(node => TensorPrimitives.IndexOfMax(session.Logits(node)))];
        _lastRow = null; // a plain call may be next, and has no window
        for (var j = 0; j < fresh.Length && _rows.Count == _length - 1; j++)
        {
            Keep(_rows[0][j], [.. _rows.Skip(1).Select(row => row[j]), fresh[j]]);
        }

        _rows.Add(fresh);
        if (_rows.Count >= _length)
        {
            // The text has moved on by a token at least: row r + 1 now stands where row r did.
            _rows.RemoveAt(0);
            return;
        }

        for (var row = 0; row < _rows.Count; row++)
        {
            _rows[row] = _rows[row].Length > _columns ? _rows[row][1..] : _rows[row];
        }
    }

    private void Keep(int first, int[] rest)
    {
        if (!_pool.TryGetValue(first, out var known))
        {
            _pool[first] = known = [];
        }

        known.RemoveAll(other => other.AsSpan().SequenceEqual(rest));
        known.Add(rest);
        if (known.Count > _guesses)
        {
            known.RemoveAt(0);
        }
    }
}
