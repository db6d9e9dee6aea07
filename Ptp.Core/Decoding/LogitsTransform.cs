// The one function from logits to law: temperature, softmax, top-k, renormalise, top-p, renormalise.
// Sampling, inverting u, verifying and the bonus token all call it, so they cannot disagree about the law.
// Refuses: rows with NaN, +infinity or nothing but -infinity; a vocabulary of another size.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;

namespace Ptp.Core.Decoding;

/// <summary>Logits to law. Owns scratch memory: one instance per thread.</summary>
/// <remarks>
/// Every sum runs in double over sixteen fixed lanes, so a law depends on its own row of logits only.
/// Order is by logit, equal logits by id; dropped ids get exactly zero.
/// </remarks>
public sealed class LogitsTransform
{
    private const int Block = 16;

    // Enough maxima that the k-th largest of them is a tight bound for the usual k (40, 50, 100).
    private const int Groups = 512;
    private const int Bins = 512;

    private readonly int vocabularySize;
    private readonly bool greedy;
    private readonly bool truncates;
    private readonly int topK;
    private readonly double topP;
    private readonly double temperature;
    private readonly float inverseTemperature;
    private readonly float[] groupMaxima;
    private readonly ulong[] keys;
    private readonly double[] binMass;

    /// <summary>Prepares the function for rows of one size.</summary>
    /// <param name="options">Temperature, top-k, top-p.</param>
    /// <param name="vocabularySize">V.</param>
    public LogitsTransform(SamplingOptions options, int vocabularySize)
    {
        ArgumentNullException.ThrowIfNull(options);
        Guard.Require(
            vocabularySize > 0, "Prepare the sampling law", $"a vocabulary of {vocabularySize}", "at least one token",
            "Pass the model's vocabulary size.");
        Options = options.Validated();
        this.vocabularySize = vocabularySize;
        greedy = options.Temperature == 0;
        topK = options.TopK == 0 ? vocabularySize : Math.Min(options.TopK, vocabularySize);
        topP = options.TopP;
        truncates = !greedy && (topK < vocabularySize || topP < 1);

        // Beyond these bounds a law of float logits no longer changes, and 0 * infinity cannot arise.
        temperature = Math.Clamp(options.Temperature, 1e-30, 1e30);
        inverseTemperature = (float)(1 / temperature);
        groupMaxima = truncates ? new float[Groups] : [];
        keys = truncates ? new ulong[vocabularySize] : [];
        binMass = truncates ? new double[Bins] : [];
    }

    /// <summary>What the law was asked to be.</summary>
    public SamplingOptions Options { get; }

    /// <summary>Computes the law of one row.</summary>
    /// <param name="logits">Logits, [V].</param>
    /// <param name="law">Receives probabilities, [V]; may be the same memory as <paramref name="logits"/>.</param>
    public void ToLaw(ReadOnlySpan<float> logits, Span<float> law)
    {
        if (logits.Length != vocabularySize || law.Length != vocabularySize)
        {
            throw new PtpException(
                "Turn logits into a law", $"rows of {logits.Length} and {law.Length}", $"rows of {vocabularySize}",
                "Build the LogitsTransform with the model's vocabulary size.");
        }

        var highest = Highest(logits);
        if (greedy)
        {
            var best = logits.IndexOf(highest); // the first one: ties go to the lowest id
            law.Clear();
            law[best] = 1f;
        }
        else if (!truncates)
        {
            var sum = Weights(logits, law, highest, store: true);
            Scale(law, (float)(1 / sum));
        }
        else if (topK < vocabularySize)
        {
            TopKThenTopP(logits, law, highest);
        }
        else
        {
            TopPOnly(logits, law, highest);
        }
    }

