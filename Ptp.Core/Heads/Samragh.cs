// Mask slots with a sampler head and latent consistency (Samragh et al. 2025, arXiv 2507.11851).
//   L = L_base head + L_sampler + L_lcm: the slots' own laws, the sampler's (given the token before), and mean squared distance of a
//   slot's state to that of the row which predicts the same token, held constant
// While drafting, only the sampler's laws are read. Refuses: a sampler that reads more than one token.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Samragh's slots.</summary>
public sealed class Samragh : MaskSlots
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "samragh";

    private const float ConsistencyWeight = 0.01f; // squared states of the embedded base are of order 100, a law's loss is of order one
    private readonly SamplerHead _sampler;

    /// <summary>Slots with random vectors and a sampler of zero effect.</summary>
    public Samragh(Transformer network, HeadOptions options)
        : base(network, options, apart: false) => _sampler = new SamplerHead(network, history: 1, options.Width, options.Seed);

    /// <inheritdoc/>
    public override IReadOnlyList<int> Layers => [Network.Config.Layers - 1];

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. base.Parameters, .. _sampler.Parameters];

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable hidden, int[] before) => _sampler.Logits(tape, hidden, before);

    private protected override double OtherLoss(Tape tape, Variable hidden, HeadBatch batch, int[] places, float[] weights)
    {
        var truth = batch.Gather(batch.States(Layers[0]).Value, [.. places.Select(place => place - 1)]).Value;
        float[] consistency = [.. weights.Select(w => w * ConsistencyWeight)];
        return Judge(tape, Network.Logits(tape, hidden), batch, places, weights) + FeatureLoss.Squared(tape, hidden, truth, consistency);
    }
}
