// Blockwise parallel decoding (Stern et al. 2018, arXiv 1811.03115): one wide feed-forward layer on the decoder's output, K slices.
//   y_{i,k} = h_i + W2_k silu(W1 h_i + b),  law of t_{i+k+2} = Head y_{i,k};   a step trains one head, drawn at random
// The base is p_1 and stays frozen; silu stands for the original's ReLU. Refuses: relaxed acceptance, which is a verifier's business.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Stern's blockwise heads.</summary>
public sealed class Stern : IndependentHeads
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "stern";

    private readonly Parameter _up; // [K F, D]
    private readonly Parameter _bias; // [K F, 1]
    private readonly Parameter[] _down; // [K], [D, K F] each

    /// <summary>Heads of zero effect: W2 is zero.</summary>
    public Stern(Transformer network, HeadOptions options)
        : base(network, options)
    {
        var (model, wide) = (network.Config.HiddenSize, Slots * options.Width);
        _up = Matrix("up", wide, model);
        _bias = Matrix("bias", wide, 1, gain: 0);
        _down = [.. Enumerable.Range(0, Slots).Select(k => Matrix($"{k}.down", model, wide, gain: 0))];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [_up, _bias, .. _down];

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable states, int k, CallRows rows)
    {
        var h = Network.Normed(tape, states);
        var y = tape.MatMul(h, _up);
        AddBias(tape, _bias, y);
        return tape.MatMul(tape.MatMulAdd(h, Silu(tape, y), _down[k]), Network.Head);
    }

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch) =>
        LossOf(tape, batch, batch.States(Layers[0]), batch.Random.NextInt(Slots));
}