    /// <summary>The largest logit, with the row checked on the way.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Highest(ReadOnlySpan<float> logits)
    {
        var highest = float.NegativeInfinity;
        var ordered = true;
        var i = 0;
        if (logits.Length >= Block)
        {
            ref var start = ref MemoryMarshal.GetReference(logits);
            var max = Vector512.Create(float.NegativeInfinity);
            var same = Vector512<float>.AllBitsSet;
            for (; i <= logits.Length - Block; i += Block)
            {
                var x = Vector512.LoadUnsafe(ref start, (nuint)i);
                same &= Vector512.Equals(x, x); // NaN differs from itself
                max = Vector512.MaxNative(max, x);
            }

            ordered = same.AsInt32() == Vector512<int>.AllBitsSet;
            for (var lane = 0; lane < Block; lane++)
            {
                highest = Math.Max(highest, max[lane]);
            }
        }

        for (; i < logits.Length; i++)
        {
            ordered &= !float.IsNaN(logits[i]);
            highest = Math.Max(highest, logits[i]);
        }

        if (!ordered || !float.IsFinite(highest))
        {
            throw new PtpException(
                "Turn logits into a law", ordered ? $"a largest logit of {Guard.Text(highest)}" : "a logit of NaN",
                "finite logits (-infinity forbids a token, but not all of them)",
                "The model diverged or its weights are damaged: check the checkpoint and the learning rate.");
        }

        return highest;
    }

