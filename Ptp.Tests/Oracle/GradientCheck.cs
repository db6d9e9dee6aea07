// Compares a gradient with central differences of the function it belongs to, in double.
// Source: (f(x + h) - f(x - h)) / 2h, error of order h^2.
// Not here: float; the step and the tolerance are made for functions that are exact to 1e-15.

using Xunit;

namespace Ptp.Tests.Oracle;

/// <summary>Central differences.</summary>
internal static class GradientCheck
{
    private const double Step = 1e-5;
    private const double Tolerance = 1e-6; // of the largest entry of the gradient

    /// <summary>
    /// Fails unless every entry of <paramref name="dX"/> is the slope of <paramref name="loss"/> in x.
    /// </summary>
    public static void Holds(string what, Func<double> loss, double[] x, double[] dX)
    {
        var worst = RelativeError(loss, x, dX);
        Assert.True(worst < Tolerance, $"{what}: relative error {worst:E2} of the gradient.");
    }

    /// <summary>Largest deviation over the largest slope.</summary>
    public static double RelativeError(Func<double> loss, double[] x, double[] dX)
    {
        var (deviation, size) = (0.0, 1e-3); // the floor keeps vanishing gradients from dividing noise by noise
        for (var i = 0; i < x.Length; i++)
        {
            var kept = x[i];
            x[i] = kept + Step;
            var above = loss();
            x[i] = kept - Step;
            var below = loss();
            x[i] = kept;
            var slope = (above - below) / (2 * Step);
            deviation = Math.Max(deviation, Math.Abs(slope - dX[i]));
            size = Math.Max(size, Math.Abs(slope));
        }

        return deviation / size;
    }

    public static double Dot(double[] a, double[] b) => a.Zip(b, (x, y) => x * y).Sum();
}
