// From what a drafter states of its tokens to how often they are right: a map that never falls, fitted on held-out drafts and stored with the
// adapter. isotonic: the rising steps of least squared error (pool adjacent violators), their middles joined by lines;
//   logistic: S(a logit c + b), a >= 0, of the largest likelihood (Newton). Refuses: maps that fall or leave [0, 1], and nothing to fit.

namespace Ptp.Core.Decoding;

/// <summary>A draft token that was checked.</summary>
/// <param name="Stated">What the drafter stated, in [0, 1].</param>
/// <param name="Right">Whether it was right, given that all before it were.</param>
public readonly record struct CheckedToken(double Stated, bool Right);

/// <summary>A rising piecewise linear map from [0, 1] to [0, 1]; level beyond its first and last knot.</summary>
public sealed class ConfidenceCalibration : IEquatable<ConfidenceCalibration>
{
    private const int Bins = 32;
    private const double Edge = 1e-4; // logits of 0 and 1 are infinite
    private readonly double[] _stated;
    private readonly double[] _observed;

    /// <summary>A map of given knots.</summary>
    /// <param name="stated">Confidences, rising, [K].</param>
    /// <param name="observed">Chances at them, not falling, [K].</param>
    public ConfidenceCalibration(IReadOnlyList<double> stated, IReadOnlyList<double> observed)
    {
        static bool Rises(IReadOnlyList<double> values, bool strictly) => values.All(v => v is >= 0 and <= 1)
            && values.Zip(values.Skip(1)).All(p => p.First < p.Second || (!strictly && p.First <= p.Second));
        Guard.Require(stated.Count > 0 && stated.Count == observed.Count && Rises(stated, true) && Rises(observed, false),
            "Calibrate confidences", $"{stated.Count} confidences and {observed.Count} chances, or some that fall",
            "as many of each, at least one, in [0, 1], rising", "Fit the map anew.");
        (_stated, _observed) = ([.. stated], [.. observed]);
    }

    /// <summary>Confidences of the knots, [K].</summary>
    public IReadOnlyList<double> Stated => _stated;

    /// <summary>Chances at the knots, [K].</summary>
    public IReadOnlyList<double> Observed => _observed;

    /// <summary>The chance that a token of this stated confidence is right; what is no number counts as 0.</summary>
    public double this[double stated]
    {
        get
        {
            var next = Array.BinarySearch(_stated, double.IsNaN(stated) ? 0 : stated);
            if (next >= 0)
            {
                return _observed[next];
            }

            next = ~next;
            if (next == 0 || next == _stated.Length)
            {
                return _observed[Math.Clamp(next, 0, _stated.Length - 1)];
            }

            var share = (stated - _stated[next - 1]) / (_stated[next] - _stated[next - 1]);
            return _observed[next - 1] + share * (_observed[next] - _observed[next - 1]);
        }
    }

    /// <summary>Isotonic or logistic, whichever gives every second sample the larger likelihood when fitted on the others; then fitted on all.</summary>
    public static ConfidenceCalibration Fit(IReadOnlyList<CheckedToken> samples)
    {
        CheckedToken[] even = [.. samples.Where((_, i) => i % 2 == 0)], odd = [.. samples.Where((_, i) => i % 2 == 1)];
        return odd.Length > 0 && Loss(odd, Logistic(even)) < Loss(odd, Isotonic(even)) ? Logistic(samples) : Isotonic(samples);
    }

    /// <summary>Isotonic regression on bins of equal count.</summary>
    public static ConfidenceCalibration Isotonic(IReadOnlyList<CheckedToken> samples)
    {
        var blocks = new List<(double Weight, double Stated, double Rate)>();
        foreach (var bin in Binned(samples))
        {
            // Half a token more of each kind: no finite sample makes anything certain.
            blocks.Add((bin.Length, bin.Average(s => s.Stated), (bin.Count(s => s.Right) + 0.5) / (bin.Length + 1)));
            while (blocks.Count > 1 && blocks[^2].Rate >= blocks[^1].Rate)
            {
                var (a, b) = (blocks[^2], blocks[^1]);
                var weight = a.Weight + b.Weight;
                blocks.RemoveRange(blocks.Count - 2, 2);
                blocks.Add((weight, (a.Weight * a.Stated + b.Weight * b.Stated) / weight, (a.Weight * a.Rate + b.Weight * b.Rate) / weight));
            }
        }

        return new ConfidenceCalibration([.. blocks.Select(b => Math.Clamp(b.Stated, 0, 1))], [.. blocks.Select(b => b.Rate)]);
    }

