// How panels store weights: as floats, or as BF16 where every weight is one already, which halves what a call must read.
//   BF16 row of a panel: 16 words, word j = bf16(column j) << 16 | bf16(column j + 16); a mask and a shift give the floats back
// The floats are the very ones that were packed, so products keep their bits. Refuses: rounding; other weights stay floats.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

/// <summary>One row of a panel, 32 weights, in the form they are stored in.</summary>
internal unsafe interface IWeights
{
    /// <summary>Bytes of a row.</summary>
    static abstract int RowBytes { get; }

    /// <summary>Columns 0 to 15.</summary>
    static abstract Vector512<float> Low(byte* at);

    /// <summary>Columns 16 to 31.</summary>
    static abstract Vector512<float> High(byte* at);

    /// <summary>Asks for the row that will be needed some hundred rows of arithmetic from now.</summary>
    static abstract void Prefetch(byte* at);
}

/// <summary>Floats.</summary>
internal readonly unsafe struct FullWeights : IWeights
{
    // The hardware's own look-ahead is too short where a row of weights meets many rows of arithmetic.
    public const int Near = 2048;

    public static int RowBytes => 128;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* at) => Vector512.Load((float*)at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* at) => Vector512.Load((float*)at + 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + Near);
            Sse.Prefetch0(at + Near + 64);
        }
    }
}

/// <summary>Floats that an earlier tile has just read: nothing is asked for ahead, which would only take the cache's time.</summary>
internal readonly unsafe struct WarmWeights : IWeights
{
    public static int RowBytes => FullWeights.RowBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* at) => FullWeights.Low(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* at) => FullWeights.High(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at)
    {
        // What is near needs no asking.
    }
}

/// <summary>
/// Weights that no cache holds any more: they are also asked for far ahead, into the second cache, which waits for more lines at once
/// than the first and hides the longer way. Where a cache has them the second question only costs, a tenth to a quarter of a call.
/// </summary>
internal readonly unsafe struct FarWeights<TWeights> : IWeights
    where TWeights : struct, IWeights
{
    public const int Far = 16384;

    public static int RowBytes => TWeights.RowBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* at) => TWeights.Low(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* at) => TWeights.High(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at)
    {
        TWeights.Prefetch(at);
        if (Sse.IsSupported)
        {
            Sse.Prefetch1(at + Far);
            if (TWeights.RowBytes > 64)
            {
                Sse.Prefetch1(at + Far + 64);
            }
        }
    }
}

/// <summary>BF16, two to a word.</summary>
internal readonly unsafe struct HalfWeights : IWeights
{
    public const uint Upper = 0xFFFF0000;

    public static int RowBytes => 64;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Low(byte* at) => (Vector512.Load((uint*)at) & Vector512.Create(Upper)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> High(byte* at) => Vector512.ShiftLeft(Vector512.Load((uint*)at), 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch(byte* at)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + FullWeights.Near);
        }
    }

    /// <summary>True if no float of the source has a bit below its upper sixteen.</summary>
    [MethodImpl(Kernel.Whole)]
    public static bool Hold(float* source, int length)
    {
        var i = 0;
        for (; i + 64 <= length; i += 64)
        {
            var at = (uint*)source + i;
            var bits = Vector512.Load(at) | Vector512.Load(at + 16) | Vector512.Load(at + 32) | Vector512.Load(at + 48);
            if ((bits & Vector512.Create(~Upper)) != Vector512<uint>.Zero)
            {
                return false; // weights in training have such a bit at once
            }
        }

        for (; i < length; i++)
        {
            if ((((uint*)source)[i] & ~Upper) != 0)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>A panel of floats [depth][32] to words.</summary>
    public static void Compress(float* panel, int depth, byte* to)
    {
        for (var k = 0; k < depth; k++, panel += MatMulKernels.Panel, to += RowBytes)
        {
            var (x, y) = (Vector512.Load((uint*)panel), Vector512.Load((uint*)panel + 16));
            ((x & Vector512.Create(Upper)) | Vector512.ShiftRightLogical(y, 16)).Store((uint*)to);
        }
    }
}
