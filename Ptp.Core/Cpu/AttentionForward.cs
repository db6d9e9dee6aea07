// Attention forward, o = sum_t softmax(q k_t / sqrt(K)) v_t: blocks of queries that share keys read them once, four queries at a time.
// A query is a row and a head; those of a block share the key-value head and the first keys of their order, the rest goes one by one.
// Each dot, sum of exponentials and weighted sum is the same chain whoever is near it. Refuses: an R x T matrix; scores are of one block.

namespace Ptp.Core.Cpu;

internal static unsafe class AttentionForward
{
    private const int BlockQueries = 16;
    private const int ChunkKeys = 64; // keys, or values, of a chunk stay in the first cache while all queries of a block use them
    private const int Padding = 16;
    private const int RunQueries = 64; // a part of a run packs all keys that it sees, so it should have that many

    public static void Run(Attention.Call* call, CpuPool pool)
    {
        var group = call->Heads / call->KeyValueHeads;
        var share = (call->Rows * call->KeyValueHeads + 4 * pool.Threads - 1) / (4 * pool.Threads);
        call->RowsPerBlock = Math.Clamp(share, 1, Math.Max(1, BlockQueries / group));
        var job = new Job { Call = call, Parts = (Part*)Scratch.Second(3 * call->Rows) };
        for (int row = 0, rows; row < call->Rows; row += rows)
        {
            rows = RunLength(call, row);
            if (rows > 0)
            {
                AddRun(&job, row, rows, pool.Threads);
                continue;
            }

            for (rows = 1; rows < call->RowsPerBlock && row + rows < call->Rows && RunLength(call, row + rows) == 0;)
            {
                rows++;
            }

            job.Parts[job.Count++] = new Part { First = row, Rows = rows };
        }

        pool.Run(job.Count * call->KeyValueHeads, &Task, &job);
    }

    /// <summary>Rows of a run that pays for packing, or none.</summary>
    private static int RunLength(Attention.Call* call, int row)
    {
        var rows = AttentionKernels.Support(call->HeadSize) ? AttentionRuns.Length(call, row) : 0;
        return rows * (call->Heads / call->KeyValueHeads) < AttentionRuns.MinQueries ? 0 : rows;
    }

    /// <summary>A run in as many parts as keep all threads busy; the last ones see most keys and go first.</summary>
    private static void AddRun(Job* job, int row, int rows, int threads)
    {
        var call = job->Call;
        var most = Math.Max(1, rows * (call->Heads / call->KeyValueHeads) / RunQueries);
        var parts = Math.Clamp(4 * threads * rows / (call->Rows * call->KeyValueHeads), 1, most);
        for (var part = parts - 1; part >= 0; part--)
        {
            var first = part * rows / parts;
            job->Parts[job->Count++] = new Part { First = row + first, Rows = (part + 1) * rows / parts - first, IsRun = true };
        }
    }

    private static void Task(void* context, int task)
    {
        var job = (Job*)context;
        var part = job->Parts[task / job->Call->KeyValueHeads];
        var keyValueHead = task % job->Call->KeyValueHeads;
        if (part.IsRun)
        {
            AttentionRuns.Forward(job->Call, part.First, part.Rows, keyValueHead);
        }
        else
        {
            Block(job->Call, part.First, part.Rows, keyValueHead);
        }
    }

    private static void Block(Attention.Call* call, int first, int rows, int keyValueHead)
    {
        var size = call->HeadSize;
        var group = call->Heads / call->KeyValueHeads;
        var queries = new AttentionQueries
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
        var shared = queries.Count == 1 || !AttentionKernels.Support(size) ? 0 : SharedKeys(call, first, rows);
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
    private static void Visit<TVisit>(Attention.Call* call, AttentionQueries* queries, int first, int keyValueHead, int shared)
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

    /// <summary>What is done with a run of keys.</summary>
    private interface IVisit
    {
        /// <summary>The rows that are read: keys or values.</summary>
        static abstract float* Rows(Attention.Segment segment);

        /// <summary>Query j alone.</summary>
        static abstract void One(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place);

        /// <summary>Queries j to j + 3, or as many as there are.</summary>
        static abstract void Four(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place);
    }

    /// <summary>scores = q k_t.</summary>
    private readonly struct Scores : IVisit
    {
        public static float* Rows(Attention.Segment segment) => segment.Keys;

        public static void One(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place) =>
            VectorOps.DotRows(queries->QueryOf(j), rows, stride, count, queries->Size, queries->ScoresOf(j) + place);

        public static void Four(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place) =>
            AttentionKernels.Dots(queries, j, rows, stride, count, place);
    }

    /// <summary>y += w_t v_t, t in visiting order.</summary>
    private readonly struct Values : IVisit
    {
        public static float* Rows(Attention.Segment segment) => segment.Values;

        public static void One(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place) =>
            VectorOps.AddWeightedRows(queries->ScoresOf(j) + place, rows, stride, count, queries->Size, queries->OutputOf(j));

        public static void Four(AttentionQueries* queries, int j, float* rows, nint stride, int count, int place) =>
            AttentionKernels.AddWeighted(queries, j, rows, stride, count, place);
    }

    private struct Job
    {
        public Attention.Call* Call;
        public Part* Parts;
        public int Count;
    }

    /// <summary>Rows of one task, times key-value heads.</summary>
    private struct Part
    {
        public int First;
        public int Rows;
        public bool IsRun;
    }
}
