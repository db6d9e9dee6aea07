// Choosing tokens where the logits are, so that only tokens come back from a device.
//   token = Pick(u, law(logits)), Eq. 2, the law of LogitsTransform: the host's answer to the bit, or none
// Refuses: to be needed. A device that cannot, or a row that it cannot decide with certainty, is left to the host.

using Ptp.Core.Decoding;

namespace Ptp.Core.Tensors;

public partial interface IBackend
{
    /// <summary>The tokens that numbers pick from rows of logits by the inverse CDF.</summary>
    /// <param name="logits">[R, V].</param>
    /// <param name="law">Temperature, top-k, top-p.</param>
    /// <param name="u">Numbers in [0, 1), [R].</param>
    /// <param name="tokens">Receives ids, [R]; -1 where the host must decide.</param>
    /// <returns>False if this device leaves every row to the host, which then picks one row at a time, as needed.</returns>
    bool TryPick(Tensor logits, LogitsTransform law, ReadOnlySpan<float> u, Span<int> tokens) => false;
}
