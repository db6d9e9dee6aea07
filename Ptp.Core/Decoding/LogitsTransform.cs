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

    private readonly int _vocabularySize;
    private readonly bool _greedy;
    private readonly bool _truncates;
    private readonly int _topK;
    private readonly double _topP;
    private readonly double _temperature;
    private readonly float _inverseTemperature;
    private readonly float[] _groupMaxima;
    private readonly ulong[] _keys;
    private readonly double[] _binMass;

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
        _vocabularySize = vocabularySize;
        _greedy = options.Temperature == 0;
        _topK = options.TopK == 0 ? vocabularySize : Math.Min(options.TopK, vocabularySize);
        _topP = options.TopP;
        _truncates = !_greedy && (_topK < vocabularySize || _topP < 1);

        // Beyond these bounds a law of float logits no longer changes, and 0 * infinity cannot arise.
        _temperature = Math.Clamp(options.Temperature, 1e-30, 1e30);
        _inverseTemperature = (float)(1 / _temperature);
        _groupMaxima = _truncates ? new float[Groups] : [];
        _keys = _truncates ? new ulong[vocabularySize] : [];
        _binMass = _truncates ? new double[Bins] : [];
    }

    /// <summary>What the law was asked to be.</summary>
    public SamplingOptions Options { get; }

    /// <summary>Computes the law of one row.</summary>
    /// <param name="logits">Logits, [V].</param>
    /// <param name="law">Receives probabilities, [V]; may be the same memory as <paramref name="logits"/>.</param>
    public void ToLaw(ReadOnlySpan<float> logits, Span<float> law)
    {
        if (logits.Length != _vocabularySize || law.Length != _vocabularySize)
        {
            throw new PtpException(
                "Turn logits into a law", $"rows of {logits.Length} and {law.Length}", $"rows of {_vocabularySize}",
                "Build the LogitsTransform with the model's vocabulary size.");
        }

        var highest = Highest(logits);
        if (_greedy)
        {
            var best = logits.IndexOf(highest); // the first one: ties go to the lowest id
            law.Clear();
            law[best] = 1f;
        }
        else if (!_truncates)
        {
            var sum = Weights(logits, law, highest, store: true);
            Scale(law, (float)(1 / sum));
        }
        else if (_topK < _vocabularySize)
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
        var scale = Vector512.Create(_inverseTemperature);
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
    private float Weight(float logit, float highest) => FastMath.Exp((logit - highest) * _inverseTemperature);

    private static void Scale(Span<float> law, float factor) =>
        System.Numerics.Tensors.TensorPrimitives.Multiply(law, factor, law);

    private void TopKThenTopP(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var candidates = Collect(logits, KthBound(logits));
        candidates.Sort();
        var count = Math.Min(_topK, candidates.Length);
        var kept = candidates[..count];
        if (_topP < 1)
        {
            var total = 0.0;
            foreach (var key in kept)
            {
                total += Weight(LogitOf(key), highest);
            }

            kept = kept[..Prefix(kept, 0, _topP * total, highest)];
        }

        Keep(kept, law, highest);
    }

    private void TopPOnly(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var total = Weights(logits, law, highest, store: false); // law may be the memory of logits

        // Ids lighter than (1 - p) S / (2 V) weigh less than (1 - p) S together, so all of them lie beyond the nucleus;
        // the factor 2 is room for rounding.
        var range = _temperature * Math.Log(2 * _vocabularySize / ((1 - _topP) * total));
        var candidates = Collect(logits, (float)Math.Max(highest - range, float.MinValue));

        // One pass sorts by bin of equal width; only the bin in which the mass is reached is then sorted exactly.
        Array.Clear(_binMass);
        var scale = Math.Max((float)(Bins / range), 1e-37f);
        foreach (var key in candidates)
        {
            var logit = LogitOf(key);
            _binMass[Bin(logit, highest, scale)] += Weight(logit, highest);
        }

        var needed = _topP * total;
        var before = 0.0;
        var last = 0;
        while (last < Bins - 1 && before + _binMass[last] < needed)
        {
            before += _binMass[last++];
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
        if (_topK > Groups || logits.Length < 2 * Groups)
        {
            return float.MinValue;
        }

        ref var start = ref MemoryMarshal.GetReference(logits);
        ref var maxima = ref MemoryMarshal.GetArrayDataReference(_groupMaxima);
        for (var group = 0; group < Groups; group += Block)
        {
            var max = Vector512.LoadUnsafe(ref start, (nuint)group);
            for (var i = group + Groups; i <= logits.Length - Block; i += Groups)
            {
                max = Vector512.MaxNative(max, Vector512.LoadUnsafe(ref start, (nuint)i));
            }

            max.StoreUnsafe(ref maxima, (nuint)group);
        }

        Array.Sort(_groupMaxima);
        return Math.Max(_groupMaxima[Groups - _topK], float.MinValue);
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
                _keys[count++] = KeyOf(logits[id], id);
            }
        }

        for (; i < logits.Length; i++)
        {
            if (logits[i] >= cut)
            {
                _keys[count++] = KeyOf(logits[i], i);
            }
        }

        return _keys.AsSpan(0, count);
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
