// Attention backward for runs of rows that see the same keys up to a causal edge, as packed training gives them:
//   S = Q K^T, dP = dO V^T as register tiles of 12 rows x 32 keys; dQ = dS K; dK += dS^T Q, dV += P^T dO, rows ascending.
// Recomputes the probabilities block by block. Refuses: rows with a cache or several ranges; those go one by one.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class AttentionBlocks
{
    private const int MaxRows = MatMulKernels.MaxRows;
    private const int Panel = MatMulKernels.Panel;

    /// <summary>Floats of scratch: panels of keys and values, two blocks of scores, two strips.</summary>
    public static int ScratchLength(int maxKeys, int size)
    {
        var padded = Padded(maxKeys);
        return 2 * padded * size + 2 * MaxRows * padded + 2 * MaxRows * size;
    }

    /// <summary>Rows from <paramref name="row"/> on that can go as one block; 1 if this row must go alone.</summary>
    public static int Length(Attention.Call* call, int row)
    {
        if (!Vector512.IsHardwareAccelerated || call->HeadSize % 64 != 0 || !IsSimple(call, row))
        {
            return 1;
        }

        var range = call->RangeOffset[row];
        var rows = 1;
        while (rows < MaxRows && row + rows < call->Rows && IsSimple(call, row + rows))
        {
            var next = call->RangeOffset[row + rows];
            if (call->RangeStart[next] != call->RangeStart[range])
            {
                break;
            }

            rows++;
        }

        return rows;
    }

    /// <summary>dQ, dK and dV of one head for a block of rows.</summary>
    /// <param name="call">The call.</param>
    /// <param name="row">First row.</param>
    /// <param name="rows">Rows of the block, at most 12.</param>
    /// <param name="head">Query head.</param>
    /// <param name="keyValueHead">Its key-value head.</param>
    /// <param name="scratch">As long as <see cref="ScratchLength"/> says.</param>
    /// <param name="packed">What the panels in the scratch hold; kept between blocks of one text.</param>
    public static void Backward(
        Attention.Call* call, int row, int rows, int head, int keyValueHead, float* scratch, ref Packed packed)
    {
        var size = call->HeadSize;
        var start = call->RangeStart[call->RangeOffset[row]];
        var most = 0;
        for (var i = 0; i < rows; i++)
        {
            most = Math.Max(most, KeysOf(call, row + i));
        }

        var padded = Padded(call->MaxKeys);
        var keyPanels = scratch;
        var valuePanels = keyPanels + (nint)padded * size;
        var p = valuePanels + (nint)padded * size;
        var ds = p + (nint)MaxRows * padded;
        var strip = ds + (nint)MaxRows * padded;
        var dStrip = strip + MaxRows * size;
        PackPanels(call, keyValueHead, start, most, keyPanels, valuePanels, ref packed);

        var stride = (nint)call->Heads * size;
        var offset = row * stride + (nint)head * size;
        MatMul.PackRowsOfStrip(call->Q + offset, stride, rows, size, strip);
        MatMul.PackRowsOfStrip(call->DOutput + offset, stride, rows, size, dStrip);
        for (var key = 0; key < most; key += Panel)
        {
            MatMul.Tile<FullWeights>(strip, (byte*)(keyPanels + (nint)key * size), p + key, padded, rows, size, accumulate: false);
            MatMul.Tile<FullWeights>(dStrip, (byte*)(valuePanels + (nint)key * size), ds + key, padded, rows, size, accumulate: false);
        }

        var keyStride = (nint)call->KeyValueHeads * size;
        var own = start * keyStride + (nint)keyValueHead * size;
        var scale = 1f / MathF.Sqrt(size);
        for (var i = 0; i < rows; i++)
        {
            var pRow = p + (nint)i * padded;
            var dsRow = ds + (nint)i * padded;
            var keys = KeysOf(call, row + i);
            Softmax.InPlace(pRow, keys, scale);
            VectorOps.SoftmaxGradient(pRow, dsRow, VectorOps.Dot(pRow, dsRow, keys), scale, keys);
            // Keys past a row's edge weigh nothing in the sums over rows below.
            new Span<float>(pRow + keys, most - keys).Clear();
            new Span<float>(dsRow + keys, most - keys).Clear();
            VectorOps.AddWeightedRows(dsRow, call->Keys + own, keyStride, keys, size, call->DQ + offset + i * stride);
        }

        for (var i = 0; i < size; i += 64)
        {
            AddOuterRows(ds, padded, call->Q + offset + i, stride, rows, most, call->DKeys + own + i, keyStride);
            AddOuterRows(p, padded, call->DOutput + offset + i, stride, rows, most, call->DValues + own + i, keyStride);
        }
    }

    /// <summary>y[t] += sum over rows r, ascending, of w[r][t] * x[r], 64 columns wide.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddOuterRows(
        float* w, nint wStride, float* x, nint xStride, int rows, int keys, float* y, nint yStride)
    {
        var t = 0;
        for (; t + 2 <= keys; t += 2)
        {
            var y0 = y + t * yStride;
            var y1 = y0 + yStride;
            var (a0, a1) = (Vector512.Load(y0), Vector512.Load(y0 + 16));
            var (a2, a3) = (Vector512.Load(y0 + 32), Vector512.Load(y0 + 48));
            var (b0, b1) = (Vector512.Load(y1), Vector512.Load(y1 + 16));
            var (b2, b3) = (Vector512.Load(y1 + 32), Vector512.Load(y1 + 48));
            var from = x;
            var weight = w + t;
            for (var r = 0; r < rows; r++, from += xStride, weight += wStride)
            {
                var (x0, x1) = (Vector512.Load(from), Vector512.Load(from + 16));
                var (x2, x3) = (Vector512.Load(from + 32), Vector512.Load(from + 48));
                var (u, v) = (Vector512.Create(weight[0]), Vector512.Create(weight[1]));
                a0 = Vector512.FusedMultiplyAdd(u, x0, a0);
                a1 = Vector512.FusedMultiplyAdd(u, x1, a1);
                a2 = Vector512.FusedMultiplyAdd(u, x2, a2);
                a3 = Vector512.FusedMultiplyAdd(u, x3, a3);
                b0 = Vector512.FusedMultiplyAdd(v, x0, b0);
                b1 = Vector512.FusedMultiplyAdd(v, x1, b1);
                b2 = Vector512.FusedMultiplyAdd(v, x2, b2);
                b3 = Vector512.FusedMultiplyAdd(v, x3, b3);
            }

            a0.Store(y0);
            a1.Store(y0 + 16);
            a2.Store(y0 + 32);
            a3.Store(y0 + 48);
            b0.Store(y1);
            b1.Store(y1 + 16);
            b2.Store(y1 + 32);
            b3.Store(y1 + 48);
        }

        for (var r = 0; t < keys && r < rows; r++)
        {
            VectorOps.AddScaled(x + r * xStride, w[r * wStride + t], 64, y + t * yStride);
        }
    }

    /// <summary>Keys and values of a text as panels [keys / 32][size][32]; only what is not yet there is packed.</summary>
    private static void PackPanels(
        Attention.Call* call, int keyValueHead, int start, int keys, float* keyPanels, float* valuePanels, ref Packed packed)
    {
        var size = call->HeadSize;
        if (packed.Start != start || packed.Head != keyValueHead)
        {
            packed = new Packed { Start = start, Head = keyValueHead };
        }

        var stride = (nint)call->KeyValueHeads * size;
        for (; packed.Keys < keys; packed.Keys += Panel)
        {
            // The last panel may reach into rows past the edge; no row weighs them before they are seen.
            var count = Math.Min(Panel, call->Rows - start - packed.Keys);
            var from = (nint)(start + packed.Keys) * stride + (nint)keyValueHead * size;
            var to = (nint)packed.Keys * size;
            PackPanel(call->Keys + from, stride, count, size, keyPanels + to);
            PackPanel(call->Values + from, stride, count, size, valuePanels + to);
        }
    }

    private static void PackPanel(float* rows, nint stride, int count, int size, float* panel)
    {
        if (count < Panel)
        {
            new Span<float>(panel, size * Panel).Clear();
        }

        MatMul.Transpose(rows, stride, count, size, panel, Panel);
    }

    private static bool IsSimple(Attention.Call* call, int row) =>
        call->CacheEnd[row] <= call->CacheStart[row] && call->RangeOffset[row + 1] - call->RangeOffset[row] == 1;

    private static int KeysOf(Attention.Call* call, int row)
    {
        var range = call->RangeOffset[row];
        return call->RangeEnd[range] - call->RangeStart[range];
    }

    private static int Padded(int keys) => (keys + Panel - 1) / Panel * Panel;

    /// <summary>The text and head whose panels the scratch holds, and how many keys of it.</summary>
    internal struct Packed
    {
        public int Start;
        public int Head;
        public int Keys;
    }
}
