// Medusa (Cai et al. 2024, arXiv 2401.10774): K independent residual heads on the last hidden state, trained with the base frozen.
//   law of t_{i+k+2} = Head (h_i + silu(W_k h_i + b_k)),  h = final norm of the base's last state;   L = sum_k 0.8^k L_k
// W starts at zero, so each head starts as the base's own. Refuses: a vocabulary matrix of its own per head; the base's is shared.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Medusa-1.</summary>
public sealed class Medusa : IndependentHeads
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "medusa";

    private const double Decay = 0.8;
    private readonly Parameter[] _weights; // [K], [D, D] each
    private readonly Parameter[] _biases; // [K], [D, 1] each

    /// <summary>Heads of zero effect: each predicts what the base predicts.</summary>
    public Medusa(Transformer network, HeadOptions options)
        : base(network, options)
    {
        var width = network.Config.HiddenSize;
        _weights = [.. Enumerable.Range(0, Slots).Select(k => Matrix($"{k}.linear", width, width, gain: 0))];
        _biases = [.. Enumerable.Range(0, Slots).Select(k => Matrix($"{k}.bias", width, 1, gain: 0))];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _weights, .. _biases];

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable states, int k, CallRows rows)
    {
        var h = Network.Normed(tape, states);
        var y = tape.MatMul(h, _weights[k]);
        AddBias(tape, _biases[k], y);
        return tape.MatMul(tape.Add(h, Silu(tape, y)), Network.Head);
    }

    internal override double WeightOf(int k) => Math.Pow(Decay, k);
}
