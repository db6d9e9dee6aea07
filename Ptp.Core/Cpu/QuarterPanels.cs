// Panels for vectors narrower than 512 bits: the 32 columns of a panel lie in four quarters of eight, [N / 32][4][K][8], so that a
// tile of many rows and few columns, which is what 16 registers can hold, reads one stream from front to back.
//   BF16: [N / 32][2][K][8] words, word j of half h = bf16(column 8 h + j) << 16 | bf16(column 16 + 8 h + j)
// Packing moves floats and changes none. Refuses: BF16 for weights that are no BF16 numbers, as Weights.cs says.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

/// <summary>How a tile reads a pair of quarters.</summary>
internal unsafe interface IQuarters
{
    /// <summary>Bytes from a row of a quarter to the next.</summary>
    static virtual int RowBytes => QuarterPanels.RowBytes;

    /// <summary>Streams that a pair of quarters is read from.</summary>
    static abstract int Streams { get; }

    /// <summary>Columns from the first quarter of a pair to its second.</summary>
    static abstract int Gap { get; }

    /// <summary>Columns from a pair to the next one.</summary>
    static abstract int Step { get; }

    /// <summary>Asks for what a tile or the next one will need, once for every two rows, which are a cache line of a stream.</summary>
    static abstract void Ask(byte* at, nint stream);

    /// <summary>The first quarter's eight columns.</summary>
    static abstract Vector256<float> First(byte* at);

    /// <summary>The second's, <paramref name="stream"/> bytes on if it has a stream of its own.</summary>
    static abstract Vector256<float> Second(byte* at, nint stream);
}

/// <summary>What is asked for ahead of a pair of quarters of floats.</summary>
internal unsafe interface IAhead
{
    static abstract void Ask(byte* at, nint stream);
}

/// <summary>Nothing: an earlier tile has just read them.</summary>
internal readonly unsafe struct NothingAhead : IAhead
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
    }
}

/// <summary>Both streams further on; shorter ways leave memory waiting, see docs/05.</summary>
internal readonly unsafe struct StreamAhead : IAhead
{
    public const int Bytes = 8192;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + Bytes);
            Sse.Prefetch0(at + stream + Bytes);
        }
    }
}

/// <summary>The same rows of the next pair's first quarter. With <see cref="NextSecond"/>, for two tiles that share a pair: each asks for half of the next.</summary>
internal readonly unsafe struct NextFirst : IAhead
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + 2 * stream);
        }
    }
}

/// <summary>The same rows of the next pair's second quarter.</summary>
internal readonly unsafe struct NextSecond : IAhead
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + 3 * stream);
        }
    }
}

/// <summary>Floats.</summary>
internal readonly unsafe struct FullQuarters<TAhead> : IQuarters
    where TAhead : struct, IAhead
{
    public static int Streams => 2;

    public static int Gap => QuarterPanels.Columns;

    public static int Step => 2 * QuarterPanels.Columns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream) => TAhead.Ask(at, stream);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> First(byte* at) => Vector256.Load((float*)at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Second(byte* at, nint stream) => Vector256.Load((float*)(at + stream));
}

/// <summary>Floats of a panel [K][32]: its quarters lie side by side.</summary>
internal readonly unsafe struct RowQuarters : IQuarters
{
    public static int RowBytes => MatMulKernels.Panel * sizeof(float);

    public static int Streams => 2;

    public static int Gap => QuarterPanels.Columns;

    public static int Step => 2 * QuarterPanels.Columns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> First(byte* at) => Vector256.Load((float*)at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Second(byte* at, nint stream) => Vector256.Load((float*)(at + stream));
}

/// <summary>BF16, two to a word.</summary>
internal readonly unsafe struct HalfQuarters : IQuarters
{
    public static int Streams => 1;

    public static int Gap => 2 * QuarterPanels.Columns;

    public static int Step => QuarterPanels.Columns;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(byte* at, nint stream)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(at + StreamAhead.Bytes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> First(byte* at) => (Vector256.Load((uint*)at) & Vector256.Create(HalfWeights.Upper)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Second(byte* at, nint stream) => Vector256.ShiftLeft(Vector256.Load((uint*)at), 16).AsSingle();
}

internal static unsafe class QuarterPanels
{
    /// <summary>Columns of a quarter.</summary>
    public const int Columns = 8;

    /// <summary>Bytes of a quarter's row, of floats or of words.</summary>
    public const int RowBytes = Columns * sizeof(float);

    private const int Quarters = MatMulKernels.Panel / Columns;

    /// <summary>Packs up to 32 rows of W [.., K], K inner, into one panel; columns that are not there are zeros.</summary>
    public static void Fill(float* w, int inner, int columns, float* panel)
    {
        for (var quarter = 0; quarter < Quarters; quarter++, panel += (nint)inner * Columns)
        {
            var count = Math.Clamp(columns - quarter * Columns, 0, Columns);
            new Span<float>(panel, count < Columns ? inner * Columns : 0).Clear();
            MatMul.Transpose(w + (nint)quarter * Columns * inner, inner, count, inner, panel, Columns);
        }
    }

    /// <summary>One row of M [K, ..] into row <paramref name="k"/> of a panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void FillRow(float* row, int columns, float* panel, int inner, int k)
    {
        var to = panel + (nint)k * Columns;
        var stride = (nint)inner * Columns;
        if (columns >= MatMulKernels.Panel)
        {
            Vector256.Load(row).Store(to);
            Vector256.Load(row + 8).Store(to + stride);
            Vector256.Load(row + 16).Store(to + 2 * stride);
            Vector256.Load(row + 24).Store(to + 3 * stride);
            return;
        }

        for (var quarter = 0; quarter < Quarters; quarter++, to += stride)
        {
            var count = Math.Clamp(columns - quarter * Columns, 0, Columns);
            new Span<float>(row + quarter * Columns, count).CopyTo(new Span<float>(to, count));
            new Span<float>(to + count, Columns - count).Clear();
        }
    }

    /// <summary>A panel of floats to words of BF16.</summary>
    public static void Compress(float* panel, int inner, byte* to)
    {
        var length = (nint)inner * Columns;
        for (var half = (uint*)panel; half < panel + 2 * length; half += length)
        {
            for (var i = (nint)0; i < length; i += Columns, to += RowBytes)
            {
                var (x, y) = (Vector256.Load(half + i), Vector256.Load(half + 2 * length + i));
                ((x & Vector256.Create(HalfWeights.Upper)) | Vector256.ShiftRightLogical(y, 16)).Store((uint*)to);
            }
        }
    }
}
