// Attention: o[r] = sum_t softmax(q[r] k[t] / sqrt(K)) v[t] per head, over a cache range and ranges of the own rows.
// Keys are visited in position order and scores are computed again where needed, so nothing of size R x T is kept and
// the result does not depend on what is cached. Refuses: tiles; this is the rung that tuned kernels are compared with.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>What one call needs. Segment 0 of a row is its cache range, segment s its own range s - 1.</summary>
internal struct AttentionCall
{
    public ArrayView<float> Q, Keys, Values, CacheKeys, CacheValues;
    public ArrayView<int> CacheStart, CacheEnd, RangeOffset, RangeStart, RangeEnd;
    public int Heads, KeyValueHeads, HeadSize;
    public float Scale;

    public readonly int Segments(int row) => 1 + RangeOffset[row + 1] - RangeOffset[row];

    public readonly int Start(int row, int segment) =>
        segment == 0 ? CacheStart[row] : RangeStart[RangeOffset[row] + segment - 1];

    public readonly int End(int row, int segment) =>
        segment == 0 ? CacheEnd[row] : RangeEnd[RangeOffset[row] + segment - 1];

    /// <summary>Where the key and value of a query head start in row <paramref name="t"/>.</summary>
    public readonly int KeyAt(int t, int head) =>
        (t * KeyValueHeads + head / (Heads / KeyValueHeads)) * HeadSize;

    /// <summary>q k, before the scale.</summary>
    public readonly float Score(int query, int segment, int key) => Dot(Q, query, segment == 0 ? CacheKeys : Keys, key);

    public readonly float Dot(ArrayView<float> a, int aStart, ArrayView<float> b, int bStart)
    {
        var sum = 0f;
        for (var i = 0; i < HeadSize; i++)
        {
            sum = DeviceMath.Fma(a[aStart + i], b[bStart + i], sum);
        }

        return sum;
    }

    /// <summary>How many keys a row sees.</summary>
    public readonly int Visible(int row)
    {
        var count = 0;
        for (var segment = 0; segment < Segments(row); segment++)
        {
            count += End(row, segment) - Start(row, segment);
        }

        return count;
    }

    /// <summary>Where visible key <paramref name="index"/> of a row starts: in the cache, or below zero the complement of its place among the own rows.</summary>
    public readonly int Find(int row, int head, int index)
    {
        for (var segment = 0; segment < Segments(row); segment++)
        {
            var length = End(row, segment) - Start(row, segment);
            if (index < length)
            {
                var at = KeyAt(Start(row, segment) + index, head);
                return segment == 0 ? at : ~at;
            }

            index -= length;
        }

        return 0;
    }

    /// <summary>q k before the scale, of a key that <see cref="Find"/> found.</summary>
    public readonly float ScoreByFours(int query, int key) =>
        key >= 0 ? DotByFours(Q, query, CacheKeys, key) : DotByFours(Q, query, Keys, ~key);

    /// <summary>x v of a key's value, x a row like a query.</summary>
    public readonly float ValueByFours(ArrayView<float> x, int query, int key) =>
        key >= 0 ? DotByFours(x, query, CacheValues, key) : DotByFours(x, query, Values, ~key);

    public readonly float Key(int key, int column) => key >= 0 ? CacheKeys[key + column] : Keys[~key + column];

    public readonly float Value(int key, int column) => key >= 0 ? CacheValues[key + column] : Values[~key + column];

    /// <summary>Dot, reading four floats at a time.</summary>
    private readonly float DotByFours(ArrayView<float> a, int aStart, ArrayView<float> b, int bStart)
    {
        var (x, y, sum) = (a.ByFours(), b.ByFours(), 0f);
        for (var i = 0; i < HeadSize / 4; i++)
        {
            var (u, v) = (x[(aStart / 4) + i], y[(bStart / 4) + i]);
            sum = DeviceMath.Fma(u.A, v.A, sum);
            sum = DeviceMath.Fma(u.B, v.B, sum);
            sum = DeviceMath.Fma(u.C, v.C, sum);
            sum = DeviceMath.Fma(u.D, v.D, sum);
        }

        return sum;
    }

    /// <summary>y += factor * x.</summary>
    public readonly void AddScaled(float factor, ArrayView<float> x, int xStart, ArrayView<float> y, int yStart)
    {
        for (var i = 0; i < HeadSize; i++)
        {
            y[yStart + i] = DeviceMath.Fma(factor, x[xStart + i], y[yStart + i]);
        }
    }

    /// <summary>The largest score that a row's head sees.</summary>
    public readonly float Maximum(int row, int head)
    {
        var query = (row * Heads + head) * HeadSize;
        var max = float.NegativeInfinity;
        for (var segment = 0; segment < Segments(row); segment++)
        {
            for (var t = Start(row, segment); t < End(row, segment); t++)
            {
                var score = Score(query, segment, KeyAt(t, head));
                max = score > max ? score : max;
            }
        }

        return max;
    }
}

