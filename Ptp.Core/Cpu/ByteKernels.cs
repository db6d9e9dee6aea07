// Register tiles over panels of bytes: y[i, j] = rowScale[i] * sum over blocks of scale[block, j] * (sum over k of q_x[i, k] q_w[j, k]).
// The inner sum is one of whole numbers and exact in any order; blocks are added as floats, ascending, by fused multiply-adds:
// the same bits from every width. Refuses: more than six rows a tile.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class ByteKernels
{
    /// <summary>Rows of the tallest tile: six keep 24 of 32 registers in sums.</summary>
    public const int MaxRows = 6;

    private const int Panel = MatMulKernels.Panel;
    private const int Pairs = ByteWeights.Block / 2;

    /// <summary>Up to six rows against one panel.</summary>
    /// <param name="a">Pairs of 16-bit numbers, [blocks * 32][rows].</param>
    /// <param name="rowScales">[rows].</param>
    /// <param name="b">The panel.</param>
    /// <param name="blocks">Its blocks.</param>
    /// <param name="c">Where row 0 of the result goes.</param>
    /// <param name="ldc">Row stride of c.</param>
    /// <param name="rows">1 to 6.</param>
    /// <param name="accumulate">Adds to c.</param>
    public static void Tile(int* a, float* rowScales, byte* b, int blocks, float* c, nint ldc, int rows, bool accumulate)
    {
        if (MatMul.Width == VectorWidth.V512 && Avx512BW.IsSupported)
        {
            switch (rows)
            {
                case 1: Tile512<MatMulKernels.R1>(a, rowScales, b, blocks, c, ldc, accumulate); return;
                case 2: Tile512<MatMulKernels.R2>(a, rowScales, b, blocks, c, ldc, accumulate); return;
                case 3: Tile512<MatMulKernels.R3>(a, rowScales, b, blocks, c, ldc, accumulate); return;
                case 4: Tile512<MatMulKernels.R4>(a, rowScales, b, blocks, c, ldc, accumulate); return;
                case 5: Tile512<MatMulKernels.R5>(a, rowScales, b, blocks, c, ldc, accumulate); return;
                default: Tile512<MatMulKernels.R6>(a, rowScales, b, blocks, c, ldc, accumulate); return;
            }
        }

        for (var row = 0; row < rows; row++)
        {
            if (MatMul.Width != VectorWidth.Portable && Avx2.IsSupported)
            {
                Row256(a + row, rows, rowScales[row], b, blocks, c + row * ldc, accumulate);
            }
            else
            {
                RowPortable(a + row, rows, rowScales[row], b, blocks, c + row * ldc, accumulate);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile512<TRows>(int* a, float* rowScales, byte* b, int blocks, float* c, nint ldc, bool accumulate)
        where TRows : struct, IRowCount
    {
        Vector512<float> p0, p1, p2, p3, p4, p5, q0, q1, q2, q3, q4, q5;
        p0 = p1 = p2 = p3 = p4 = p5 = q0 = q1 = q2 = q3 = q4 = q5 = Vector512<float>.Zero;
        for (var block = 0; block < blocks; block++)
        {
            Vector512<int> s0, s1, s2, s3, s4, s5, t0, t1, t2, t3, t4, t5;
            s0 = s1 = s2 = s3 = s4 = s5 = t0 = t1 = t2 = t3 = t4 = t5 = Vector512<int>.Zero;
            for (var pair = 0; pair < Pairs; pair++, b += 2 * Panel, a += TRows.Count)
            {
                Sse.Prefetch1(b + FarWeights<FullWeights>.Far);
                Sse.Prefetch0(b + FullWeights.Near / 4);
                var x = Avx512BW.ConvertToVector512Int16(Vector256.Load((sbyte*)b));
                var y = Avx512BW.ConvertToVector512Int16(Vector256.Load((sbyte*)b + Panel));
                Step(a[0], x, y, ref s0, ref t0);
                if (TRows.Count > 1) { Step(a[1], x, y, ref s1, ref t1); }
                if (TRows.Count > 2) { Step(a[2], x, y, ref s2, ref t2); }
                if (TRows.Count > 3) { Step(a[3], x, y, ref s3, ref t3); }
                if (TRows.Count > 4) { Step(a[4], x, y, ref s4, ref t4); }
                if (TRows.Count > 5) { Step(a[5], x, y, ref s5, ref t5); }
            }

            var (low, high) = (Vector512.Load((float*)b), Vector512.Load((float*)b + 16));
            b += Panel * sizeof(float);
            Add(s0, t0, low, high, ref p0, ref q0);
            if (TRows.Count > 1) { Add(s1, t1, low, high, ref p1, ref q1); }
            if (TRows.Count > 2) { Add(s2, t2, low, high, ref p2, ref q2); }
            if (TRows.Count > 3) { Add(s3, t3, low, high, ref p3, ref q3); }
            if (TRows.Count > 4) { Add(s4, t4, low, high, ref p4, ref q4); }
            if (TRows.Count > 5) { Add(s5, t5, low, high, ref p5, ref q5); }
        }

        Store(p0, q0, rowScales[0], c, accumulate);
        if (TRows.Count > 1) { Store(p1, q1, rowScales[1], c + ldc, accumulate); }
        if (TRows.Count > 2) { Store(p2, q2, rowScales[2], c + 2 * ldc, accumulate); }
        if (TRows.Count > 3) { Store(p3, q3, rowScales[3], c + 3 * ldc, accumulate); }
        if (TRows.Count > 4) { Store(p4, q4, rowScales[4], c + 4 * ldc, accumulate); }
        if (TRows.Count > 5) { Store(p5, q5, rowScales[5], c + 5 * ldc, accumulate); }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(int a, Vector512<short> x, Vector512<short> y, ref Vector512<int> s, ref Vector512<int> t)
    {
        var broadcast = Vector512.Create(a).AsInt16();
        s += Avx512BW.MultiplyAddAdjacent(broadcast, x);
        t += Avx512BW.MultiplyAddAdjacent(broadcast, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(
        Vector512<int> s, Vector512<int> t, Vector512<float> low, Vector512<float> high, ref Vector512<float> p, ref Vector512<float> q)
    {
        p = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(s), low, p);
        q = Vector512.FusedMultiplyAdd(Vector512.ConvertToSingle(t), high, q);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector512<float> p, Vector512<float> q, float scale, float* c, bool accumulate)
    {
        var s = Vector512.Create(scale);
        if (accumulate)
        {
            Vector512.FusedMultiplyAdd(p, s, Vector512.Load(c)).Store(c);
            Vector512.FusedMultiplyAdd(q, s, Vector512.Load(c + 16)).Store(c + 16);
            return;
        }

        (p * s).Store(c);
        (q * s).Store(c + 16);
    }

    /// <summary>One row, 16 outputs at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row256(int* a, int aStride, float rowScale, byte* panel, int blocks, float* c, bool accumulate)
    {
        for (var column = 0; column < Panel; column += 16)
        {
            Vector256<float> p = default, q = default;
            var from = a;
            var b = panel;
            for (var block = 0; block < blocks; block++)
            {
                Vector256<int> s = default, t = default;
                var weights = (sbyte*)b + 2 * column;
                for (var pair = 0; pair < Pairs; pair++, weights += 2 * Panel, from += aStride)
                {
                    var broadcast = Vector256.Create(*from).AsInt16();
                    s += Avx2.MultiplyAddAdjacent(broadcast, Avx2.ConvertToVector256Int16(Vector128.Load(weights)));
                    t += Avx2.MultiplyAddAdjacent(broadcast, Avx2.ConvertToVector256Int16(Vector128.Load(weights + 16)));
                }

                var scales = (float*)(b + ByteWeights.WeightBytes) + column;
                p = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(s), Vector256.Load(scales), p);
                q = Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(t), Vector256.Load(scales + 8), q);
                b += ByteWeights.BlockBytes;
            }

            var scale = Vector256.Create(rowScale);
            var to = c + column;
            (accumulate ? Vector256.FusedMultiplyAdd(p, scale, Vector256.Load(to)) : p * scale).Store(to);
            (accumulate ? Vector256.FusedMultiplyAdd(q, scale, Vector256.Load(to + 8)) : q * scale).Store(to + 8);
        }
    }

    /// <summary>One row in Vector&lt;T&gt;: even and odd k are summed in lanes of their own and joined at the end of a block.</summary>
    private static void RowPortable(int* a, int aStride, float rowScale, byte* panel, int blocks, float* c, bool accumulate)
    {
        var sums = stackalloc float[Panel];
        var lanes = stackalloc int[2 * Panel];
        new Span<float>(sums, Panel).Clear();
        for (var block = 0; block < blocks; block++, panel += ByteWeights.BlockBytes, a += Pairs * aStride)
        {
            for (var at = 0; at < 2 * Panel; at += Vector<sbyte>.Count)
            {
                Vector<int> s0 = default, s1 = default, s2 = default, s3 = default;
                for (var pair = 0; pair < Pairs; pair++)
                {
                    var x = a[pair * aStride];
                    var both = Vector.Create(((long)(x >> 16) << 32) + (uint)(short)x).As<long, int>();
                    Vector.Widen(Vector.Load((sbyte*)panel + pair * 2 * Panel + at), out var low, out var high);
                    Vector.Widen(low, out var w0, out var w1);
                    Vector.Widen(high, out var w2, out var w3);
                    s0 += w0 * both;
                    s1 += w1 * both;
                    s2 += w2 * both;
                    s3 += w3 * both;
                }

                s0.Store(lanes + at);
                s1.Store(lanes + at + Vector<int>.Count);
                s2.Store(lanes + at + 2 * Vector<int>.Count);
                s3.Store(lanes + at + 3 * Vector<int>.Count);
            }

            var scales = (float*)(panel + ByteWeights.WeightBytes);
            for (var column = 0; column < Panel; column++)
            {
                sums[column] = MathF.FusedMultiplyAdd(lanes[2 * column] + lanes[2 * column + 1], scales[column], sums[column]);
            }
        }

        for (var column = 0; column < Panel; column++)
        {
            c[column] = accumulate ? MathF.FusedMultiplyAdd(sums[column], rowScale, c[column]) : sums[column] * rowScale;
        }
    }
}
