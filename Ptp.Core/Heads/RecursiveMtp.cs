// Nemotron 3's shared recursive multi-token prediction (white paper 2512.20856): one DeepSeek module, applied again and again.
//   as SequentialMtp with the same weights at every depth; trained unrolled, so that it meets its own states
// Weight sharing lets it draft deeper than it was unrolled. Refuses: an unrolling deeper than its slots.

using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Nemotron's module.</summary>
public sealed class RecursiveMtp : SequentialMtp
{
    /// <summary>The architecture's name.</summary>
    public new const string Architecture = "nemotron-mtp";

    private const int Unrolled = 3;

    /// <summary>One module for all depths.</summary>
    public RecursiveMtp(Transformer network, HeadOptions options)
        : base(network, options, modules: 1)
    {
    }

    private protected override int TrainedDepth => Math.Min(Unrolled, Slots);
}
