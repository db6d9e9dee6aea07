// Flows are exact: 20 kinds, 60 generated cases each, parameters far from the identity; both precisions, both directions.
// Source: family of bijectors in Heads/Flows; the limits are 1e-10 in double and 1e-4 in float.
// Not here: learning (FlowGradientTests has gradients), densities on grids.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Heads.Flows;
using Ptp.Gpu;
using Xunit;
using Xunit.Sdk;

namespace Ptp.Tests.Flows;

public sealed class FlowTests : IDisposable
{
    private const int CasesPerKind = 60; // times 20 kinds: 1,200 generated flows
    private readonly CpuBackend _backend = new(1);

    public static TheoryData<string> Kinds => [.. FlowGens.Kinds.Select(k => k.Name)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_flow_is_undone_and_its_determinant_is_true(string name) => Cases.RunSeeds(CasesPerKind, seed =>
    {
        var (flow, x) = Draw(name, seed);
        FlowChecks.Inverts<double>(flow, x, FlowChecks.DoubleLimit);
        FlowChecks.Inverts<float>(flow, x, FlowChecks.FloatLimit);
        FlowChecks.HasTheJacobianItClaims(flow, x, 1e-5);
        if (flow is ITriangularFlow or Pointwise)
        {
            FlowChecks.IsTriangular(flow, x);
        }
    });

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_batch_on_the_cpu_equals_the_plain_code(string name) => Cases.RunSeeds(8, seed =>
    {
        var (flow, x) = Draw(name, seed);
        var random = new Random(seed);
        FlowChecks.RunsOn(_backend, flow, [x, .. Enumerable.Range(0, 6).Select(_ => FlowGens.Point(Kind(name), random, x.Length))], FlowChecks.FloatLimit);
    });

    [Fact]
    public void A_batch_on_the_gpu_equals_the_plain_code()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        foreach (var kind in FlowGens.Kinds)
        {
            var random = new Random(7);
            var width = FlowGens.Width(kind, random);
            FlowChecks.RunsOn(gpu, kind.Make(gpu, width, 7), [.. Enumerable.Range(0, 3).Select(_ => FlowGens.Point(kind, random, width))], FlowChecks.FloatLimit);
        }
    }

    [Fact]
    public void Maps_of_the_unit_interval_fix_its_ends() => Cases.Run(200, random =>
    {
        foreach (var map in (MonotoneMap[])[MonotoneMap.UnitSpline(2 + random.Next(30)), MonotoneMap.UnitLinear(2 + random.Next(30))])
        {
            double[] p = [.. Enumerable.Range(0, map.ParameterCount).Select(_ => 4 * random.NextDouble() - 2)];
            foreach (var (way, end) in ((MonotoneMap, double)[])[(map, 0), (map, 1), (map.Inverse, 0), (map.Inverse, 1)])
            {
                Assert.Equal(end, way.Apply<double>(end, p).Value);
                Assert.Equal((float)end, way.Apply<float>((float)end, Array.ConvertAll(p, v => (float)v)).Value);
            }

            // Increasing: a larger u never gives a smaller v, hence never an earlier token.
            var (low, high) = (random.NextDouble(), random.NextDouble());
            Assert.Equal(low < high, map.Apply<double>(low, p).Value < map.Apply<double>(high, p).Value);
        }
    });

    [Fact]
    public void Parameters_of_zero_are_the_identity() => Cases.Run(50, random =>
    {
        foreach (var map in (MonotoneMap[])[MonotoneMap.Additive, MonotoneMap.Affine, MonotoneMap.Spline(8, 4), MonotoneMap.UnitSpline(8), MonotoneMap.UnitLinear(8)])
        {
            var x = random.NextDouble();
            var mapped = map.Apply<double>(x, new double[map.ParameterCount]);
            Assert.Equal(x, mapped.Value, 1e-14);
            Assert.Equal(0, mapped.LogSlope, 1e-14);
        }
    });

    [Fact]
    public void What_MAF_does_in_one_pass_IAF_with_the_same_net_undoes() => Cases.RunSeeds(60, seed =>
    {
        var width = 1 + seed % 5;
        var random = new Random(seed);
        var map = seed % 2 == 0 ? MonotoneMap.Affine : MonotoneMap.Spline(4, 3);
        var net = AutoregressiveFlow.Network(_backend, width, map, new ConditionerSize(10, 1, 0.6), (ulong)seed);
        var (maf, iaf) = (new MaskedAutoregressive(_backend, map, net), new InverseAutoregressive(_backend, map.Inverse, net));
        var x = FlowGens.Point(FlowGens.Kinds[6], random, width);
        double[] z = new double[width], back = new double[width], again = new double[width];
        var log = maf.Forward<double>(x, z);
        Assert.Equal(-log, iaf.InverseInSteps<double>(z, back), 1e-10);
        Assert.All(x.Zip(back), p => Assert.Equal(p.First, p.Second, 1e-10));
        maf.InverseInSteps<double>(z, back);
        Assert.Equal(log, iaf.Forward<double>(back, again), 1e-9);
        Assert.All(z.Zip(again), p => Assert.Equal(p.First, p.Second, 1e-9));
    });

