// What kernels of four vectors side by side (FourVectors) need of one vector: the same text then serves 256 and 512 bits, with the same bits.
// Where an instruction set has a step of its own (a scale by 2^n, an estimate of 1 / x), it is here, and all that it may change is the time.
// Not here: formulas. Refuses: nothing; a width that the machine lacks is computed by halves, which only tests want.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

/// <summary>Arithmetic of one vector of floats.</summary>
/// <typeparam name="TVector">The vector.</typeparam>
internal unsafe interface ILanes<TVector>
    where TVector : struct
{
    /// <summary>Floats of a vector.</summary>
    static abstract int Count { get; }

    /// <summary>Whether the machine has vectors of this width, with fused multiply-adds.</summary>
    static abstract bool AreHere { get; }

    static abstract TVector Create(float value);

    static abstract TVector Load(float* at);

    static abstract void Store(TVector x, float* at);

    static abstract TVector Add(TVector x, TVector y);

    static abstract TVector Subtract(TVector x, TVector y);

    static abstract TVector Multiply(TVector x, TVector y);

    /// <summary>x y + z.</summary>
    static abstract TVector MultiplyAdd(TVector x, TVector y, TVector z);

    /// <summary>z - x y.</summary>
    static abstract TVector NegatedMultiplyAdd(TVector x, TVector y, TVector z);

    static abstract TVector Negate(TVector x);

    /// <summary>The smaller; NaN of x stays.</summary>
    static abstract TVector Min(TVector bound, TVector x);

    /// <summary>The larger; NaN of x stays.</summary>
    static abstract TVector Max(TVector bound, TVector x);

    /// <summary>x where it is <paramref name="bound"/> or NaN or more, zero of y elsewhere: y with what lies too low taken out.</summary>
    static abstract TVector ZeroBelow(TVector bound, TVector x, TVector y);

    /// <summary>p 2^n for n from -126 to 127 in the low bits of <paramref name="n"/>, which is n plus a constant that leaves it there.</summary>
    /// <param name="p">From one half to two, or NaN.</param>
    /// <param name="n">The power.</param>
    static abstract TVector Scale(TVector p, TVector n);

    /// <summary>x, bounded where <see cref="ScaleOrOverflow"/> wants it bounded.</summary>
    static abstract TVector BeforeOverflow(TVector x);

    /// <summary>p 2^n = exp(x), infinity where x is above <see cref="FastMath.ExpHighest"/>, NaN where x is.</summary>
    static abstract TVector ScaleOrOverflow(TVector p, TVector n, TVector x);

    /// <summary>2^n.</summary>
    static abstract TVector PowerOfTwo(TVector n);

    /// <summary>About 1 / x, to fourteen bits or more; the same for every width of this machine.</summary>
    static abstract TVector Reciprocal(TVector x);

    /// <summary>The larger of 1 and c, 2 if they are equal.</summary>
    static abstract TVector Larger(TVector c);

    /// <summary>The smaller of 1 and c, 0 if they are equal.</summary>
    static abstract TVector Smaller(TVector c);
}

