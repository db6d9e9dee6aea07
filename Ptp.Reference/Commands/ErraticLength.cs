// Draft lengths at random, for tests and soak: no length may change a text, however it was come by.
// Drafts and verified lengths are drawn anew in every round, out of range now and then.
// Refuses: sense.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Reference.Commands;

/// <summary>Lengths at random.</summary>
/// <param name="random">Where they come from.</param>
internal sealed class ErraticLength(RandomStream random) : IDraftLength
{
    /// <inheritdoc/>
    public int Draft(int context, int most) => random.NextInt(most + 3);

    /// <inheritdoc/>
    public int Verify(int context, int drafted, bool firstRight, ReadOnlySpan<double> chances) => random.NextInt(drafted + 3);

    /// <inheritdoc/>
    public void Observe(int verified, int correct, bool firstRight)
    {
        // It learns nothing.
    }
}
