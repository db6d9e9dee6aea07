// Attention's kernels against their definition in scalars, bit for bit: sixteen partial sums of a dot and their fold, weighted sums in order.
// Source: the formulas in VectorOps and AttentionQueries. Whatever vectors this machine has, these are the bits that all machines give.
// Controls: eight partial sums, and keys in another order, are other bits. Not here: softmax, visibility, gradients.

using System.Runtime.InteropServices;
using Ptp.Core.Cpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed unsafe class AttentionKernelTests
{
    private const int Most = 40; // keys
    private const int Largest = 192; // of a head

    [Fact]
    public void Dots_are_sixteen_partial_sums_and_their_fold() => Cases.Run(200, random =>
    {
        var draw = new Draw(random);
        float* found = stackalloc float[draw.Queries * Most];
        var queries = draw.QueriesOf(found);
        fixed (float* keys = draw.Rows)
        {
            for (var j = 0; j < draw.Queries; j++)
            {
                VectorOps.DotRows(queries.QueryOf(j), keys, draw.Stride, draw.Keys, draw.Size, queries.ScoresOf(j));
                Check("one query", j, queries.ScoresOf(j));
            }

            new Span<float>(found, draw.Queries * Most).Clear();
            if (AttentionKernels.Support(draw.Size))
            {
                for (var j = 0; j < draw.Queries; j += 4)
                {
                    AttentionKernels.Dots(&queries, j, keys, draw.Stride, draw.Keys, 0);
                }

                for (var j = 0; j < draw.Queries; j++)
                {
                    Check("four queries", j, queries.ScoresOf(j));
                }
            }

            void Check(string name, int query, float* scores)
            {
                for (var t = 0; t < draw.Keys; t++)
                {
                    Assert.True(draw.Dot(query, t, 16) == scores[t], $"{name}: {query}, key {t} of size {draw.Size}");
                }
            }
        }
    });

    [Fact]
    public void Panels_give_the_dots_of_single_keys() => Cases.Run(200, random =>
    {
        var draw = new Draw(random);
        if (!AttentionKernels.Support(draw.Size))
        {
            return;
        }

        var panel = stackalloc float[32 * Largest];
        float* scores0 = stackalloc float[32], scores1 = stackalloc float[32];
        var keys = Math.Min(32, draw.Keys);
        fixed (float* rows = draw.Rows, q = draw.Q)
        {
            MatMul.Transpose(rows, draw.Stride, keys, draw.Size, panel, 32);
            var other = draw.Queries - 1;
            AttentionKernels.Dot2x32(q, q + other * draw.Size, panel, draw.Size, scores0, scores1);
            for (var t = 0; t < keys; t++)
            {
                Assert.Equal(draw.Dot(0, t, 16), scores0[t]);
                Assert.Equal(draw.Dot(other, t, 16), scores1[t]);
            }
        }
    });

    [Fact]
    public void Weighted_sums_ascend() => Cases.Run(200, random =>
    {
        var draw = new Draw(random);
        float* weights = stackalloc float[draw.Queries * Most], y = stackalloc float[draw.Queries * Largest];
        for (var i = 0; i < draw.Queries * Most; i++)
        {
            weights[i] = (float)random.NextDouble();
        }

        var queries = draw.QueriesOf(weights);
        queries.Y = y;
        fixed (float* values = draw.Rows)
        {
            for (var way = 0; way < (AttentionKernels.Support(draw.Size) ? 2 : 1); way++)
            {
                new Span<float>(y, draw.Queries * Largest).Clear();
                for (var j = 0; j < draw.Queries; j += way == 0 ? 1 : 4)
                {
                    if (way == 0)
                    {
                        VectorOps.AddWeightedRows(queries.ScoresOf(j), values, draw.Stride, draw.Keys, draw.Size, queries.OutputOf(j));
                    }
                    else
                    {
                        AttentionKernels.AddWeighted(&queries, j, values, draw.Stride, draw.Keys, 0);
                    }
                }

                for (var j = 0; j < draw.Queries; j++)
                {
                    for (var i = 0; i < draw.Size; i++)
                    {
                        var sum = 0f;
                        for (var t = 0; t < draw.Keys; t++)
                        {
                            sum = MathF.FusedMultiplyAdd(queries.ScoresOf(j)[t], values[t * draw.Stride + i], sum);
                        }

                        Assert.True(sum == queries.OutputOf(j)[i], $"way {way}, query {j}, column {i} of {draw.Size}");
                    }
                }
            }
        }
    });

    [Fact]
    public void Outer_products_are_added_row_by_row() => Cases.Run(100, random =>
    {
        var draw = new Draw(random);
        var expected = (float[])draw.Rows.Clone();
        var weights = stackalloc float[Most];
        for (var t = 0; t < draw.Keys; t++)
        {
            weights[t] = (float)random.NextDouble();
            for (var i = 0; i < draw.Size; i++)
            {
                ref var y = ref expected[t * draw.Stride + i];
                y = MathF.FusedMultiplyAdd(weights[t], draw.Q[i], y);
            }
        }

        fixed (float* rows = draw.Rows, q = draw.Q)
        {
            VectorOps.AddOuter(weights, q, draw.Keys, draw.Size, rows, draw.Stride);
        }

        Assert.Equal(expected, draw.Rows);
    });

    [Fact]
    public void Control_eight_partial_sums_are_other_bits()
    {
        var differ = 0;
        Cases.Run(50, random =>
        {
            var draw = new Draw(random);
            differ += draw.Dot(0, 0, 16) == draw.Dot(0, 0, 8) ? 0 : 1;
        });
        Assert.InRange(differ, 20, 50);
    }

    [Fact]
    public void Control_weighted_sums_that_descend_are_other_bits()
    {
        var differ = 0;
        Cases.Run(50, random =>
        {
            var draw = new Draw(random);
            float Sum(IEnumerable<int> order) => order.Aggregate(0f, (sum, t) => MathF.FusedMultiplyAdd(draw.Q[t % draw.Q.Length], draw.Rows[t * draw.Stride], sum));
            var keys = Enumerable.Range(0, draw.Keys);
            differ += Sum(keys) == Sum(keys.Reverse()) ? 0 : 1;
        });
        Assert.InRange(differ, 20, 50);
    }

    /// <summary>Queries and rows of a head whose size is a multiple of sixteen.</summary>
    private sealed class Draw
    {
        public Draw(Random random)
        {
            Size = 16 * (1 + random.Next(Largest / 16));
            Queries = 1 + random.Next(9);
            Keys = 1 + random.Next(Most);
            Stride = Size + random.Next(3) * 16;
            Q = Numbers(Queries * Size);
            Rows = Numbers(Keys * Stride);

            float[] Numbers(int count)
            {
                var numbers = GC.AllocateArray<float>(count, pinned: true); // kernels hold pointers
                foreach (ref var number in numbers.AsSpan())
                {
                    number = (float)(random.NextDouble() * 2 - 1);
                }

                return numbers;
            }
        }

        public int Size { get; }

        public int Queries { get; }

        public int Keys { get; }

        public int Stride { get; }

        public float[] Q { get; }

        public float[] Rows { get; }

        public AttentionQueries QueriesOf(float* scores) => new()
        {
            Q = (float*)Marshal.UnsafeAddrOfPinnedArrayElement(Q, 0),
            Scores = scores,
            ScoreStride = Most,
            RowStride = Size,
            Group = 1,
            Count = Queries,
            Size = Size,
        };

        /// <summary>A dot as so many partial sums, halved until four are left, which are added in pairs.</summary>
        public float Dot(int query, int key, int lanes)
        {
            var sums = new float[lanes];
            for (var i = 0; i < Size; i++)
            {
                sums[i % lanes] = MathF.FusedMultiplyAdd(Q[query * Size + i], Rows[key * Stride + i], sums[i % lanes]);
            }

            for (var half = lanes / 2; half >= 4; half /= 2)
            {
                for (var i = 0; i < half; i++)
                {
                    sums[i] += sums[i + half];
                }
            }

            return sums[0] + sums[1] + (sums[2] + sums[3]);
        }
    }
}
