// Attention forward for a run of rows that see one order of keys, each up to its own edge: prompts, and the texts of packed training.
//   Keys are packed once into panels [keys / 32][size][32] and values into rows [keys][size]; then 16 queries at a time go over both.
// The bits are those of AttentionForward's blocks. Refuses: rows that see several own ranges, and short runs, which packing would cost more.

using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class AttentionRuns
{
    /// <summary>Queries that pay for packing.</summary>
    public const int MinQueries = 32;

    private const int Panel = MatMulKernels.Panel;
    private const int BlockQueries = 16;
    private const int Padding = 16; // so that rows of scores do not meet in the same sets of the first cache
    private const int ChunkKeys = 64; // values of a chunk stay in the first cache while all queries of a block use them

    /// <summary>Rows from <paramref name="row"/> on that see the same cache range and an own range from the same start.</summary>
    public static int Length(Attention.Call* call, int row)
    {
        var rows = 0;
        while (row + rows < call->Rows && IsLike(call, row, row + rows))
        {
            rows++;
        }

        return rows;
    }

    /// <summary>The outputs of a run's rows, or of a part of them, for one key-value head.</summary>
    public static void Forward(Attention.Call* call, int first, int rows, int keyValueHead)
    {
        var size = call->HeadSize;
        var group = call->Heads / call->KeyValueHeads;
        var widest = Widest(call, first, rows);
        var most = KeysOf(call, widest);
        var padded = (most + Panel - 1) / Panel * Panel;
        var rowsPerBlock = Math.Max(1, BlockQueries / group);
        var panels = Scratch.First(2 * padded * size + rowsPerBlock * group * (padded + Padding));
        var values = panels + (nint)padded * size;
        Pack(call, widest, keyValueHead, most, panels, values);

        for (var row = first; row < first + rows; row += rowsPerBlock)
        {
            var queries = new AttentionQueries
            {
                Q = call->Q + ((nint)row * call->Heads + keyValueHead * group) * size,
                Y = call->Output + ((nint)row * call->Heads + keyValueHead * group) * size,
                Scores = values + (nint)padded * size,
                ScoreStride = padded + Padding,
                RowStride = (nint)call->Heads * size,
                Group = group,
                Count = Math.Min(rowsPerBlock, first + rows - row) * group,
                Size = size,
            };
            Prefetch(queries.Q + rowsPerBlock * queries.RowStride, queries.RowStride,
                Math.Clamp(first + rows - row - rowsPerBlock, 0, rowsPerBlock), group * size);
            Block(call, row, &queries, panels, values);
        }
    }

    private static void Block(Attention.Call* call, int row, AttentionQueries* queries, float* panels, float* values)
    {
        var size = queries->Size;
        var keys = stackalloc int[queries->Count];
        var most = 0;
        for (var j = 0; j < queries->Count; j++)
        {
            keys[j] = KeysOf(call, row + j / queries->Group);
            most = Math.Max(most, keys[j]);
        }

        for (var key = 0; key < most; key += Panel) // past a row's edge nobody reads
        {
            for (var j = 0; j < queries->Count; j += 2)
            {
                var other = Math.Min(j + 1, queries->Count - 1);
                AttentionKernels.Dot2x32(queries->QueryOf(j), queries->QueryOf(other), panels + (nint)key * size, size,
                    queries->ScoresOf(j) + key, queries->ScoresOf(other) + key);
            }
        }

        var sums = stackalloc float[queries->Count];
        for (var j = 0; j < queries->Count; j++)
        {
            sums[j] = keys[j] == 0 ? 1f : Softmax.ExpShifted(queries->ScoresOf(j), keys[j], 1f / MathF.Sqrt(size), out _);
            new Span<float>(queries->OutputOf(j), size).Clear();
        }

        for (var from = 0; from < most; from += ChunkKeys)
        {
            for (var j = 0; j < queries->Count; j += 4)
            {
                Mix(queries, j, keys, values, from, Math.Min(most, from + ChunkKeys));
            }
        }

        for (var j = 0; j < queries->Count; j++)
        {
            Softmax.ScaleBy(queries->OutputOf(j), size, 1f / sums[j]);
        }
    }

    /// <summary>Values of a chunk into four outputs: together as far as all four see them, then one by one.</summary>
    private static void Mix(AttentionQueries* queries, int j, int* keys, float* values, int from, int to)
    {
        var size = queries->Size;
        var end = Math.Min(queries->Count, j + 4);
        var shared = to;
        for (var i = j; i < end; i++)
        {
            shared = Math.Min(shared, keys[i]);
        }

        shared = Math.Max(shared, from);
        if (shared > from)
        {
            AttentionKernels.AddWeighted(queries, j, values + (nint)from * size, size, shared - from, from);
        }

        for (var i = j; i < end; i++)
        {
            var rest = Math.Min(to, keys[i]) - shared;
            if (rest > 0)
            {
                VectorOps.AddWeightedRows(
                    queries->ScoresOf(i) + shared, values + (nint)shared * size, size, rest, size, queries->OutputOf(i));
            }
        }
    }

    private static void Pack(Attention.Call* call, int row, int keyValueHead, int keys, float* panels, float* values)
    {
        var size = call->HeadSize;
        for (var place = 0; place < keys; place += Panel)
        {
            Prefetch(call, row, keyValueHead, place + Panel, Math.Min(keys, place + 2 * Panel));

            var at = place;
            foreach (var segment in new Attention.Segments(call, row, keyValueHead, place, Math.Min(keys, place + Panel)))
            {
                MatMul.Transpose(segment.Keys, segment.Stride, segment.Count, size, panels + (nint)place * size + at - place, Panel);
                for (var t = 0; t < segment.Count; t++, at++)
                {
                    new Span<float>(segment.Values + t * segment.Stride, size).CopyTo(new Span<float>(values + (nint)at * size, size));
                }
            }
        }
    }

    /// <summary>Asks for keys and values: a head's part of a row is short and the next one far away, which no hardware foresees.</summary>
    public static void Prefetch(Attention.Call* call, int row, int keyValueHead, int from, int to)
    {
        foreach (var next in new Attention.Segments(call, row, keyValueHead, from, to))
        {
            Prefetch(next.Keys, next.Stride, next.Count, call->HeadSize);
            Prefetch(next.Values, next.Stride, next.Count, call->HeadSize);
        }
    }

    /// <summary>The row of a run that sees most keys.</summary>
    public static int Widest(Attention.Call* call, int first, int rows)
    {
        var widest = first;
        for (var row = first + 1; row < first + rows; row++)
        {
            widest = KeysOf(call, row) > KeysOf(call, widest) ? row : widest;
        }

        return widest;
    }

    /// <summary>Keys that a row of a run sees.</summary>
    public static int KeysOf(Attention.Call* call, int row) =>
        Cached(call, row) + call->RangeEnd[call->RangeOffset[row]] - call->RangeStart[call->RangeOffset[row]];

    /// <summary>How many of them are in the cache.</summary>
    public static int Cached(Attention.Call* call, int row) => Math.Max(0, call->CacheEnd[row] - call->CacheStart[row]);

    public static void Prefetch(float* rows, nint stride, int count, int size)
    {
        for (var row = 0; row < count; row++, rows += stride)
        {
            for (var i = 0; i < size; i += 16)
            {
                Sse.Prefetch0(rows + i);
            }
        }
    }

    private static bool IsLike(Attention.Call* call, int row, int other)
    {
        var range = call->RangeOffset[row];
        var otherRange = call->RangeOffset[other];
        return call->RangeOffset[row + 1] == range + 1 && call->RangeOffset[other + 1] == otherRange + 1
            && call->RangeStart[otherRange] == call->RangeStart[range]
            && (Cached(call, row) == 0
                ? Cached(call, other) == 0
                : call->CacheStart[other] == call->CacheStart[row] && call->CacheEnd[other] == call->CacheEnd[row]);
    }
}
