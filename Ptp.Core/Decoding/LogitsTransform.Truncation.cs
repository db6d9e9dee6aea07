// Top-k and top-p without sorting the vocabulary: a provable cut-off first, then only what survives it is ordered.
// Top-k: the k-th largest of disjoint groups' maxima. Top-p: the total mass that light ids can have, then one bin of logits.
// Not here: the softmax itself and the checks of a row (see LogitsTransform.cs).

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;

namespace Ptp.Core.Decoding;

public sealed partial class LogitsTransform
{
    private void TopKThenTopP(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var candidates = Collect(logits, KthBound(logits));
        candidates.Sort();
        var count = Math.Min(_topK, candidates.Length);
        var kept = candidates[..count];
        var total = 0.0;
        foreach (var key in kept)
        {
            total += _weights[IdOf(key)] = Weight(LogitOf(key), highest);
        }

        Keep(_topP < 1 ? kept[..Prefix(kept, 0, _topP * total)] : kept, law);
    }

    private void TopPOnly(ReadOnlySpan<float> logits, Span<float> law, float highest)
    {
        var total = Weights(logits, _weights, highest); // law may be the memory of logits

        // Ids lighter than (1 - p) S / (2 V) weigh less than (1 - p) S together, so all of them lie beyond the nucleus;
        // the factor 2 is room for rounding.
        var range = _temperature * Math.Log(2 * _vocabularySize / ((1 - _topP) * total));
        var candidates = Collect(logits, (float)Math.Max(highest - range, float.MinValue));

        // One pass sorts by bin of equal width; only the bin in which the mass is reached is then sorted exactly.
        Array.Clear(_binMass);
        var scale = Math.Max((float)(Bins / range), 1e-37f);
        foreach (var key in candidates)
        {
            _binMass[Bin(LogitOf(key), highest, scale)] += _weights[IdOf(key)];
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
        Keep(candidates[..(inner + Prefix(tail, before, needed))], law);
    }

    /// <summary>How many keys, in order, have an exclusive cumulative weight below <paramref name="needed"/>.</summary>
    private int Prefix(ReadOnlySpan<ulong> sorted, double before, double needed)
    {
        var count = 0;
        while (count < sorted.Length && (before < needed))
        {
            before += _weights[IdOf(sorted[count++])];
        }

        return count;
    }

    private void Keep(ReadOnlySpan<ulong> kept, Span<float> law)
    {
        law.Clear();
        var sum = 0.0;
        foreach (var key in kept)
        {
            sum += law[IdOf(key)] = _weights[IdOf(key)];
        }

        var factor = (float)(1 / sum);
        foreach (var key in kept)
        {
            law[IdOf(key)] *= factor;
        }
    }

    /// <summary>A lower bound of the k-th largest logit: the k-th largest of the maxima of disjoint groups.</summary>
    [MethodImpl(Kernel.Whole)]
    private float KthBound(ReadOnlySpan<float> logits)
    {
        var groups = _groupMaxima.Length;
        if (groups == 0)
        {
            return float.MinValue;
        }

        ref var start = ref MemoryMarshal.GetReference(logits);
        ref var maxima = ref MemoryMarshal.GetArrayDataReference(_groupMaxima);
        for (var group = 0; group < groups; group += Block)
        {
            var (max, other) = (Vector256.LoadUnsafe(ref start, (nuint)group), Vector256.LoadUnsafe(ref start, (nuint)group + 8));
            for (var i = group + groups; i <= logits.Length - Block; i += groups)
            {
                max = Vector256.MaxNative(max, Vector256.LoadUnsafe(ref start, (nuint)i));
                other = Vector256.MaxNative(other, Vector256.LoadUnsafe(ref start, (nuint)i + 8));
            }

            max.StoreUnsafe(ref maxima, (nuint)group);
            other.StoreUnsafe(ref maxima, (nuint)group + 8);
        }

        Array.Sort(_groupMaxima);
        return Math.Max(_groupMaxima[groups - _topK], float.MinValue);
    }

    /// <summary>Keys of all logits of at least <paramref name="cut"/>, in id order.</summary>
    [MethodImpl(Kernel.Whole)]
    private Span<ulong> Collect(ReadOnlySpan<float> logits, float cut)
    {
        ref var start = ref MemoryMarshal.GetReference(logits);
        var least = Vector256.Create(cut);
        var count = 0;
        var i = 0;
        for (; i <= logits.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            var bits = Vector256.GreaterThanOrEqual(Vector256.LoadUnsafe(ref start, (nuint)i), least).ExtractMostSignificantBits();
            for (; bits != 0; bits &= bits - 1)
            {
                var id = i + BitOperations.TrailingZeroCount(bits);
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

    private static int IdOf(ulong key) => (int)(uint)key;

    private static float LogitOf(ulong key)
    {
        var ascending = ~(uint)(key >> 32);
        return BitConverter.UInt32BitsToSingle(
            (ascending & 0x80000000u) != 0 ? ascending & 0x7fffffffu : ~ascending);
    }
}
