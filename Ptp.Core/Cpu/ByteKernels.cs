// Register tiles over half panels of bytes: y[i, j] = sum over blocks of (scale[j, block] scale_x[i, block]) (sum over k of q_x[i, k] q_w[j, k]).
// The inner sum is one of whole numbers and exact in any order; the product of scales is rounded, then blocks are added as floats,
// ascending, by fused multiply-adds: the same bits from every width. Refuses: more than six rows a tile.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class ByteKernels
{
    /// <summary>Rows of the tallest tile: with six, sums, weights and a broadcast are the 16 registers of AVX-VNNI.</summary>
    public const int MaxRows = 6;

    private const int Columns = ByteWeights.Columns;
    private const int Block = ByteWeights.Block;
    private const int Quad = 4;

    /// <summary>Sums of four products of bytes by AVX-VNNI, where the processor has it; tests also take the ways around it.</summary>
    public static bool Dots { get; set; } = AvxVnni.IsSupported;

    /// <summary>Up to six rows against half panels that lie one behind the other.</summary>
    /// <param name="a">The rows.</param>
    /// <param name="b">The first half panel.</param>
    /// <param name="blocks">Blocks of each.</param>
    /// <param name="panels">Half panels.</param>
    /// <param name="c">Where row 0 of the result goes.</param>
    /// <param name="ldc">Row stride of c.</param>
    /// <param name="rows">1 to 6.</param>
    /// <param name="accumulate">Adds to c.</param>
    public static void Tile(in ByteRows a, byte* b, int blocks, int panels, float* c, nint ldc, int rows, bool accumulate)
    {
        if (MatMul.Width != VectorWidth.Portable && Dots)
        {
            Tile<ByteDots, Vector256<int>>(a, b, blocks, panels, c, ldc, rows, accumulate);
            return;
        }

        if (MatMul.Width == VectorWidth.V512 && Avx512BW.IsSupported)
        {
            Tile<WordDots, Vector512<int>>(a, b, blocks, panels, c, ldc, rows, accumulate);
            return;
        }

        for (var panel = 0; panel < panels; panel++, b += blocks * ByteWeights.BlockBytes, c += Columns)
        {
            for (var row = 0; row < rows; row++)
            {
                if (MatMul.Width != VectorWidth.Portable && Avx2.IsSupported)
                {
                    Row256(a, row, rows, b, blocks, c + row * ldc, accumulate);
                }
                else
                {
                    RowPortable(a, row, rows, b, blocks, c + row * ldc, accumulate);
                }
            }
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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
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
                for (var k = 0; k < Block; k += Quad, b += Quad * Columns, a += Quad)
                {
                    Sse.Prefetch1(b + FarWeights<FullWeights>.Far);
                    Sse.Prefetch0(b + FullWeights.Near / 4);
                    var x = TDots.Weights(b);
                    var y = TDots.Weights(b + Quad * 8);
                    Step<TDots, T>(a, x, y, ref s0, ref t0);
                    if (TRows.Count > 1) { Step<TDots, T>(a + Block, x, y, ref s1, ref t1); }
                    if (TRows.Count > 2) { Step<TDots, T>(a + 2 * Block, x, y, ref s2, ref t2); }
                    if (TRows.Count > 3) { Step<TDots, T>(a + 3 * Block, x, y, ref s3, ref t3); }
                    if (TRows.Count > 4) { Step<TDots, T>(a + 4 * Block, x, y, ref s4, ref t4); }
                    if (TRows.Count > 5) { Step<TDots, T>(a + 5 * Block, x, y, ref s5, ref t5); }
                }

                var (low, high) = (Vector256.Load((float*)b), Vector256.Load((float*)b + 8));
                Add<TDots, T>(s0, t0, low, high, scales[0], p);
                if (TRows.Count > 1) { Add<TDots, T>(s1, t1, low, high, scales[1], p + Columns); }
                if (TRows.Count > 2) { Add<TDots, T>(s2, t2, low, high, scales[2], p + 2 * Columns); }
                if (TRows.Count > 3) { Add<TDots, T>(s3, t3, low, high, scales[3], p + 3 * Columns); }
                if (TRows.Count > 4) { Add<TDots, T>(s4, t4, low, high, scales[4], p + 4 * Columns); }
                if (TRows.Count > 5) { Add<TDots, T>(s5, t5, low, high, scales[5], p + 5 * Columns); }
                b += Columns * sizeof(float);
                a += (TRows.Count - 1) * Block;
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
    private static void Store(float* p, float* c, bool accumulate) =>
        Store(Vector256.Load(p), Vector256.Load(p + 8), c, accumulate);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<float> p, Vector256<float> q, float* c, bool accumulate)
    {
        (accumulate ? p + Vector256.Load(c) : p).Store(c);
        (accumulate ? q + Vector256.Load(c + 8) : q).Store(c + 8);
    }

    /// <summary>One row: bytes are widened to 16 bits and multiplied in pairs, which are joined at the end of a block.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row256(in ByteRows a, int row, int rows, byte* b, int blocks, float* c, bool accumulate)
    {
        Vector256<float> p = default, q = default;
        for (var block = 0; block < blocks; block++, b += ByteWeights.BlockBytes)
        {
            Vector256<int> s0 = default, s1 = default, s2 = default, s3 = default;
            var at = block * rows + row;
            var numbers = (int*)(a.Numbers + (nint)at * Block);
            for (var quad = 0; quad < Block / Quad; quad++)
            {
                var four = Avx2.ConvertToVector256Int16(Vector128.Create(numbers[quad]).AsSByte());
                var w = b + quad * Quad * Columns;
                s0 += Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(w), four);
                s1 += Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(w + 16), four);
                s2 += Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(w + 32), four);
                s3 += Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(w + 48), four);
            }

            var scales = (float*)(b + ByteWeights.WeightBytes);
            p = Joined(s0, s1, a.Starts[at], Vector256.Load(scales) * a.Scales[at], p);
            q = Joined(s2, s3, a.Starts[at], Vector256.Load(scales + 8) * a.Scales[at], q);
        }

        Store(p, q, c, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Joined(Vector256<int> s, Vector256<int> t, int start, Vector256<float> scale, Vector256<float> p)
    {
        // Pairs are joined within 128 bits: outputs 0 1 4 5, 2 3 6 7.
        var sums = Avx2.Permute4x64(Avx2.HorizontalAdd(s, t).AsInt64(), 0b11_01_10_00).AsInt32() + Vector256.Create(start);
        return Vector256.FusedMultiplyAdd(Vector256.ConvertToSingle(sums), scale, p);
    }

    /// <summary>One row in Vector&lt;T&gt;: the four k of a quad are summed in lanes of their own and joined at the end of a block.</summary>
    private static void RowPortable(in ByteRows a, int row, int rows, byte* b, int blocks, float* c, bool accumulate)
    {
        var sums = stackalloc float[Columns];
        var lanes = stackalloc int[Quad * Columns];
        new Span<float>(sums, Columns).Clear();
        for (var block = 0; block < blocks; block++, b += ByteWeights.BlockBytes)
        {
            var index = block * rows + row;
            var numbers = (int*)(a.Numbers + (nint)index * Block);
            for (var at = 0; at < Quad * Columns; at += Vector<byte>.Count)
            {
                Vector<int> s0 = default, s1 = default, s2 = default, s3 = default;
                for (var quad = 0; quad < Block / Quad; quad++)
                {
                    var four = Vector.WidenLower(Vector.WidenLower(Vector.Create(numbers[quad]).As<int, sbyte>()));
                    Vector.Widen(Vector.Load(b + quad * Quad * Columns + at), out var low, out var high);
                    Vector.Widen(low, out var w0, out var w1);
                    Vector.Widen(high, out var w2, out var w3);
                    s0 += w0.As<uint, int>() * four;
                    s1 += w1.As<uint, int>() * four;
                    s2 += w2.As<uint, int>() * four;
                    s3 += w3.As<uint, int>() * four;
                }

                s0.Store(lanes + at);
                s1.Store(lanes + at + Vector<int>.Count);
                s2.Store(lanes + at + 2 * Vector<int>.Count);
                s3.Store(lanes + at + 3 * Vector<int>.Count);
            }

            var scales = (float*)(b + ByteWeights.WeightBytes);
            for (var column = 0; column < Columns; column++)
            {
                var of = lanes + Quad * column;
                var whole = a.Starts[index] + of[0] + of[1] + of[2] + of[3];
                sums[column] = MathF.FusedMultiplyAdd(whole, scales[column] * a.Scales[index], sums[column]);
            }
        }

        for (var column = 0; column < Columns; column++)
        {
            c[column] = accumulate ? sums[column] + c[column] : sums[column];
        }
    }
}

