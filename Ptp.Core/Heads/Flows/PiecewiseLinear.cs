// A piecewise-linear map of [0, 1]: K equal bins on the way in, K learned masses m_b on the way out; end points fixed.
//   y = F_b + m_b (K x - b) in bin b, F_b = m_0 + .. + m_{b-1};   log dy/dx = log(K m_b)
// Parameters: K numbers, the masses' logits. Refuses: slopes below K / 512, by UnitBins; outside [0, 1] it is the identity.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

internal static class PiecewiseLinear
{
    public static Mapped<T> Forward<T, TMath, TNumbers>(T x, TNumbers p, int bins)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var (mass, place) = Bin<T, TMath, TNumbers>(x, p, bins);
        return new Mapped<T>(mass.Left + mass.Size * place, LogSlope<T, TMath>(mass, bins));
    }

    public static Mapped<T> Inverse<T, TMath, TNumbers>(T y, TNumbers p, int bins)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var mass = UnitBins.Find<T, TMath, TNumbers>(p, 0, bins, y);
        var place = (y - mass.Left) / mass.Size;
        return new Mapped<T>((default(TMath).Of(mass.Index) + place) / default(TMath).Of(bins), -LogSlope<T, TMath>(mass, bins));
    }

    public static T Backward<T, TMath, TNumbers, TSums>(T x, TNumbers p, int bins, T dY, T dLog, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        var (mass, place) = Bin<T, TMath, TNumbers>(x, p, bins);
        UnitBins.Backward<T, TMath, TNumbers, TSums>(p, 0, bins, mass, dY, dY * place + dLog / mass.Size, dP);
        return dY * mass.Size * default(TMath).Of(bins);
    }

    private static (UnitBin<T> Mass, T Place) Bin<T, TMath, TNumbers>(T x, TNumbers p, int bins)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var scaled = x * default(TMath).Of(bins);
        var bin = 0;
        while (bin < bins - 1 && scaled >= default(TMath).Of(bin + 1))
        {
            bin++;
        }

        return (UnitBins.At<T, TMath, TNumbers>(p, 0, bins, bin), scaled - default(TMath).Of(bin));
    }

    private static T LogSlope<T, TMath>(UnitBin<T> mass, int bins)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T> => default(TMath).Log(mass.Size * default(TMath).Of(bins));
}
