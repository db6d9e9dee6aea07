// The ways to sums of products of bytes: AVX-VNNI, words of AVX-512 or AVX2, or floats of Vector<T>; the choice is made here, in one place.
// All give sum over k of q_x[k] q_w[j, k] as the same whole number: |sum| <= 64 * 127 * 127 < 2^24, exact in 32 bits and in floats.
// Refuses: sums of 16 bits, which two products of AVX2's bytes already overflow: 2 * 127 * 255 > 32,767.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

/// <summary>How products of bytes are summed, and so how rows are stored for it.</summary>
internal enum ByteWay
{
    /// <summary>AVX-VNNI: rows of bytes.</summary>
    Dots,

    /// <summary>Words of AVX-512: rows of bytes.</summary>
    Words512,

    /// <summary>Words of AVX2: of each 64 numbers of a row those of even k, two and two of a quad, then those of odd k.</summary>
    Words256,

    /// <summary>Vector&lt;float&gt;: rows of floats, those of all rows for one k together.</summary>
    Portable,
}

internal static class ByteWays
{
    /// <summary>Sums of four products of bytes by AVX-VNNI, where the processor has it; tests also take the ways around it.</summary>
    public static bool Dots { get; set; } = AvxVnni.IsSupported;

    /// <summary>The best way that this machine and the chosen width have.</summary>
    public static ByteWay Best => MatMul.Width == VectorWidth.Portable ? ByteWay.Portable
        : Dots ? ByteWay.Dots
        : MatMul.Width == VectorWidth.V512 && Avx512BW.IsSupported ? ByteWay.Words512
        : Avx2.IsSupported ? ByteWay.Words256
        : ByteWay.Portable;

    /// <summary>Bytes of a row's number.</summary>
    public static int NumberBytes(this ByteWay way) => way switch
    {
        ByteWay.Words256 => sizeof(short),
        ByteWay.Portable => sizeof(float),
        _ => sizeof(sbyte),
    };

    /// <summary>
    /// Rows of the tallest tile. With six, sums, weights and a broadcast are the 16 registers of AVX-VNNI; on AVX2 products need
    /// another, and so does a mask: five.
    /// </summary>
    public static int Rows(this ByteWay way) => way == ByteWay.Words256 ? 5 : ByteKernels.MaxRows;
}

/// <summary>Rows of a tile as whole numbers; a block of all rows lies together.</summary>
internal unsafe struct ByteRows
{
    public sbyte* Numbers; // [blocks][rows][64], of the size and in the order of the way
    public float* Scales; // [blocks][rows]
    public int* Starts; // [blocks][rows], where sums start: -128 times the sum of a block's numbers, as weights are stored with 128 added
    public ByteWay Way;
}

/// <summary>Dot products of four bytes, for eight outputs at a time.</summary>
/// <typeparam name="T">A vector.</typeparam>
internal unsafe interface IDots<T>
{
    /// <summary>Steps that a quad of k takes, and bytes of a row's number: 1, or 2 where even and odd k go apart.</summary>
    static abstract int Parts { get; }

    /// <summary>Asks for the weights that will be needed some quads from now.</summary>
    static abstract void Prefetch(byte* at);

    /// <summary>A quad of weights of eight outputs, or a part of it.</summary>
    static abstract T Weights(byte* at, int part);

    /// <summary>A quad of a row, or a part of it, for all outputs.</summary>
    static abstract T Numbers(int quad);

    /// <summary>Sums to start with.</summary>
    static abstract T Start(int value);

    /// <summary>Adds the products of a quad or a part.</summary>
    static abstract T Step(T sum, T weights, T numbers);

    /// <summary>The sums of eight outputs.</summary>
    static abstract Vector256<int> End(T sum);
}

/// <summary>Where a quad is done in a few cycles, weights are also asked for far ahead, into the second cache.</summary>
internal static unsafe class FarBytes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at)
    {
        Sse.Prefetch1(at + FarWeights<FullWeights>.Far);
        Sse.Prefetch0(at + FullWeights.Near / 4);
    }
}

/// <summary>AVX-VNNI: unsigned times signed bytes, 32 to an instruction.</summary>
internal readonly unsafe struct ByteDots : IDots<Vector256<int>>
{
    public static int Parts => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at) => FarBytes.Prefetch(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Weights(byte* at, int part) => Vector256.Load((int*)at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Numbers(int quad) => Vector256.Create(quad);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Start(int value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Step(Vector256<int> sum, Vector256<int> weights, Vector256<int> numbers) =>
        AvxVnni.MultiplyWideningAndAdd(sum, weights.AsByte(), numbers.AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector256<int> sum) => sum;
}

/// <summary>AVX-512 without it: bytes widened to 16 bits, of which 32 pairs go to an instruction; an output has two sums.</summary>
internal readonly unsafe struct WordDots : IDots<Vector512<int>>
{
    public static int Parts => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at) => FarBytes.Prefetch(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Weights(byte* at, int part) => Avx512BW.ConvertToVector512Int16(Vector256.Load(at)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Numbers(int quad) => Avx512BW.ConvertToVector512Int16(Vector256.Create(quad).AsSByte()).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Start(int value) => Vector512.Create((long)(uint)value).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Step(Vector512<int> sum, Vector512<int> weights, Vector512<int> numbers) =>
        sum + Avx512BW.MultiplyAddAdjacent(weights.AsInt16(), numbers.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector512<int> sum) =>
        Avx512F.ConvertToVector256Int32((sum + Vector512.ShiftRightLogical(sum.AsInt64(), 32).AsInt32()).AsInt64());
}

/// <summary>
/// AVX2: a mask leaves the weights of even k of a quad as words, a shift those of odd k; both pairs of an output are in its own lane,
/// so that nothing is widened across lanes or joined at the end, and 16 products take a multiplication and an addition.
/// </summary>
internal readonly unsafe struct SplitDots : IDots<Vector256<int>>
{
    private const int Even = 0x00FF00FF;

    public static int Parts => 2;

    // One look-ahead: at four instructions a cycle a second one costs more than it brings.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at) => Sse.Prefetch0(at + FullWeights.Near);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Weights(byte* at, int part) => part == 0
        ? Vector256.Load((int*)at) & Vector256.Create(Even)
        : Vector256.ShiftRightLogical(Vector256.Load((ushort*)at), 8).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Numbers(int quad) => Vector256.Create(quad);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Start(int value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Step(Vector256<int> sum, Vector256<int> weights, Vector256<int> numbers) =>
        sum + Avx2.MultiplyAddAdjacent(weights.AsInt16(), numbers.AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> End(Vector256<int> sum) => sum;
}
