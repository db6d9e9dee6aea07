// Sigmoid and its inverse, the logit: the door between the real line and the unit interval, where splines and u live.
//   y = 1 / (1 + exp(-x)), log dy/dx = log y + log(1 - y) = -softplus(-x) - softplus(x)
// Refuses: nothing; the logit of 0 or 1 is infinite, as it must be.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

internal static class SigmoidMap
{
    public static Mapped<T> Forward<T, TMath>(T x)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T> =>
        new(Smooth.Sigmoid<T, TMath>(x), -Smooth.Softplus<T, TMath>(-x) - Smooth.Softplus<T, TMath>(x));

    public static Mapped<T> Inverse<T, TMath>(T y)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        var (log, logRest) = (default(TMath).Log(y), default(TMath).Log(T.One - y));
        return new Mapped<T>(log - logRest, -log - logRest);
    }

    public static T Backward<T, TMath>(T x, T dY, T dLog)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        var (y, rest) = (Smooth.Sigmoid<T, TMath>(x), Smooth.Sigmoid<T, TMath>(-x));
        return dY * y * rest + dLog * (rest - y);
    }
}
