// Row independence, the rule that exactness stands on: the bits of a row never depend on the rest of the call.
// Source: design rule 1. Each op runs once over R rows and again over random parts, on every variant: equal bits.
// Not here: closeness to the truth, which is the other half of this class.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using Xunit;
using Xunit.Sdk;

namespace Ptp.Tests.Backends;

public abstract partial class BackendContract
{
    /// <summary>An op over rows [start, start + count) of fixed inputs; returns its output rows.</summary>
    internal sealed record RowOp(string Name, int Rows, Func<IBackend, int, int, float[]> Run);

    // CaseCount draws of 13 ops: 480 generated cases with one thread alone, each against random parts and all variants.
    [Fact]
    public void Rows_of_one_call_equal_rows_of_many() => Cases.Run(CaseCount, random =>
    {
        foreach (var op in RowOps(random))
        {
            RowsAreIndependent(op, random, [Backend, .. Variants]);
        }
    });

    // Every number of rows that a tile, a strip or a block of rows could treat in its own way.
    [Fact]
    public void Every_number_of_rows_gives_the_same_product() => Cases.RunSeeds(4, seed =>
    {
        var random = new Random(seed);
        var (inputs, outputs) = (33, 200);
        var x = Normal(random, MaxRows * inputs);
        var weights = Normal(random, outputs * inputs);
        var packed = Backend.Pack(Put(seed % 2 == 0 ? weights : Short(weights), outputs, inputs), false, null);
        float[] Rows(int count)
        {
            var y = Backend.Allocate(count, outputs);
            Backend.MatMul(Put(Backend, x.AsSpan(0, count * inputs), count, inputs), packed, false, y);
            return Get(y);
        }

        var all = Rows(MaxRows);
        for (var rows = 1; rows < MaxRows; rows++)
        {
            SameBits($"{rows} rows of {MaxRows}", all.AsSpan(0, rows * outputs), Rows(rows));
        }
    });

    // Two draws per case: any split of the visible keys between cache and own rows, any place, any capacity.
    [Fact]
    public void Attention_depends_on_the_visible_sequence_alone() => Cases.Run(2 * CaseCount, random =>
    {
        var c = new AttentionCase(random, MaxRows);
        var cache = c.Capacity == 0
            ? default
            : new CachedKeys(Put(c.CacheKeys, c.Capacity, c.Width), Put(c.CacheValues, c.Capacity, c.Width));
        var output = Backend.Allocate(c.Rows, c.QueryWidth);
        Backend.Attention(
            Put(c.Q, c.Rows, c.QueryWidth), Put(c.Keys, c.Rows, c.Width), Put(c.Values, c.Rows, c.Width), cache,
            c.Visibility, c.Shape, output);
        var expected = Get(output);
        foreach (var backend in (IBackend[])[Backend, .. Variants])
        {
            var row = random.Next(c.Rows);
            SameBits(
                $"row {row} on {backend.Name}", expected.AsSpan(row * c.QueryWidth, c.QueryWidth), Alone(backend, c, row, random));
        }
    });

    // CaseCount models: prefill in random parts and capacities against one token at a time.
    [Fact]
    public void A_whole_model_gives_equal_bits_in_any_parts() => Cases.RunSeeds(CaseCount, seed =>
    {
        var random = new Random(seed);
        var tokens = 1 + random.Next(MaxTokens);
        var config = ExactnessCase.RandomConfig(new RandomStream((ulong)seed, "model")) with { Layers = 2, MaxContext = 48 };
        var ids = Ids(random, tokens, config.VocabularySize);
        float[]? expected = null;
        foreach (var backend in (IBackend[])[Backend, .. Variants])
        {
            var model = ExactnessCase.RandomModel(backend, config, new RandomStream((ulong)seed, "weights"));
            expected ??= Logits(backend, model, ids, tokens, [tokens]);
            SameBits($"one by one on {backend.Name}", expected, Logits(backend, model, ids, tokens, Ones(tokens)));
            SameBits($"parts on {backend.Name}", expected,
                Logits(backend, model, ids, tokens + random.Next(40), Parts(random, tokens)));
        }
    });

    /// <summary>Throws unless random parts give the bits of the whole, on every backend given.</summary>
    internal static void RowsAreIndependent(RowOp op, Random random, IReadOnlyList<IBackend> backends)
    {
        var whole = op.Run(backends[0], 0, op.Rows);
        var width = whole.Length / op.Rows;
        foreach (var backend in backends)
        {
            var start = 0;
            foreach (var count in random.Next(6) == 0 ? Ones(op.Rows) : Parts(random, op.Rows))
            {
                SameBits(
                    $"{op.Name}, rows {start}..{start + count - 1} of {op.Rows} on {backend.Name}",
                    whole.AsSpan(start * width, count * width), op.Run(backend, start, count));
                start += count;
            }
        }
    }

