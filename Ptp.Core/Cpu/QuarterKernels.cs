// Register tiles over quarter panels on 256-bit vectors: c[i, j] (+)= sum over k of a[k][i] * b[k][j], one fused multiply-add per k.
// One to three rows take four quarters at once, four to six take two, seven to twelve take two in two tiles, or seven to nine, where memory is
// what is waited for, one: enough chains to hide the latency and never more than 16 registers. The bits are those of MatMulKernels.
// Refuses: more than twelve rows.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class QuarterKernels
{
    /// <summary>Most rows of a tile of two quarters.</summary>
    public const int PairRows = 6;

    private const int WideRows = 3;
    private const int LoneRows = 9; // most rows of a tile of one quarter
    private const int Pairs = 2;
    private const int Line = 64; // bytes of a cache line: two rows of a quarter
    private const int Unrolled = 4; // indices k per round of a loop: a core shared with another thread of the host issues half as much, see docs/05

    /// <summary>A strip of rows against all quarters of a panel.</summary>
    /// <param name="a">The strip, [k][rows].</param>
    /// <param name="b">The first quarter's row to start with.</param>
    /// <param name="stream">Bytes from a stream to the next one.</param>
    /// <param name="c">Where row 0 of the result goes.</param>
    /// <param name="ldc">Row stride of c.</param>
    /// <param name="rows">1 to 12.</param>
    /// <param name="k">Inner indices.</param>
    /// <param name="accumulate">Continues the sums in c.</param>
    /// <param name="far">True if no cache holds the weights.</param>
    public static void Strip<T>(float* a, byte* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate, bool far)
        where T : struct, IQuarters
    {
        switch (rows)
        {
            case 1: Wide<MatMulKernels.R1, T>(a, 1, b, stream, c, ldc, k, accumulate); return;
            case 2: Wide<MatMulKernels.R2, T>(a, 2, b, stream, c, ldc, k, accumulate); return;
            case WideRows: Wide<MatMulKernels.R3, T>(a, WideRows, b, stream, c, ldc, k, accumulate); return;
        }

        if (rows <= PairRows)
        {
            for (var pair = 0; pair < Pairs; pair++, b += T.Streams * stream, c += T.Step)
            {
                Pair<PackedLeft, T>(a, rows, b, stream, c, ldc, rows, k, accumulate);
            }

            return;
        }

        if (T.Streams > 1 && far && rows <= LoneRows)
        {
            // Few enough rows for memory to be what is waited for: one stream, read once.
            for (var quarter = 0; quarter < 2 * Pairs; quarter++, b += stream, c += QuarterPanels.Columns)
            {
                One(a, b, c, ldc, rows, k, accumulate);
            }

            return;
        }

        var half = (rows + 1) / 2;
        var rest = rows - half;
        var at = c + half * ldc;
        for (var pair = 0; pair < Pairs; pair++, b += T.Streams * stream, c += T.Step, at += T.Step)
        {
            if (T.Streams == 1)
            {
                Pair<PackedLeft, T>(a, rows, b, stream, c, ldc, half, k, accumulate);
                Pair<PackedLeft, T>(a + half, rows, b, stream, at, ldc, rest, k, accumulate);
                continue;
            }

            // Two tiles share a pair, and each asks for half of the next pair: arithmetic of both hides the reading.
            Pair<PackedLeft, FullQuarters<NextFirst>>(a, rows, b, stream, c, ldc, half, k, accumulate);
            Pair<PackedLeft, FullQuarters<NextSecond>>(a + half, rows, b, stream, at, ldc, rest, k, accumulate);
        }
    }

    /// <summary>Rows against a panel [k][32], three at a time; a is packed [k][aStride]. Attention's own panels lie so.</summary>
    public static void Rows(float* a, nint aStride, byte* b, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        const nint stream = QuarterPanels.RowBytes;
        for (; rows > 0; rows -= WideRows, a += WideRows, c += WideRows * ldc)
        {
            switch (rows)
            {
                case 1: Wide<MatMulKernels.R1, RowQuarters>(a, aStride, b, stream, c, ldc, k, accumulate); break;
                case 2: Wide<MatMulKernels.R2, RowQuarters>(a, aStride, b, stream, c, ldc, k, accumulate); break;
                default: Wide<MatMulKernels.R3, RowQuarters>(a, aStride, b, stream, c, ldc, k, accumulate); break;
            }
        }
    }

    /// <summary>Up to six rows against a pair of quarters; a strip may hold more rows, <paramref name="aStride"/> in all.</summary>
    public static void Pair<TLeft, T>(float* a, nint aStride, byte* b, nint stream, float* c, nint ldc, int rows, int k, bool accumulate)
        where TLeft : struct, ILeft
        where T : struct, IQuarters
    {
        switch (rows)
        {
            case 1: Pair<MatMulKernels.R1, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
            case 2: Pair<MatMulKernels.R2, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
            case 3: Pair<MatMulKernels.R3, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
            case 4: Pair<MatMulKernels.R4, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
            case 5: Pair<MatMulKernels.R5, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
            default: Pair<MatMulKernels.R6, TLeft, T>(a, aStride, b, stream, c, ldc, k, accumulate); return;
        }
    }

    private static void One(float* a, byte* b, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        switch (rows)
        {
            case 7: One<MatMulKernels.R7>(a, b, c, ldc, k, accumulate); return;
            case 8: One<MatMulKernels.R8>(a, b, c, ldc, k, accumulate); return;
            default: One<MatMulKernels.R9>(a, b, c, ldc, k, accumulate); return;
        }
    }

    // Four streams keep the processor's own look-ahead busy: asked 8 KiB ahead as well, a row took a quarter to a half longer in cache.
    [MethodImpl(Kernel.Whole)]
    private static void Wide<TRows, T>(float* a, nint aStride, byte* b, nint stream, float* c, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
        where T : struct, IQuarters
    {
        Vector256<float> p0, p1, p2, p3, q0, q1, q2, q3, r0, r1, r2, r3;
        p0 = p1 = p2 = p3 = q0 = q1 = q2 = q3 = r0 = r1 = r2 = r3 = Vector256<float>.Zero;
        if (accumulate)
        {
            Load<T>(c, ref p0, ref p1);
            Load<T>(c + T.Step, ref p2, ref p3);
            if (TRows.Count > 1) { Load<T>(c + ldc, ref q0, ref q1); }
            if (TRows.Count > 1) { Load<T>(c + ldc + T.Step, ref q2, ref q3); }
            if (TRows.Count > 2) { Load<T>(c + 2 * ldc, ref r0, ref r1); }
            if (TRows.Count > 2) { Load<T>(c + 2 * ldc + T.Step, ref r2, ref r3); }
        }

        var upper = b + T.Streams * stream;
        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * aStride, b += Unrolled * T.RowBytes, upper += Unrolled * T.RowBytes)
        {
            WideStep<TRows, T>(0, a, aStride, b, upper, stream, ref p0, ref p1, ref p2, ref p3, ref q0, ref q1, ref q2, ref q3, ref r0, ref r1, ref r2, ref r3);
            WideStep<TRows, T>(1, a, aStride, b, upper, stream, ref p0, ref p1, ref p2, ref p3, ref q0, ref q1, ref q2, ref q3, ref r0, ref r1, ref r2, ref r3);
            WideStep<TRows, T>(2, a, aStride, b, upper, stream, ref p0, ref p1, ref p2, ref p3, ref q0, ref q1, ref q2, ref q3, ref r0, ref r1, ref r2, ref r3);
            WideStep<TRows, T>(3, a, aStride, b, upper, stream, ref p0, ref p1, ref p2, ref p3, ref q0, ref q1, ref q2, ref q3, ref r0, ref r1, ref r2, ref r3);
        }

        for (; k > 0; k--, a += aStride, b += T.RowBytes, upper += T.RowBytes)
        {
            WideStep<TRows, T>(0, a, aStride, b, upper, stream, ref p0, ref p1, ref p2, ref p3, ref q0, ref q1, ref q2, ref q3, ref r0, ref r1, ref r2, ref r3);
        }

        Store<T>(c, p0, p1);
        Store<T>(c + T.Step, p2, p3);
        if (TRows.Count > 1) { Store<T>(c + ldc, q0, q1); }
        if (TRows.Count > 1) { Store<T>(c + ldc + T.Step, q2, q3); }
        if (TRows.Count > 2) { Store<T>(c + 2 * ldc, r0, r1); }
        if (TRows.Count > 2) { Store<T>(c + 2 * ldc + T.Step, r2, r3); }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Pair<TRows, TLeft, T>(float* a, nint aStride, byte* b, nint stream, float* c, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
        where TLeft : struct, ILeft
        where T : struct, IQuarters
    {
        Vector256<float> p0, p1, p2, p3, p4, p5, q0, q1, q2, q3, q4, q5;
        p0 = p1 = p2 = p3 = p4 = p5 = Vector256<float>.Zero;
        q0 = q1 = q2 = q3 = q4 = q5 = Vector256<float>.Zero;
        if (accumulate)
        {
            Load<T>(c, ref p0, ref q0);
            if (TRows.Count > 1) { Load<T>(c + ldc, ref p1, ref q1); }
            if (TRows.Count > 2) { Load<T>(c + 2 * ldc, ref p2, ref q2); }
            if (TRows.Count > 3) { Load<T>(c + 3 * ldc, ref p3, ref q3); }
            if (TRows.Count > 4) { Load<T>(c + 4 * ldc, ref p4, ref q4); }
            if (TRows.Count > 5) { Load<T>(c + 5 * ldc, ref p5, ref q5); }
        }
        else
        {
            Expect<TRows>(c, ldc);
        }

        var d = a + TLeft.Fourth(aStride);
        var next = TLeft.Step(aStride);
        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * next, d += Unrolled * next, b += Unrolled * QuarterPanels.RowBytes)
        {
            T.Ask(b, stream);
            PairStep<TRows, TLeft, T>(0, a, d, aStride, b, stream, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            PairStep<TRows, TLeft, T>(1, a, d, aStride, b, stream, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            T.Ask(b + Line, stream);
            PairStep<TRows, TLeft, T>(2, a, d, aStride, b, stream, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
            PairStep<TRows, TLeft, T>(3, a, d, aStride, b, stream, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
        }

        for (; k > 0; k--, a += next, d += next, b += QuarterPanels.RowBytes)
        {
            PairStep<TRows, TLeft, T>(0, a, d, aStride, b, stream, ref p0, ref q0, ref p1, ref q1, ref p2, ref q2, ref p3, ref q3, ref p4, ref q4, ref p5, ref q5);
        }

        Store<T>(c, p0, q0);
        if (TRows.Count > 1) { Store<T>(c + ldc, p1, q1); }
        if (TRows.Count > 2) { Store<T>(c + 2 * ldc, p2, q2); }
        if (TRows.Count > 3) { Store<T>(c + 3 * ldc, p3, q3); }
        if (TRows.Count > 4) { Store<T>(c + 4 * ldc, p4, q4); }
        if (TRows.Count > 5) { Store<T>(c + 5 * ldc, p5, q5); }
    }

    [MethodImpl(Kernel.Whole)]
    private static void One<TRows>(float* a, byte* b, float* c, nint ldc, int k, bool accumulate)
        where TRows : struct, IRowCount
    {
        Vector256<float> p0, p1, p2, p3, p4, p5, p6, p7, p8;
        p0 = p1 = p2 = p3 = p4 = p5 = p6 = p7 = p8 = Vector256<float>.Zero;
        if (accumulate)
        {
            p0 = Vector256.Load(c);
            p1 = Vector256.Load(c + ldc);
            p2 = Vector256.Load(c + 2 * ldc);
            p3 = Vector256.Load(c + 3 * ldc);
            p4 = Vector256.Load(c + 4 * ldc);
            p5 = Vector256.Load(c + 5 * ldc);
            p6 = Vector256.Load(c + 6 * ldc);
            if (TRows.Count > 7) { p7 = Vector256.Load(c + 7 * ldc); }
            if (TRows.Count > 8) { p8 = Vector256.Load(c + 8 * ldc); }
        }

        for (; k >= Unrolled; k -= Unrolled, a += Unrolled * TRows.Count, b += Unrolled * QuarterPanels.RowBytes)
        {
            if (Sse.IsSupported) { Sse.Prefetch0(b + StreamAhead.Bytes); }
            OneStep<TRows>(0, a, b, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8);
            OneStep<TRows>(1, a, b, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8);
            if (Sse.IsSupported) { Sse.Prefetch0(b + StreamAhead.Bytes + Line); }
            OneStep<TRows>(2, a, b, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8);
            OneStep<TRows>(3, a, b, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8);
        }

        for (; k > 0; k--, a += TRows.Count, b += QuarterPanels.RowBytes)
        {
            OneStep<TRows>(0, a, b, ref p0, ref p1, ref p2, ref p3, ref p4, ref p5, ref p6, ref p7, ref p8);
        }

        p0.Store(c);
        p1.Store(c + ldc);
        p2.Store(c + 2 * ldc);
        p3.Store(c + 3 * ldc);
        p4.Store(c + 4 * ldc);
        p5.Store(c + 5 * ldc);
        p6.Store(c + 6 * ldc);
        if (TRows.Count > 7) { p7.Store(c + 7 * ldc); }
        if (TRows.Count > 8) { p8.Store(c + 8 * ldc); }
    }

    /// <summary>Asks for where the result goes, which no cache holds as a rule: 3 to 8 % of a product of 2,048 rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Expect<TRows>(float* c, nint ldc)
        where TRows : struct, IRowCount
    {
        for (var row = 0; Sse.IsSupported && row < TRows.Count; row++, c += ldc)
        {
            Sse.Prefetch0(c);
        }
    }

    // Steps are numbers in the code, so that addresses are parts of instructions and cost none.

    /// <summary>One k of a wide tile: four quarters and up to three rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WideStep<TRows, T>(
        int step, float* a, nint aStride, byte* b, byte* upper, nint stream,
        ref Vector256<float> p0, ref Vector256<float> p1, ref Vector256<float> p2, ref Vector256<float> p3,
        ref Vector256<float> q0, ref Vector256<float> q1, ref Vector256<float> q2, ref Vector256<float> q3,
        ref Vector256<float> r0, ref Vector256<float> r1, ref Vector256<float> r2, ref Vector256<float> r3)
        where TRows : struct, IRowCount
        where T : struct, IQuarters
    {
        var u = Vector256.Create(a[step * aStride]);
        var v = TRows.Count > 1 ? Vector256.Create(a[step * aStride + 1]) : u;
        var w = TRows.Count > 2 ? Vector256.Create(a[step * aStride + 2]) : u;
        Step<TRows>(T.First(b + step * T.RowBytes), u, v, w, ref p0, ref q0, ref r0);
        Step<TRows>(T.Second(b + step * T.RowBytes, stream), u, v, w, ref p1, ref q1, ref r1);
        Step<TRows>(T.First(upper + step * T.RowBytes), u, v, w, ref p2, ref q2, ref r2);
        Step<TRows>(T.Second(upper + step * T.RowBytes, stream), u, v, w, ref p3, ref q3, ref r3);
    }

    /// <summary>One k of a tile of a pair: two quarters and up to six rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PairStep<TRows, TLeft, T>(
        int step, float* a, float* d, nint aStride, byte* b, nint stream,
        ref Vector256<float> p0, ref Vector256<float> q0, ref Vector256<float> p1, ref Vector256<float> q1,
        ref Vector256<float> p2, ref Vector256<float> q2, ref Vector256<float> p3, ref Vector256<float> q3,
        ref Vector256<float> p4, ref Vector256<float> q4, ref Vector256<float> p5, ref Vector256<float> q5)
        where TRows : struct, IRowCount
        where TLeft : struct, ILeft
        where T : struct, IQuarters
    {
        var x = T.First(b + step * QuarterPanels.RowBytes);
        var y = T.Second(b + step * QuarterPanels.RowBytes, stream);
        Step(TLeft.At(a, d, aStride, 0, step), x, y, ref p0, ref q0);
        if (TRows.Count > 1) { Step(TLeft.At(a, d, aStride, 1, step), x, y, ref p1, ref q1); }
        if (TRows.Count > 2) { Step(TLeft.At(a, d, aStride, 2, step), x, y, ref p2, ref q2); }
        if (TRows.Count > 3) { Step(TLeft.At(a, d, aStride, 3, step), x, y, ref p3, ref q3); }
        if (TRows.Count > 4) { Step(TLeft.At(a, d, aStride, 4, step), x, y, ref p4, ref q4); }
        if (TRows.Count > 5) { Step(TLeft.At(a, d, aStride, 5, step), x, y, ref p5, ref q5); }
    }

    /// <summary>One k of a tile of one quarter, seven to nine rows.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OneStep<TRows>(
        int step, float* a, byte* b,
        ref Vector256<float> p0, ref Vector256<float> p1, ref Vector256<float> p2, ref Vector256<float> p3,
        ref Vector256<float> p4, ref Vector256<float> p5, ref Vector256<float> p6, ref Vector256<float> p7,
        ref Vector256<float> p8)
        where TRows : struct, IRowCount
    {
        var x = Vector256.Load((float*)(b + step * QuarterPanels.RowBytes));
        p0 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 0]), x, p0);
        p1 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 1]), x, p1);
        p2 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 2]), x, p2);
        p3 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 3]), x, p3);
        p4 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 4]), x, p4);
        p5 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 5]), x, p5);
        p6 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 6]), x, p6);
        if (TRows.Count > 7) { p7 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 7]), x, p7); }
        if (TRows.Count > 8) { p8 = Vector256.FusedMultiplyAdd(Vector256.Create(a[step * TRows.Count + 8]), x, p8); }
    }

    /// <summary>Eight columns into up to three rows of sums.</summary>
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
    private static void Step(
        float a, Vector256<float> x, Vector256<float> y, ref Vector256<float> p, ref Vector256<float> q)
    {
        var broadcast = Vector256.Create(a);
        p = Vector256.FusedMultiplyAdd(broadcast, x, p);
        q = Vector256.FusedMultiplyAdd(broadcast, y, q);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Load<T>(float* c, ref Vector256<float> p, ref Vector256<float> q)
        where T : struct, IQuarters
    {
        p = Vector256.Load(c);
        q = Vector256.Load(c + T.Gap);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<T>(float* c, Vector256<float> p, Vector256<float> q)
        where T : struct, IQuarters
    {
        p.Store(c);
        q.Store(c + T.Gap);
    }
}
