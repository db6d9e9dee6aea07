// Register tiles over half panels of bytes: y[i, j] = sum over blocks of (scale[j, block] scale_x[i, block]) (sum over k of q_x[i, k] q_w[j, k]).
// The inner sum is one of whole numbers and exact in any order; the product of scales is rounded, then blocks are added as floats,
// ascending, by fused multiply-adds: the same bits from every way (ByteWays.cs). Refuses: more than six rows a tile.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class ByteKernels
{
    /// <summary>Rows of the tallest tile of all ways.</summary>
    public const int MaxRows = 6;

    private const int Columns = ByteWeights.Columns;
    private const int Block = ByteWeights.Block;
    private const int Quad = 4;
    private const int Unrolled = 4; // quads per round of the loop, see QuarterKernels

    /// <summary>Up to <see cref="ByteWays.Rows"/> rows against half panels that lie one behind the other.</summary>
    /// <param name="a">The rows.</param>
    /// <param name="b">The first half panel.</param>
    /// <param name="blocks">Blocks of each.</param>
    /// <param name="panels">Half panels.</param>
    /// <param name="c">Where row 0 of the result goes.</param>
    /// <param name="ldc">Row stride of c.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="accumulate">Adds to c.</param>
    public static void Tile(in ByteRows a, byte* b, int blocks, int panels, float* c, nint ldc, int rows, bool accumulate)
    {
        switch (a.Way)
        {
            case ByteWay.Dots: Tile<ByteDots, Vector256<int>>(a, b, blocks, panels, c, ldc, rows, accumulate); return;
            case ByteWay.Words512: Tile<WordDots, Vector512<int>>(a, b, blocks, panels, c, ldc, rows, accumulate); return;
            case ByteWay.Words256: Tile<SplitDots, Vector256<int>>(a, b, blocks, panels, c, ldc, rows, accumulate); return;
            default: PortableBytes.Tile(a, b, blocks, panels, c, ldc, rows, accumulate); return;
        }
    }

    private static void Tile<TDots, T>(
        in ByteRows a, byte* b, int blocks, int panels, float* c, nint ldc, int rows, bool accumulate)
        where TDots : struct, IDots<T>
        where T : struct
    {
        switch (rows)
        {
            case 1: Tile<MatMulKernels.R1, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
            case 2: Tile<MatMulKernels.R2, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
            case 3: Tile<MatMulKernels.R3, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
            case 4: Tile<MatMulKernels.R4, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
            case 5: Tile<MatMulKernels.R5, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
            default: Tile<MatMulKernels.R6, TDots, T>(a, b, blocks, panels, c, ldc, accumulate); return;
        }
    }

    // Sums start anew in every block, so the processor works on several blocks at once: two chains of sums hide their latency.
    [MethodImpl(Kernel.Whole)]
    private static void Tile<TRows, TDots, T>(
        in ByteRows rows, byte* b, int blocks, int panels, float* c, nint ldc, bool accumulate)
        where TRows : struct, IRowCount
        where TDots : struct, IDots<T>
        where T : struct
    {
        // In memory, so that sums have registers 0 to 15, without which many an AVX-VNNI instruction would be three.
        var p = stackalloc float[MaxRows * Columns];
        for (var panel = 0; panel < panels; panel++, c += Columns)
        {
            var a = rows.Numbers;
            var scales = rows.Scales;
            var starts = rows.Starts;
            for (var i = 0; i < TRows.Count * Columns; i += 8)
            {
                Vector256<float>.Zero.Store(p + i);
            }

            for (var block = 0; block < blocks; block++)
            {
                T s0, s1, s2, s3, s4, s5, t0, t1, t2, t3, t4, t5;
                s0 = t0 = TDots.Start(starts[0]);
                s1 = t1 = TRows.Count > 1 ? TDots.Start(starts[1]) : default;
                s2 = t2 = TRows.Count > 2 ? TDots.Start(starts[2]) : default;
                s3 = t3 = TRows.Count > 3 ? TDots.Start(starts[3]) : default;
                s4 = t4 = TRows.Count > 4 ? TDots.Start(starts[4]) : default;
                s5 = t5 = TRows.Count > 5 ? TDots.Start(starts[5]) : default;
                for (var k = 0; k < Block; k += Unrolled * Quad, b += Unrolled * Quad * Columns, a += Unrolled * Quad)
                {
                    Step<TRows, TDots, T>(0, a, b, ref s0, ref t0, ref s1, ref t1, ref s2, ref t2, ref s3, ref t3, ref s4, ref t4, ref s5, ref t5);
                    Step<TRows, TDots, T>(1, a, b, ref s0, ref t0, ref s1, ref t1, ref s2, ref t2, ref s3, ref t3, ref s4, ref t4, ref s5, ref t5);
                    Step<TRows, TDots, T>(2, a, b, ref s0, ref t0, ref s1, ref t1, ref s2, ref t2, ref s3, ref t3, ref s4, ref t4, ref s5, ref t5);
                    Step<TRows, TDots, T>(3, a, b, ref s0, ref t0, ref s1, ref t1, ref s2, ref t2, ref s3, ref t3, ref s4, ref t4, ref s5, ref t5);
                }

                var (low, high) = (Vector256.Load((float*)b), Vector256.Load((float*)b + 8));
                Add<TDots, T>(s0, t0, low, high, scales[0], p);
                if (TRows.Count > 1) { Add<TDots, T>(s1, t1, low, high, scales[1], p + Columns); }
                if (TRows.Count > 2) { Add<TDots, T>(s2, t2, low, high, scales[2], p + 2 * Columns); }
                if (TRows.Count > 3) { Add<TDots, T>(s3, t3, low, high, scales[3], p + 3 * Columns); }
                if (TRows.Count > 4) { Add<TDots, T>(s4, t4, low, high, scales[4], p + 4 * Columns); }
                if (TRows.Count > 5) { Add<TDots, T>(s5, t5, low, high, scales[5], p + 5 * Columns); }
                b += Columns * sizeof(float);
                a += (TRows.Count * TDots.Parts - 1) * Block;
                scales += TRows.Count;
                starts += TRows.Count;
            }

            Store(p, c, accumulate);
            if (TRows.Count > 1) { Store(p + Columns, c + ldc, accumulate); }
            if (TRows.Count > 2) { Store(p + 2 * Columns, c + 2 * ldc, accumulate); }
            if (TRows.Count > 3) { Store(p + 3 * Columns, c + 3 * ldc, accumulate); }
            if (TRows.Count > 4) { Store(p + 4 * Columns, c + 4 * ldc, accumulate); }
            if (TRows.Count > 5) { Store(p + 5 * Columns, c + 5 * ldc, accumulate); }
        }
    }

    /// <summary>A quad of k, the <paramref name="step"/>th from where a and b point: a number in the code, so that addresses cost nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TRows, TDots, T>(
        int step, sbyte* a, byte* b,
        ref T s0, ref T t0, ref T s1, ref T t1, ref T s2, ref T t2, ref T s3, ref T t3, ref T s4, ref T t4, ref T s5, ref T t5)
        where TRows : struct, IRowCount
        where TDots : struct, IDots<T>
        where T : struct
    {
        TDots.Prefetch(b + step * Quad * Columns);
        var x = TDots.Weights(b + step * Quad * Columns, 0);
        var y = TDots.Weights(b + step * Quad * Columns + Quad * 8, 0);
        Step<TDots, T>(a + step * Quad, x, y, ref s0, ref t0);
        if (TRows.Count > 1) { Step<TDots, T>(a + step * Quad + Block * TDots.Parts, x, y, ref s1, ref t1); }
        if (TRows.Count > 2) { Step<TDots, T>(a + step * Quad + 2 * Block * TDots.Parts, x, y, ref s2, ref t2); }
        if (TRows.Count > 3) { Step<TDots, T>(a + step * Quad + 3 * Block * TDots.Parts, x, y, ref s3, ref t3); }
        if (TRows.Count > 4) { Step<TDots, T>(a + step * Quad + 4 * Block * TDots.Parts, x, y, ref s4, ref t4); }
        if (TRows.Count > 5) { Step<TDots, T>(a + step * Quad + 5 * Block * TDots.Parts, x, y, ref s5, ref t5); }
        if (TDots.Parts == 2)
        {
            x = TDots.Weights(b + step * Quad * Columns, 1);
            y = TDots.Weights(b + step * Quad * Columns + Quad * 8, 1);
            Step<TDots, T>(a + step * Quad + Block, x, y, ref s0, ref t0);
            if (TRows.Count > 1) { Step<TDots, T>(a + step * Quad + 3 * Block, x, y, ref s1, ref t1); }
            if (TRows.Count > 2) { Step<TDots, T>(a + step * Quad + 5 * Block, x, y, ref s2, ref t2); }
            if (TRows.Count > 3) { Step<TDots, T>(a + step * Quad + 7 * Block, x, y, ref s3, ref t3); }
            if (TRows.Count > 4) { Step<TDots, T>(a + step * Quad + 9 * Block, x, y, ref s4, ref t4); }
            if (TRows.Count > 5) { Step<TDots, T>(a + step * Quad + 11 * Block, x, y, ref s5, ref t5); }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TDots, T>(sbyte* a, T x, T y, ref T s, ref T t)
        where TDots : struct, IDots<T>
    {
        var numbers = TDots.Numbers(*(int*)a);
        s = TDots.Step(s, x, numbers);
        t = TDots.Step(t, y, numbers);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TDots, T>(
        T s, T t, Vector256<float> low, Vector256<float> high, float scale, float* p)
        where TDots : struct, IDots<T>
    {
        var rowScale = Vector256.Create(scale);
        Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDots.End(s)), low * rowScale, Vector256.Load(p)).Store(p);
        Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(TDots.End(t)), high * rowScale, Vector256.Load(p + 8)).Store(p + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* from, float* c, bool accumulate)
    {
        var (p, q) = (Vector256.Load(from), Vector256.Load(from + 8));
        (accumulate ? p + Vector256.Load(c) : p).Store(c);
        (accumulate ? q + Vector256.Load(c + 8) : q).Store(c + 8);
    }
}
