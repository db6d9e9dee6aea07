// Four vectors of sixteen floats that go through the same arithmetic side by side, operation by operation.
// An elementary function is one chain of some thirty dependent instructions; a core looks some hundred ahead, which is three such chains and
// not enough to keep it busy. Four chains in step are: 0.24 instead of 0.36 ns for exp. The bits are each vector's own. Refuses: narrower vectors.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal readonly unsafe struct FourVectors
{
    /// <summary>Floats of all four.</summary>
    public const int Count = 64;

    public readonly Vector512<float> A;
    public readonly Vector512<float> B;
    public readonly Vector512<float> C;
    public readonly Vector512<float> D;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public FourVectors(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d) => (A, B, C, D) = (a, b, c, d);

    /// <summary>Whether there are instructions for it; elsewhere one vector at a time is as good.</summary>
    public static bool IsSupported => Avx512F.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator +(FourVectors x, FourVectors y) => new(x.A + y.A, x.B + y.B, x.C + y.C, x.D + y.D);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator +(FourVectors x, Vector512<float> y) => new(x.A + y, x.B + y, x.C + y, x.D + y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator -(FourVectors x, Vector512<float> y) => new(x.A - y, x.B - y, x.C - y, x.D - y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator -(Vector512<float> x, FourVectors y) => new(x - y.A, x - y.B, x - y.C, x - y.D);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator -(FourVectors x) => new(-x.A, -x.B, -x.C, -x.D);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator *(FourVectors x, FourVectors y) => new(x.A * y.A, x.B * y.B, x.C * y.C, x.D * y.D);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors operator *(FourVectors x, Vector512<float> y) => new(x.A * y, x.B * y, x.C * y, x.D * y);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors Load(float* at) =>
        new(Vector512.Load(at), Vector512.Load(at + 16), Vector512.Load(at + 32), Vector512.Load(at + 48));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* at)
    {
        A.Store(at);
        B.Store(at + 16);
        C.Store(at + 32);
        D.Store(at + 48);
    }

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors MultiplyAdd(FourVectors x, Vector512<float> y, Vector512<float> z) => new(
        Vector512.FusedMultiplyAdd(x.A, y, z), Vector512.FusedMultiplyAdd(x.B, y, z),
        Vector512.FusedMultiplyAdd(x.C, y, z), Vector512.FusedMultiplyAdd(x.D, y, z));

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors MultiplyAdd(FourVectors x, Vector512<float> y, FourVectors z) => new(
        Vector512.FusedMultiplyAdd(x.A, y, z.A), Vector512.FusedMultiplyAdd(x.B, y, z.B),
        Vector512.FusedMultiplyAdd(x.C, y, z.C), Vector512.FusedMultiplyAdd(x.D, y, z.D));

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors MultiplyAdd(FourVectors x, FourVectors y, Vector512<float> z) => new(
        Vector512.FusedMultiplyAdd(x.A, y.A, z), Vector512.FusedMultiplyAdd(x.B, y.B, z),
        Vector512.FusedMultiplyAdd(x.C, y.C, z), Vector512.FusedMultiplyAdd(x.D, y.D, z));

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors MultiplyAdd(FourVectors x, FourVectors y, FourVectors z) => new(
        Vector512.FusedMultiplyAdd(x.A, y.A, z.A), Vector512.FusedMultiplyAdd(x.B, y.B, z.B),
        Vector512.FusedMultiplyAdd(x.C, y.C, z.C), Vector512.FusedMultiplyAdd(x.D, y.D, z.D));

    /// <summary>z - x y.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors NegatedMultiplyAdd(FourVectors x, FourVectors y, FourVectors z) => new(
        Avx512F.FusedMultiplyAddNegated(x.A, y.A, z.A), Avx512F.FusedMultiplyAddNegated(x.B, y.B, z.B),
        Avx512F.FusedMultiplyAddNegated(x.C, y.C, z.C), Avx512F.FusedMultiplyAddNegated(x.D, y.D, z.D));

    /// <summary>The smaller; NaN of x stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors Min(Vector512<float> y, FourVectors x) =>
        new(Vector512.MinNative(y, x.A), Vector512.MinNative(y, x.B), Vector512.MinNative(y, x.C), Vector512.MinNative(y, x.D));

    /// <summary>The larger; NaN of x stays.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors Max(Vector512<float> y, FourVectors x) =>
        new(Vector512.MaxNative(y, x.A), Vector512.MaxNative(y, x.B), Vector512.MaxNative(y, x.C), Vector512.MaxNative(y, x.D));
}
