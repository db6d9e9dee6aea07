// Attention by groups: 256 threads share one row and head (backwards also one key), scores by keys, sums by columns of the head.
//   o = sum over tiles of 256 visible keys of (sum over t of exp(s[t] - max) v[t]), rescaled when a tile raises the maximum
// A key's tile and place follow from how many visible keys stand before it, never from what is cached or who else is in the call.
// Refuses: heads wider than the group or of no whole fours; nothing of size R x T is kept.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>How a group divides a sum over keys: its threads are parts of the keys by columns of the head.</summary>
internal readonly struct HeadParts
{
    public readonly int Parts, Part, Column, Size;

    public HeadParts(int headSize)
    {
        Size = headSize;
        Parts = Together.Threads / headSize;
        Part = Group.IdxX / headSize;
        Column = Group.IdxX - (Part * headSize);
    }

    /// <summary>First of the tile's keys that belong to this thread's part; threads too many have none.</summary>
    public int Start => Part < Parts ? Part * PerPart : Together.Threads;

    /// <summary>One behind the last of <paramref name="count"/> keys that belong to this part.</summary>
    public int End(int count) => Start + PerPart < count ? Start + PerPart : count;

    /// <summary>The sum over parts, ascending; for threads of part 0.</summary>
    public float Sum(ArrayView<float> shared, float value)
    {
        Group.Barrier();
        shared[Group.IdxX] = value;
        Group.Barrier();
        var sum = 0f;
        for (var part = 0; Part == 0 && part < Parts; part++)
        {
            sum += shared[(part * Size) + Column];
        }

        return sum;
    }

    private int PerPart => (Together.Threads + Parts - 1) / Parts;
}

/// <summary>o [R, H * K], one group per row and query head.</summary>
internal struct AttentionGroupKernel : IGroupKernel
{
    public AttentionCall Call;
    public ArrayView<float> Output;

    public readonly void Run()
    {
        var weights = SharedMemory.Allocate<float>(Together.Threads);
        var scratch = SharedMemory.Allocate<float>(Together.Threads);
        var keys = SharedMemory.Allocate<int>(Together.Threads);
        var parts = new HeadParts(Call.HeadSize);
        var row = Grid.IdxX / Call.Heads;
        var head = Grid.IdxX - (row * Call.Heads);
        var query = Grid.IdxX * Call.HeadSize;
        var visible = Call.Visible(row);
        var (max, sum, o) = (float.NegativeInfinity, 0f, 0f);
        for (var tile = 0; tile < visible; tile += Together.Threads)
        {
            var key = Call.Find(row, head, tile + Group.IdxX);
            var score = tile + Group.IdxX < visible ? Call.ScoreByFours(query, key) : float.NegativeInfinity;
            var raised = Together.Maximum(scratch, score);
            raised = raised > max ? raised : max;
            keys[Group.IdxX] = key;
            weights[Group.IdxX] = DeviceMath.Exp((score - raised) * Call.Scale);
            var factor = DeviceMath.Exp((max - raised) * Call.Scale);
            max = raised;
            Group.Barrier();
            (sum, o) = (sum * factor, o * factor);
            for (var i = parts.Start; i < parts.End(visible - tile); i++)
            {
                sum += weights[i];
                o = DeviceMath.Fma(weights[i], Call.Value(keys[i], parts.Column), o);
            }
        }

        o = parts.Sum(scratch, o);
        sum = parts.Sum(scratch, sum);
        if (parts.Part == 0)
        {
            Output[query + parts.Column] = o / sum;
        }
    }
}

/// <summary>dQ, one group per row and query head; leaves max, sum exp and sum p dp as AttentionBackwardQueryKernel does.</summary>
internal struct AttentionBackwardQueryGroupKernel : IGroupKernel
{
    public AttentionBackwardQueryKernel Call;