    /// <summary>The upper sixteen bits of each float: weights as files of BF16 hold them.</summary>
    protected static float[] Short(float[] values) =>
        Array.ConvertAll(values, v => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(v) & 0xFFFF0000));

    /// <summary>Every op whose rows stand alone, on random inputs; backward ops add to random destinations.</summary>
    internal IEnumerable<RowOp> RowOps(Random random)
    {
        var (rows, inputs, outputs) = (Rows(random), Inner(random), Width(random));
        var (x, y) = (Normal(random, rows * inputs), Normal(random, rows * outputs));
        var w = random.Next(2) == 0 ? Normal(random, outputs * inputs) : Short(Normal(random, outputs * inputs));
        foreach (var accumulate in (bool[])[false, true])
        {
            yield return new RowOp($"MatMul K={inputs} N={outputs} +={accumulate}", rows, (b, start, count) =>
            {
                var result = Part(b, y, start, count, outputs);
                b.MatMul(Part(b, x, start, count, inputs), b.Pack(Put(b, w, outputs, inputs), false, null), accumulate, result);
                return Get(b, result);
            });
        }

        yield return new RowOp($"MatMulBackwardInput K={inputs} N={outputs}", rows, (b, start, count) =>
        {
            var dX = Part(b, x, start, count, inputs);
            b.MatMulBackwardInput(Part(b, y, start, count, outputs), b.Pack(Put(b, w, outputs, inputs), true, null), true, dX);
            return Get(b, dX);
        });

        var width = Width(random);
        var (first, second) = (Normal(random, rows * width, 3), Normal(random, rows * width, 3));
        var (third, gain) = (Normal(random, rows * width), Normal(random, width));
        yield return new RowOp($"RmsNorm {width}", rows, (b, start, count) =>
        {
            var result = b.Allocate(count, width);
            b.RmsNorm(Part(b, first, start, count, width), Put(b, gain, 1, width), 1e-5f, result);
            return Get(b, result);
        });
        yield return new RowOp($"RmsNormBackward {width}", rows, (b, start, count) =>
        {
            var dX = Part(b, third, start, count, width);
            b.RmsNormBackward(
                Part(b, first, start, count, width), Put(b, gain, 1, width), 1e-5f, Part(b, second, start, count, width), dX, null);
            return Get(b, dX);
        });
        yield return new RowOp($"SwiGlu {width}", rows, (b, start, count) =>
        {
            var result = b.Allocate(count, width);
            b.SwiGlu(Part(b, first, start, count, width), Part(b, second, start, count, width), result);
            return Get(b, result);
        });
        yield return new RowOp($"SwiGluBackward {width}", rows, (b, start, count) =>
        {
            var (dGate, dUp) = (Part(b, third, start, count, width), Part(b, third, start, count, width));
            b.SwiGluBackward(
                Part(b, first, start, count, width), Part(b, second, start, count, width), Part(b, third, start, count, width),
                true, dGate, dUp);
            b.AddScaled(dUp, 0.7f, dGate); // both in one number, and a third op
            return Get(b, dGate);
        });
        yield return new RowOp($"Add {width}", rows, (b, start, count) =>
        {
            var result = b.Allocate(count, width);
            b.Add(Part(b, first, start, count, width), Part(b, second, start, count, width), result);
            b.Scale(0.3f, result);
            return Get(b, result);
        });
        yield return new RowOp($"Softmax {width}", rows, (b, start, count) =>
        {
            var result = b.Allocate(count, width);
            b.Softmax(Part(b, first, start, count, width), result);
            return Get(b, result);
        });
        var ids = Ids(random, rows, width);
        yield return new RowOp($"CrossEntropy {width}", rows, (b, start, count) =>
        {
            var logits = Part(b, first, start, count, width);
            b.CrossEntropy(logits, ids.AsSpan(start, count), [], true);
            return Get(b, logits);
        });
        yield return new RowOp($"Divergence {width}", rows, (b, start, count) =>
        {
            var logits = Part(b, first, start, count, width);
            b.Divergence(logits, Part(b, second, start, count, width), 1.4f, [], true);
            return Get(b, logits);
        });
        yield return new RowOp($"ReverseDivergence {width}", rows, (b, start, count) =>
        {
            var logits = Part(b, first, start, count, width);
            b.ReverseDivergence(logits, Part(b, second, start, count, width), 1.4f, [], true);
            return Get(b, logits);
        });
        yield return new RowOp($"BinaryCrossEntropy {width}", rows, (b, start, count) =>
        {
            var logits = Part(b, first, start, count, width);
            b.BinaryCrossEntropy(logits, ids.AsSpan(start, count), [], true);
            return Get(b, logits);
        });
        yield return new RowOp($"Embedding {width}", rows, (b, start, count) =>
        {
            var result = b.Allocate(count, width);
            b.Embedding(Put(b, second, rows, width), [.. ids[start..(start + count)].Select(id => id % rows)], result);
            return Get(b, result);
        });
        var (heads, half) = (1 + random.Next(3), 1 + random.Next(20));
        var turned = Normal(random, rows * heads * 2 * half);
        yield return new RowOp($"Rope {heads} x {2 * half}", rows, (b, start, count) =>
        {
            var result = Part(b, turned, start, count, heads * 2 * half);
            b.Rope(RopeTable(b, 130, 2 * half, 50), ids.AsSpan(start, count), result);
            return Get(b, result);
        });
    }

    private IReadOnlyList<IBackend> Variants
    {
        get
        {
            if (_variants.Count == 0)
            {
                _variants.AddRange(CreateVariants());
            }

            return _variants;
        }
    }

    private static Tensor Part(IBackend backend, float[] values, int start, int count, int width) =>
        Put(backend, values.AsSpan(start * width, count * width), count, width);

    /// <summary>One row's visible keys, split anew between a cache of another capacity and own rows in another call.</summary>
    private static float[] Alone(IBackend backend, AttentionCase c, int row, Random random)
    {
        var visible = c.Visible(row);
        var cached = random.Next(visible.Count + 1);
        var (capacity, first) = (cached + random.Next(30), 0);
        first = random.Next(capacity - cached + 1);
        var own = Math.Max(1, visible.Count - cached + random.Next(3));
        var (cacheKeys, cacheValues) = (Filled(capacity * c.Width), Filled(capacity * c.Width));
        var (keys, values) = (Filled(own * c.Width), Filled(own * c.Width));
        for (var i = 0; i < visible.Count; i++)
        {
            var (toKeys, toValues, at) = i < cached ? (cacheKeys, cacheValues, first + i) : (keys, values, i - cached);
            var isCached = visible[i] < c.Capacity;
            var from = (isCached ? visible[i] : visible[i] - c.Capacity) * c.Width;
            (isCached ? c.CacheKeys : c.Keys).AsSpan(from, c.Width).CopyTo(toKeys.AsSpan(at * c.Width));
            (isCached ? c.CacheValues : c.Values).AsSpan(from, c.Width).CopyTo(toValues.AsSpan(at * c.Width));
        }

        // The query stands at any row of the new call; the other rows see one key each.
        var (place, visibility) = (random.Next(own), new Visibility());
        var q = new float[own * c.QueryWidth];
        c.Q.AsSpan(row * c.QueryWidth, c.QueryWidth).CopyTo(q.AsSpan(place * c.QueryWidth));
        for (var r = 0; r < own; r++)
        {
            _ = r == place
                ? visibility.AddRow(first, first + cached).AddRange(0, visible.Count - cached)
                : visibility.AddRow(0, 0).AddRange(r, r + 1);
        }

        var output = backend.Allocate(own, c.QueryWidth);
        var cache = capacity == 0
            ? default
            : new CachedKeys(Put(backend, cacheKeys, capacity, c.Width), Put(backend, cacheValues, capacity, c.Width));
        backend.Attention(
            Put(backend, q, own, c.QueryWidth), Put(backend, keys, own, c.Width), Put(backend, values, own, c.Width), cache,
            visibility, c.Shape, output);
        return Get(backend, output)[(place * c.QueryWidth)..((place + 1) * c.QueryWidth)];
    }

    /// <summary>What nobody may read into a visible row: a NaN would spread.</summary>
    private static float[] Filled(int length)
    {
        var values = new float[length];
        Array.Fill(values, float.NaN);
        return values;
    }

    private static float[] Logits(IBackend backend, Transformer model, int[] ids, int capacity, IEnumerable<int> parts)
    {
        var (tape, cache, logits) = (new Tape(backend), new KvCache(backend, model.Config, capacity), new List<float>());
        foreach (var count in parts)
        {
            tape.Reset();
            int[] slots = [.. Enumerable.Range(cache.Length, count)];
            var rows = new CallRows(slots, Visibility.Causal(cache.Length, count), cache, slots);
            logits.AddRange(Get(backend, model.Forward(tape, ids.AsSpan(cache.Length, count), rows).Value));
            cache.Append(count);
        }

        return [.. logits];
    }

    private static IEnumerable<int> Ones(int total) => Enumerable.Repeat(1, total);

    private static List<int> Parts(Random random, int total)
    {
        var parts = new List<int>();
        for (var left = total; left > 0; left -= parts[^1])
        {
            parts.Add(1 + random.Next(random.Next(2) == 0 ? left : Math.Min(left, 9)));
        }

        return parts;
    }

    private static void SameBits(string what, ReadOnlySpan<float> expected, ReadOnlySpan<float> received)
    {
        for (var i = 0; i < Math.Max(expected.Length, received.Length); i++)
        {
            if (i >= expected.Length || i >= received.Length
                || BitConverter.SingleToInt32Bits(expected[i]) != BitConverter.SingleToInt32Bits(received[i]))
            {
                throw new XunitException($"{what}: bits differ at {i} of {expected.Length}.");
            }
        }
    }
}
