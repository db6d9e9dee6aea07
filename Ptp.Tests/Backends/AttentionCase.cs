// A random attention call: grouped heads, a cache with a hole in front and behind, and gaps between own ranges;
// every third one is packed texts, each causal in itself, as training and prompts have them (backends may take those in blocks).
// Source: Visibility's own rules: one cache range, ascending own ranges, at least one key per row. Not here: attention.

using Ptp.Core.Tensors;

namespace Ptp.Tests.Backends;

internal sealed class AttentionCase
{
    public AttentionCase(Random random, int maxRows)
    {
        var group = 1 + random.Next(3);
        var kvHeads = 1 + random.Next(3);
        var packed = random.Next(3) == 0;
        Rows = 1 + random.Next(packed ? maxRows : Math.Min(maxRows, 50));
        var size = packed && random.Next(4) > 0
            ? 16 * (1 + random.Next(8))
            : new[] { 2, 4, 6, 8, 10, 16, 24, 32, 48, 64, 66 }[random.Next(11)];
        Shape = new HeadShape(kvHeads * group, kvHeads, size);
        Capacity = random.Next(3) == 0 ? 0 : 1 + random.Next(40);
        Q = Normal(random, Rows * QueryWidth);
        Keys = Normal(random, Rows * Width);
        Values = Normal(random, Rows * Width);
        CacheKeys = Normal(random, Capacity * Width);
        CacheValues = Normal(random, Capacity * Width);
        for (var texts = packed ? Rows : 0; texts > 0;)
        {
            // A text, or what follows a text in the cache; a text may be short or all there is.
            var length = random.Next(2) == 0 ? texts : 1 + random.Next(texts);
            var start = random.Next(2) == 0 ? Capacity : random.Next(Capacity + 1);
            Visibility.AddCausal(start, Capacity, length);
            texts -= length;
        }

        for (var row = packed ? Rows : 0; row < Rows; row++)
        {
            var start = random.Next(Capacity + 1);
            var end = start + random.Next(Capacity - start + 1);
            Visibility.AddRow(start, end);
            // Some rows see themselves alone, some a run, some a comb; rows after their own are allowed too.
            var at = random.Next(Rows);
            var seen = end - start;
            for (var range = random.Next(4); range > 0 && at < Rows; range--)
            {
                var stop = at + random.Next(Rows - at + 1);
                Visibility.AddRange(at, stop);
                seen += stop - at;
                at = stop + random.Next(3);
            }

            if (seen == 0)
            {
                Visibility.AddRange(row, row + 1);
            }
        }
    }

    public int Rows { get; }

    public HeadShape Shape { get; }

    public int Capacity { get; }

    public float[] Q { get; }

    public float[] Keys { get; }

    public float[] Values { get; }

    public float[] CacheKeys { get; }

    public float[] CacheValues { get; }

    public Visibility Visibility { get; } = new();

    public int QueryWidth => Shape.Heads * Shape.HeadSize;

    public int Width => Shape.KeyValueHeads * Shape.HeadSize;

    /// <summary>Visible keys of a row in visiting order: entries below the capacity are cached, the others own rows.</summary>
    public List<int> Visible(int row)
    {
        var keys = new List<int>();
        for (var entry = Visibility.CacheStart[row]; entry < Visibility.CacheEnd[row]; entry++)
        {
            keys.Add(entry);
        }

        for (var range = Visibility.RangeOffset[row]; range < Visibility.RangeOffset[row + 1]; range++)
        {
            for (var own = Visibility.RangeStart[range]; own < Visibility.RangeEnd[range]; own++)
            {
                keys.Add(Capacity + own);
            }
        }

        return keys;
    }

    public bool[,] Mask()
    {
        var mask = new bool[Rows, Capacity + Rows];
        for (var row = 0; row < Rows; row++)
        {
            foreach (var key in Visible(row))
            {
                mask[row, key] = true;
            }
        }

        return mask;
    }

    private static float[] Normal(Random random, int count) =>
        Array.ConvertAll(Oracle.OracleGens.Normal(random, count), value => (float)value);
}
