// How a tile finds the left side's element of row i and inner index k: in a packed strip [k][stride], or in rows where they lie, [i][stride].
// Packing costs a pass over the left side and room for a second copy of it in the second cache; rows read where they lie cost neither.
// Refuses: rows that lie 4 KiB apart, or a multiple: six of them meet in one set of the first cache, and packing is faster.

using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

/// <summary>A layout as a type, so that every address is part of an instruction.</summary>
internal unsafe interface ILeft
{
    /// <summary>Floats from row 0 to row 3: addresses of six rows need two places to count from.</summary>
    static abstract nint Fourth(nint stride);

    /// <summary>Floats from an inner index to the next.</summary>
    static abstract nint Step(nint stride);

    /// <summary>An element, <paramref name="step"/> inner indices from where <paramref name="a"/> and, three rows on, <paramref name="d"/> point.</summary>
    static abstract float At(float* a, float* d, nint stride, int row, int step);
}

/// <summary>A strip, [k][stride].</summary>
internal readonly unsafe struct PackedLeft : ILeft
{
    public static nint Fourth(nint stride) => 3;

    public static nint Step(nint stride) => stride;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float At(float* a, float* d, nint stride, int row, int step) => a[step * stride + row];
}

/// <summary>Rows where they lie, <c>stride</c> floats apart.</summary>
internal readonly unsafe struct LyingLeft : ILeft
{
    private const int SetFloats = 1024;

    /// <summary>True if rows so far apart do not meet in the same sets of the first cache.</summary>
    public static bool Suits(nint stride) => stride % SetFloats != 0;

    public static nint Fourth(nint stride) => 3 * stride;

    public static nint Step(nint stride) => 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float At(float* a, float* d, nint stride, int row, int step) =>
        row < 3 ? a[row * stride + step] : d[(row - 3) * stride + step];
}