    /// <summary>weights = exp((logit - highest) / temperature), written if <paramref name="store"/>; returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Weights(ReadOnlySpan<float> logits, Span<float> weights, float highest, bool store)
    {
        ref var source = ref MemoryMarshal.GetReference(logits);
        ref var target = ref MemoryMarshal.GetReference(weights);
        var shift = Vector512.Create(highest);
        var scale = Vector512.Create(inverseTemperature);
        var low = Vector512<double>.Zero;
        var high = Vector512<double>.Zero;
        var i = 0;
        for (; i <= logits.Length - Block; i += Block)
        {
            var e = FastMath.Exp((Vector512.LoadUnsafe(ref source, (nuint)i) - shift) * scale);
            if (store)
            {
                e.StoreUnsafe(ref target, (nuint)i);
            }

            low += Vector512.WidenLower(e);
            high += Vector512.WidenUpper(e);
        }

        var sum = Vector512.Sum(low + high);
        for (; i < logits.Length; i++)
        {
            var e = Weight(logits[i], highest);
            if (store)
            {
                weights[i] = e;
            }

            sum += e;
        }

        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float Weight(float logit, float highest) => FastMath.Exp((logit - highest) * inverseTemperature);

    private static void Scale(Span<float> law, float factor) =>
        System.Numerics.Tensors.TensorPrimitives.Multiply(law, factor, law);

    private void TopKThenTopP(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var candidates = Collect(logits, KthBound(logits));
        candidates.Sort();
        var count = Math.Min(topK, candidates.Length);
        var kept = candidates[..count];
        if (topP < 1)
        {
            var total = 0.0;
            foreach (var key in kept)
            {
                total += Weight(LogitOf(key), highest);
            }

            kept = kept[..Prefix(kept, 0, topP * total, highest)];
        }

        Keep(kept, law, highest);
    }

    private void TopPOnly(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var total = Weights(logits, law, highest, store: false); // law may be the memory of logits

        // Ids lighter than (1 - p) S / (2 V) weigh less than (1 - p) S together, so all of them lie beyond the nucleus;
        // the factor 2 is room for rounding.
        var range = temperature * Math.Log(2 * vocabularySize / ((1 - topP) * total));
        var candidates = Collect(logits, (float)Math.Max(highest - range, float.MinValue));

        // One pass sorts by bin of equal width; only the bin in which the mass is reached is then sorted exactly.
        Array.Clear(binMass);
        var scale = Math.Max((float)(Bins / range), 1e-37f);
        foreach (var key in candidates)
        {
            var logit = LogitOf(key);
            binMass[Bin(logit, highest, scale)] += Weight(logit, highest);
        }

        var needed = topP * total;
        var before = 0.0;
        var last = 0;
        while (last < Bins - 1 && before + binMass[last] < needed)
        {
            before += binMass[last++];
        }

        var inner = 0;
        var edge = 0;
        for (var i = 0; i < candidates.Length; i++)
        {
            var key = candidates[i];
            var bin = Bin(LogitOf(key), highest, scale);
            if (bin > last)
            {
                continue;
            }

            // Layout: keys of earlier bins first, then those of the last bin.
            candidates[i] = candidates[inner + edge];
            candidates[inner + edge] = key;
            if (bin < last)
            {
                (candidates[inner], candidates[inner + edge]) = (candidates[inner + edge], candidates[inner]);
                inner++;
            }
            else
            {
                edge++;
            }
        }

        var tail = candidates.Slice(inner, edge);
        tail.Sort();
        var kept = candidates[..(inner + Prefix(tail, before, needed, highest))];
        Keep(kept, law, highest);
    }

    /// <summary>How many keys, in order, have an exclusive cumulative weight below <paramref name="needed"/>.</summary>
    private int Prefix(ReadOnlySpan<ulong> sorted, double before, double needed, float highest)
    {
        var count = 0;
        while (count < sorted.Length && (before < needed))
        {
            before += Weight(LogitOf(sorted[count++]), highest);
        }

        return count;
    }

    private void Keep(Span<ulong> kept, Span<float> law, float highest)
    {
        law.Clear();
        var sum = 0.0;
        foreach (var key in kept)
        {
            var weight = Weight(LogitOf(key), highest);
            law[(int)(uint)key] = weight;
            sum += weight;
        }

        var factor = (float)(1 / sum);
        foreach (var key in kept)
        {
            law[(int)(uint)key] *= factor;
        }
    }

    /// <summary>A lower bound of the k-th largest logit: the k-th largest of the maxima of disjoint groups.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private float KthBound(ReadOnlySpan<float> logits)
    {
        if (topK > Groups || logits.Length < 2 * Groups)
        {
            return float.MinValue;
        }

        ref var start = ref MemoryMarshal.GetReference(logits);
        ref var maxima = ref MemoryMarshal.GetArrayDataReference(groupMaxima);
        for (var group = 0; group < Groups; group += Block)
        {
            var max = Vector512.LoadUnsafe(ref start, (nuint)group);
            for (var i = group + Groups; i <= logits.Length - Block; i += Groups)
            {
                max = Vector512.MaxNative(max, Vector512.LoadUnsafe(ref start, (nuint)i));
            }

            max.StoreUnsafe(ref maxima, (nuint)group);
        }

        Array.Sort(groupMaxima);
        return Math.Max(groupMaxima[Groups - topK], float.MinValue);
    }

    /// <summary>Keys of all logits of at least <paramref name="cut"/>, in id order.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private Span<ulong> Collect(ReadOnlySpan<float> logits, float cut)
    {
        ref var start = ref MemoryMarshal.GetReference(logits);
        var least = Vector512.Create(cut);
        var count = 0;
        var i = 0;
        for (; i <= logits.Length - Block; i += Block)
        {
            var bits = Vector512.GreaterThanOrEqual(Vector512.LoadUnsafe(ref start, (nuint)i), least)
                .ExtractMostSignificantBits();
            for (; bits != 0; bits &= bits - 1)
            {
                var id = i + System.Numerics.BitOperations.TrailingZeroCount(bits);
                keys[count++] = KeyOf(logits[id], id);
            }
        }

        for (; i < logits.Length; i++)
        {
            if (logits[i] >= cut)
            {
                keys[count++] = KeyOf(logits[i], i);
            }
        }

        return keys.AsSpan(0, count);
    }

    private static int Bin(float logit, float highest, float scale) =>
        (int)Math.Min((highest - logit) * scale, Bins - 1);

    // Ascending keys are descending logits, then ascending ids. Adding zero makes -0 equal to +0.
    private static ulong KeyOf(float logit, int id)
    {
        var bits = BitConverter.SingleToUInt32Bits(logit + 0f);
        var ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
        return ((ulong)~ascending << 32) | (uint)id;
    }

    private static float LogitOf(ulong key)
    {
        var ascending = ~(uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle(
            (ascending & 0x80000000u) != 0 ? ascending & 0x7fffffffu : ~ascending);
    }
}