/// <summary>One thread per row and query head; output [R, H * K].</summary>
internal struct AttentionKernel : IElementKernel
{
    public AttentionCall Call;
    public ArrayView<float> Output;

    public readonly void Element(int index)
    {
        var row = index / Call.Heads;
        var head = index - row * Call.Heads;
        var at = index * Call.HeadSize;
        var max = Call.Maximum(row, head);
        for (var i = 0; i < Call.HeadSize; i++)
        {
            Output[at + i] = 0f;
        }

        var sum = 0f;
        for (var segment = 0; segment < Call.Segments(row); segment++)
        {
            for (var t = Call.Start(row, segment); t < Call.End(row, segment); t++)
            {
                var key = Call.KeyAt(t, head);
                var p = DeviceMath.Exp((Call.Score(at, segment, key) - max) * Call.Scale);
                sum += p;
                Call.AddScaled(p, segment == 0 ? Call.CacheValues : Call.Values, key, Output, at);
            }
        }

        for (var i = 0; i < Call.HeadSize; i++)
        {
            Output[at + i] /= sum;
        }
    }
}

/// <summary>
/// dQ, one thread per row and query head: with o = sum p v and p = softmax(s), dp = dO v and
/// ds = p (dp - sum p dp). Leaves max, sum exp and sum p dp of each row and head for the next kernel, [R, H, 3].
/// </summary>
internal struct AttentionBackwardQueryKernel : IElementKernel
{
    public const int Parts = 3;
    public AttentionCall Call;
    public ArrayView<float> DOutput, DQ, Results;

    public readonly void Element(int index)
    {
        var row = index / Call.Heads;
        var head = index - row * Call.Heads;
        var at = index * Call.HeadSize;
        var max = Call.Maximum(row, head);
        var (sum, mean) = (0f, 0f);
        for (var segment = 0; segment < Call.Segments(row); segment++)
        {
            for (var t = Call.Start(row, segment); t < Call.End(row, segment); t++)
            {
                var key = Call.KeyAt(t, head);
                var e = DeviceMath.Exp((Call.Score(at, segment, key) - max) * Call.Scale);
                sum += e;
                mean += e * Call.Dot(DOutput, at, segment == 0 ? Call.CacheValues : Call.Values, key);
            }
        }

        mean /= sum;
        for (var segment = 0; segment < Call.Segments(row); segment++)
        {
            for (var t = Call.Start(row, segment); t < Call.End(row, segment); t++)
            {
                var key = Call.KeyAt(t, head);
                var p = DeviceMath.Exp((Call.Score(at, segment, key) - max) * Call.Scale) / sum;
                var dp = Call.Dot(DOutput, at, segment == 0 ? Call.CacheValues : Call.Values, key);
                Call.AddScaled(
                    p * (dp - mean) * Call.Scale, segment == 0 ? Call.CacheKeys : Call.Keys, key, DQ, at);
            }
        }

        Results[Parts * index] = max;
        Results[Parts * index + 1] = sum;
        Results[Parts * index + 2] = mean;
    }
}

/// <summary>dK and dV, one thread per own row and key-value head, over the rows that see it, ascending.</summary>
internal struct AttentionBackwardKeyKernel : IElementKernel
{
    public AttentionCall Call;
    public ArrayView<float> DOutput, Results, DKeys, DValues;
    public int Rows;

    public readonly void Element(int index)
    {
        var t = index / Call.KeyValueHeads;
        var keyValueHead = index - t * Call.KeyValueHeads;
        var group = Call.Heads / Call.KeyValueHeads;
        var key = index * Call.HeadSize;
        for (var row = 0; row < Rows; row++)
        {
            if (!Sees(row, t))
            {
                continue;
            }

            for (var head = keyValueHead * group; head < (keyValueHead + 1) * group; head++)
            {
                var at = (row * Call.Heads + head) * Call.HeadSize;
                var part = AttentionBackwardQueryKernel.Parts * (row * Call.Heads + head);
                var p = DeviceMath.Exp((Call.Score(at, 1, key) - Results[part]) * Call.Scale) / Results[part + 1];
                var dp = Call.Dot(DOutput, at, Call.Values, key);
                Call.AddScaled(p * (dp - Results[part + 2]) * Call.Scale, Call.Q, at, DKeys, key);
                Call.AddScaled(p, DOutput, at, DValues, key);
            }
        }
    }

    /// <summary>True if a row of the call sees row <paramref name="t"/> of it.</summary>
    public readonly bool Sees(int row, int t)
    {
        for (var segment = 1; segment < Call.Segments(row); segment++)
        {
            if (t >= Call.Start(row, segment) && t < Call.End(row, segment))
            {
                return true;
            }
        }

        return false;
    }
}
