// Attention of R rows over a cache range and the call's own rows: o = sum_t softmax(q k_t / sqrt(K)) v_t, per head.
// What a call is, which keys a row sees and in which order, and the backward pass; the forward pass is AttentionForward.
// Refuses: an R x T matrix; the backward pass recomputes probabilities row by row, or by blocks of a run (AttentionGradients).

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
        public int RowsPerBlock;
        public int MaxKeys;
    }

    public static void Forward(Call* call, CpuPool pool) => AttentionForward.Run(call, pool);

    public static void Backward(Call* call, CpuPool pool)
    {
        var job = new BackwardJob { Call = call, Cuts = (int*)Scratch.Second(2 * call->Rows + 1) };
        FindTexts(&job, job.Cuts + call->Rows + 1);
        pool.Run(job.Texts * call->KeyValueHeads, &BackwardText, &job);
    }

    /// <summary>Cuts the rows where none behind a cut sees one before it, nor the other way round: texts of a packed batch.</summary>
    private static void FindTexts(BackwardJob* job, int* first)
    {
        var call = job->Call;
        var low = int.MaxValue;
        for (var row = call->Rows - 1; row >= 0; row--)
        {
            for (var range = call->RangeOffset[row]; range < call->RangeOffset[row + 1]; range++)
            {
                low = Math.Min(low, call->RangeStart[range]);
            }

            first[row] = low; // the first own row that this row or one behind it sees
        }

        var high = 0;
        for (var row = 0; row < call->Rows; row++)
        {
            if (high <= row && first[row] >= row)
            {
                job->Cuts[job->Texts++] = row;
            }

            for (var range = call->RangeOffset[row]; range < call->RangeOffset[row + 1]; range++)
            {
                high = Math.Max(high, call->RangeEnd[range]);
            }
        }

        job->Cuts[job->Texts] = call->Rows;
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

    /// <summary>One text and key-value head: nobody else writes its dK and dV, so threads never meet.</summary>
    private static void BackwardText(void* context, int task)
    {
        var job = (BackwardJob*)context;
        var call = job->Call;
        var keyValueHead = task % call->KeyValueHeads;
        var text = task / call->KeyValueHeads;
        var group = call->Heads / call->KeyValueHeads;
        for (int row = job->Cuts[text], rows; row < job->Cuts[text + 1]; row += rows)
        {
            rows = AttentionKernels.Support(call->HeadSize) ? AttentionRuns.Length(call, row) : 0;
            if (rows >= AttentionGradients.MinRows)
            {
                AttentionGradients.Run(call, row, rows, keyValueHead);
                continue;
            }

            rows = 1;
            var scratch = Scratch.First(2 * (call->MaxKeys + 16));
            for (var head = keyValueHead * group; head < (keyValueHead + 1) * group; head++)
            {
                BackwardRow(call, row, head, keyValueHead, scratch, scratch + call->MaxKeys + 16);
            }
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

    private struct BackwardJob
    {
        public Call* Call;
        public int* Cuts; // first row of each text, and the end
        public int Texts;
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

    /// <summary>The visible keys of one row in visiting order: the cache range, then own ranges; or a part of that order.</summary>
    /// <param name="call">The call.</param>
    /// <param name="row">The row.</param>
    /// <param name="keyValueHead">Whose keys and values.</param>
    /// <param name="from">The first key's place in the order.</param>
    /// <param name="to">The place behind the last one.</param>
    internal ref struct Segments(Call* call, int row, int keyValueHead, int from = 0, int to = int.MaxValue)
    {
        private int _range = call->RangeOffset[row] - 2;
        private int _place;
        private readonly int _end = call->RangeOffset[row + 1];

        public Segment Current { get; private set; }

        public readonly Segments GetEnumerator() => this;

        public bool MoveNext()
        {
            while (_place < to && Next(out var segment))
            {
                var skipped = Math.Clamp(from - _place, 0, segment.Count);
                var count = Math.Min(segment.Count, to - _place);
                _place += segment.Count;
                if (count > skipped)
                {
                    segment.Keys += skipped * segment.Stride;
                    segment.Values += skipped * segment.Stride;
                    segment.OwnRow += segment.OwnRow >= 0 ? skipped : 0;
                    segment.Count = count - skipped;
                    Current = segment;
                    return true;
                }
            }

            return false;
        }

        private bool Next(out Segment segment)
        {
            var stride = (nint)call->KeyValueHeads * call->HeadSize;
            var head = (nint)keyValueHead * call->HeadSize;
            if (_range == call->RangeOffset[row] - 2)
            {
                _range++;
                var first = call->CacheStart[row];
                segment = new Segment
                {
                    Keys = call->CacheKeys + first * stride + head,
                    Values = call->CacheValues + first * stride + head,
                    Stride = stride,
                    Count = Math.Max(0, call->CacheEnd[row] - first),
                    OwnRow = -1,
                };
                return true;
            }

            if (++_range >= _end)
            {
                segment = default;
                return false;
            }

            var start = call->RangeStart[_range];
            segment = new Segment
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
