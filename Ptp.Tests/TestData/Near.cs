// Compares floats with the oracle's doubles: largest deviation as a share of the tensor's largest value.
// Source: the figure of the project, 1e-4 relative.
// Not here: equality of bits; that is Assert.Equal.

using Xunit.Sdk;

namespace Ptp.Tests;

internal static class Near
{
    public const double Tolerance = 1e-4;

    public static void Holds(string what, IReadOnlyList<double> expected, IReadOnlyList<float> received) =>
        Holds(what, expected, received, Tolerance);

    public static void Holds(
        string what, IReadOnlyList<double> expected, IReadOnlyList<float> received, double tolerance)
    {
        var error = Error(expected, received);
        if (!(error <= tolerance))
        {
            throw new XunitException($"{what}: relative error {error:E2} above {tolerance:E1}.");
        }
    }

    public static double Error(IReadOnlyList<double> expected, IReadOnlyList<float> received)
    {
        if (expected.Count != received.Count)
        {
            return double.PositiveInfinity;
        }

        var (deviation, size) = (0.0, 1e-6);
        for (var i = 0; i < expected.Count; i++)
        {
            var distance = Math.Abs(expected[i] - received[i]);
            deviation = double.IsNaN(distance) ? double.PositiveInfinity : Math.Max(deviation, distance);
            size = Math.Max(size, Math.Abs(expected[i]));
        }

        return deviation / size;
    }
}
