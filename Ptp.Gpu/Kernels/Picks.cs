// Tokens from logits on the device: Pick(u, law(logits)) with the law of LogitsTransform, one group of threads per row.
//   kept = the top k, of them those whose exclusive cumulative weight is below p S;  law = e f, f = (float)(1 / sum of kept e);  u's cell of it
// Weights e and the law's floats are the host's to the bit (DeviceMath.Exp); sums are doubles in another order than the host's. So whatever lies
// within PositiveMass.Bound of a border (of the nucleus, of f's rounding, of u's cell) is left undecided, and a token that is given is the
// host's token with certainty. Refuses: rows with NaN or without a finite maximum, undecided as well: the host has the words for them.

using ILGPU;

namespace Ptp.Gpu.Kernels;

/// <summary>tokens[r] = the token that u[r] picks from the law of logits [R, V], or -1.</summary>
internal struct PickKernel : IGroupKernel
{
    public ArrayView<float> Logits, Tokens; // ids as floats: exact up to 2^24
    public ArrayView<int> U; // bits of floats
    public int Columns, TopK;
    public float InverseTemperature;
    public double TopP, Bound; // Bound: how far sums of V terms can lie from the host's, relatively

    /// <summary>Every thread meets every barrier, whatever the row: what a law does not ask for is summed and not used.</summary>
    public readonly void Run()
    {
        var shared = SharedMemory.Allocate<double>(Together.Threads);
        if (Group.IdxX == 0)
        {
            Tokens[Grid.IdxX] = -1f;
        }

        var highest = PickRow.Highest(shared, Logits, Columns);
        var top = KeyOf(highest);

        // Kept: all keys above the cut, and the first ties with it, in the order of ids. The top k first ...
        var cut = Least(shared, 0u, TopK < Columns ? top : 0u, highest, TopK, weighs: false);
        var ties = TopK - Above(shared, cut, highest, weighs: false);
        ties = TopK < Columns ? ties : 0.0;
        var sum = Above(shared, cut, highest, weighs: true) + (ties > 0.0 ? ties * Weight(NumberOf(cut), highest) : 0.0);

        // ... and of them the nucleus: those below whose exclusive cumulative weight p S lies, with certainty.
        var (needed, margin, nucleus) = (TopP * sum, Bound * sum, TopP < 1.0);
        var edge = Least(shared, cut, nucleus ? top : cut, highest, needed, weighs: true);
        var before = Above(shared, edge, highest, weighs: true);
        var there = Above(shared, edge - 1u, highest, weighs: false) - Above(shared, edge, highest, weighs: false);
        var decided = highest > float.NegativeInfinity && highest < float.PositiveInfinity;
        if (nucleus)
        {
            double weight = Weight(NumberOf(edge), highest);
            there = edge == cut ? ties : there;
            ties = AtLeast((needed - before) / weight);
            decided &= weight > 0.0 && ties >= 1.0 && ties <= there
                && before + ((ties - 1.0) * weight) < needed - margin && before + (ties * weight) > needed + margin;
            (cut, sum) = (edge, before + (ties * weight));
        }

        var factor = (float)(1.0 / (sum * (1.0 + Bound)));
        decided &= factor == (float)(1.0 / (sum * (1.0 - Bound)));
        Find(shared, highest, cut, ties, decided ? factor : float.NaN);
    }

    /// <summary>Each thread sums the law of its own run of ids; the one in whose run u falls walks through it; nobody does if the factor is NaN.</summary>
    private readonly void Find(ArrayView<double> shared, float highest, uint cut, double ties, float factor)
    {
        var run = (Columns + Group.DimX - 1) / Group.DimX;
        var start = Group.IdxX * run < Columns ? Group.IdxX * run : Columns;
        var end = start + run < Columns ? start + run : Columns;
        var tied = 0.0;
        for (var i = start; i < end && ties > 0.0; i++)
        {
            tied += Key(i) == cut ? 1.0 : 0.0;
        }

        tied = PickRow.Before(shared, tied); // ties of earlier runs
        var (mass, seen) = (0.0, tied);
        for (var i = start; i < end; i++)
        {
            mass += Law(i, highest, cut, ties, factor, ref seen);
        }

        var cumulative = PickRow.Before(shared, mass);
        double u = Interop.IntAsFloat((uint)U[Grid.IdxX]);
        if (!(cumulative <= u && u < cumulative + mass))
        {
            return;
        }

        seen = tied;
        for (var i = start; i < end; i++)
        {
            var after = cumulative + Law(i, highest, cut, ties, factor, ref seen);
            if (after > u)
            {
                Tokens[Grid.IdxX] = u - cumulative > Bound && after - u > Bound ? i : -1f;
                return;
            }

            cumulative = after;
        }
    }

