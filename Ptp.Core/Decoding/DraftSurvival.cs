// How drafts have fared so far: the chance that a draft token is right after all before it were, by its place, and how often a
// drafter's stated confidence was justified. Both start from a prior of a few rounds and forget slowly, as texts change.
// Refuses: nothing; it steers time, never text.

namespace Ptp.Core.Decoding;

/// <summary>A chance with a prior, estimated from what was seen.</summary>
/// <param name="prior">The estimate before anything was seen, worth four observations.</param>
internal sealed class Chance(double prior)
{
    private const double PriorRounds = 4;
    private const double Kept = 0.98;
    private double _right = PriorRounds * prior;
    private double _tried = PriorRounds;

    public double Mean => _right / _tried;

    public void Add(bool right)
    {
        // Fading begins once the prior's weight is exceeded; what counts in the end is some 50 rounds.
        var keep = _tried > PriorRounds ? Kept : 1;
        _right = keep * _right + (right ? 1 : 0);
        _tried = keep * _tried + 1;
    }
}

/// <summary>Chance of each place of a draft to be right after all before it were.</summary>
internal sealed class DraftSurvival(int slots)
{
    private const double Prior = 0.5;

    public Chance First { get; } = new(Prior);

    public Chance[] Slots { get; } = [.. Enumerable.Range(0, slots).Select(_ => new Chance(Prior))];

    /// <summary>Expected leading right ones of the first <paramref name="count"/> places.</summary>
    public double Expected(int count)
    {
        var (sum, alive) = (0.0, 1.0);
        for (var slot = 0; slot < count; slot++)
        {
            alive *= Slots[slot].Mean;
            sum += alive;
        }

        return sum;
    }

    /// <summary>The paper's reward, the sum of j h_j over j up to k, h_j the chance of exactly j right places; kept to be compared with.</summary>
    public double Printed(int count)
    {
        var (sum, alive) = (0.0, 1.0);
        for (var right = 0; right <= Math.Min(count, Slots.Length); right++)
        {
            var goesOn = right < Slots.Length ? Slots[right].Mean : 0;
            sum += right * alive * (1 - goesOn);
            alive *= goesOn;
        }

        return sum;
    }

    /// <summary>Learns from a verification; places before <paramref name="first"/> were known and teach nothing.</summary>
    public void Observe(int verified, int correct, int first = 0)
    {
        for (var slot = first; slot < verified && slot <= correct; slot++)
        {
            Slots[slot].Add(slot < correct);
        }
    }
}

/// <summary>Stated confidences to observed rates, in ten bins.</summary>
internal sealed class Calibration
{
    private const int Bins = 10;
    private readonly Chance[] _bins = [.. Enumerable.Range(0, Bins).Select(i => new Chance((i + 0.5) / Bins))];

    public double this[float confidence] => Bin(confidence).Mean;

    public void Add(float confidence, bool right) => Bin(confidence).Add(right);

    // A drafter whose weights overflow may be confident of nothing at all.
    private Chance Bin(float confidence) =>
        _bins[float.IsFinite(confidence) ? (int)Math.Clamp(confidence * Bins, 0, Bins - 1) : 0];
}
