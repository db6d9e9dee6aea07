// Attention forward, o = sum_t softmax(q k_t / sqrt(K)) v_t: blocks of queries that share keys read them once, four queries at a time.
// A query is a row and a head; those of a block share the key-value head and the first keys of their order, the rest goes one by one.
// Each dot, sum of exponentials and weighted sum is the same chain whoever is near it. Refuses: an R x T matrix; scores are of one block.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class AttentionForward
{
    private const int BlockQueries = 16;
    private const int ChunkKeys = 64; // keys, or values, of a chunk stay in the first cache while all queries of a block use them
    private const int Padding = 16;

    public static void Run(Attention.Call* call, CpuPool pool)
    {
        var group = call->Heads / call->KeyValueHeads;
        var share = (call->Rows * call->KeyValueHeads + 4 * pool.Threads - 1) / (4 * pool.Threads);
        call->RowsPerBlock = Math.Clamp(share, 1, Math.Max(1, BlockQueries / group));
        var blocks = (call->Rows + call->RowsPerBlock - 1) / call->RowsPerBlock;
        pool.Run(blocks * call->KeyValueHeads, &Block, call);
    }

    private static void Block(void* context, int task)
    {
        var call = (Attention.Call*)context;
        var keyValueHead = task % call->KeyValueHeads;
        var first = task / call->KeyValueHeads * call->RowsPerBlock;
        var rows = Math.Min(call->RowsPerBlock, call->Rows - first);
        var size = call->HeadSize;
        var group = call->Heads / call->KeyValueHeads;
        var queries = new Queries
        {
            Q = call->Q + ((nint)first * call->Heads + keyValueHead * group) * size,
            Y = call->Output + ((nint)first * call->Heads + keyValueHead * group) * size,
            Scores = Scratch.First(rows * group * (call->MaxKeys + Padding)),
            ScoreStride = call->MaxKeys + Padding,
            RowStride = (nint)call->Heads * size,
            Group = group,
            Count = rows * group,
            Size = size,
        };
        var shared = queries.Count == 1 || !CanBlock(size) ? 0 : SharedKeys(call, first, rows);
        Visit<Scores>(call, &queries, first, keyValueHead, shared);
        var sums = stackalloc float[queries.Count];
        for (var j = 0; j < queries.Count; j++)
        {
            var keys = Keys(call, first + j / group);
            sums[j] = keys == 0 ? 1f : Softmax.ExpShifted(queries.ScoresOf(j), keys, 1f / MathF.Sqrt(size), out _);
            new Span<float>(queries.OutputOf(j), size).Clear();
        }

        Visit<Values>(call, &queries, first, keyValueHead, shared);
        for (var j = 0; j < queries.Count; j++)
        {
            Softmax.ScaleBy(queries.OutputOf(j), size, 1f / sums[j]);
        }
    }

    /// <summary>Every query with its visible keys in order: those that all share in chunks for all queries, then each query's own.</summary>
    private static void Visit<TVisit>(Attention.Call* call, Queries* queries, int first, int keyValueHead, int shared)
        where TVisit : struct, IVisit
    {
        var seen = 0;
        foreach (var segment in new Attention.Segments(call, first, keyValueHead, 0, shared))
        {
            for (var t = 0; t < segment.Count; t += ChunkKeys)
            {
                var rows = TVisit.Rows(segment) + t * segment.Stride;
                var count = Math.Min(ChunkKeys, segment.Count - t);
                for (var j = 0; j < queries->Count; j += 4)
                {
                    if (j == queries->Count - 1)
                    {
                        TVisit.One(queries, j, rows, segment.Stride, count, seen + t);
                    }
                    else
                    {
                        TVisit.Four(queries, j, rows, segment.Stride, count, seen + t);
                    }
                }
            }

            seen += segment.Count;
        }

        for (var j = 0; j < queries->Count; j++)
        {
            var place = shared;
            foreach (var segment in new Attention.Segments(call, first + j / queries->Group, keyValueHead, shared))
            {
                TVisit.One(queries, j, TVisit.Rows(segment), segment.Stride, segment.Count, place);
                place += segment.Count;
            }
        }
    }

    /// <summary>Keys that stand first in the order of every row of a block: the cache range, then an own range up to its shortest end.</summary>
    private static int SharedKeys(Attention.Call* call, int first, int rows)
    {
        var (cacheStart, cacheEnd) = (call->CacheStart[first], call->CacheEnd[first]);
        var cached = Math.Max(0, cacheEnd - cacheStart);
        var start = call->RangeOffset[first] < call->RangeOffset[first + 1] ? call->RangeStart[call->RangeOffset[first]] : -1;
        var own = int.MaxValue;
        for (var row = first; row < first + rows; row++)
        {
            if (cached > 0 ? call->CacheStart[row] != cacheStart || call->CacheEnd[row] != cacheEnd
                : call->CacheEnd[row] > call->CacheStart[row])
            {
                return 0;
            }

            var range = call->RangeOffset[row];
            own = range == call->RangeOffset[row + 1] || call->RangeStart[range] != start
                ? 0
                : Math.Min(own, call->RangeEnd[range] - start);
        }

        return cached + own;
    }

    private static int Keys(Attention.Call* call, int row)
    {
        var keys = Math.Max(0, call->CacheEnd[row] - call->CacheStart[row]);
        for (var range = call->RangeOffset[row]; range < call->RangeOffset[row + 1]; range++)
        {
            keys += call->RangeEnd[range] - call->RangeStart[range];
        }

        return keys;
    }

    /// <summary>True if there are kernels of four queries for heads of this size; their dots are those of <see cref="VectorOps"/>.</summary>
    private static bool CanBlock(int size) => Avx512F.IsSupported && Vector512.IsHardwareAccelerated && size % 16 == 0;

    /// <summary>Up to four queries from <paramref name="j"/> on with up to four keys; what is not there repeats the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Dot4x4(Queries* queries, int j, float* keys, nint stride, int count, int place)
    {
        var last = queries->Count - 1;
        var q0 = queries->QueryOf(j);
        var q1 = queries->QueryOf(Math.Min(j + 1, last));
        var q2 = queries->QueryOf(Math.Min(j + 2, last));
        var q3 = queries->QueryOf(Math.Min(j + 3, last));
        var k0 = keys;
        var k1 = keys + Math.Min(1, count - 1) * stride;
        var k2 = keys + Math.Min(2, count - 1) * stride;
        var k3 = keys + Math.Min(3, count - 1) * stride;
        Vector512<float> a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3;
        a0 = a1 = a2 = a3 = b0 = b1 = b2 = b3 = c0 = c1 = c2 = c3 = d0 = d1 = d2 = d3 = Vector512<float>.Zero;
        for (var i = 0; i < queries->Size; i += 16)
        {
            var (x0, x1) = (Vector512.Load(k0 + i), Vector512.Load(k1 + i));
            var (x2, x3) = (Vector512.Load(k2 + i), Vector512.Load(k3 + i));
            var q = Vector512.Load(q0 + i);
            a0 = Vector512.FusedMultiplyAdd(q, x0, a0);
            b0 = Vector512.FusedMultiplyAdd(q, x1, b0);
            c0 = Vector512.FusedMultiplyAdd(q, x2, c0);
            d0 = Vector512.FusedMultiplyAdd(q, x3, d0);
            q = Vector512.Load(q1 + i);
            a1 = Vector512.FusedMultiplyAdd(q, x0, a1);
            b1 = Vector512.FusedMultiplyAdd(q, x1, b1);
            c1 = Vector512.FusedMultiplyAdd(q, x2, c1);
            d1 = Vector512.FusedMultiplyAdd(q, x3, d1);
            q = Vector512.Load(q2 + i);
            a2 = Vector512.FusedMultiplyAdd(q, x0, a2);
            b2 = Vector512.FusedMultiplyAdd(q, x1, b2);
            c2 = Vector512.FusedMultiplyAdd(q, x2, c2);
            d2 = Vector512.FusedMultiplyAdd(q, x3, d2);
            q = Vector512.Load(q3 + i);
            a3 = Vector512.FusedMultiplyAdd(q, x0, a3);
            b3 = Vector512.FusedMultiplyAdd(q, x1, b3);
            c3 = Vector512.FusedMultiplyAdd(q, x2, c3);
            d3 = Vector512.FusedMultiplyAdd(q, x3, d3);
        }

        // Lane 4 r + t is query r with key t, folded as VectorOps folds a single dot.
        var sums = Across(
            Across(Halves(a0, a1, a2, a3), Halves(b0, b1, b2, b3)), Across(Halves(c0, c1, c2, c3), Halves(d0, d1, d2, d3)));
        var s0 = queries->ScoresOf(j) + place;
        var s1 = queries->ScoresOf(Math.Min(j + 1, last)) + place;
        var s2 = queries->ScoresOf(Math.Min(j + 2, last)) + place;
        var s3 = queries->ScoresOf(Math.Min(j + 3, last)) + place;
        if (count == 4)
        {
            sums.GetLower().GetLower().Store(s0);
            sums.GetLower().GetUpper().Store(s1);
            sums.GetUpper().GetLower().Store(s2);
            sums.GetUpper().GetUpper().Store(s3);
            return;
        }

        for (var t = 0; t < count; t++)
        {
            s0[t] = sums.GetElement(t);
            s1[t] = sums.GetElement(4 + t);
            s2[t] = sums.GetElement(8 + t);
            s3[t] = sums.GetElement(12 + t);
        }
    }

    /// <summary>Sixteen partial sums of each of four dots become four of each: the upper half onto the lower, twice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Halves(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var ab = Avx512F.Shuffle4x128(a, b, 0b01_00_01_00) + Avx512F.Shuffle4x128(a, b, 0b11_10_11_10);
        var cd = Avx512F.Shuffle4x128(c, d, 0b01_00_01_00) + Avx512F.Shuffle4x128(c, d, 0b11_10_11_10);
        return Avx512F.Shuffle4x128(ab, cd, 0b10_00_10_00) + Avx512F.Shuffle4x128(ab, cd, 0b11_01_11_01);
    }

    /// <summary>Neighbours added, as a horizontal add does in every 128 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Across(Vector512<float> a, Vector512<float> b) =>
        Avx512F.Shuffle(a, b, 0b10_00_10_00) + Avx512F.Shuffle(a, b, 0b11_01_11_01);

    /// <summary>y += w_t v_t for four queries and 64 columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddWeighted4x64(Queries* queries, int j, float* values, nint stride, int count, int place, int column)
    {
        var last = queries->Count - 1;
        var w0 = queries->ScoresOf(j) + place;
        var w1 = queries->ScoresOf(Math.Min(j + 1, last)) + place;
        var w2 = queries->ScoresOf(Math.Min(j + 2, last)) + place;
        var w3 = queries->ScoresOf(Math.Min(j + 3, last)) + place;
        var y0 = queries->OutputOf(j) + column;
        var y1 = queries->OutputOf(Math.Min(j + 1, last)) + column;
        var y2 = queries->OutputOf(Math.Min(j + 2, last)) + column;
        var y3 = queries->OutputOf(Math.Min(j + 3, last)) + column;
        var (a0, a1, a2, a3) = (Vector512.Load(y0), Vector512.Load(y0 + 16), Vector512.Load(y0 + 32), Vector512.Load(y0 + 48));
        var (b0, b1, b2, b3) = (Vector512.Load(y1), Vector512.Load(y1 + 16), Vector512.Load(y1 + 32), Vector512.Load(y1 + 48));
        var (c0, c1, c2, c3) = (Vector512.Load(y2), Vector512.Load(y2 + 16), Vector512.Load(y2 + 32), Vector512.Load(y2 + 48));
        var (d0, d1, d2, d3) = (Vector512.Load(y3), Vector512.Load(y3 + 16), Vector512.Load(y3 + 32), Vector512.Load(y3 + 48));
        for (var t = 0; t < count; t++, values += stride)
        {
            var (v0, v1) = (Vector512.Load(values), Vector512.Load(values + 16));
            var (v2, v3) = (Vector512.Load(values + 32), Vector512.Load(values + 48));
            var w = Vector512.Create(w0[t]);
            a0 = Vector512.FusedMultiplyAdd(w, v0, a0);
            a1 = Vector512.FusedMultiplyAdd(w, v1, a1);
            a2 = Vector512.FusedMultiplyAdd(w, v2, a2);
            a3 = Vector512.FusedMultiplyAdd(w, v3, a3);
            w = Vector512.Create(w1[t]);
            b0 = Vector512.FusedMultiplyAdd(w, v0, b0);
            b1 = Vector512.FusedMultiplyAdd(w, v1, b1);
            b2 = Vector512.FusedMultiplyAdd(w, v2, b2);
            b3 = Vector512.FusedMultiplyAdd(w, v3, b3);
            w = Vector512.Create(w2[t]);
            c0 = Vector512.FusedMultiplyAdd(w, v0, c0);
            c1 = Vector512.FusedMultiplyAdd(w, v1, c1);
            c2 = Vector512.FusedMultiplyAdd(w, v2, c2);
            c3 = Vector512.FusedMultiplyAdd(w, v3, c3);
            w = Vector512.Create(w3[t]);
            d0 = Vector512.FusedMultiplyAdd(w, v0, d0);
            d1 = Vector512.FusedMultiplyAdd(w, v1, d1);
            d2 = Vector512.FusedMultiplyAdd(w, v2, d2);
            d3 = Vector512.FusedMultiplyAdd(w, v3, d3);
        }

        // A repeated query writes the same numbers to the same place.
        Store(y0, a0, a1, a2, a3);
        Store(y1, b0, b1, b2, b3);
        Store(y2, c0, c1, c2, c3);
        Store(y3, d0, d1, d2, d3);
    }

    /// <summary>The same for 16 columns, what is left of heads that are no multiple of 64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddWeighted4x16(Queries* queries, int j, float* values, nint stride, int count, int place, int column)
    {
        var last = queries->Count - 1;
        var w0 = queries->ScoresOf(j) + place;
        var w1 = queries->ScoresOf(Math.Min(j + 1, last)) + place;
        var w2 = queries->ScoresOf(Math.Min(j + 2, last)) + place;
        var w3 = queries->ScoresOf(Math.Min(j + 3, last)) + place;
        var y0 = queries->OutputOf(j) + column;
        var y1 = queries->OutputOf(Math.Min(j + 1, last)) + column;
        var y2 = queries->OutputOf(Math.Min(j + 2, last)) + column;
        var y3 = queries->OutputOf(Math.Min(j + 3, last)) + column;
        var (a, b, c, d) = (Vector512.Load(y0), Vector512.Load(y1), Vector512.Load(y2), Vector512.Load(y3));
        for (var t = 0; t < count; t++, values += stride)
        {
            var v = Vector512.Load(values);
            a = Vector512.FusedMultiplyAdd(Vector512.Create(w0[t]), v, a);
            b = Vector512.FusedMultiplyAdd(Vector512.Create(w1[t]), v, b);
            c = Vector512.FusedMultiplyAdd(Vector512.Create(w2[t]), v, c);
            d = Vector512.FusedMultiplyAdd(Vector512.Create(w3[t]), v, d);
        }

        a.Store(y0);
        b.Store(y1);
        c.Store(y2);
        d.Store(y3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* y, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        a.Store(y);
        b.Store(y + 16);
        c.Store(y + 32);
        d.Store(y + 48);
    }

    /// <summary>What is done with a run of keys.</summary>
    private interface IVisit
    {
        /// <summary>The rows that are read: keys or values.</summary>
        static abstract float* Rows(Attention.Segment segment);

        /// <summary>Query j alone.</summary>
        static abstract void One(Queries* queries, int j, float* rows, nint stride, int count, int place);

        /// <summary>Queries j to j + 3, or as many as there are.</summary>
        static abstract void Four(Queries* queries, int j, float* rows, nint stride, int count, int place);
    }

    /// <summary>scores = q k_t.</summary>
    private readonly struct Scores : IVisit
    {
        public static float* Rows(Attention.Segment segment) => segment.Keys;

        public static void One(Queries* queries, int j, float* rows, nint stride, int count, int place) =>
            VectorOps.DotRows(queries->QueryOf(j), rows, stride, count, queries->Size, queries->ScoresOf(j) + place);

        public static void Four(Queries* queries, int j, float* rows, nint stride, int count, int place)
        {
            for (var t = 0; t < count; t += 4)
            {
                Dot4x4(queries, j, rows + t * stride, stride, Math.Min(4, count - t), place + t);
            }
        }
    }

    /// <summary>y += w_t v_t, t in visiting order.</summary>
    private readonly struct Values : IVisit
    {
        public static float* Rows(Attention.Segment segment) => segment.Values;

        public static void One(Queries* queries, int j, float* rows, nint stride, int count, int place) =>
            VectorOps.AddWeightedRows(queries->ScoresOf(j) + place, rows, stride, count, queries->Size, queries->OutputOf(j));

        public static void Four(Queries* queries, int j, float* rows, nint stride, int count, int place)
        {
            var i = 0;
            for (; i + 64 <= queries->Size; i += 64)
            {
                AddWeighted4x64(queries, j, rows + i, stride, count, place, i);
            }

            for (; i < queries->Size; i += 16)
            {
                AddWeighted4x16(queries, j, rows + i, stride, count, place, i);
            }
        }
    }

    /// <summary>The queries of a block: rows times the heads of one key-value head.</summary>
    private struct Queries
    {
        public float* Q;
        public float* Y;
        public float* Scores;
        public nint ScoreStride;
        public nint RowStride;
        public int Group;
        public int Count;
        public int Size;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* QueryOf(int j) => Q + Offset(j);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* OutputOf(int j) => Y + Offset(j);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly float* ScoresOf(int j) => Scores + j * ScoreStride;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly nint Offset(int j) =>
            Group == 1 ? j * RowStride : j / Group * RowStride + j % Group * (nint)Size;
    }
}
