// EAGLE (Li et al. 2024, arXiv 2401.15077): features are the base's last states behind its final norm, the drafter predicts the next one.
//   o_i = block(W [f_i; E[t_{i+1}]] + b), no norm before its attention;  law of t_{i+2} = Head o_i
//   L = SmoothL1(o_i, f_{i+1}) + 0.1 L_law, f_i with uniform noise of +-0.1 while training
// EAGLE-2 (2406.16858) is the same drafter; only its trees grow. Refuses: a vocabulary matrix of its own.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>EAGLE-1's drafter, and EAGLE-2's.</summary>
public sealed class Eagle1 : FeatureDrafter
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "eagle-1";

    private const double LawWeight = 0.1;
    private const double Noise = 0.1;
    private readonly Parameter _ofFeature; // [D, D]
    private readonly Parameter _ofToken; // [D, D]
    private readonly Parameter _bias; // [D, 1]
    private readonly TransformerBlock _block;

    /// <summary>A random drafter.</summary>
    public Eagle1(Transformer network, HeadOptions options)
        : base(network, options)
    {
        var width = network.Config.HiddenSize;
        _ofFeature = Matrix("projection.feature", width, width);
        _ofToken = Matrix("projection.token", width, width);
        _bias = Matrix("projection.bias", width, 1, gain: 0);
        _block = Block("block", inputNorm: false);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [_ofFeature, _ofToken, _bias, .. _block.Parameters];

    /// <inheritdoc/>
    public override Variable Features(Tape tape, IReadOnlyList<Variable> states) => Network.Normed(tape, states[0]);

    /// <inheritdoc/>
    public override Variable Run(Tape tape, Variable features, int[] tokens, CallRows rows)
    {
        var x = tape.MatMul(features, _ofFeature);
        tape.MatMul(Vectors(tape, tokens), _ofToken, x, accumulate: true);
        AddBias(tape, _bias, x);
        return _block.Run(tape, x, rows, layer: 0);
    }

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable outputs) => tape.MatMul(outputs, Network.Head);

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var truth = Features(tape, [batch.States(Layers[0])]).Value;
        var noisy = new float[truth.Length];
        tape.Backend.Download(truth, noisy);
        foreach (ref var value in noisy.AsSpan())
        {
            value += (float)((2 * batch.Random.NextDouble() - 1) * Noise);
        }

        var features = tape.Constant(noisy, truth.Rows, truth.Columns);
        var outputs = Run(tape, features, batch.Tokens(1), new CallRows(batch.Positions, batch.Visibility));
        var law = Judge(tape, Logits(tape, outputs), batch, 2, LawWeight);
        // Row i + 1 exists where token i + 2 does, or one place before a text's end; both losses use the same rows.
        var weights = batch.Weights(2);
        var loss = FeatureLoss.SmoothL1(tape, outputs, batch.Gather(truth, batch.Places(1)).Value, weights);
        return (loss + law.Loss, weights.Sum(w => (double)w));
    }
}
