// ProphetNet's n-stream prediction (Qi et al. 2020, arXiv 2001.04063), decoder-only, with the base as its main stream.
//   stream s at row i: input a learned vector and the TARGET's position i + 1, sees the main stream's rows <= i - s and itself alone
// All streams share the base's weights (and one gated LoRA, as the base is frozen). Drafting with them is our extension: ProphetNet's
// own inference is autoregressive and leaves streams out. Refuses: the encoder.

using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Future streams as slots that see no other stream.</summary>
public sealed class ProphetNet : MaskSlots
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "prophetnet";

    /// <summary>Streams with random vectors.</summary>
    public ProphetNet(Transformer network, HeadOptions options)
        : base(network, options, apart: true)
    {
    }

    private protected override int FirstPlace => 2;
}
