// exp, sigmoid and SiLU of four vectors side by side (FourVectors): the formulas of FastMath.cs and FastMath.Gates.cs, to the bit.
//   exp(x) = 2^n (1 + r + r^2 q(r));   y / (1 + exp(-x)) by an estimate and its exact residual
// Not here: what the formulas are for. Refuses: processors without AVX-512, which gain nothing by it.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

public static partial class FastMath
{
    /// <summary>y_i = exp(x_i).</summary>
    /// <param name="x">The exponents, [n].</param>
    /// <param name="y">Receives the results, [n].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static unsafe void Exp(ReadOnlySpan<float> x, Span<float> y)
    {
        Guard.Require(x.Length == y.Length, "Compute exponentials", $"{x.Length} numbers into {y.Length}", "as many results", "Size the result alike.");
        fixed (float* from = x, to = y)
        {
            var i = 0;
            for (; FourVectors.IsSupported && i + FourVectors.Count <= x.Length; i += FourVectors.Count)
            {
                Exp(FourVectors.Load(from + i)).Store(to + i);
            }

            for (; i + 8 <= x.Length; i += 8)
            {
                Exp(Vector256.Load(from + i)).Store(to + i);
            }

            for (; i < x.Length; i++)
            {
                to[i] = Exp(from[i]);
            }
        }
    }

    /// <summary>exp of 64 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors Exp(FourVectors x)
    {
        var p = Parts(FourVectors.Min(Vector512.Create(ExpHighest + 1f), x), out _, out var whole) + Vector512<float>.One;
        return new FourVectors(
            Scaled(p.A, whole.A, x.A), Scaled(p.B, whole.B, x.B), Scaled(p.C, whole.C, x.C), Scaled(p.D, whole.D, x.D));
    }

    /// <summary>exp of 64 numbers, none above zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors ExpBelowZero(FourVectors x)
    {
        var p = Parts(x, out _, out var whole) + Vector512<float>.One;
        return new FourVectors(
            Scaled(p.A, whole.A, x.A), Scaled(p.B, whole.B, x.B), Scaled(p.C, whole.C, x.C), Scaled(p.D, whole.D, x.D));
    }

    /// <summary>1 / (1 + exp(-x)) of 64 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors Sigmoid(FourVectors x)
    {
        var one = Vector512<float>.One;
        return Gate(FourVectors.Max(Vector512.Create(Closed), x), new FourVectors(one, one, one, one));
    }

    /// <summary>x / (1 + exp(-x)) of 64 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors Silu(FourVectors x)
    {
        var bounded = FourVectors.Max(Vector512.Create(Closed), x);
        return Gate(bounded, bounded);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors Gate(FourVectors x, FourVectors y)
    {
        var s = Parts(-FourVectors.Min(Vector512.Create(Open), x), out var t, out _);
        var scale = new FourVectors(
            PowerOfTwo(t.A.AsInt32()), PowerOfTwo(t.B.AsInt32()), PowerOfTwo(t.C.AsInt32()), PowerOfTwo(t.D.AsInt32()));
        var fraction = s * scale;
        var d = scale + Vector512<float>.One + fraction;
        var r = new FourVectors(
            Avx512F.Reciprocal14(d.A), Avx512F.Reciprocal14(d.B), Avx512F.Reciprocal14(d.C), Avx512F.Reciprocal14(d.D));
        var q = y * r;
        var residual = FourVectors.NegatedMultiplyAdd(
            q, new FourVectors(Larger(scale.A), Larger(scale.B), Larger(scale.C), Larger(scale.D)), y);
        residual = FourVectors.NegatedMultiplyAdd(q, fraction, residual);
        residual = FourVectors.NegatedMultiplyAdd(
            q, new FourVectors(Smaller(scale.A), Smaller(scale.B), Smaller(scale.C), Smaller(scale.D)), residual);
        return FourVectors.MultiplyAdd(residual, r, q);
    }

    /// <summary>The larger of 1 and c, 2 if they are equal: see <see cref="Gate(Vector512{float}, Vector512{float})"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Larger(Vector512<float> c)
    {
        var one = Vector512<float>.One;
        return Vector512.ConditionalSelect(Vector512.Equals(c, one), one + one, Vector512.MaxNative(c, one));
    }

    /// <summary>The smaller of 1 and c, 0 if they are equal.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Smaller(Vector512<float> c)
    {
        var one = Vector512<float>.One;
        return Vector512.ConditionalSelect(Vector512.Equals(c, one), Vector512<float>.Zero, Vector512.MinNative(c, one));
    }

    /// <summary>p 2^n, or zero where x is too low for a normal number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Scaled(Vector512<float> p, Vector512<float> whole, Vector512<float> x) => Vector512.ConditionalSelect(
        Vector512.LessThan(x, Vector512.Create(ExpLowest)), Vector512<float>.Zero, Avx512F.Scale(p, whole));

    /// <summary>exp(x) = (1 + s) 2^n, as for one vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors Parts(FourVectors x, out FourVectors t, out FourVectors whole)
    {
        var magic = Vector512.Create(Magic);
        t = FourVectors.MultiplyAdd(x, Vector512.Create(Log2E), magic);
        whole = t - magic;
        var r = FourVectors.MultiplyAdd(whole, Vector512.Create(-Ln2High), x);
        r = FourVectors.MultiplyAdd(whole, Vector512.Create(-Ln2Low), r);
        var q = FourVectors.MultiplyAdd(r, Vector512.Create(Q4), Vector512.Create(Q3));
        q = FourVectors.MultiplyAdd(q, r, Vector512.Create(Q2));
        q = FourVectors.MultiplyAdd(q, r, Vector512.Create(Q1));
        q = FourVectors.MultiplyAdd(q, r, Vector512.Create(Q0));
        return FourVectors.MultiplyAdd(r * r, q, r);
    }
}