/// <summary>Eight floats.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Vector256<float>>
{
    public static int Count => 8;

    public static bool AreHere => Fma.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Create(float value) => Vector256.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Load(float* at) => Vector256.Load(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<float> x, float* at) => x.Store(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Add(Vector256<float> x, Vector256<float> y) => x + y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Subtract(Vector256<float> x, Vector256<float> y) => x - y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Multiply(Vector256<float> x, Vector256<float> y) => x * y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> MultiplyAdd(Vector256<float> x, Vector256<float> y, Vector256<float> z) =>
        Vector256.FusedMultiplyAdd(x, y, z);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> NegatedMultiplyAdd(Vector256<float> x, Vector256<float> y, Vector256<float> z) =>
        Fma.IsSupported ? Fma.MultiplyAddNegated(x, y, z) : Vector256.FusedMultiplyAdd(-x, y, z);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Negate(Vector256<float> x) => -x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Min(Vector256<float> bound, Vector256<float> x) => Vector256.MinNative(bound, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Max(Vector256<float> bound, Vector256<float> x) => Vector256.MaxNative(bound, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ZeroBelow(Vector256<float> bound, Vector256<float> x, Vector256<float> y) =>
        Vector256.AndNot(y, Vector256.LessThan(x, bound));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Scale(Vector256<float> p, Vector256<float> n) => p * PowerOfTwo(n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> BeforeOverflow(Vector256<float> x) => x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ScaleOrOverflow(Vector256<float> p, Vector256<float> n, Vector256<float> x)
    {
        // 2^128 is no float, but n added to the exponent of p, which is then below 1, is right.
        var scaled = (p.AsInt32() + Vector256.ShiftLeft(n.AsInt32(), 23)).AsSingle();
        return Vector256.ConditionalSelect(
            Vector256.LessThanOrEqual(x, Vector256.Create(FastMath.ExpHighest)), scaled, x * float.PositiveInfinity);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> PowerOfTwo(Vector256<float> n) =>
        (Vector256.ShiftLeft(n.AsInt32(), 23) + Vector256<float>.One.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Reciprocal(Vector256<float> x) =>
        Avx512F.VL.IsSupported ? Avx512F.VL.Reciprocal14(x) : Vector256<float>.One / x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Larger(Vector256<float> c)
    {
        var one = Vector256<float>.One;
        return Vector256.ConditionalSelect(Vector256.Equals(c, one), one + one, Vector256.MaxNative(c, one));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Smaller(Vector256<float> c) =>
        Vector256.AndNot(Vector256.MinNative(c, Vector256<float>.One), Vector256.Equals(c, Vector256<float>.One));
}

/// <summary>Sixteen floats.</summary>
internal readonly unsafe struct Lanes512 : ILanes<Vector512<float>>
{
    public static int Count => 16;

    public static bool AreHere => Avx512F.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Create(float value) => Vector512.Create(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Load(float* at) => Vector512.Load(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<float> x, float* at) => x.Store(at);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Add(Vector512<float> x, Vector512<float> y) => x + y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Subtract(Vector512<float> x, Vector512<float> y) => x - y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Multiply(Vector512<float> x, Vector512<float> y) => x * y;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> MultiplyAdd(Vector512<float> x, Vector512<float> y, Vector512<float> z) =>
        Vector512.FusedMultiplyAdd(x, y, z);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> NegatedMultiplyAdd(Vector512<float> x, Vector512<float> y, Vector512<float> z) =>
        Avx512F.IsSupported ? Avx512F.FusedMultiplyAddNegated(x, y, z) : Vector512.FusedMultiplyAdd(-x, y, z);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Negate(Vector512<float> x) => -x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Min(Vector512<float> bound, Vector512<float> x) => Vector512.MinNative(bound, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Max(Vector512<float> bound, Vector512<float> x) => Vector512.MaxNative(bound, x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ZeroBelow(Vector512<float> bound, Vector512<float> x, Vector512<float> y) =>
        Vector512.ConditionalSelect(Vector512.LessThan(x, bound), Vector512<float>.Zero, y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Scale(Vector512<float> p, Vector512<float> n) =>
        Avx512F.IsSupported ? Avx512F.Scale(p, n - Vector512.Create(FastMath.Magic)) : p * PowerOfTwo(n);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> BeforeOverflow(Vector512<float> x) =>
        Vector512.MinNative(Vector512.Create(FastMath.ExpHighest + 1f), x); // of x above, only that it is above matters

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ScaleOrOverflow(Vector512<float> p, Vector512<float> n, Vector512<float> x) =>
        Avx512F.IsSupported
            ? Avx512F.Scale(p, n - Vector512.Create(FastMath.Magic)) // it overflows as it should
            : Vector512.Create(
                Lanes256.ScaleOrOverflow(p.GetLower(), n.GetLower(), x.GetLower()),
                Lanes256.ScaleOrOverflow(p.GetUpper(), n.GetUpper(), x.GetUpper()));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> PowerOfTwo(Vector512<float> n) =>
        (Vector512.ShiftLeft(n.AsInt32(), 23) + Vector512<float>.One.AsInt32()).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Reciprocal(Vector512<float> x) =>
        Avx512F.IsSupported ? Avx512F.Reciprocal14(x) : Vector512<float>.One / x;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Larger(Vector512<float> c)
    {
        var one = Vector512<float>.One;
        return Vector512.ConditionalSelect(Vector512.Equals(c, one), one + one, Vector512.MaxNative(c, one));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Smaller(Vector512<float> c)
    {
        var one = Vector512<float>.One;
        return Vector512.ConditionalSelect(Vector512.Equals(c, one), Vector512<float>.Zero, Vector512.MinNative(c, one));
    }
}
