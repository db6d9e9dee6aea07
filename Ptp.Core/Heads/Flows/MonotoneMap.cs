// An increasing map of one number whose parameters someone else computes: what couplings, autoregressive flows and flow heads are made of.
//   y = f(x; p), log f'(x); the inverse is the same map with Inverted set, its gradient follows from f's:
//   x = g(y), l = -log f'(x):  dy = (dx - dl d(log f')/dx) / f',  dp = -dy df/dp - dl d(log f')/dp
// Refuses: maps that do not increase, bins outside 2 to 256.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

/// <summary>Which formula a map is.</summary>
public enum MonotoneKind
{
    /// <summary>x + t.</summary>
    Additive,

    /// <summary>x exp(s) + t.</summary>
    Affine,

    /// <summary>sigma(s) x + (1 - sigma(s)) m: the stabilised form of IAF.</summary>
    Gated,

    /// <summary>Rational-quadratic spline on [-B, B], the identity outside.</summary>
    Spline,

    /// <summary>Rational-quadratic spline on [0, 1], end points fixed.</summary>
    UnitSpline,

    /// <summary>Piecewise linear on [0, 1], end points fixed.</summary>
    UnitLinear,

    /// <summary>1 / (1 + exp(-x)); inverted, the logit.</summary>
    Sigmoid,
}