/// <summary>Rows of a tile as bytes; a block of all rows lies together.</summary>
internal unsafe struct ByteRows
{
    public sbyte* Numbers; // [blocks][rows][64]
    public float* Scales; // [blocks][rows]
    public int* Starts; // [blocks][rows], where sums start: -128 times the sum of a block's numbers, as weights are stored with 128 added
}

/// <summary>Dot products of four bytes, for eight outputs at a time.</summary>
/// <typeparam name="T">A vector.</typeparam>
internal unsafe interface IDots<T>
{
    /// <summary>A quad of weights of eight outputs.</summary>
    static abstract T Weights(byte* at);

    /// <summary>A quad of a row, for all outputs.</summary>
    static abstract T Numbers(int quad);

    /// <summary>Sums to start with.</summary>
    static abstract T Start(int value);

    /// <summary>Adds the products of a quad.</summary>
    static abstract T Step(T sum, T weights, T numbers);

    /// <summary>The sums of eight outputs.</summary>
    static abstract Vector256<int> End(T sum);
}

/// <summary>AVX-VNNI: unsigned times signed bytes, 32 to an instruction.</summary>
internal readonly unsafe struct ByteDots : IDots<Vector256<int>>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Weights(byte* at) => Vector256.Load((int*)at);

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
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Weights(byte* at) => Avx512BW.ConvertToVector512Int16(Vector256.Load(at)).AsInt32();

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
