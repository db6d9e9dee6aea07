// exp below zero, sigmoid z(x) = 1 / (1 + exp(-x)) and SiLU x z(x), for scalars, Vector256 and Vector512 with the same bits.
// With exp(-x) = (1 + s) c, c a power of two, a gate is y / (1 + c + s c): an estimate that one step corrects by its exact residual.
// Error at most 1.1 ulp on [-87, 88]. Refuses: denormals; below -87 x counts as -87, above 88 a gate is open; infinity gives NaN.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

public static partial class FastMath
{
    private const float Open = 88f;
    private const float Closed = -87f;
    private const int ExponentOfOne = 127 << 23;

    /// <summary>exp(x) for x at most zero, or NaN: the bits of <see cref="Exp(Vector512{float})"/>, without what larger x need.</summary>
    /// <param name="x">The exponents.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> ExpBelowZero(Vector512<float> x)
    {
        if (!Avx512F.IsSupported)
        {
            return Vector512.Create(ExpBelowZero(x.GetLower()), ExpBelowZero(x.GetUpper()));
        }

        var result = Avx512F.Scale(Parts(x, out _, out var whole) + Vector512<float>.One, whole);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(ExpLowest)), Vector512<float>.Zero, result);
    }

    /// <summary>exp of eight numbers, none above zero.</summary>
    /// <param name="x">The exponents.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> ExpBelowZero(Vector256<float> x)
    {
        var s = Parts(x, out var n);
        return Vector256.AndNot((s + Vector256<float>.One) * PowerOfTwo(n), Vector256.LessThan(x, Vector256.Create(ExpLowest)));
    }

    /// <summary>1 / (1 + exp(-x)).</summary>
    /// <param name="x">What is gated by.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Sigmoid(Vector512<float> x) => Gate(Bounded(x), Vector512<float>.One);

    /// <summary>1 / (1 + exp(-x)).</summary>
    /// <param name="x">What is gated by.</param>
    public static float Sigmoid(float x) => Gate(Bounded(Vector256.CreateScalar(x)), Vector256<float>.One).ToScalar();

    /// <summary>x / (1 + exp(-x)).</summary>
    /// <param name="x">What is gated, and by what.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Silu(Vector512<float> x) => Gate(Bounded(x), Bounded(x));

    /// <summary>x / (1 + exp(-x)) of eight numbers.</summary>
    /// <param name="x">What is gated, and by what.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Silu(Vector256<float> x) => Gate(Bounded(x), Bounded(x));

    /// <summary>x / (1 + exp(-x)).</summary>
    /// <param name="x">What is gated, and by what.</param>
    public static float Silu(float x) => Silu(Vector256.CreateScalar(x)).ToScalar();

    /// <summary>y / (1 + exp(-x)) for x of at least <see cref="Closed"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Gate(Vector512<float> x, Vector512<float> y)
    {
        if (!Avx512F.IsSupported)
        {
            return Vector512.Create(Gate(x.GetLower(), y.GetLower()), Gate(x.GetUpper(), y.GetUpper()));
        }

        var one = Vector512<float>.One;
        var s = Parts(-Vector512.MinNative(Vector512.Create(Open), x), out var n, out _);
        var scale = PowerOfTwo(n);
        var fraction = s * scale;
        var d = one + scale + fraction;
        var r = Avx512F.Reciprocal14(d);
        var q = y * r;
        // y - q d without rounding: the larger of 1 and c takes away more than half of y, 1 + 1 if they are equal.
        var isOne = Vector512.Equals(scale, one);
        var large = Vector512.ConditionalSelect(isOne, one + one, Vector512.MaxNative(scale, one));
        var small = Vector512.ConditionalSelect(isOne, Vector512<float>.Zero, Vector512.MinNative(scale, one));
        var residual = Vector512.FusedMultiplyAdd(-q, large, y);
        residual = Vector512.FusedMultiplyAdd(-q, fraction, residual);
        residual = Vector512.FusedMultiplyAdd(-q, small, residual);
        return Vector512.FusedMultiplyAdd(residual, r, q);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Gate(Vector256<float> x, Vector256<float> y)
    {
        var one = Vector256<float>.One;
        var s = Parts(-Vector256.MinNative(Vector256.Create(Open), x), out var n);
        var scale = PowerOfTwo(n);
        var fraction = s * scale;
        var d = one + scale + fraction;
        var r = Avx512F.VL.IsSupported ? Avx512F.VL.Reciprocal14(d) : one / d;
        var q = y * r;
        // y - q d without rounding: the larger of 1 and c takes away more than half of y, 1 + 1 if they are equal.
        var isOne = Vector256.Equals(scale, one);
        var large = Vector256.ConditionalSelect(isOne, one + one, Vector256.MaxNative(scale, one));
        var small = Vector256.ConditionalSelect(isOne, Vector256<float>.Zero, Vector256.MinNative(scale, one));
        var residual = Vector256.FusedMultiplyAdd(-q, large, y);
        residual = Vector256.FusedMultiplyAdd(-q, fraction, residual);
        residual = Vector256.FusedMultiplyAdd(-q, small, residual);
        return Vector256.FusedMultiplyAdd(residual, r, q);
    }

    /// <summary>x, not below <see cref="Closed"/>; NaN stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Bounded(Vector512<float> x) => Vector512.MaxNative(Vector512.Create(Closed), x);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Bounded(Vector256<float> x) => Vector256.MaxNative(Vector256.Create(Closed), x);

    /// <summary>2^n of what <see cref="Parts(Vector512{float}, out Vector512{int}, out Vector512{float})"/> says; n from -126 to 127.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> PowerOfTwo(Vector512<int> n) =>
        (Vector512.ShiftLeft(n, 23) + Vector512.Create(ExponentOfOne)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> PowerOfTwo(Vector256<int> n) =>
        (Vector256.ShiftLeft(n, 23) + Vector256.Create(ExponentOfOne)).AsSingle();
}
