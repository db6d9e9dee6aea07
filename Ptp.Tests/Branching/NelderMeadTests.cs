// The search finds the minima of bowls, of a curved valley, and of a bowl with a hole in its domain.
// Source: quadratic forms with known minima, Rosenbrock's function. Control: a start is not a minimum.
// Not here: likelihoods (BranchingDataTests).

using Ptp.Core.Decoding.Branching;
using Xunit;

namespace Ptp.Tests.Branching;

public sealed class NelderMeadTests
{
    // 100 bowls in one to three dimensions, axes of up to a hundred times different steepness.
    [Fact]
    public void Bowls_have_their_bottom_where_it_is() => Cases.Run(100, random =>
    {
        var n = random.Next(1, 4);
        double[] bottom = [.. Enumerable.Range(0, n).Select(_ => 6 * random.NextDouble() - 3)];
        double[] steepness = [.. Enumerable.Range(0, n).Select(_ => Math.Pow(10, 2 * random.NextDouble()))];
        double Bowl(double[] x) => x[0] > 20 ? double.NaN : x.Select((xi, i) => steepness[i] * Math.Pow(xi - bottom[i], 2)).Sum();
        var found = NelderMead.Minimise(Bowl, new double[n]);
        Assert.All(found.Zip(bottom), pair => Assert.Equal(pair.Second, pair.First, 1e-3));
        Assert.True(Bowl(found) < Bowl(new double[n]), "control: the start is as good");
    });

    [Fact]
    public void A_curved_valley_is_followed()
    {
        var found = NelderMead.Minimise(x => Math.Pow(1 - x[0], 2) + 100 * Math.Pow(x[1] - x[0] * x[0], 2), [-1.2, 1]);
        Assert.Equal(1, found[0], 1e-3);
        Assert.Equal(1, found[1], 1e-3);
    }
}
