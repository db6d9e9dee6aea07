// exp, sigmoid and SiLU of four vectors side by side (FourVectors): the formulas of FastMath.cs and FastMath.Gates.cs, to the bit.
//   exp(x) = 2^n (1 + r + r^2 q(r));   y / (1 + exp(-x)) by an estimate and its exact residual
// Not here: what the formulas are for. Refuses: nothing; vectors are of 256 or 512 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

public static partial class FastMath
{
    /// <summary>y_i = exp(x_i).</summary>
    /// <param name="x">The exponents, [n].</param>
    /// <param name="y">Receives the results, [n].</param>
    public static unsafe void Exp(ReadOnlySpan<float> x, Span<float> y)
    {
        Guard.Require(x.Length == y.Length, "Compute exponentials", $"{x.Length} numbers into {y.Length}", "as many results", "Size the result alike.");
        fixed (float* from = x, to = y)
        {
            Exp(from, to, x.Length);
        }
    }

    /// <summary>The same, unchecked.</summary>
    internal static unsafe void Exp(float* from, float* to, int length)
    {
        var i = Lanes512.AreHere ? ExpOfMost<Vector512<float>, Lanes512>(from, to, length)
            : Lanes256.AreHere ? ExpOfMost<Vector256<float>, Lanes256>(from, to, length) : 0;
        for (; i + 8 <= length; i += 8)
        {
            Exp(Vector256.Load(from + i)).Store(to + i);
        }

        for (; i < length; i++)
        {
            to[i] = Exp(from[i]);
        }
    }

    /// <summary>exp of as many numbers as fill four vectors; returns their number.</summary>
    [MethodImpl(Kernel.Whole)]
    private static unsafe int ExpOfMost<TVector, TLanes>(float* from, float* to, int length)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var i = 0;
        for (; i + FourVectors<TVector, TLanes>.Count <= length; i += FourVectors<TVector, TLanes>.Count)
        {
            Exp(FourVectors<TVector, TLanes>.Load(from + i)).Store(to + i);
        }

