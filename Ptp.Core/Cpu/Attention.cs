// Attention of R rows over a cache range and the call's own rows: o = sum_t softmax(q k_t / sqrt(K)) v_t, per head.
// Scores of one row and head are gathered in visiting order, so the result depends on the visible sequence alone,
// not on what part of it is cached. Refuses: an R x T matrix; the scratch is one row of scores per thread.

namespace Ptp.Core.Cpu;

internal static unsafe class Attention
{
    /// <summary>What one call needs; pointers into q, keys, values, the cache, and the visibility arrays.</summary>
    internal struct Call
    {
        public float* Q;
        public float* Keys;
        public float* Values;
        public float* CacheKeys;
        public float* CacheValues;
        public float* Output;
        public float* DOutput;
        public float* DQ;
        public float* DKeys;
        public float* DValues;
        public int* CacheStart;
        public int* CacheEnd;
        public int* RangeOffset;
        public int* RangeStart;
        public int* RangeEnd;
        public int Rows;
        public int Heads;
        public int KeyValueHeads;
        public int HeadSize;
        public int RowsPerTask;
        public int MaxKeys;
    }

    public static void Forward(Call* call, CpuPool pool)
    {
        call->RowsPerTask = Math.Max(1, Math.Min(16, (call->Rows + 4 * pool.Threads - 1) / (4 * pool.Threads)));
        var tasks = (call->Rows + call->RowsPerTask - 1) / call->RowsPerTask;
        pool.Run(tasks, &Rows, call);
    }

    public static void Backward(Call* call, CpuPool pool) => pool.Run(call->KeyValueHeads, &BackwardHead, call);

    private static void Rows(void* context, int task)
    {
        var call = (Call*)context;
        var end = Math.Min(call->Rows, (task + 1) * call->RowsPerTask);
        var scores = Scratch.First(call->MaxKeys + 16);
        var size = call->HeadSize;
        var group = call->Heads / call->KeyValueHeads;
        for (var row = task * call->RowsPerTask; row < end; row++)
        {
            for (var head = 0; head < call->Heads; head++)
            {
                var offset = ((nint)row * call->Heads + head) * size;
                var keys = Probabilities(call, row, call->Q + offset, head / group, scores);
                var output = call->Output + offset;
                new Span<float>(output, size).Clear();
                var seen = 0;
                foreach (var segment in new Segments(call, row, head / group))
                {
                    VectorOps.AddWeightedRows(
                        scores + seen, segment.Values, segment.Stride, segment.Count, size, output);
                    seen += segment.Count;
                }

                System.Diagnostics.Debug.Assert(seen == keys, "Both visits see the same keys.");
            }
        }
    }

    /// <summary>Scores of all visible keys, turned into probabilities; returns their number.</summary>
    private static int Probabilities(Call* call, int row, float* q, int keyValueHead, float* scores)
    {
        var keys = 0;
        foreach (var segment in new Segments(call, row, keyValueHead))
        {
            VectorOps.DotRows(q, segment.Keys, segment.Stride, segment.Count, call->HeadSize, scores + keys);
            keys += segment.Count;
        }

        Softmax.InPlace(scores, keys, 1f / MathF.Sqrt(call->HeadSize));
        return keys;
    }

    /// <summary>One key-value head: nobody else writes its dK and dV, so threads never meet.</summary>
    private static void BackwardHead(void* context, int keyValueHead)
    {
        var call = (Call*)context;
        var group = call->Heads / call->KeyValueHeads;
        var scratch = Scratch.First(Math.Max(
            2 * (call->MaxKeys + 16), AttentionBlocks.ScratchLength(call->MaxKeys, call->HeadSize)));
        var packed = default(AttentionBlocks.Packed);
        for (var row = 0; row < call->Rows;)
        {
            var rows = AttentionBlocks.Length(call, row);
            for (var head = keyValueHead * group; head < (keyValueHead + 1) * group; head++)
            {
                if (rows > 1)
                {
                    AttentionBlocks.Backward(call, row, rows, head, keyValueHead, scratch, ref packed);
                }
                else
                {
                    BackwardRow(call, row, head, keyValueHead, scratch, scratch + call->MaxKeys + 16);
                    packed = default;
                }
            }

            row += rows;
        }
    }

    private static void BackwardRow(Call* call, int row, int head, int keyValueHead, float* p, float* dp)
    {
        var size = call->HeadSize;
        var scale = 1f / MathF.Sqrt(size);
        var offset = ((nint)row * call->Heads + head) * size;
        var q = call->Q + offset;
        var dOutput = call->DOutput + offset;
        var keys = Probabilities(call, row, q, keyValueHead, p);

        // o = sum_t p_t v_t  =>  dp_t = dO v_t
        var seen = 0;
        foreach (var segment in new Segments(call, row, keyValueHead))
        {
            VectorOps.DotRows(dOutput, segment.Values, segment.Stride, segment.Count, size, dp + seen);
            seen += segment.Count;
        }

        // p = softmax(s)  =>  ds_t = p_t (dp_t - sum_j p_j dp_j), and s = scale * q k
        VectorOps.SoftmaxGradient(p, dp, VectorOps.Dot(p, dp, keys), scale, keys);

        seen = 0;
        foreach (var segment in new Segments(call, row, keyValueHead))
        {
            VectorOps.AddWeightedRows(dp + seen, segment.Keys, segment.Stride, segment.Count, size, call->DQ + offset);
            if (segment.OwnRow >= 0)
            {
                var own = ((nint)segment.OwnRow * call->KeyValueHeads + keyValueHead) * size;
                VectorOps.AddOuter(dp + seen, q, segment.Count, size, call->DKeys + own, segment.Stride);
                VectorOps.AddOuter(p + seen, dOutput, segment.Count, size, call->DValues + own, segment.Stride);
            }

            seen += segment.Count;
        }
    }

    /// <summary>A run of keys that lie at one stride.</summary>
    internal struct Segment
    {
        public float* Keys;
        public float* Values;
        public nint Stride;
        public int Count;
        public int OwnRow; // first own row, -1 for the cache
    }

    /// <summary>The visible keys of one row in visiting order: the cache range, then own ranges.</summary>
    internal ref struct Segments(Call* call, int row, int keyValueHead)
    {
        private int _range = call->RangeOffset[row] - 2;
        private readonly int _end = call->RangeOffset[row + 1];

        public Segment Current { get; private set; }

        public readonly Segments GetEnumerator() => this;

        public bool MoveNext()
        {
            var stride = (nint)call->KeyValueHeads * call->HeadSize;
            var head = (nint)keyValueHead * call->HeadSize;
            if (_range == call->RangeOffset[row] - 2)
            {
                _range++;
                var first = call->CacheStart[row];
                var count = call->CacheEnd[row] - first;
                if (count > 0)
                {
                    Current = new Segment
                    {
                        Keys = call->CacheKeys + first * stride + head,
                        Values = call->CacheValues + first * stride + head,
                        Stride = stride,
                        Count = count,
                        OwnRow = -1,
                    };
                    return true;
                }
            }

            if (++_range >= _end)
            {
                return false;
            }

            var start = call->RangeStart[_range];
            Current = new Segment
            {
                Keys = call->Keys + start * stride + head,
                Values = call->Values + start * stride + head,
                Stride = stride,
                Count = call->RangeEnd[_range] - start,
                OwnRow = start,
            };
            return true;
        }
    }
}