    private readonly double Law(int i, float highest, uint cut, double ties, float factor, ref double seen)
    {
        var key = Key(i);
        var keeps = key > cut || (key == cut && seen < ties);
        seen += key == cut ? 1.0 : 0.0;
        return keeps ? Weight(Logits[(Grid.IdxX * Columns) + i], highest) * factor : 0f;
    }

    /// <summary>The least key in [from, to] above which there is less than <paramref name="bound"/>.</summary>
    private readonly uint Least(ArrayView<double> shared, uint from, uint to, float highest, double bound, bool weighs)
    {
        while (from < to)
        {
            var middle = from + ((to - from) >> 1); // no division: of what is 2^31 and more ILGPU 1.5 makes a negative half, and no end
            if (Above(shared, middle, highest, weighs) < bound)
            {
                to = middle;
            }
            else
            {
                from = middle + 1u;
            }
        }

        return from;
    }

    /// <summary>How many logits lie above a key, or what they weigh.</summary>
    private readonly double Above(ArrayView<double> shared, uint key, float highest, bool weighs)
    {
        var sum = 0.0;
        for (int i = Group.IdxX; i < Columns; i += Group.DimX)
        {
            if (Key(i) > key)
            {
                sum += weighs ? Weight(Logits[(Grid.IdxX * Columns) + i], highest) : 1f;
            }
        }

        return PickRow.Sum(shared, sum);
    }

    private static double AtLeast(double x)
    {
        double whole = (int)x;
        return whole < x ? whole + 1.0 : whole;
    }

    private readonly float Weight(float logit, float highest) => DeviceMath.Exp((logit - highest) * InverseTemperature);

    private readonly uint Key(int i) => KeyOf(Logits[(Grid.IdxX * Columns) + i]);

    /// <summary>Ascending with the number, -0 as +0; above 0 for all but NaN.</summary>
    private static uint KeyOf(float x)
    {
        var bits = Interop.FloatAsInt(x);
        return bits == 0x80000000u ? 0x80000000u : (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
    }

    private static float NumberOf(uint key) => Interop.IntAsFloat((key & 0x80000000u) != 0u ? key & 0x7fffffffu : ~key);
}

/// <summary>tokens[r] = the first of the largest logits [R, V], or -1.</summary>
internal struct PickFirstKernel : IGroupKernel
{
    public ArrayView<float> Logits, Tokens;
    public int Columns;

    public readonly void Run()
    {
        var shared = SharedMemory.Allocate<double>(Together.Threads);
        var highest = PickRow.Highest(shared, Logits, Columns);
        var first = Columns;
        for (int i = Columns - 1 - Group.IdxX; i >= 0; i -= Group.DimX)
        {
            first = Logits[(Grid.IdxX * Columns) + i] == highest ? i : first;
        }

        var least = -PickRow.Maximum(shared, -first);
        if (Group.IdxX == 0)
        {
            Tokens[Grid.IdxX] = highest > float.NegativeInfinity && highest < float.PositiveInfinity ? (float)least : -1f;
        }
    }
}

/// <summary>What the threads of a row agree on, in doubles; groups of any power of two.</summary>
internal static class PickRow
{
    /// <summary>The largest logit; infinite if there is one that is no number.</summary>
    public static float Highest(ArrayView<double> shared, ArrayView<float> logits, int columns)
    {
        var highest = float.NegativeInfinity;
        for (int i = Group.IdxX; i < columns; i += Group.DimX)
        {
            var x = logits[(Grid.IdxX * columns) + i];
            x = float.IsNaN(x) ? float.PositiveInfinity : x; // either is no law
            highest = x > highest ? x : highest;
        }

        return (float)Maximum(shared, highest);
    }

    public static double Sum(ArrayView<double> shared, double value)
    {
        Put(shared, value);
        for (var half = Group.DimX / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half)
            {
                shared[Group.IdxX] += shared[Group.IdxX + half];
            }

            Group.Barrier();
        }

        return shared[0];
    }

    public static double Maximum(ArrayView<double> shared, double value)
    {
        Put(shared, value);
        for (var half = Group.DimX / 2; half > 0; half /= 2)
        {
            if (Group.IdxX < half && shared[Group.IdxX + half] > shared[Group.IdxX])
            {
                shared[Group.IdxX] = shared[Group.IdxX + half];
            }

            Group.Barrier();
        }

        return shared[0];
    }

    /// <summary>The sum of what the threads before this one gave.</summary>
    public static double Before(ArrayView<double> shared, double value)
    {
        Put(shared, value);
        var sum = 0.0;
        for (var i = 0; i < Group.IdxX; i++)
        {
            sum += shared[i];
        }

        return sum;
    }

    private static void Put(ArrayView<double> shared, double value)
    {
        Group.Barrier(); // somebody may still read the last result
        shared[Group.IdxX] = value;
        Group.Barrier();
    }
}