    /// <summary>Logistic (Platt) scaling of the confidence's logit, as knots.</summary>
    public static ConfidenceCalibration Logistic(IReadOnlyList<CheckedToken> samples)
    {
        Require(samples);
        var (a, b) = (1.0, 0.0);
        for (var step = 0; step < 30; step++)
        {
            // Newton on sum log(1 + e^-z) with a little weight towards a = 1, b = 0, so that samples of one kind have an answer.
            var (da, db, aa, ab, bb) = (a - 1, b, 1.0, 0.0, 1.0);
            foreach (var sample in samples)
            {
                var x = Logit(sample.Stated);
                var p = Sigmoid(a * x + b);
                var (error, weight) = (p - (sample.Right ? 1 : 0), p * (1 - p));
                (da, db, aa, ab, bb) = (da + error * x, db + error, aa + weight * x * x, ab + weight * x, bb + weight);
            }

            var determinant = aa * bb - ab * ab;
            var (moveA, moveB) = ((bb * da - ab * db) / determinant, (aa * db - ab * da) / determinant);
            var damped = Math.Min(1, 2 / (Math.Abs(moveA) + Math.Abs(moveB) + 1e-12));
            (a, b) = (Math.Max(0, a - damped * moveA), b - damped * moveB);
        }

        double[] stated = [.. Enumerable.Range(0, Bins + 1).Select(i => Sigmoid(Logit(Edge) * (1 - 2.0 * i / Bins)))];
        return new ConfidenceCalibration(stated, [.. stated.Select(c => Sigmoid(a * Logit(c) + b))]);
    }

    /// <summary>Expected calibration error: mean |observed rate - mean stated chance| over bins of equal count.</summary>
    /// <param name="samples">Tokens that the map was not fitted on.</param>
    /// <param name="map">The map; null = confidences as stated.</param>
    public static double Error(IReadOnlyList<CheckedToken> samples, ConfidenceCalibration? map = null) =>
        Binned([.. samples.Select(s => s with { Stated = map?[s.Stated] ?? s.Stated })])
            .Sum(bin => bin.Length * Math.Abs(bin.Average(s => s.Right ? 1.0 : 0) - bin.Average(s => s.Stated))) / samples.Count;

    /// <summary>Mean -log chance of what happened, in nats.</summary>
    /// <param name="samples">Tokens.</param>
    /// <param name="map">The map; null = confidences as stated.</param>
    public static double Loss(IReadOnlyList<CheckedToken> samples, ConfidenceCalibration? map = null) => samples.Average(s =>
    {
        var chance = Math.Clamp(map?[s.Stated] ?? s.Stated, Edge, 1 - Edge);
        return -Math.Log(s.Right ? chance : 1 - chance);
    });

    /// <inheritdoc/>
    public bool Equals(ConfidenceCalibration? other) =>
        other is not null && _stated.AsSpan().SequenceEqual(other._stated) && _observed.AsSpan().SequenceEqual(other._observed);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as ConfidenceCalibration);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(_stated.Length, _stated[0], _observed[^1]);

    /// <summary>Samples by rising confidence in bins of nearly equal count; equal confidences share a bin.</summary>
    private static IEnumerable<CheckedToken[]> Binned(IReadOnlyList<CheckedToken> samples)
    {
        Require(samples);
        var bin = new List<CheckedToken>();
        var taken = 0;
        foreach (var group in samples.GroupBy(s => s.Stated).OrderBy(g => g.Key))
        {
            bin.AddRange(group);
            if (taken + bin.Count >= samples.Count || bin.Count * (long)Bins >= samples.Count)
            {
                taken += bin.Count;
                yield return [.. bin];
                bin.Clear();
            }
        }
    }

    private static void Require(IReadOnlyList<CheckedToken> samples) => Guard.Require(
        samples.Count > 0 && samples.All(s => s.Stated is >= 0 and <= 1), "Calibrate confidences", $"{samples.Count} draft tokens",
        "at least one, all with confidences in [0, 1]", "Draft on more held-out text.");

    private static double Logit(double p) => Math.Log(Math.Clamp(p, Edge, 1 - Edge) / (1 - Math.Clamp(p, Edge, 1 - Edge)));

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));
}
