// The affine maps of couplings and autoregressive flows (Dinh 2015 and 2017, Kingma 2016), each with its inverse and gradient:
//   additive y = x + t;   affine y = x exp(s) + t;   gated y = sigma(s) x + (1 - sigma(s)) m, the stabilised form of IAF
// Parameters in this order: t;  t, s;  m, s. Refuses: nothing; an exp(s) that overflows is the conditioner's to avoid.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

internal static class AffineMap
{
    public static Mapped<T> Additive<T, TNumbers>(T x, TNumbers p, bool inverted)
        where T : IFloatingPointIeee754<T>
        where TNumbers : INumbers<T>, allows ref struct => new(inverted ? x - p.Get(0) : x + p.Get(0), T.Zero);

    public static Mapped<T> Affine<T, TMath, TNumbers>(T x, TNumbers p, bool inverted)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var (shift, log) = (p.Get(0), p.Get(1));
        return inverted
            ? new Mapped<T>((x - shift) * default(TMath).Exp(-log), -log)
            : new Mapped<T>(x * default(TMath).Exp(log) + shift, log);
    }

    public static Mapped<T> Gated<T, TMath, TNumbers>(T x, TNumbers p, bool inverted)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        var (mean, raw) = (p.Get(0), p.Get(1));
        var gate = Smooth.Sigmoid<T, TMath>(raw);
        var log = -Smooth.Softplus<T, TMath>(-raw);
        return inverted
            ? new Mapped<T>(mean + (x - mean) / gate, -log)
            : new Mapped<T>(mean + gate * (x - mean), log);
    }

    public static T AffineBackward<T, TMath, TNumbers, TSums>(T x, TNumbers p, T dY, T dLog, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        var slope = default(TMath).Exp(p.Get(1));
        var dScale = dY * x * slope + dLog;
        dP.Add(0, dY);
        dP.Add(1, dScale);
        return dY * slope;
    }

    public static T GatedBackward<T, TMath, TNumbers, TSums>(T x, TNumbers p, T dY, T dLog, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        var gate = Smooth.Sigmoid<T, TMath>(p.Get(1));
        var rest = Smooth.Sigmoid<T, TMath>(-p.Get(1)); // 1 - gate without cancellation
        var dMean = dY * rest;
        var dRaw = dY * (x - p.Get(0)) * gate * rest + dLog * rest; // d log sigma / ds = 1 - sigma
        dP.Add(0, dMean);
        dP.Add(1, dRaw);
        return dY * gate;
    }
}
