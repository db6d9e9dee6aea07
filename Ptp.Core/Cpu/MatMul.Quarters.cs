// The matrix product over quarter panels, on vectors narrower than 512 bits: which tiles a task's rows and panels are taken in.
// Up to twelve rows go as one strip, read once; more rows go six by a pair of quarters, which the first cache keeps for all of them.
// Refuses: nothing. Every element is the same chain over k as with any other tiles.

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    /// <summary>True where panels lie in quarters: for all vectors that a quarter is a multiple of, but 512 bits.</summary>
    internal static bool InQuarters =>
        Width == VectorWidth.V256 || (Width == VectorWidth.Portable && Vector<float>.Count <= QuarterPanels.Columns);

    /// <summary>True if tiles read a left side of several strips where it lies.</summary>
    private static bool ReadsLying(int rows, nint rowStride, nint innerStride) =>
        Width == VectorWidth.V256 && rows > MaxRows && innerStride == 1 && LyingLeft.Suits(rowStride);

    /// <summary>All rows of a task against one panel, in the number format of the job.</summary>
    private static void Quarters(
        Job* job, in LeftSide left, int rowStart, int rows, int panel, int inner, int depth, bool accumulate, float* tile)
    {
        if (job->Half)
        {
            Quarters<HalfQuarters>(job, left, rowStart, rows, panel, inner, depth, accumulate, tile);
        }
        else
        {
            Quarters<FullQuarters<StreamAhead>>(job, left, rowStart, rows, panel, inner, depth, accumulate, tile);
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Quarters<T>(
        Job* job, in LeftSide left, int rowStart, int rows, int panel, int inner, int depth, bool accumulate, float* tile)
        where T : struct, IQuarters
    {
        var stream = (nint)job->Inner * QuarterPanels.RowBytes;
        var b = job->Panels + 2 * T.Streams * stream * panel + (nint)inner * QuarterPanels.RowBytes;
        var columns = Math.Min(Panel, job->Columns - panel * Panel);
        var c = job->C + (nint)rowStart * job->Columns + panel * Panel;
        if (columns < Panel)
        {
            // A last panel of fewer columns is computed aside, strip by strip.
            for (var row = 0; row < rows; row += MaxRows, c += (nint)MaxRows * job->Columns)
            {
                var count = Math.Min(MaxRows, rows - row);
                if (accumulate)
                {
                    CopyRows(c, job->Columns, tile, Panel, count, columns);
                }

                if (left.IsLying)
                {
                    QuarterRows(left, row, count, b, stream, tile, Panel, depth, accumulate);
                }
                else
                {
                    QuarterStrip<T>(left.At(row, count), b, stream, tile, Panel, count, depth, accumulate, job->Far);
                }

                CopyRows(tile, Panel, c, job->Columns, count, columns);
            }

            return;
        }

        if (rows <= MaxRows && !left.IsLying)
        {
            QuarterStrip<T>(left.At(0, rows), b, stream, c, job->Columns, rows, depth, accumulate, job->Far);
            return;
        }

        System.Diagnostics.Debug.Assert(!job->Half, "BF16 panels serve one strip.");
        QuarterRows(left, 0, rows, b, stream, c, job->Columns, depth, accumulate);
    }

    /// <summary>Any number of rows, six by a pair of quarters: the first six read the pair, the others find it in the cache.</summary>
    private static void QuarterRows(
        in LeftSide left, int first, int rows, byte* b, nint stream, float* c, nint ldc, int depth, bool accumulate)
    {
        for (var pair = 0; pair < 2; pair++, b += 2 * stream, c += FullQuarters<StreamAhead>.Step)
        {
            for (var row = 0; row < rows; row += QuarterKernels.PairRows)
            {
                var count = Math.Min(QuarterKernels.PairRows, rows - row);
                var at = c + row * ldc;
                if (left.IsLying)
                {
                    var a = left.Start + (first + row) * left.Stride + left.First;
                    if (row == 0)
                    {
                        QuarterKernels.Pair<LyingLeft, FullQuarters<StreamAhead>>(a, left.Stride, b, stream, at, ldc, count, depth, accumulate);
                    }
                    else
                    {
                        QuarterKernels.Pair<LyingLeft, FullQuarters<NothingAhead>>(a, left.Stride, b, stream, at, ldc, count, depth, accumulate);
                    }

                    continue;
                }

                // Twelve rows lie side by side in a strip, the last strip has what is left.
                var strip = row / MaxRows * MaxRows;
                var height = Math.Min(MaxRows, rows - strip);
                var packed = left.At(strip, height) + (row - strip);
                if (row == 0)
                {
                    QuarterPair<FullQuarters<StreamAhead>>(packed, height, b, stream, at, ldc, count, depth, accumulate);
                }
                else
                {
                    QuarterPair<FullQuarters<NothingAhead>>(packed, height, b, stream, at, ldc, count, depth, accumulate);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void QuarterStrip<T>(float* a, byte* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate, bool far)
        where T : struct, IQuarters
    {
        if (Width == VectorWidth.V256)
        {
            QuarterKernels.Strip<T>(a, b, stream, c, ldc, rows, k, accumulate, far);
            return;
        }

        PortableTile.Strip(a, (float*)b, stream / sizeof(float), c, ldc, rows, k, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void QuarterPair<T>(
        float* a, nint aStride, byte* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate)
        where T : struct, IQuarters
    {
        if (Width == VectorWidth.V256)
        {
            QuarterKernels.Pair<PackedLeft, T>(a, aStride, b, stream, c, ldc, rows, k, accumulate);
            return;
        }

        PortableTile.Pair(a, aStride, (float*)b, stream / sizeof(float), c, ldc, rows, k, accumulate);
    }
}