        return i;
    }

    /// <summary>exp of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors<TVector, TLanes> Exp<TVector, TLanes>(FourVectors<TVector, TLanes> x)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var p = Parts(FourVectors<TVector, TLanes>.BeforeOverflow(x), out var t) + 1f;
        return FourVectors<TVector, TLanes>.ZeroBelow(ExpLowest, x, FourVectors<TVector, TLanes>.ScaleOrOverflow(p, t, x));
    }

    /// <summary>exp of four vectors, nothing in them above zero.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors<TVector, TLanes> ExpBelowZero<TVector, TLanes>(FourVectors<TVector, TLanes> x)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var p = Parts(x, out var t) + 1f;
        return FourVectors<TVector, TLanes>.ZeroBelow(ExpLowest, x, FourVectors<TVector, TLanes>.Scale(p, t));
    }

    /// <summary>1 / (1 + exp(-x)) of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors<TVector, TLanes> Sigmoid<TVector, TLanes>(FourVectors<TVector, TLanes> x)
        where TVector : struct
        where TLanes : struct, ILanes<TVector> =>
        Gate(FourVectors<TVector, TLanes>.Max(Closed, x), FourVectors<TVector, TLanes>.Create(1f));

    /// <summary>x / (1 + exp(-x)) of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static FourVectors<TVector, TLanes> Silu<TVector, TLanes>(FourVectors<TVector, TLanes> x)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var bounded = FourVectors<TVector, TLanes>.Max(Closed, x);
        return Gate(bounded, bounded);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors<TVector, TLanes> Gate<TVector, TLanes>(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var s = Parts(-FourVectors<TVector, TLanes>.Min(Open, x), out var t);
        var scale = FourVectors<TVector, TLanes>.PowerOfTwo(t);
        var fraction = s * scale;
        var d = scale + 1f + fraction;
        var r = FourVectors<TVector, TLanes>.Reciprocal(d);
        var q = y * r;
        var residual = FourVectors<TVector, TLanes>.NegatedMultiplyAdd(q, FourVectors<TVector, TLanes>.Larger(scale), y);
        residual = FourVectors<TVector, TLanes>.NegatedMultiplyAdd(q, fraction, residual);
        residual = FourVectors<TVector, TLanes>.NegatedMultiplyAdd(q, FourVectors<TVector, TLanes>.Smaller(scale), residual);
        return FourVectors<TVector, TLanes>.MultiplyAdd(residual, r, q);
    }

    /// <summary>exp(x) = (1 + s) 2^n, as for one vector.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static FourVectors<TVector, TLanes> Parts<TVector, TLanes>(
        FourVectors<TVector, TLanes> x, out FourVectors<TVector, TLanes> t)
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        // Written out, vector by vector: as operations of four, the compiler runs out of registers and exp takes 0.53 instead of 0.30 ns.
        var (log2E, magic) = (TLanes.Create(Log2E), TLanes.Create(Magic));
        var tA = TLanes.MultiplyAdd(x.A, log2E, magic);
        var tB = TLanes.MultiplyAdd(x.B, log2E, magic);
        var tC = TLanes.MultiplyAdd(x.C, log2E, magic);
        var tD = TLanes.MultiplyAdd(x.D, log2E, magic);
        var wA = TLanes.Subtract(tA, magic);
        var wB = TLanes.Subtract(tB, magic);
        var wC = TLanes.Subtract(tC, magic);
        var wD = TLanes.Subtract(tD, magic);
        var high = TLanes.Create(-Ln2High);
        var rA = TLanes.MultiplyAdd(wA, high, x.A);
        var rB = TLanes.MultiplyAdd(wB, high, x.B);
        var rC = TLanes.MultiplyAdd(wC, high, x.C);
        var rD = TLanes.MultiplyAdd(wD, high, x.D);
        var low = TLanes.Create(-Ln2Low);
        rA = TLanes.MultiplyAdd(wA, low, rA);
        rB = TLanes.MultiplyAdd(wB, low, rB);
        rC = TLanes.MultiplyAdd(wC, low, rC);
        rD = TLanes.MultiplyAdd(wD, low, rD);
        var (q4, q3) = (TLanes.Create(Q4), TLanes.Create(Q3));
        var qA = TLanes.MultiplyAdd(q4, rA, q3);
        var qB = TLanes.MultiplyAdd(q4, rB, q3);
        var qC = TLanes.MultiplyAdd(q4, rC, q3);
        var qD = TLanes.MultiplyAdd(q4, rD, q3);
        var q2 = TLanes.Create(Q2);
        qA = TLanes.MultiplyAdd(qA, rA, q2);
        qB = TLanes.MultiplyAdd(qB, rB, q2);
        qC = TLanes.MultiplyAdd(qC, rC, q2);
        qD = TLanes.MultiplyAdd(qD, rD, q2);
        var q1 = TLanes.Create(Q1);
        qA = TLanes.MultiplyAdd(qA, rA, q1);
        qB = TLanes.MultiplyAdd(qB, rB, q1);
        qC = TLanes.MultiplyAdd(qC, rC, q1);
        qD = TLanes.MultiplyAdd(qD, rD, q1);
        var q0 = TLanes.Create(Q0);
        qA = TLanes.MultiplyAdd(qA, rA, q0);
        qB = TLanes.MultiplyAdd(qB, rB, q0);
        qC = TLanes.MultiplyAdd(qC, rC, q0);
        qD = TLanes.MultiplyAdd(qD, rD, q0);
        t = new(tA, tB, tC, tD);
        return new(
            TLanes.MultiplyAdd(TLanes.Multiply(rA, rA), qA, rA),
            TLanes.MultiplyAdd(TLanes.Multiply(rB, rB), qB, rB),
            TLanes.MultiplyAdd(TLanes.Multiply(rC, rC), qC, rC),
            TLanes.MultiplyAdd(TLanes.Multiply(rD, rD), qD, rD));
    }
}
