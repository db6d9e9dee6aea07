// exp for float, one polynomial for scalars, Vector256 and Vector512: every width gives the same bits.
// exp(x) = 2^n * p(r), n = round(x / ln 2), r = x - n ln 2, p = 1 + r + r^2 q(r), q of degree 4 (minimax fit of our own).
// Error at most 1.1 ulp on [-87, 88]; above 88.72 infinity, below -87.33 zero (no denormals), NaN stays NaN.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

/// <summary>Elementary functions whose bits do not depend on the width of the vector that computed them.</summary>
public static partial class FastMath
{
    // 1.5 * 2^23: adding it rounds to a whole number, which then stands in the low bits of the sum.
    internal const float Magic = 12582912f;
    private const float Log2E = 1.4426950216293335f;
    private const float Ln2High = 0.6931471824645996f;
    private const float Ln2Low = -1.9046542121259336e-09f;
    private const float Q0 = 0.4999999403953552f;
    private const float Q1 = 0.1666652113199234f;
    private const float Q2 = 0.04166838899254799f;
    private const float Q3 = 0.00836874544620514f;
    private const float Q4 = 0.0013814540579915047f;

    /// <summary>The largest argument with a finite result.</summary>
    public const float ExpHighest = 88.72283f;

    /// <summary>The smallest argument whose result is not flushed to zero.</summary>
    public const float ExpLowest = -87.33654f;

    /// <summary>exp(x).</summary>
    /// <param name="x">The exponent.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Exp(float x)
    {
        var t = MathF.FusedMultiplyAdd(x, Log2E, Magic);
        var n = t - Magic;
        var r = MathF.FusedMultiplyAdd(n, -Ln2High, x);
        r = MathF.FusedMultiplyAdd(n, -Ln2Low, r);
        var q = MathF.FusedMultiplyAdd(Q4, r, Q3);
        q = MathF.FusedMultiplyAdd(q, r, Q2);
        q = MathF.FusedMultiplyAdd(q, r, Q1);
        q = MathF.FusedMultiplyAdd(q, r, Q0);
        var p = MathF.FusedMultiplyAdd(r * r, q, r) + 1f;
        var result = BitConverter.Int32BitsToSingle(
            BitConverter.SingleToInt32Bits(p) + (BitConverter.SingleToInt32Bits(t) << 23));
        result = x <= ExpHighest ? result : x * float.PositiveInfinity; // also carries NaN through
        return x < ExpLowest ? 0f : result;
    }

    /// <summary>exp of eight numbers.</summary>
    /// <param name="x">The exponents.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Exp(Vector256<float> x)
    {
        var p = Parts(x, out var n) + Vector256<float>.One;
        var result = (p.AsInt32() + Vector256.ShiftLeft(n, 23)).AsSingle();
        result = Vector256.ConditionalSelect(
            Vector256.LessThanOrEqual(x, Vector256.Create(ExpHighest)), result, x * float.PositiveInfinity);
        return Vector256.AndNot(result, Vector256.LessThan(x, Vector256.Create(ExpLowest)));
    }

    /// <summary>exp of sixteen numbers.</summary>
    /// <param name="x">The exponents.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        if (Avx512F.IsSupported)
        {
            // One instruction multiplies by 2^n and overflows as it should; of x above, only that it is above matters.
            var near = Vector512.MinNative(Vector512.Create(ExpHighest + 1f), x); // NaN stays
            var scaled = Avx512F.Scale(Parts(near, out _, out var whole) + Vector512<float>.One, whole);
            return Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512.Create(ExpLowest)), Vector512<float>.Zero, scaled);
        }

        return Vector512.Create(Exp(x.GetLower()), Exp(x.GetUpper()));
    }

    /// <summary>exp(x) = (1 + s) 2^n, s = r + r^2 q(r).</summary>
    /// <param name="x">The exponents.</param>
    /// <param name="n">n in its low bits; what is above is for a shift by 23 to drop.</param>
    /// <param name="whole">n.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Parts(Vector512<float> x, out Vector512<int> n, out Vector512<float> whole)
    {
        var magic = Vector512.Create(Magic);
        var t = Vector512.FusedMultiplyAdd(x, Vector512.Create(Log2E), magic);
        whole = t - magic;
        var r = Vector512.FusedMultiplyAdd(whole, Vector512.Create(-Ln2High), x);
        r = Vector512.FusedMultiplyAdd(whole, Vector512.Create(-Ln2Low), r);
        var q = Vector512.FusedMultiplyAdd(Vector512.Create(Q4), r, Vector512.Create(Q3));
        q = Vector512.FusedMultiplyAdd(q, r, Vector512.Create(Q2));
        q = Vector512.FusedMultiplyAdd(q, r, Vector512.Create(Q1));
        q = Vector512.FusedMultiplyAdd(q, r, Vector512.Create(Q0));
        n = t.AsInt32();
        return Vector512.FusedMultiplyAdd(r * r, q, r);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Parts(Vector256<float> x, out Vector256<int> n)
    {
        var magic = Vector256.Create(Magic);
        var t = Vector256.FusedMultiplyAdd(x, Vector256.Create(Log2E), magic);
        var whole = t - magic;
        var r = Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2High), x);
        r = Vector256.FusedMultiplyAdd(whole, Vector256.Create(-Ln2Low), r);
        var q = Vector256.FusedMultiplyAdd(Vector256.Create(Q4), r, Vector256.Create(Q3));
        q = Vector256.FusedMultiplyAdd(q, r, Vector256.Create(Q2));
        q = Vector256.FusedMultiplyAdd(q, r, Vector256.Create(Q1));
        q = Vector256.FusedMultiplyAdd(q, r, Vector256.Create(Q0));
        n = t.AsInt32();
        return Vector256.FusedMultiplyAdd(r * r, q, r);
    }
}
