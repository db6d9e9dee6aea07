// Four vectors of eight or sixteen floats that go through the same arithmetic side by side, operation by operation.
// An elementary function is one chain of some thirty dependent instructions; a core looks some hundred ahead, which is three such chains and
// not enough to keep it busy. Four chains in step are: 0.24 instead of 0.36 ns for exp at 512 bits. The bits are each vector's own. Refuses: nothing.

using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

/// <summary>Four vectors; see <see cref="ILanes{TVector}"/> for what an operation does to each.</summary>
/// <typeparam name="TVector">The vector.</typeparam>
/// <typeparam name="TLanes">Its arithmetic.</typeparam>
internal readonly unsafe struct FourVectors<TVector, TLanes>
    where TVector : struct
    where TLanes : struct, ILanes<TVector>
{
    public readonly TVector A;
    public readonly TVector B;
    public readonly TVector C;
    public readonly TVector D;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public FourVectors(TVector a, TVector b, TVector c, TVector d) => (A, B, C, D) = (a, b, c, d);

    /// <summary>Floats of all four.</summary>
    public static int Count => 4 * TLanes.Count;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Create(float value)
    {
        var one = TLanes.Create(value);
        return new(one, one, one, one);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator +(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y) =>
        new(TLanes.Add(x.A, y.A), TLanes.Add(x.B, y.B), TLanes.Add(x.C, y.C), TLanes.Add(x.D, y.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator -(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y) =>
        new(TLanes.Subtract(x.A, y.A), TLanes.Subtract(x.B, y.B), TLanes.Subtract(x.C, y.C), TLanes.Subtract(x.D, y.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator *(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y) =>
        new(TLanes.Multiply(x.A, y.A), TLanes.Multiply(x.B, y.B), TLanes.Multiply(x.C, y.C), TLanes.Multiply(x.D, y.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator +(FourVectors<TVector, TLanes> x, float y)
    {
        var same = TLanes.Create(y);
        return new(TLanes.Add(x.A, same), TLanes.Add(x.B, same), TLanes.Add(x.C, same), TLanes.Add(x.D, same));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator -(FourVectors<TVector, TLanes> x, float y)
    {
        var same = TLanes.Create(y);
        return new(TLanes.Subtract(x.A, same), TLanes.Subtract(x.B, same), TLanes.Subtract(x.C, same), TLanes.Subtract(x.D, same));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator *(FourVectors<TVector, TLanes> x, float y)
    {
        var same = TLanes.Create(y);
        return new(TLanes.Multiply(x.A, same), TLanes.Multiply(x.B, same), TLanes.Multiply(x.C, same), TLanes.Multiply(x.D, same));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator -(float x, FourVectors<TVector, TLanes> y)
    {
        var same = TLanes.Create(x);
        return new(TLanes.Subtract(same, y.A), TLanes.Subtract(same, y.B), TLanes.Subtract(same, y.C), TLanes.Subtract(same, y.D));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> operator -(FourVectors<TVector, TLanes> x) =>
        new(TLanes.Negate(x.A), TLanes.Negate(x.B), TLanes.Negate(x.C), TLanes.Negate(x.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Load(float* at) => new(
        TLanes.Load(at), TLanes.Load(at + TLanes.Count), TLanes.Load(at + 2 * TLanes.Count), TLanes.Load(at + 3 * TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(float* at)
    {
        TLanes.Store(A, at);
        TLanes.Store(B, at + TLanes.Count);
        TLanes.Store(C, at + 2 * TLanes.Count);
        TLanes.Store(D, at + 3 * TLanes.Count);
    }

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> MultiplyAdd(FourVectors<TVector, TLanes> x, float y, float z)
    {
        var (factor, term) = (TLanes.Create(y), TLanes.Create(z));
        return new(TLanes.MultiplyAdd(x.A, factor, term), TLanes.MultiplyAdd(x.B, factor, term), TLanes.MultiplyAdd(x.C, factor, term), TLanes.MultiplyAdd(x.D, factor, term));
    }

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> MultiplyAdd(FourVectors<TVector, TLanes> x, float y, FourVectors<TVector, TLanes> z)
    {
        var factor = TLanes.Create(y);
        return new(TLanes.MultiplyAdd(x.A, factor, z.A), TLanes.MultiplyAdd(x.B, factor, z.B), TLanes.MultiplyAdd(x.C, factor, z.C), TLanes.MultiplyAdd(x.D, factor, z.D));
    }

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> MultiplyAdd(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y, float z)
    {
        var term = TLanes.Create(z);
        return new(TLanes.MultiplyAdd(x.A, y.A, term), TLanes.MultiplyAdd(x.B, y.B, term), TLanes.MultiplyAdd(x.C, y.C, term), TLanes.MultiplyAdd(x.D, y.D, term));
    }

    /// <summary>x y + z.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> MultiplyAdd(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y, FourVectors<TVector, TLanes> z) => new(
        TLanes.MultiplyAdd(x.A, y.A, z.A), TLanes.MultiplyAdd(x.B, y.B, z.B),
        TLanes.MultiplyAdd(x.C, y.C, z.C), TLanes.MultiplyAdd(x.D, y.D, z.D));

    /// <summary>z - x y.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> NegatedMultiplyAdd(FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y, FourVectors<TVector, TLanes> z) => new(
        TLanes.NegatedMultiplyAdd(x.A, y.A, z.A), TLanes.NegatedMultiplyAdd(x.B, y.B, z.B),
        TLanes.NegatedMultiplyAdd(x.C, y.C, z.C), TLanes.NegatedMultiplyAdd(x.D, y.D, z.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Min(float bound, FourVectors<TVector, TLanes> x)
    {
        var same = TLanes.Create(bound);
        return new(TLanes.Min(same, x.A), TLanes.Min(same, x.B), TLanes.Min(same, x.C), TLanes.Min(same, x.D));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Max(float bound, FourVectors<TVector, TLanes> x)
    {
        var same = TLanes.Create(bound);
        return new(TLanes.Max(same, x.A), TLanes.Max(same, x.B), TLanes.Max(same, x.C), TLanes.Max(same, x.D));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> ZeroBelow(float bound, FourVectors<TVector, TLanes> x, FourVectors<TVector, TLanes> y)
    {
        var same = TLanes.Create(bound);
        return new(TLanes.ZeroBelow(same, x.A, y.A), TLanes.ZeroBelow(same, x.B, y.B), TLanes.ZeroBelow(same, x.C, y.C), TLanes.ZeroBelow(same, x.D, y.D));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Scale(FourVectors<TVector, TLanes> p, FourVectors<TVector, TLanes> n) => new(
        TLanes.Scale(p.A, n.A), TLanes.Scale(p.B, n.B),
        TLanes.Scale(p.C, n.C), TLanes.Scale(p.D, n.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> BeforeOverflow(FourVectors<TVector, TLanes> x) =>
        new(TLanes.BeforeOverflow(x.A), TLanes.BeforeOverflow(x.B), TLanes.BeforeOverflow(x.C), TLanes.BeforeOverflow(x.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> ScaleOrOverflow(FourVectors<TVector, TLanes> p, FourVectors<TVector, TLanes> n, FourVectors<TVector, TLanes> x) => new(
        TLanes.ScaleOrOverflow(p.A, n.A, x.A), TLanes.ScaleOrOverflow(p.B, n.B, x.B),
        TLanes.ScaleOrOverflow(p.C, n.C, x.C), TLanes.ScaleOrOverflow(p.D, n.D, x.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> PowerOfTwo(FourVectors<TVector, TLanes> n) =>
        new(TLanes.PowerOfTwo(n.A), TLanes.PowerOfTwo(n.B), TLanes.PowerOfTwo(n.C), TLanes.PowerOfTwo(n.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Reciprocal(FourVectors<TVector, TLanes> x) =>
        new(TLanes.Reciprocal(x.A), TLanes.Reciprocal(x.B), TLanes.Reciprocal(x.C), TLanes.Reciprocal(x.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Larger(FourVectors<TVector, TLanes> c) =>
        new(TLanes.Larger(c.A), TLanes.Larger(c.B), TLanes.Larger(c.C), TLanes.Larger(c.D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static FourVectors<TVector, TLanes> Smaller(FourVectors<TVector, TLanes> c) =>
        new(TLanes.Smaller(c.A), TLanes.Smaller(c.B), TLanes.Smaller(c.C), TLanes.Smaller(c.D));
}
