// Independent heads of one transformer layer each on a shared trunk (Gloeckle et al. 2024, arXiv 2404.19737), unweighted losses.
//   z = trunk(x);  law of t_{i+k+2} = Head n(layer_k(z)_i);   the trunk is the base less its last block, which is head 1
// The sequential backward frees each head's logits before the next: O(V) of memory per row instead of O(K V), the same gradient.
// Refuses: training the trunk from here; who trains it records z and replays its tape afterwards.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Gloeckle's heads 2 to n.</summary>
public sealed class Gloeckle : IndependentHeads
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "gloeckle";

    private readonly TransformerBlock[] _layers;

    /// <summary>Random layers.</summary>
    public Gloeckle(Transformer network, HeadOptions options)
        : base(network, options) => _layers = [.. Enumerable.Range(0, Slots).Select(k => Block($"{k}"))];

    /// <inheritdoc/>
    public override IReadOnlyList<int> Layers => [Math.Max(0, Network.Config.Layers - 2)]; // a base of one block is all trunk

    /// <inheritdoc/>
    public override bool Attends => true;

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _layers.SelectMany(layer => layer.Parameters)];

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable states, int k, CallRows rows) =>
        Network.Logits(tape, _layers[k].Run(tape, states, rows, layer: 0));

    /// <inheritdoc/>
    public override (double Loss, double Weight) LossAndGradient(Tape tape, HeadBatch batch) =>
        SequentialBackward(tape, batch, batch.States(Layers[0]));

    /// <summary>Head by head: forward, loss, backward, free. Adds to the heads' gradients and, if z has one, to z's.</summary>
    /// <param name="tape">Holds one head at a time; not the tape that z was recorded on.</param>
    /// <param name="batch">Targets.</param>
    /// <param name="trunk">z, [S, D].</param>
    public (double Loss, double Weight) SequentialBackward(Tape tape, HeadBatch batch, Variable trunk)
    {
        var (loss, weight) = (0.0, 0.0);
        for (var k = 0; k < Slots; k++)
        {
            tape.Reset();
            var (own, count) = LossOf(tape, batch, trunk, k);
            tape.Backward();
            (loss, weight) = (loss + own, weight + count);
        }

        return (loss, weight);
    }
}