    [Fact]
    public void Log_determinants_of_a_composition_add_up() => Cases.RunSeeds(60, seed =>
    {
        var random = new Random(seed);
        var width = 2 + seed % 4;
        IBijector[] parts = [FlowGens.Compose(_backend, width, (ulong)seed), new InvertibleLinear(_backend, width, 0.4, (ulong)seed)];
        var x = FlowGens.Point(FlowGens.Kinds[0], random, width);
        double[] y = new double[width], z = new double[width], whole = new double[width];
        var sum = parts[0].Forward<double>(x, y) + parts[1].Forward<double>(y, z);
        Assert.Equal(sum, new Composition(parts).Forward<double>(x, whole), 1e-12);
        Assert.Equal(z, whole);
    });

    [Fact]
    public void What_has_no_cheap_inverse_offers_none()
    {
        Assert.False(typeof(IBijector).IsAssignableFrom(typeof(AutoregressiveFlow)));
        Assert.False(typeof(IBijector).IsAssignableFrom(typeof(FlowChain)));
        Assert.True(typeof(IBijector).IsAssignableFrom(typeof(Composition)));
    }

    [Fact]
    public void Bad_shapes_are_refused()
    {
        Assert.Throws<PtpException>(() => new Coupling(_backend, [true, true], MonotoneMap.Affine, new ConditionerSize(), 1));
        Assert.Throws<PtpException>(() => new Permutation(_backend, [0, 0]));
        Assert.Throws<PtpException>(() => MonotoneMap.UnitLinear(1));
        Assert.Throws<PtpException>(() => MonotoneMap.Spline(4, -1));
        Assert.Throws<PtpException>(() => new Composition([]));
        Assert.Throws<PtpException>(() => new FlowChain([new Pointwise(_backend, 2, MonotoneMap.Sigmoid), new Pointwise(_backend, 3, MonotoneMap.Sigmoid)]));
        Assert.Throws<PtpException>(() => new InverseAutoregressive(_backend, MonotoneMap.Affine, AutoregressiveFlow.Network(_backend, 2, MonotoneMap.Additive, new ConditionerSize(), 1)));
    }

    // Controls: each breaks one thing, and the check that stands for it must notice.
    [Fact]
    public void Control_a_determinant_without_its_last_term_is_noticed() => Noticed("affine coupling", (flow, x) =>
        FlowChecks.HasTheJacobianItClaims(new Flawed(flow) { LogError = 0.01 }, x, 1e-5));

    [Fact]
    public void Control_log_determinants_that_do_not_cancel_are_noticed() => Noticed("spline coupling", (flow, x) =>
        FlowChecks.Inverts<double>(new Flawed(flow) { LogError = 1e-6 }, x, FlowChecks.DoubleLimit));

    [Fact]
    public void Control_an_inverse_that_is_off_by_a_little_is_noticed()
    {
        Noticed("invertible linear", (flow, x) => FlowChecks.Inverts<double>(new Flawed(flow) { Shift = 1e-7 }, x, FlowChecks.DoubleLimit));
        Noticed("unit spline coupling", (flow, x) => FlowChecks.Inverts<float>(new Flawed(flow) { Shift = 1e-2 }, x, FlowChecks.FloatLimit));
        Noticed("composition", (flow, x) => FlowChecks.RunsOn(_backend, new Flawed(flow) { Shift = 1e-2 }, [x], FlowChecks.FloatLimit));
    }

    [Fact]
    public void Control_a_glance_at_a_later_number_is_noticed() => Noticed("invertible linear", FlowChecks.IsTriangular, width: 3);

    private (IFlow Flow, double[] X) Draw(string name, int seed)
    {
        var random = new Random(seed);
        var width = FlowGens.Width(Kind(name), random);
        return (Kind(name).Make(_backend, width, (ulong)seed), FlowGens.Point(Kind(name), random, width));
    }

    private void Noticed(string name, Action<IFlow, double[]> check, int? width = null) => Cases.RunSeeds(10, seed =>
    {
        var random = new Random(seed);
        var flow = Kind(name).Make(_backend, width ?? 2 + seed % 3, (ulong)seed);
        var x = FlowGens.Point(Kind(name), random, flow.Width);
        Assert.Throws<XunitException>(() => check(flow, x));
    });

    private static FlowKind Kind(string name) => FlowGens.Kinds.Single(k => k.Name == name);

    public void Dispose() => _backend.Dispose();

    /// <summary>A flow whose determinant or inverse is off by a little.</summary>
    private sealed class Flawed(IFlow inner) : IBijector
    {
        public double LogError { get; init; }

        public double Shift { get; init; }

        public int Width => inner.Width;

        public IEnumerable<Parameter> Parameters => inner.Parameters;

        public T Forward<T>(ReadOnlySpan<T> x, Span<T> y)
            where T : System.Numerics.IFloatingPointIeee754<T> => inner.Forward(x, y) + T.CreateTruncating(LogError);

        public T Inverse<T>(ReadOnlySpan<T> y, Span<T> x)
            where T : System.Numerics.IFloatingPointIeee754<T>
        {
            var log = ((IBijector)inner).Inverse(y, x);
            x[0] += T.CreateTruncating(Shift);
            return log;
        }

        public Variable Forward(Tape tape, Variable x, Variable logSlopes) => inner.Forward(tape, x, logSlopes);

        public Variable Inverse(Tape tape, Variable y, Variable logSlopes) => ((IBijector)inner).Inverse(tape, y, logSlopes);
    }
}