/// <summary>A formula and its sizes.</summary>
public readonly struct MonotoneMap
{
    private readonly int _inverted; // a kernel's arguments may not hold bool

    private MonotoneMap(MonotoneKind kind, int bins = 0, float bound = 0, bool inverted = false) =>
        (Kind, Bins, Bound, _inverted) = (kind, bins, bound, inverted ? 1 : 0);

    /// <summary>The formula.</summary>
    public MonotoneKind Kind { get; }

    /// <summary>K, of splines and piecewise-linear maps.</summary>
    public int Bins { get; }

    /// <summary>B, of splines with tails.</summary>
    public float Bound { get; }

    /// <summary>True if the map runs backwards.</summary>
    public bool Inverted => _inverted != 0;

    /// <summary>x + t, as in NICE (Dinh 2015).</summary>
    public static MonotoneMap Additive { get; } = new(MonotoneKind.Additive);

    /// <summary>x exp(s) + t, as in RealNVP (Dinh 2017) and MAF (Papamakarios 2017).</summary>
    public static MonotoneMap Affine { get; } = new(MonotoneKind.Affine);

    /// <summary>sigma(s) x + (1 - sigma(s)) m, as in IAF (Kingma 2016).</summary>
    public static MonotoneMap Gated { get; } = new(MonotoneKind.Gated);

    /// <summary>The real line to (0, 1).</summary>
    public static MonotoneMap Sigmoid { get; } = new(MonotoneKind.Sigmoid);

    /// <summary>(0, 1) to the real line.</summary>
    public static MonotoneMap Logit => Sigmoid.Inverse;

    /// <summary>The same map backwards.</summary>
    public MonotoneMap Inverse => new(Kind, Bins, Bound, !Inverted);

    /// <summary>P, numbers that one application takes.</summary>
    public int ParameterCount => Kind switch
    {
        MonotoneKind.Additive => 1,
        MonotoneKind.Affine or MonotoneKind.Gated => 2,
        MonotoneKind.Spline => RationalQuadraticSpline.ParameterCount(Bins, true),
        MonotoneKind.UnitSpline => RationalQuadraticSpline.ParameterCount(Bins, false),
        MonotoneKind.UnitLinear => Bins,
        _ => 0,
    };

    /// <summary>Rational-quadratic spline with linear tails (Durkan 2019).</summary>
    /// <param name="bins">K.</param>
    /// <param name="bound">B: the spline acts on [-B, B].</param>
    public static MonotoneMap Spline(int bins, double bound) =>
        new(MonotoneKind.Spline, Checked(bins), bound > 0 && double.IsFinite(bound) ? (float)bound : throw new PtpException(
            "Make a spline", $"a bound of {Guard.Text(bound)}", "a positive number", "3 to 10 suit standardised data."));

    /// <summary>Rational-quadratic spline of [0, 1].</summary>
    /// <param name="bins">K.</param>
    public static MonotoneMap UnitSpline(int bins) => new(MonotoneKind.UnitSpline, Checked(bins));

    /// <summary>Piecewise-linear map of [0, 1].</summary>
    /// <param name="bins">K.</param>
    public static MonotoneMap UnitLinear(int bins) => new(MonotoneKind.UnitLinear, Checked(bins));

    /// <summary>The map in the platform's arithmetic.</summary>
    /// <param name="x">A number.</param>
    /// <param name="parameters">[P].</param>
    /// <typeparam name="T">double or float.</typeparam>
    public Mapped<T> Apply<T>(T x, Span<T> parameters)
        where T : IFloatingPointIeee754<T> => Apply<T, HostMath<T>, SpanNumbers<T>>(x, new SpanNumbers<T>(parameters));

    /// <summary>Gradients of <see cref="Apply{T}"/>.</summary>
    /// <param name="x">A number.</param>
    /// <param name="parameters">[P].</param>
    /// <param name="dValue">d loss / d value.</param>
    /// <param name="dLogSlope">d loss / d log slope.</param>
    /// <param name="dParameters">[P], added to.</param>
    /// <typeparam name="T">double or float.</typeparam>
    /// <returns>d loss / d x.</returns>
    public T Backward<T>(T x, Span<T> parameters, T dValue, T dLogSlope, Span<T> dParameters)
        where T : IFloatingPointIeee754<T> => Backward<T, HostMath<T>, SpanNumbers<T>, SpanNumbers<T>>(
            x, new SpanNumbers<T>(parameters), dValue, dLogSlope, new SpanNumbers<T>(dParameters));

    /// <summary>The map on any device.</summary>
    internal Mapped<T> Apply<T, TMath, TNumbers>(T x, TNumbers p)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
    {
        switch (Kind)
        {
            case MonotoneKind.Additive:
                return AffineMap.Additive(x, p, Inverted);
            case MonotoneKind.Affine:
                return AffineMap.Affine<T, TMath, TNumbers>(x, p, Inverted);
            case MonotoneKind.Gated:
                return AffineMap.Gated<T, TMath, TNumbers>(x, p, Inverted);
            case MonotoneKind.Sigmoid:
                return Inverted ? SigmoidMap.Inverse<T, TMath>(x) : SigmoidMap.Forward<T, TMath>(x);
            default:
                break;
        }

        var unit = ToUnit<T, TMath>(x);
        if (!(unit >= T.Zero && unit <= T.One))
        {
            return new Mapped<T>(x, T.Zero);
        }

        Mapped<T> mapped;
        if (Kind == MonotoneKind.UnitLinear)
        {
            mapped = Inverted ? PiecewiseLinear.Inverse<T, TMath, TNumbers>(unit, p, Bins) : PiecewiseLinear.Forward<T, TMath, TNumbers>(unit, p, Bins);
        }
        else
        {
            var tails = Kind == MonotoneKind.Spline;
            mapped = Inverted
                ? RationalQuadraticSpline.Inverse<T, TMath, TNumbers>(unit, p, Bins, tails)
                : RationalQuadraticSpline.Forward<T, TMath, TNumbers>(unit, p, Bins, tails);
        }

        if (Kind == MonotoneKind.Spline)
        {
            var bound = default(TMath).Of(Bound);
            return new Mapped<T>(mapped.Value * (bound + bound) - bound, mapped.LogSlope);
        }

        return mapped;
    }

    /// <summary>Gradients on any device; adds to dP, returns dX.</summary>
    internal T Backward<T, TMath, TNumbers, TSums>(T x, TNumbers p, T dValue, T dLogSlope, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        if (!Inverted)
        {
            return ForwardGradient<T, TMath, TNumbers, TSums>(x, p, dValue, dLogSlope, dP);
        }

        var back = Apply<T, TMath, TNumbers>(x, p); // the number that f maps to x, and -log f' there
        var bend = ForwardGradient<T, TMath, TNumbers, TSums>(back.Value, p, T.Zero, -dLogSlope, dP);
        var dX = (dValue + bend) * default(TMath).Exp(back.LogSlope);
        ForwardGradient<T, TMath, TNumbers, TSums>(back.Value, p, -dX, T.Zero, dP);
        return dX;
    }

    private T ForwardGradient<T, TMath, TNumbers, TSums>(T x, TNumbers p, T dValue, T dLogSlope, TSums dP)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
        where TNumbers : INumbers<T>, allows ref struct
        where TSums : ISums<T>, allows ref struct
    {
        switch (Kind)
        {
            case MonotoneKind.Additive:
                dP.Add(0, dValue);
                return dValue;
            case MonotoneKind.Affine:
                return AffineMap.AffineBackward<T, TMath, TNumbers, TSums>(x, p, dValue, dLogSlope, dP);
            case MonotoneKind.Gated:
                return AffineMap.GatedBackward<T, TMath, TNumbers, TSums>(x, p, dValue, dLogSlope, dP);
            case MonotoneKind.Sigmoid:
                return SigmoidMap.Backward<T, TMath>(x, dValue, dLogSlope);
            default:
                break;
        }

        var unit = ToUnit<T, TMath>(x);
        if (!(unit >= T.Zero && unit <= T.One))
        {
            return dValue;
        }

        if (Kind == MonotoneKind.UnitLinear)
        {
            return PiecewiseLinear.Backward<T, TMath, TNumbers, TSums>(unit, p, Bins, dValue, dLogSlope, dP);
        }

        if (Kind == MonotoneKind.UnitSpline)
        {
            return RationalQuadraticSpline.Backward<T, TMath, TNumbers, TSums>(unit, p, Bins, false, dValue, dLogSlope, dP);
        }

        var width = default(TMath).Of(2 * Bound);
        return RationalQuadraticSpline.Backward<T, TMath, TNumbers, TSums>(unit, p, Bins, true, dValue * width, dLogSlope, dP) / width;
    }

    /// <summary>[-B, B] to [0, 1] where there are tails.</summary>
    private T ToUnit<T, TMath>(T x)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        var bound = default(TMath).Of(Bound);
        return Kind == MonotoneKind.Spline ? (x + bound) / (bound + bound) : x;
    }

    private static int Checked(int bins)
    {
        Guard.Require(bins is >= 2 and <= 256, "Make a map of bins", $"{bins} bins", "2 to 256", "8 to 32 suit most data.");
        return bins;
    }
}
