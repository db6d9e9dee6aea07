// The one function from logits to law: temperature, softmax, top-k, renormalise, top-p, renormalise.
// Sampling, inverting u, verifying and the bonus token all call it, so they cannot disagree about the law.
// Refuses: rows with NaN, +infinity or nothing but -infinity; a vocabulary of another size.

using System.Numerics;
using System.Numerics.Tensors;
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
public sealed partial class LogitsTransform
{
    private const int Block = 16;

    private const int Chunk = 512;

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
    private readonly float[] _weights; // by id, where tokens may be dropped
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

        // Four groups per kept token make the k-th largest of their maxima a tight bound of the k-th largest logit.
        var groups = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(4L * _topK, 4 * Block, 4096));
        _groupMaxima = _topK <= groups && 2 * groups <= vocabularySize ? new float[groups] : [];
        _keys = _truncates ? new ulong[vocabularySize] : [];
        _weights = _truncates ? new float[vocabularySize] : [];
        _binMass = _truncates ? new double[Bins] : [];
    }

    /// <summary>What the law was asked to be.</summary>
    public SamplingOptions Options { get; }

    internal bool IsGreedy => _greedy;

    /// <summary>How many tokens are kept at most: V if all.</summary>
    internal int TopK => _topK;

    /// <summary>What differences of logits are multiplied by.</summary>
    internal float InverseTemperature => _inverseTemperature;

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
            var best = FirstOf(logits, highest); // ties go to the lowest id
            law.Clear();
            law[best] = 1f;
        }
        else if (!_truncates)
        {
            var sum = Weights(logits, law, highest);
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
    [MethodImpl(Kernel.Whole)]
    private static float Highest(ReadOnlySpan<float> logits)
    {
        var highest = float.NegativeInfinity;
        var ordered = true;
        var i = 0;
        if (logits.Length >= Block)
        {
            ref var start = ref MemoryMarshal.GetReference(logits);
            Vector256<float> max = Vector256.Create(float.NegativeInfinity), other = max;
            Vector256<float> same = Vector256<float>.AllBitsSet, alike = same;
            for (; i <= logits.Length - Block; i += Block)
            {
                var (x, y) = (Vector256.LoadUnsafe(ref start, (nuint)i), Vector256.LoadUnsafe(ref start, (nuint)i + 8));
                same &= Vector256.Equals(x, x); // NaN differs from itself
                alike &= Vector256.Equals(y, y);
                max = Vector256.MaxNative(max, x);
                other = Vector256.MaxNative(other, y);
            }

            ordered = (same & alike).AsInt32() == Vector256<int>.AllBitsSet;
            max = Vector256.MaxNative(max, other);
            for (var lane = 0; lane < Vector256<float>.Count; lane++)
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

    [MethodImpl(Kernel.Whole)]
    private static int FirstOf(ReadOnlySpan<float> logits, float value)
    {
        ref var start = ref MemoryMarshal.GetReference(logits);
        var wanted = Vector256.Create(value);
        var i = 0;
        for (; i <= logits.Length - Vector256<float>.Count; i += Vector256<float>.Count)
        {
            var bits = Vector256.Equals(Vector256.LoadUnsafe(ref start, (nuint)i), wanted).ExtractMostSignificantBits();
            if (bits != 0)
            {
                return i + BitOperations.TrailingZeroCount(bits);
            }
        }

        while (logits[i] != value)
        {
            i++;
        }

        return i;
    }

    /// <summary>weights = exp((logit - highest) / temperature); returns their sum.</summary>
    private unsafe double Weights(ReadOnlySpan<float> logits, Span<float> weights, float highest)
    {
        fixed (float* from = logits, to = weights)
        {
            var (low, high) = (Vector512<double>.Zero, Vector512<double>.Zero);
            var (i, whole) = (0, logits.Length / Block * Block);
            while (i < whole)
            {
                var count = Math.Min(Chunk, whole - i); // a chunk's weights are in the first cache when they are summed
                Weigh(from + i, to + i, count, highest);
                Add(to + i, count, ref low, ref high);
                i += count;
            }

            var sum = Vector512.Sum(low + high);
            for (; i < logits.Length; i++)
            {
                sum += to[i] = Weight(from[i], highest);
            }

            return sum;
        }
    }

    /// <summary>A multiple of sixteen weights.</summary>
    private unsafe void Weigh(float* from, float* to, int length, float highest)
    {
        var i = Lanes512.AreHere ? WeighMost<Vector512<float>, Lanes512>(from, to, length, highest, _inverseTemperature)
            : Lanes256.AreHere ? WeighMost<Vector256<float>, Lanes256>(from, to, length, highest, _inverseTemperature) : 0;
        for (; i < length; i += 8)
        {
            FastMath.Exp((Vector256.Load(from + i) - Vector256.Create(highest)) * Vector256.Create(_inverseTemperature)).Store(to + i);
        }
    }

    /// <summary>As many as fill four vectors; returns their number.</summary>
    [MethodImpl(Kernel.Whole)]
    private static unsafe int WeighMost<TVector, TLanes>(float* from, float* to, int length, float highest, float scale)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var i = 0;
        for (; i + FourVectors<TVector, TLanes>.Count <= length; i += FourVectors<TVector, TLanes>.Count)
        {
            FastMath.ExpBelowZero((FourVectors<TVector, TLanes>.Load(from + i) - highest) * scale).Store(to + i);
        }

        return i;
    }

    /// <summary>Sixteen sums in double, the first eight in <paramref name="low"/>, whatever the width of vectors.</summary>
    [MethodImpl(Kernel.Whole)]
    private static unsafe void Add(float* x, int length, ref Vector512<double> low, ref Vector512<double> high)
    {
        var (a, b, c, d) = (low.GetLower(), low.GetUpper(), high.GetLower(), high.GetUpper());
        for (var i = 0; i < length; i += Block)
        {
            var (first, second) = (Vector256.Load(x + i), Vector256.Load(x + i + 8));
            a += Vector256.WidenLower(first);
            b += Vector256.WidenUpper(first);
            c += Vector256.WidenLower(second);
            d += Vector256.WidenUpper(second);
        }

        (low, high) = (Vector512.Create(a, b), Vector512.Create(c, d));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float Weight(float logit, float highest) => FastMath.Exp((logit - highest) * _inverseTemperature);

    private static void Scale(Span<float> law, float factor) =>
        TensorPrimitives.Multiply(law, factor, law);
}
