// How soft a pick should be (PickGuess): the softness, of a few, whose guesses are right most often.
//   argmax_s #{rows: Guess(u, law, s) = target}
// Refuses: nothing; without rows it says 0.

namespace Ptp.Core.Paper;

/// <summary>Counts right guesses by softness.</summary>
/// <param name="rule">How u picks.</param>
internal sealed class SoftnessCount(PickRule rule)
{
    private static readonly double[] s_softness = [0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3];
    private readonly long[] _right = new long[s_softness.Length];

    /// <summary>What was right most often.</summary>
    public double Best => s_softness[Array.IndexOf(_right, _right.Max())];

    /// <summary>Guesses once with each.</summary>
    /// <param name="u">The numbers that picked the target.</param>
    /// <param name="law">An approximation of the law they picked it from, [V].</param>
    /// <param name="target">The token.</param>
    public void Add(ReadOnlySpan<float> u, ReadOnlySpan<float> law, int target)
    {
        for (var i = 0; i < s_softness.Length; i++)
        {
            _right[i] += rule.Guess(u, law, s_softness[i], out _) == target ? 1 : 0;
        }
    }
}
