// Vectorised sums of the positive entries of a law, and how far they can lie from the running sum in id order.
// Both orders sum n terms in double, so each is within n * 2^-53 of the exact sum, relatively; Bound has room to spare.
// Callers use these sums only where the bound proves that the running sum would have led to the same answer.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

/// <summary>Fast double sums over float laws, with a proven distance to the plain running sum.</summary>
internal static class PositiveMass
{
    private const int Block = 64;

    /// <summary>No sum here differs from the running sum in id order by more, while both are at most 2.</summary>
    /// <param name="terms">How many entries were summed.</param>
    public static double Bound(int terms) => terms * (1.0 / (1L << 50));

    /// <summary>The sum of the positive entries; NaN, infinite or negative entries may make it anything, NaN included.</summary>
    /// <param name="law">Probabilities, [V].</param>
    [MethodImpl(Kernel.Whole)]
    public static double Sum(ReadOnlySpan<float> law)
    {
        var sum = 0.0;
        var i = 0;
        ref var start = ref MemoryMarshal.GetReference(law);
        for (; i <= law.Length - Block; i += Block)
        {
            sum += BlockSum(ref start, i);
        }

        for (; i < law.Length; i++)
        {
            sum += law[i] > 0f ? law[i] : 0.0;
        }

        return sum;
    }

    /// <summary>Skips whole blocks while their cumulative mass stays at or below <paramref name="limit"/>.</summary>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="limit">Mass that may be skipped.</param>
    /// <param name="skipped">The mass of the entries skipped.</param>
    /// <returns>How many entries were skipped.</returns>
    [MethodImpl(Kernel.Whole)]
    public static int Skip(ReadOnlySpan<float> law, double limit, out double skipped)
    {
        skipped = 0;
        ref var start = ref MemoryMarshal.GetReference(law);
        var i = 0;
        for (; i <= law.Length - Block; i += Block)
        {
            var after = skipped + BlockSum(ref start, i);
            if (!(after <= limit))
            {
                break;
            }

            skipped = after;
        }

        return i;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double BlockSum(ref float start, int i)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return HalvedBlockSum(ref start, i);
        }

        var a = Vector512.MaxNative(Vector512.LoadUnsafe(ref start, (nuint)i), Vector512<float>.Zero);
        var b = Vector512.MaxNative(Vector512.LoadUnsafe(ref start, (nuint)i + 16), Vector512<float>.Zero);
        var c = Vector512.MaxNative(Vector512.LoadUnsafe(ref start, (nuint)i + 32), Vector512<float>.Zero);
        var d = Vector512.MaxNative(Vector512.LoadUnsafe(ref start, (nuint)i + 48), Vector512<float>.Zero);
        var left = (Vector512.WidenLower(a) + Vector512.WidenUpper(a)) + (Vector512.WidenLower(b) + Vector512.WidenUpper(b));
        var right = (Vector512.WidenLower(c) + Vector512.WidenUpper(c)) + (Vector512.WidenLower(d) + Vector512.WidenUpper(d));
        return Vector512.Sum(left + right);
    }

    /// <summary>The same sums in the same order, on 256 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static double HalvedBlockSum(ref float start, int i)
    {
        var (a, b) = Sixteen(ref start, i);
        var (c, d) = Sixteen(ref start, i + 16);
        var (e, f) = Sixteen(ref start, i + 32);
        var (g, h) = Sixteen(ref start, i + 48);
        return Vector512.Sum(Vector512.Create(a + c + (e + g), b + d + (f + h)));
    }

    /// <summary>Sixteen positive entries, lane and lane eight behind it added.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<double> Low, Vector256<double> High) Sixteen(ref float start, int i)
    {
        var low = Vector256.MaxNative(Vector256.LoadUnsafe(ref start, (nuint)i), Vector256<float>.Zero);
        var high = Vector256.MaxNative(Vector256.LoadUnsafe(ref start, (nuint)i + 8), Vector256<float>.Zero);
        return (Vector256.WidenLower(low) + Vector256.WidenLower(high), Vector256.WidenUpper(low) + Vector256.WidenUpper(high));
    }
}
