// Attention backward for a run of rows that see one order of keys, each up to its own edge (AttentionRuns), 96 rows at a time:
//   S = Q K^T, dP = dO V^T, dQ += dS K, dV += P^T dO, dK += dS^T Q, all as the tiles of the matrix product, 12 x 32.
// Probabilities are computed again; sums over rows ascend. Refuses: rows that see several own ranges; those go one by one.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

/// <summary>The gradients of a run for one key-value head; panels and blocks lie in the scratch of the thread.</summary>
internal unsafe ref struct AttentionGradients
{
    /// <summary>Rows that pay for packing.</summary>
    public const int MinRows = 8;

    private const int Panel = MatMulKernels.Panel;
    private const int Strip = MatMulKernels.MaxRows;
    private const int BlockRows = 8 * Strip;
    private const int Padding = 16;
    private readonly Attention.Call* _call;
    private readonly int _keyValueHead;
    private readonly int _size;
    private readonly int _wide; // the head in whole panels
    private readonly int _most; // keys of the row that sees most
    private readonly int _cached; // of these, in the cache: constants
    private readonly int _stride; // of scores
    private readonly float* _keys; // [keys / 32][size][32]
    private readonly float* _values; // the same
    private readonly float* _keyRows; // [size / 32][keys][32]
    private readonly float* _p; // [96][stride]
    private readonly float* _ds; // the same
    private readonly float* _q; // [96 / 12][size][12]
    private readonly float* _dOutput; // the same
    private readonly float* _qRows; // [size / 32][96][32]
    private readonly float* _dOutputRows; // the same
    private readonly float* _strip; // a left side, [keys or 96][12]
    private readonly float* _tile; // [12][32]

    private AttentionGradients(Attention.Call* call, int widest, int keyValueHead)
    {
        _call = call;
        (_keyValueHead, _size) = (keyValueHead, call->HeadSize);
        (_most, _cached) = (AttentionRuns.KeysOf(call, widest), AttentionRuns.Cached(call, widest));
        var padded = (_most + Panel - 1) / Panel * Panel;
        _wide = (_size + Panel - 1) / Panel * Panel;
        _stride = padded + Padding;
        var strip = Strip * Math.Max(_most, BlockRows);
        _keys = Scratch.First(
            padded * (2 * _size + _wide) + 2 * BlockRows * (_stride + _size + _wide) + strip + Strip * Panel);
        _values = _keys + (nint)padded * _size;
        _keyRows = _values + (nint)padded * _size;
        _p = _keyRows + (nint)padded * _wide;
        _ds = _p + (nint)BlockRows * _stride;
        _q = _ds + (nint)BlockRows * _stride;
        _dOutput = _q + (nint)BlockRows * _size;
        _qRows = _dOutput + (nint)BlockRows * _size;
        _dOutputRows = _qRows + (nint)BlockRows * _wide;
        _strip = _dOutputRows + (nint)BlockRows * _wide;
        _tile = _strip + strip;
    }

    /// <summary>Adds to dQ, dK and dV what rows <paramref name="first"/> on, a run, give through a key-value head.</summary>
    public static void Run(Attention.Call* call, int first, int rows, int keyValueHead)
    {
        var group = call->Heads / call->KeyValueHeads;
        var widest = AttentionRuns.Widest(call, first, rows);
        var gradients = new AttentionGradients(call, widest, keyValueHead);
        gradients.Pack(widest);
        for (var row = first; row < first + rows; row += BlockRows)
        {
            for (var head = keyValueHead * group; head < (keyValueHead + 1) * group; head++)
            {
                gradients.Block(row, Math.Min(BlockRows, first + rows - row), head);
            }
        }
    }

    private readonly void Pack(int widest)
    {
        for (var place = 0; place < _most; place += Panel)
        {
            var to = Math.Min(_most, place + Panel);
            AttentionRuns.Prefetch(_call, widest, _keyValueHead, to, Math.Min(_most, to + Panel));
            var at = place;
            foreach (var segment in new Attention.Segments(_call, widest, _keyValueHead, place, to))
            {
                var panel = (nint)place * _size + at - place;
                MatMul.Transpose(segment.Keys, segment.Stride, segment.Count, _size, _keys + panel, Panel);
                MatMul.Transpose(segment.Values, segment.Stride, segment.Count, _size, _values + panel, Panel);
                PackRows(segment.Keys, segment.Stride, segment.Count, _keyRows + (nint)at * Panel, _most);
                at += segment.Count;
            }
        }
    }

    /// <summary>Rows [count][size] as panels [size / 32][depth][32], from where <paramref name="to"/> points.</summary>
    private readonly void PackRows(float* rows, nint stride, int count, float* to, int depth)
    {
        for (var i = 0; i < _size; i += Panel, to += (nint)depth * Panel)
        {
            for (var row = 0; row < count; row++)
            {
                var from = rows + row * stride + i;
                var target = to + (nint)row * Panel;
                Copy16(from, target);
                if (i + 16 < _size)
                {
                    Copy16(from + 16, target + 16);
                }
                else
                {
                    new Span<float>(target + 16, 16).Clear();
                }
            }
        }
    }

    private readonly void Block(int row, int rows, int head)
    {
        var stride = (nint)_call->Heads * _size;
        var offset = row * stride + (nint)head * _size;
        var most = 0;
        for (var i = 0; i < rows; i++)
        {
            most = Math.Max(most, AttentionRuns.KeysOf(_call, row + i));
        }

        PackRows(_call->Q + offset, stride, rows, _qRows, BlockRows);
        PackRows(_call->DOutput + offset, stride, rows, _dOutputRows, BlockRows);
        for (var i = 0; i < rows; i += Strip)
        {
            var at = offset + i * stride;
            StripOfRows(row + i, Math.Min(Strip, rows - i), i, most, _call->Q + at, _call->DOutput + at, _call->DQ + at);
        }

        var own = (nint)_call->RangeStart[_call->RangeOffset[row]] * _call->KeyValueHeads * _size + (nint)_keyValueHead * _size;
        AddOuter(_ds, row, rows, most, _qRows, _call->DKeys + own); // one after the other: 96 rows of one of them fill half the first cache
        AddOuter(_p, row, rows, most, _dOutputRows, _call->DValues + own);
    }

    /// <summary>P, dS and dQ of up to twelve rows.</summary>
    private readonly void StripOfRows(int row, int rows, int place, int mostOfBlock, float* q, float* dOutput, float* dQ)
    {
        var stride = (nint)_call->Heads * _size;
        var qStrip = _q + place * _size;
        var dStrip = _dOutput + place * _size;
        MatMul.PackRowsOfStrip(q, stride, rows, _size, qStrip);
        MatMul.PackRowsOfStrip(dOutput, stride, rows, _size, dStrip);
        var p = _p + (nint)place * _stride;
        var ds = _ds + (nint)place * _stride;
        var most = 0;
        for (var i = 0; i < rows; i++)
        {
            most = Math.Max(most, AttentionRuns.KeysOf(_call, row + i));
        }

        for (var key = 0; key < most; key += Panel)
        {
            var panel = (nint)key * _size;
            MatMul.Tile<FullWeights>(qStrip, (byte*)(_keys + panel), p + key, _stride, rows, _size, accumulate: false);
            MatMul.Tile<FullWeights>(dStrip, (byte*)(_values + panel), ds + key, _stride, rows, _size, accumulate: false);
        }

        var scale = 1f / MathF.Sqrt(_size);
        for (var i = 0; i < rows; i++)
        {
            var pRow = p + (nint)i * _stride;
            var dsRow = ds + (nint)i * _stride;
            var keys = AttentionRuns.KeysOf(_call, row + i);
            // p = softmax(s)  =>  ds_t = p_t (dp_t - sum_j p_j dp_j), and s = scale * q k
            Softmax.InPlace(pRow, keys, scale);
            VectorOps.SoftmaxGradient(pRow, dsRow, VectorOps.Dot(pRow, dsRow, keys), scale, keys);
            // Keys past a row's edge weigh nothing in the sums over rows and keys.
            new Span<float>(pRow + keys, mostOfBlock - keys).Clear();
            new Span<float>(dsRow + keys, mostOfBlock - keys).Clear();
        }

        MatMul.PackRowsOfStrip(ds, _stride, rows, most, _strip);
        for (var i = 0; i < _size; i += Panel)
        {
            Add(_strip, _keyRows + (nint)i * _most, rows, most, i, dQ + i, stride);
        }
    }

    /// <summary>y[t] += sum over rows, ascending, of w[row][t] * x[row], for own keys t, twelve at a time.</summary>
    private readonly void AddOuter(float* w, int row, int rows, int most, float* x, float* y)
    {
        var yStride = (nint)_call->KeyValueHeads * _size;
        var from = 0;
        for (var key = _cached; key < most; key += Strip, y += Strip * yStride)
        {
            // Rows before the first that sees one of these keys weigh nothing.
            while (from < rows && AttentionRuns.KeysOf(_call, row + from) <= key)
            {
                from++;
            }

            var keys = Math.Min(Strip, most - key);
            PackWeights(w + key, keys, from, rows);
            for (var i = 0; i < _size; i += Panel)
            {
                Add(_strip, x + (nint)i * BlockRows + from * Panel, keys, rows - from, i, y + i, yStride);
            }
        }
    }

    /// <summary>Columns of scores as the strip of a left side, [rows][keys].</summary>
    private readonly void PackWeights(float* w, int keys, int from, int to)
    {
        var target = _strip;
        for (var row = from; row < to; row++, target += keys)
        {
            var source = w + (nint)row * _stride;
            if (keys == Strip)
            {
                Vector256.Load(source).Store(target);
                Vector128.Load(source + 8).Store(target + 8);
                continue;
            }

            new Span<float>(source, keys).CopyTo(new Span<float>(target, keys));
        }
    }

    /// <summary>A tile into columns from <paramref name="column"/> on; half a panel must not reach into the next head.</summary>
    private readonly void Add(float* strip, float* panel, int rows, int depth, int column, float* y, nint yStride)
    {
        if (column + Panel <= _size)
        {
            MatMul.Tile<FullWeights>(strip, (byte*)panel, y, yStride, rows, depth, accumulate: true);
            return;
        }

        for (var row = 0; row < rows; row++)
        {
            Copy16(y + row * yStride, _tile + row * Panel);
        }

        MatMul.Tile<FullWeights>(strip, (byte*)panel, _tile, Panel, rows, depth, accumulate: true);
        for (var row = 0; row < rows; row++)
        {
            Copy16(_tile + row * Panel, y + row * yStride);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Copy16(float* from, float* to)
    {
        Vector256.Load(from).Store(to);
        Vector256.Load(from + 8).Store(to + 8);
    }
}
