// Laws of bent u: the rational-quadratic spline of a flow head and the Gaussian copula have the law, the gradient and the margins they claim.
// Source: FlowSpline's and GaussianCopula's equations.
// Not here: the networks that give the numbers (FlowHeadTests).

using Ptp.Core.Heads;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Paper;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Flows;

public sealed class BentLawTests
{
    // 100 splines: the law sums to one within 1e-12, is that of S followed by Pick in the order of the head, and its logarithm has the gradient
    // it claims; 20,000 random u pick by it (false alarm 1e-9) and not by the law that was bent, the control.
    [Fact]
    public void A_spline_has_the_law_and_the_gradient_it_claims()
    {
        var noticed = 0;
        Cases.RunSeeds(100, seed =>
        {
            var random = new RandomStream((ulong)seed, "spline");
            var count = 2 + random.NextInt(9);
            int[] order = [.. Enumerable.Range(0, count).Select(id => (id, random.NextDouble())).OrderBy(p => p.Item2).Select(p => p.id)];
            var spline = new FlowSpline(2 + random.NextInt(8), order);
            float[] parameters = [.. Enumerable.Range(0, spline.Map.ParameterCount).Select(_ => (float)(1.5 * random.NextGaussian()))];
            double[] weights = [.. Enumerable.Range(0, count).Select(id => id == 1 && seed % 4 == 0 ? 0 : Math.Exp(1.5 * random.NextGaussian()))];
            float[] marginal = [.. weights.Select(w => (float)(w / weights.Sum()))];
            float[] bent = [.. marginal], kept = [.. marginal];
            spline.Bend(new float[parameters.Length], kept);
            Assert.Equal(marginal, kept); // zeros: to the bit
            spline.Bend(parameters, bent);
            double[] numbers = [.. parameters.Select(p => (double)p)], law = new double[count];
            WarpedPick.Law(spline.Map, numbers, [.. order.Select(id => marginal[id])], law);
            Assert.Equal(1, law.Sum(), 1e-12);
            Assert.All(order.Zip(law), p => Assert.Equal((float)p.Second, bent[p.First]));

            var counts = new int[count];
            for (var i = 0; i < 20_000; i++)
            {
                counts[order[WarpedPick.Token(random.NextDouble(), spline.Map, numbers, [.. order.Select(id => marginal[id])])]]++;
            }

            Assert.Null(GoodnessOfFit.Fault(counts, [.. bent.Select(p => (double)p)]));
            noticed += GoodnessOfFit.Fault(counts, [.. marginal.Select(p => (double)p)]) is null ? 0 : 1;

            var token = Array.IndexOf(bent, bent.Max());
            var gradient = new float[parameters.Length];
            Assert.Equal(Math.Log(bent[token]), spline.LogProbability(token, parameters, marginal, 1, gradient), 1e-5);
            var i2 = random.NextInt(parameters.Length);
            double At(float step)
            {
                var moved = parameters.ToArray();
                moved[i2] += step;
                return spline.LogProbability(token, moved, marginal, 1, new float[parameters.Length]);
            }

            var measured = (At(1f / 4096) - At(-1f / 4096)) / (2.0 / 4096);
            Assert.True(Math.Abs(measured - gradient[i2]) <= 1e-3 * Math.Max(0.1, Math.Abs(measured)), $"{measured} by differences, {gradient[i2]} claimed");
        });
        Assert.True(noticed > 60, $"control: {noticed} of 100 noticed");
    }