    public readonly void Run()
    {
        var call = Call.Call;
        var scratch = SharedMemory.Allocate<float>(Together.Threads);
        var slopes = SharedMemory.Allocate<float>(Together.Threads);
        var keys = SharedMemory.Allocate<int>(Together.Threads);
        var parts = new HeadParts(call.HeadSize);
        var row = Grid.IdxX / call.Heads;
        var head = Grid.IdxX - (row * call.Heads);
        var query = Grid.IdxX * call.HeadSize;
        var visible = call.Visible(row);

        // A thread's own maximum and sums first: keys lane, lane + 256, ...
        var (own, sum, mean) = (float.NegativeInfinity, 0f, 0f);
        for (int i = Group.IdxX; i < visible; i += Together.Threads)
        {
            var key = call.Find(row, head, i);
            var score = call.ScoreByFours(query, key);
            var raised = score > own ? score : own;
            var factor = DeviceMath.Exp((own - raised) * call.Scale);
            var e = DeviceMath.Exp((score - raised) * call.Scale);
            (own, sum, mean) = (raised, (sum * factor) + e, (mean * factor) + (e * call.ValueByFours(Call.DOutput, query, key)));
        }

        var max = Together.Maximum(scratch, own);
        var scale = Group.IdxX < visible ? DeviceMath.Exp((own - max) * call.Scale) : 0f;
        sum = Together.Sum(scratch, sum * scale);
        mean = Together.Sum(scratch, mean * scale) / sum;

        var dq = 0f;
        for (var tile = 0; tile < visible; tile += Together.Threads)
        {
            var key = call.Find(row, head, tile + Group.IdxX);
            Group.Barrier();
            keys[Group.IdxX] = key;
            if (tile + Group.IdxX < visible)
            {
                var p = DeviceMath.Exp((call.ScoreByFours(query, key) - max) * call.Scale) / sum;
                slopes[Group.IdxX] = p * (call.ValueByFours(Call.DOutput, query, key) - mean) * call.Scale;
            }

            Group.Barrier();
            for (var i = parts.Start; i < parts.End(visible - tile); i++)
            {
                dq = DeviceMath.Fma(slopes[i], call.Key(keys[i], parts.Column), dq);
            }
        }

        dq = parts.Sum(scratch, dq);
        if (parts.Part == 0)
        {
            Call.DQ[query + parts.Column] += dq;
        }

        if (Group.IdxX == 0)
        {
            var results = AttentionBackwardQueryKernel.Parts * Grid.IdxX;
            Call.Results[results] = max;
            Call.Results[results + 1] = sum;
            Call.Results[results + 2] = mean;
        }
    }
}

/// <summary>dK and dV, one group per own row and key-value head, over the rows that see it, 256 at a time, ascending.</summary>
internal struct AttentionBackwardKeyGroupKernel : IGroupKernel
{
    public AttentionBackwardKeyKernel Call;

    public readonly void Run()
    {
        var call = Call.Call;
        var scratch = SharedMemory.Allocate<float>(Together.Threads);
        var weights = SharedMemory.Allocate<float>(Together.Threads);
        var slopes = SharedMemory.Allocate<float>(Together.Threads);
        var parts = new HeadParts(call.HeadSize);
        var t = Grid.IdxX / call.KeyValueHeads;
        var group = call.Heads / call.KeyValueHeads;
        var firstHead = (Grid.IdxX - (t * call.KeyValueHeads)) * group;
        var key = Grid.IdxX * call.HeadSize;
        var (dk, dv) = (0f, 0f);
        for (var tile = 0; tile < Call.Rows; tile += Together.Threads)
        {
            var row = tile + Group.IdxX;
            var sees = row < Call.Rows && Call.Sees(row, t);
            if (Together.Maximum(scratch, sees ? 1f : 0f) == 0f)
            {
                continue; // most of a packed batch sees nothing of most of it
            }

            for (var head = firstHead; head < firstHead + group; head++)
            {
                Group.Barrier();
                (weights[Group.IdxX], slopes[Group.IdxX]) = (0f, 0f);
                if (sees)
                {
                    var at = ((row * call.Heads) + head) * call.HeadSize;
                    var results = AttentionBackwardQueryKernel.Parts * ((row * call.Heads) + head);
                    var p = DeviceMath.Exp((call.ScoreByFours(at, ~key) - Call.Results[results]) * call.Scale) / Call.Results[results + 1];
                    weights[Group.IdxX] = p;
                    slopes[Group.IdxX] = p * (call.ValueByFours(Call.DOutput, at, ~key) - Call.Results[results + 2]) * call.Scale;
                }

                Group.Barrier();
                for (var i = parts.Start; i < parts.End(Call.Rows - tile); i++)
                {
                    var at = ((((tile + i) * call.Heads) + head) * call.HeadSize) + parts.Column;
                    dk = DeviceMath.Fma(slopes[i], call.Q[at], dk);
                    dv = DeviceMath.Fma(weights[i], Call.DOutput[at], dv);
                }
            }
        }

        dk = parts.Sum(scratch, dk);
        dv = parts.Sum(scratch, dv);
        if (parts.Part == 0)
        {
            Call.DKeys[key + parts.Column] += dk;
            Call.DValues[key + parts.Column] += dv;
        }
    }
}
