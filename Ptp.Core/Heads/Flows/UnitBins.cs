// Cutting [0, 1] into K bins by K free numbers: size_b = m + (1 - K m) softmax_b, m = 2^-9, so no bin vanishes.
// Edges are running sums from the left; the last edge is 1 itself. Used by splines and piecewise-linear maps.
// Refuses: nothing; MonotoneMap bounds K.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

/// <summary>A bin on an axis.</summary>
/// <param name="Index">Which of K.</param>
/// <param name="Left">Its left edge.</param>
/// <param name="Size">Its size.</param>
/// <typeparam name="T">The number.</typeparam>
internal readonly record struct UnitBin<T>(int Index, T Left, T Size);

internal static class UnitBins
{
    public const float Least = 1f / 512;

    /// <summary>The bin of an axis that holds <paramref name="place"/>.</summary>
    /// <param name="p">All parameters.</param>
    /// <param name="first">Where the axis' K numbers begin.</param>
    /// <param name="bins">K.</param>
    /// <param name="place">A number in [0, 1].</param>
    public static UnitBin<T> Find<T, TMath, TNumbers>(TNumbers p, int first, int bins, T place)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct => Walk<T, TMath, TNumbers>(p, first, bins, place, bins);

    /// <summary>Bin <paramref name="index"/> of an axis, with the very edges that <see cref="Find"/> sees.</summary>
    public static UnitBin<T> At<T, TMath, TNumbers>(TNumbers p, int first, int bins, int index)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct => Walk<T, TMath, TNumbers>(p, first, bins, T.One + T.One, index);

    /// <summary>Gradients of a bin's left edge and size, taken back to the axis' K numbers.</summary>
    public static void Backward<T, TMath, TNumbers, TSums>(
        TNumbers p, int first, int bins, UnitBin<T> bin, T dLeft, T dSize, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        var math = default(TMath);
        var (most, sum) = Scale<T, TMath, TNumbers>(p, first, bins);
        var rest = math.Of(1) - math.Of(Least * bins);

        // d size_b is dLeft for bins before, dSize for the bin itself; softmax' takes their mean away.
        var mean = T.Zero;
        for (var b = 0; b <= bin.Index; b++)
        {
            var own = b < bin.Index ? dLeft : dSize;
            mean += math.Exp(p.Get(first + b) - most) / sum * own;
        }

        for (var b = 0; b < bins; b++)
        {
            var own = b < bin.Index ? dLeft : b == bin.Index ? dSize : T.Zero;
            var gradient = rest * math.Exp(p.Get(first + b) - most) / sum * (own - mean);
            dP.Add(first + b, gradient);
        }
    }

    private static UnitBin<T> Walk<T, TMath, TNumbers>(TNumbers p, int first, int bins, T place, int stop)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var math = default(TMath);
        var (most, sum) = Scale<T, TMath, TNumbers>(p, first, bins);
        var (least, rest) = (math.Of(Least), math.Of(1) - math.Of(Least * bins));
        var left = T.Zero;
        for (var b = 0; b < bins - 1; b++)
        {
            var size = least + rest * math.Exp(p.Get(first + b) - most) / sum;
            if (b == stop || place < left + size)
            {
                return new UnitBin<T>(b, left, size);
            }

            left += size;
        }

        return new UnitBin<T>(bins - 1, left, T.One - left);
    }

    private static (T Most, T Sum) Scale<T, TMath, TNumbers>(TNumbers p, int first, int bins)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var most = p.Get(first);
        for (var b = 1; b < bins; b++)
        {
            most = p.Get(first + b) > most ? p.Get(first + b) : most;
        }

        var sum = T.Zero;
        for (var b = 0; b < bins; b++)
        {
            sum += default(TMath).Exp(p.Get(first + b) - most);
        }

        return (most, sum);
    }
}