    // 200 copulas: S^-1(S(u)) = u, laws sum to one and match frequencies of a grid of u, gradients equal central differences.
    [Fact]
    public void A_copula_has_the_law_and_the_gradient_it_claims() => Cases.RunSeeds(200, seed =>
    {
        var random = new RandomStream((ulong)seed, "copula");
        var copula = new GaussianCopula(2 + random.NextInt(6));
        foreach (ref var weight in copula.Weights)
        {
            weight = random.NextGaussian();
        }

        double[] noise = [.. Enumerable.Range(0, 1 + random.NextInt(copula.Length - 1)).Select(_ => random.NextGaussian())];
        var u = 0.001 + 0.998 * random.NextDouble();
        var v = copula.Bend(u, noise);
        Assert.True(v > 1 - 1e-5 || Math.Abs(u - copula.Unbend(v, noise)) <= 1e-10, $"{u}"); // so close to one doubles have lost digits
        Assert.Equal((0.0, 1.0), (copula.Unbend(0, noise), copula.Unbend(1, noise)));

        double[] edges = [0, .. Enumerable.Range(0, 5).Select(_ => random.NextDouble()).Order(), 1];
        double[] law = [.. edges[1..].Zip(edges, (right, left) => copula.Unbend(right, noise) - copula.Unbend(left, noise))];
        Assert.Equal(1, law.Sum(), 1e-12);
        for (var cell = 0; cell < law.Length; cell++)
        {
            var count = Enumerable.Range(0, 500).Count(i => copula.Bend((i + 0.5) / 500, noise) is var bent && bent >= edges[cell] && bent < edges[cell + 1]);
            Assert.True(Math.Abs(count - 500 * law[cell]) <= 1 + 1e-6, $"cell {cell}: {count} of 500, law {law[cell]}");
            if (law[cell] < 1e-3)
            {
                continue; // differences of its logarithm would be rounding
            }

            var gradient = new double[noise.Length];
            Assert.Equal(law[cell], copula.Probability(edges[cell], edges[cell + 1], noise, gradient), 1e-10);
            double[] weights = copula.Weights.Slice(noise.Length * (noise.Length - 1) / 2, noise.Length).ToArray();
            GradientCheck.Holds($"cell {cell}", () =>
            {
                weights.CopyTo(copula.Weights[(noise.Length * (noise.Length - 1) / 2)..]);
                return Math.Log(copula.Probability(edges[cell], edges[cell + 1], noise, new double[noise.Length]));
            }, weights, gradient);
            weights.CopyTo(copula.Weights[(noise.Length * (noise.Length - 1) / 2)..]); // as they were before the last difference
        }
    });

    // Margins stay uniform whatever the weights: the chi-square of v over 20,000 random u, and of pairs, which must not be independent.
    [Fact]
    public void A_copula_keeps_margins_and_ties_pairs()
    {
        var (random, copula) = (new RandomStream(3, "margins"), new GaussianCopula(3));
        double[] weights = [1.2, -0.7, 0.9];
        weights.CopyTo(copula.Weights);
        var (cells, pairs) = (new int[8], new int[16]);
        for (var i = 0; i < 20_000; i++)
        {
            double[] u = [random.NextDouble(), random.NextDouble(), random.NextDouble()];
            double[] noise = [.. u.Select(Normal.Quantile)];
            var (second, third) = (copula.Bend(u[1], noise.AsSpan(0, 1)), copula.Bend(u[2], noise.AsSpan(0, 2)));
            cells[(int)(8 * third)]++;
            pairs[(int)(4 * second) * 4 + (int)(4 * u[0])]++;
        }

        Assert.Null(GoodnessOfFit.Fault(cells, [.. cells.Select(_ => 1.0 / 8)]));
        Assert.NotNull(GoodnessOfFit.Fault(pairs, [.. pairs.Select(_ => 1.0 / 16)])); // the control
    }

    [Fact]
    public void The_normal_quantile_inverts_the_cdf() => Cases.Run(300, random =>
    {
        var x = 16 * random.NextDouble() - 8;
        Assert.Equal(Math.Min(x, -x), Normal.Quantile(Normal.Cdf(Math.Min(x, -x))), 1e-12);
        Assert.Equal(1, Normal.Cdf(x) + Normal.Cdf(-x), 1e-15);
        Assert.Equal(Normal.Density(x), (Normal.Cdf(x + 1e-5) - Normal.Cdf(x - 1e-5)) / 2e-5, 1e-9);
    });
}
