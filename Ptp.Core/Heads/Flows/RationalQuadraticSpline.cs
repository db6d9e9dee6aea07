// The monotone rational-quadratic spline of Durkan et al. 2019 on [0, 1]; in bin k with slope s = h / w and place t = (x - x_k) / w:
//   y = y_k + h (s t^2 + d_k t (1-t)) / D,  D = s + (d_{k+1} + d_k - 2 s) t (1-t),  inverse by the root 2c / (-b - sqrt(b^2 - 4ac))
//   log dy/dx = 2 log s + log(d_{k+1} t^2 + 2 s t (1-t) + d_k (1-t)^2) - 2 log D
// Parameters: K widths, K heights, then knot slopes: K + 1, or K - 1 if both ends have slope 1. Refuses: bins or slopes below 2^-9.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

internal static class RationalQuadraticSpline
{
    // Knot slopes are 2^-9 + softplus(raw + shift): raw = 0 gives slope 1, so that parameters of zero are the identity.
    private const float LeastSlope = 1f / 512;
    private const float ShiftHigh = (float)0.5382332978341864;
    private const float ShiftLow = (float)(0.5382332978341864 - ShiftHigh);

    /// <summary>Parameters of K bins.</summary>
    /// <param name="bins">K.</param>
    /// <param name="unitEnds">True if both ends have slope 1, as linear tails need.</param>
    public static int ParameterCount(int bins, bool unitEnds) => 3 * bins + (unitEnds ? -1 : 1);

    public static Mapped<T> Forward<T, TMath, TNumbers>(T x, TNumbers p, int bins, bool unitEnds)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var wide = UnitBins.Find<T, TMath, TNumbers>(p, 0, bins, x);
        var high = UnitBins.At<T, TMath, TNumbers>(p, bins, bins, wide.Index);
        var (d0, d1) = Slopes<T, TMath, TNumbers>(p, bins, wide.Index, unitEnds);
        var t = (x - wide.Left) / wide.Size;
        var (s, om) = (high.Size / wide.Size, t * (T.One - t));
        var y = high.Left + high.Size * ((s * t * t + d0 * om) / (s + (d1 + d0 - s - s) * om));
        return new Mapped<T>(y, LogSlope<T, TMath>(s, t, d0, d1));
    }

    public static Mapped<T> Inverse<T, TMath, TNumbers>(T y, TNumbers p, int bins, bool unitEnds)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var math = default(TMath);
        var high = UnitBins.Find<T, TMath, TNumbers>(p, bins, bins, y);
        var wide = UnitBins.At<T, TMath, TNumbers>(p, 0, bins, high.Index);
        var (d0, d1) = Slopes<T, TMath, TNumbers>(p, bins, high.Index, unitEnds);
        var s = high.Size / wide.Size;
        var (e, bend) = (y - high.Left, d1 + d0 - s - s);
        var a = high.Size * (s - d0) + e * bend;
        var b = high.Size * d0 - e * bend;
        var c = -s * e;
        var inside = b * b - math.Of(4) * a * c;
        inside = inside > T.Zero ? inside : T.Zero;
        var t = (c + c) / (-b - math.Sqrt(inside));
        t = t < T.Zero ? T.Zero : t > T.One || y >= high.Left + high.Size ? T.One : t; // rounding must not move a bin's ends
        return new Mapped<T>(wide.Left + t * wide.Size, -LogSlope<T, TMath>(s, t, d0, d1));
    }

    public static T Backward<T, TMath, TNumbers, TSums>(
        T x, TNumbers p, int bins, bool unitEnds, T dY, T dLog, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        var wide = UnitBins.Find<T, TMath, TNumbers>(p, 0, bins, x);
        var high = UnitBins.At<T, TMath, TNumbers>(p, bins, bins, wide.Index);
        var (d0, d1) = Slopes<T, TMath, TNumbers>(p, bins, wide.Index, unitEnds);
        var t = (x - wide.Left) / wide.Size;
        var (s, q, two) = (high.Size / wide.Size, T.One - t, T.One + T.One);
        var (om, bend) = (t * q, d1 + d0 - s - s);
        var top = s * t * t + d0 * om; // y = y_k + h top / bottom
        var bottom = s + bend * om;
        var middle = d1 * t * t + two * s * om + d0 * q * q; // log slope = 2 log s + log middle - 2 log bottom

        // Backwards through y and the log slope, named as the numbers they belong to.
        var dTop = dY * high.Size / bottom;
        var dBottom = -dTop * top / bottom - two * dLog / bottom;
        var dMiddle = dLog / middle;
        var dS = two * dLog / s + dMiddle * two * om + dBottom * (T.One - two * om) + dTop * t * t;
        var dD0 = dMiddle * q * q + (dBottom + dTop) * om;
        var dD1 = dMiddle * t * t + dBottom * om;
        var dOm = dMiddle * two * s + dBottom * bend + dTop * d0;
        var dT = dMiddle * two * (d1 * t - d0 * q) + dTop * two * s * t + dOm * (T.One - two * t);
        var dHigh = dY * top / bottom + dS / wide.Size;
        var dWide = -(dS * s + dT * t) / wide.Size;

        UnitBins.Backward<T, TMath, TNumbers, TSums>(p, 0, bins, wide, -dT / wide.Size, dWide, dP);
        UnitBins.Backward<T, TMath, TNumbers, TSums>(p, bins, bins, high, dY, dHigh, dP);
        SlopeBackward<T, TMath, TNumbers, TSums>(p, bins, wide.Index, unitEnds, dD0, dP);
        SlopeBackward<T, TMath, TNumbers, TSums>(p, bins, wide.Index + 1, unitEnds, dD1, dP);
        return dT / wide.Size;
    }

    private static T LogSlope<T, TMath>(T s, T t, T d0, T d1)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        var math = default(TMath);
        var (q, two) = (T.One - t, T.One + T.One);
        var om = t * q;
        return two * math.Log(s) + math.Log(d1 * t * t + two * s * om + d0 * q * q) - two * math.Log(s + (d1 + d0 - s - s) * om);
    }

    private static (T Left, T Right) Slopes<T, TMath, TNumbers>(TNumbers p, int bins, int bin, bool unitEnds)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct =>
        (Slope<T, TMath, TNumbers>(p, bins, bin, unitEnds), Slope<T, TMath, TNumbers>(p, bins, bin + 1, unitEnds));

    /// <summary>Slope at knot 0 to K.</summary>
    private static T Slope<T, TMath, TNumbers>(TNumbers p, int bins, int knot, bool unitEnds)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        if (unitEnds && (knot == 0 || knot == bins))
        {
            return T.One;
        }

        var math = default(TMath);
        var index = 2 * bins + knot - (unitEnds ? 1 : 0);
        return math.Of(LeastSlope) + Smooth.Softplus<T, TMath>(p.Get(index) + math.Of(ShiftHigh, ShiftLow));
    }

    private static void SlopeBackward<T, TMath, TNumbers, TSums>(TNumbers p, int bins, int knot, bool unitEnds, T dSlope, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        if (!unitEnds || (knot > 0 && knot < bins))
        {
            var index = 2 * bins + knot - (unitEnds ? 1 : 0);
            var dRaw = dSlope * Smooth.Sigmoid<T, TMath>(p.Get(index) + default(TMath).Of(ShiftHigh, ShiftLow));
            dP.Add(index, dRaw);
        }
    }
}
