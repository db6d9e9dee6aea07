// Register tiles on 256-bit vectors: up to 3 rows by a whole panel of 32 columns, c[i, j] (+)= sum over k of a[k][i] * b[k][j].
// Twelve accumulators, three broadcasts and one quarter of a row of weights are the 16 registers of AVX2; seven loads feed twelve
// multiply-adds, and a panel is read from front to back. The bits are those of MatMulKernels. Refuses: more than twelve rows a strip.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class MatMulKernels256
{
    /// <summary>Rows of the tallest tile.</summary>
    public const int TileRows = 3;

    private const int Panel = MatMulKernels.Panel;
    private const int ChunkDepth = 128; // of a panel: 16 KiB, which the first cache keeps for the next tile of a strip
    private const int Line = 64;

    /// <summary>
    /// A strip of up to 12 rows against a panel. Weights that are new to the cache are taken in chunks, so that tiles after the first find
    /// a chunk in the first cache, and each tile asks for its share of the next one: reading goes on during all of the arithmetic.
    /// </summary>
    /// <param name="a">The strip, [k][rows].</param>
    /// <param name="b">The panel.</param>
    /// <param name="c">Where row 0 of the result goes.</param>
    /// <param name="ldc">Row stride of c.</param>
    /// <param name="rows">1 to 12.</param>
    /// <param name="k">Inner indices.</param>
    /// <param name="accumulate">Continues the sums in c.</param>
    public static void Strip<TWeights>(float* a, byte* b, float* c, nint ldc, int rows, int k, bool accumulate)
        where TWeights : struct, IWeights
    {
        var tiles = (rows + TileRows - 1) / TileRows;
        var depth = TWeights.IsNear || tiles == 1 ? k : ChunkDepth;
        for (var from = 0; from < k; from += depth)
        {
            var chunk = Math.Min(depth, k - from);
            for (var tile = 0; tile < tiles; tile++)
            {
                var (row, end) = (rows * tile / tiles, rows * (tile + 1) / tiles);
                var ahead = Ahead<TWeights>(tiles, tile, out var second);
                var x = a + (nint)from * rows + row;
                var y = b + (nint)from * TWeights.RowBytes;
                var z = c + row * ldc;
                var isNext = accumulate || from > 0;
                switch (end - row)
                {
                    case 1: Tile<MatMulKernels.R1, TWeights>(x, rows, y, z, ldc, chunk, isNext, ahead, second); break;
                    case 2: Tile<MatMulKernels.R2, TWeights>(x, rows, y, z, ldc, chunk, isNext, ahead, second); break;
                    default: Tile<MatMulKernels.R3, TWeights>(x, rows, y, z, ldc, chunk, isNext, ahead, second); break;
                }
            }
        }
    }

    /// <summary>How far from a row of weights the lines lie that a tile asks for with it; zero asks for nothing new.</summary>
    private static nint Ahead<TWeights>(int tiles, int tile, out nint second)
        where TWeights : struct, IWeights
    {
        second = 0;
        if (TWeights.IsNear)
        {
            return 0;
        }

        if (tiles == 1)
        {
            second = FullWeights.Near + TWeights.RowBytes - Line;
            return FullWeights.Near;
        }

        // One line of a row of floats by the first tile, the other by the second; a row of BF16 is one line.
        return tile * Line < TWeights.RowBytes ? ChunkDepth * TWeights.RowBytes + tile * Line : 0;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<TRows, TWeights>(
        float* a, nint aStride, byte* b, float* c, nint ldc, int k, bool accumulate, nint ahead, nint second)
        where TRows : struct, IRowCount
        where TWeights : struct, IWeights
    {
        Vector256<float> p0, p1, p2, p3, q0, q1, q2, q3, r0, r1, r2, r3;
        p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = r0 = r1 = r2 = r3 = Vector256<float>.Zero;
        if (accumulate)
        {
            Load(c, ref p0, ref p1, ref p2, ref p3);
            if (TRows.Count > 1) { Load(c + ldc, ref q0, ref q1, ref q2, ref q3); }
            if (TRows.Count > 2) { Load(c + 2 * ldc, ref r0, ref r1, ref r2, ref r3); }
        }

        for (; k > 0; k--)
        {
            if (!TWeights.IsNear && Sse.IsSupported)
            {
                Sse.Prefetch0(b + ahead);
                Sse.Prefetch0(b + second);
            }

            var u = Vector256.Create(a[0]);
            var v = TRows.Count > 1 ? Vector256.Create(a[1]) : u;
            var w = TRows.Count > 2 ? Vector256.Create(a[2]) : u;
            Step<TRows>(TWeights.Quarter(b, 0), u, v, w, ref p0, ref q0, ref r0);
            Step<TRows>(TWeights.Quarter(b, 1), u, v, w, ref p1, ref q1, ref r1);
            Step<TRows>(TWeights.Quarter(b, 2), u, v, w, ref p2, ref q2, ref r2);
            Step<TRows>(TWeights.Quarter(b, 3), u, v, w, ref p3, ref q3, ref r3);
            b += TWeights.RowBytes;
            a += aStride;
        }

        Store(c, p0, p1, p2, p3);
        if (TRows.Count > 1) { Store(c + ldc, q0, q1, q2, q3); }
        if (TRows.Count > 2) { Store(c + 2 * ldc, r0, r1, r2, r3); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step<TRows>(
        Vector256<float> x, Vector256<float> u, Vector256<float> v, Vector256<float> w,
        ref Vector256<float> p, ref Vector256<float> q, ref Vector256<float> r)
        where TRows : struct, IRowCount
    {
        p = Vector256.FusedMultiplyAdd(u, x, p);
        if (TRows.Count > 1) { q = Vector256.FusedMultiplyAdd(v, x, q); }
        if (TRows.Count > 2) { r = Vector256.FusedMultiplyAdd(w, x, r); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load(
        float* c, ref Vector256<float> p, ref Vector256<float> q, ref Vector256<float> r, ref Vector256<float> s)
    {
        (p, q) = (Vector256.Load(c), Vector256.Load(c + 8));
        (r, s) = (Vector256.Load(c + 16), Vector256.Load(c + 24));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, Vector256<float> p, Vector256<float> q, Vector256<float> r, Vector256<float> s)
    {
        p.Store(c);
        q.Store(c + 8);
        r.Store(c + 16);
        s.Store(c + 24);
    }
}
