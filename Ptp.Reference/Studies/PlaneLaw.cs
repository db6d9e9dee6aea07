// The three laws in the plane on which flows are shown, with their exact densities, so that a learned one has a truth to be measured by.
//   moons: two half circles, noise 0.1;  rings: circles of radius 0.75, 1.5, 2.25, 3, noise 0.08;  checkerboard: 8 squares of side 2
// Curves with normal noise have the density of a sum of normals along them (midpoint rule, far finer than the noise).
// Refuses: names it does not know.

using Ptp.Core;
using Ptp.Core.Paper;

namespace Ptp.Reference.Studies;

/// <summary>A law in the plane.</summary>
internal abstract class PlaneLaw
{
    /// <summary>Names that <see cref="Parse"/> knows.</summary>
    public static readonly string[] Names = ["moons", "rings", "checkerboard"];

    /// <summary>Left, bottom, right, top of what a picture shows.</summary>
    public abstract (double Left, double Bottom, double Right, double Top) Frame { get; }

    /// <summary>Draws a point.</summary>
    public abstract (double X, double Y) Sample(RandomStream random);

    /// <summary>log p.</summary>
    public abstract double LogDensity(double x, double y);

    /// <summary>The law of a name.</summary>
    public static PlaneLaw Parse(string name) => name switch
    {
        "moons" => new Curves(0.1, (-1.5, -1.1, 2.5, 1.6), [
            new Curve(0, Math.PI, angle => (Math.Cos(angle), Math.Sin(angle))),
            new Curve(0, Math.PI, angle => (1 - Math.Cos(angle), 0.5 - Math.Sin(angle)))]),
        "rings" => new Curves(0.08, (-3.5, -3.5, 3.5, 3.5), [.. Enumerable.Range(1, 4).Select(i => 0.75 * i).Select(radius =>
            new Curve(0, 2 * Math.PI, angle => (radius * Math.Cos(angle), radius * Math.Sin(angle))))]),
        "checkerboard" => new Checkerboard(),
        _ => throw new PtpException("Choose a law in the plane", $"'{name}'", string.Join(", ", Names), "Name one of these."),
    };

    /// <summary>A point at angle, uniform from one to another.</summary>
    private sealed record Curve(double From, double To, Func<double, (double X, double Y)> At);

    /// <summary>Equally likely curves with normal noise.</summary>
    private sealed class Curves(double noise, (double, double, double, double) frame, Curve[] curves) : PlaneLaw
    {
        private const int Nodes = 800;
        private readonly (double X, double Y)[] _nodes = [.. curves.SelectMany(c =>
            Enumerable.Range(0, Nodes).Select(i => c.At(c.From + (i + 0.5) / Nodes * (c.To - c.From))))];

        public override (double Left, double Bottom, double Right, double Top) Frame => frame;

        public override (double X, double Y) Sample(RandomStream random)
        {
            var curve = curves[random.NextInt(curves.Length)];
            var (x, y) = curve.At(curve.From + random.NextDouble() * (curve.To - curve.From));
            return (x + noise * random.NextGaussian(), y + noise * random.NextGaussian());
        }

        public override double LogDensity(double x, double y)
        {
            var (sum, scale) = (0.0, -0.5 / (noise * noise));
            foreach (var (nodeX, nodeY) in _nodes)
            {
                sum += Math.Exp(scale * ((x - nodeX) * (x - nodeX) + (y - nodeY) * (y - nodeY)));
            }

            return Math.Log(sum / _nodes.Length / (2 * Math.PI * noise * noise));
        }
    }

    /// <summary>Every other square of [-4, 4]^2.</summary>
    private sealed class Checkerboard : PlaneLaw
    {
        public override (double Left, double Bottom, double Right, double Top) Frame => (-4.5, -4.5, 4.5, 4.5);

        public override (double X, double Y) Sample(RandomStream random)
        {
            var (column, pair) = (random.NextInt(4), random.NextInt(2));
            return (2 * (column - 2 + random.NextDouble()), 2 * (2 * pair + column % 2 - 2 + random.NextDouble()));
        }

        public override double LogDensity(double x, double y)
        {
            var (column, row) = ((int)Math.Floor(x / 2) + 2, (int)Math.Floor(y / 2) + 2);
            return column is >= 0 and < 4 && row is >= 0 and < 4 && (column + row) % 2 == 0 ? -Math.Log(32) : double.NegativeInfinity;
        }
    }
}
