// Random flows with parameters far from the identity, and points in their domain: one seed, one case.
// Source: constructors of Heads/Flows.
// Not here: flows as training leaves them.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;

namespace Ptp.Tests.Flows;

/// <summary>A kind of flow that tests draw.</summary>
/// <param name="Name">For messages.</param>
/// <param name="Make">From backend, D and seed.</param>
/// <param name="Unit">True if points lie in the unit cube.</param>
/// <param name="LeastWidth">Smallest D.</param>
internal sealed record FlowKind(string Name, Func<IBackend, int, ulong, IFlow> Make, bool Unit = false, int LeastWidth = 1)
{
    public override string ToString() => Name;
}

internal static class FlowGens
{
    private static readonly ConditionerSize s_size = new(Hidden: 10, Blocks: 1, Deviation: 0.3);
    private static readonly MonotoneMap s_spline = MonotoneMap.Spline(5, 3);
    private static readonly MonotoneMap s_unitSpline = MonotoneMap.UnitSpline(4);
    private static readonly MonotoneMap s_unitLinear = MonotoneMap.UnitLinear(7);

    /// <summary>Every kind: 20 with the compositions.</summary>
    public static FlowKind[] Kinds { get; } =
    [
        new("additive coupling", Couple(MonotoneMap.Additive), LeastWidth: 2),
        new("affine coupling", Couple(MonotoneMap.Affine), LeastWidth: 2),
        new("gated coupling", Couple(MonotoneMap.Gated), LeastWidth: 2),
        new("spline coupling", Couple(s_spline), LeastWidth: 2),
        new("unit spline coupling", Couple(s_unitSpline), true, 2),
        new("piecewise-linear coupling", Couple(s_unitLinear), true, 2),
        new("MAF", (b, width, seed) => Maf(b, width, MonotoneMap.Affine, seed)),
        new("MAF of splines", (b, width, seed) => Maf(b, width, s_spline, seed)),
        new("IAF", (b, width, seed) => Iaf(b, width, MonotoneMap.Affine, seed)),
        new("stabilised IAF", (b, width, seed) => Iaf(b, width, MonotoneMap.Gated, seed)),
        new("IAF of unit splines", (b, width, seed) => Iaf(b, width, s_unitSpline, seed), true),
        new("IAF of piecewise-linear maps", (b, width, seed) => Iaf(b, width, s_unitLinear, seed), true),
        new("elementwise spline", (b, width, seed) => new Pointwise(b, width, s_spline, 1, seed)),
        new("elementwise unit spline", (b, width, seed) => new Pointwise(b, width, s_unitSpline, 1, seed), true),
        new("elementwise piecewise-linear", (b, width, seed) => new Pointwise(b, width, s_unitLinear, 1, seed), true),
        new("sigmoid", (b, width, _) => new Pointwise(b, width, MonotoneMap.Sigmoid)),
        new("logit", (b, width, _) => new Pointwise(b, width, MonotoneMap.Logit), true),
        new("invertible linear", (b, width, seed) => new InvertibleLinear(b, width, 0.4, seed)),
        new("permutation", (b, width, seed) => new Permutation(b, Order(width, seed))),
        new("composition", Compose, LeastWidth: 2),
    ];

    public static InverseAutoregressive Iaf(IBackend backend, int width, MonotoneMap map, ulong seed) =>
        new(backend, map, AutoregressiveFlow.Network(backend, width, map, s_size, seed));

    public static MaskedAutoregressive Maf(IBackend backend, int width, MonotoneMap map, ulong seed) =>
        new(backend, map, AutoregressiveFlow.Network(backend, width, map, s_size, seed));

    public static Composition Compose(IBackend backend, int width, ulong seed) => new(
    [
        new InvertibleLinear(backend, width, 0.3, seed),
        new Coupling(backend, Coupling.EveryOther(width, odd: false), MonotoneMap.Affine, s_size, seed),
        new Permutation(backend, Order(width, seed)),
        new Coupling(backend, Coupling.EveryOther(width, odd: true), s_spline, s_size, seed + 1),
    ]);

    public static int Width(FlowKind kind, Random random) => random.Next(kind.LeastWidth, 6);

    /// <summary>A point of the domain: well inside the cube, or of a wide normal.</summary>
    public static double[] Point(FlowKind kind, Random random, int width) => [.. Enumerable.Range(0, width).Select(_ => kind.Unit
        ? 0.001 + 0.998 * random.NextDouble()
        : 1.5 * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()))];

    private static Func<IBackend, int, ulong, IFlow> Couple(MonotoneMap map) => (backend, width, seed) =>
        new Coupling(backend, Coupling.EveryOther(width, seed % 2 == 0), map, s_size, seed);

    private static int[] Order(int width, ulong seed)
    {
        int[] order = [.. Enumerable.Range(0, width)];
        new Random((int)seed).Shuffle(order);
        return order;
    }
}
