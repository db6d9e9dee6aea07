// EAGLE-3 (Li et al. 2025, arXiv 2503.01840): features of three depths fused, no loss on features, training unrolled as in use.
//   f_i = W [n(h^low_i); n(h^mid_i); n(h^high_i)];  o_i = n(block(f_i; second input n(E[t_{i+1}])));  law of t_{i+2} = Head o_i
//   step j of J reads its own outputs: o^j_i = block(o^{j-1}_i, t_{i+1+j}), seeing step 0's rows <= i and its own later steps; 0.8^j L_j
// A base of four blocks is read behind blocks 1, 2 and 4. States are normalised before fusion and outputs before reuse, as in EAGLE-3.1
// (2605.09992): a small block has little to add to a raw stream. Refuses: a draft vocabulary smaller than the base's.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>EAGLE-3's drafter.</summary>
public sealed class Eagle3 : FeatureDrafter
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "eagle-3";

    private const int Unrolled = 3;
    private const double Decay = 0.8;
    private readonly Parameter[] _fusion; // [3], [D, D] each
    private readonly Parameter[] _stateNorms; // [3]
    private readonly Parameter _tokenNorm;
    private readonly Parameter _finalNorm;
    private readonly TransformerBlock _block;

    /// <summary>A drafter whose feature begins as the highest state, its final norm as the base's.</summary>
    public Eagle3(Transformer network, HeadOptions options)
        : base(network, options)
    {
        var width = network.Config.HiddenSize;
        _fusion = [.. Enumerable.Range(0, Layers.Count).Select(i => Matrix($"fusion.{i}", width, width, gain: 0.1))];
        PassOn(_fusion[^1]);
        _stateNorms = [.. Enumerable.Range(0, Layers.Count).Select(i => Gain($"state_norm.{i}"))];
        _tokenNorm = Gain("token_norm");
        _finalNorm = Gain("norm");
        network.Backend.Copy(network.FinalNorm.Value, _finalNorm.Value);
        _block = Block("block", secondInput: true);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<int> Layers
    {
        get
        {
            var last = Network.Config.Layers - 1;
            return [0, Math.Min(last, Network.Config.Layers / 2 - 1 + Network.Config.Layers % 2), last];
        }
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _fusion, .. _stateNorms, _tokenNorm, _finalNorm, .. _block.Parameters];

    /// <inheritdoc/>
    public override Variable Features(Tape tape, IReadOnlyList<Variable> states)
    {
        var x = tape.MatMul(Normed(tape, states[0], _stateNorms[0]), _fusion[0]);
        for (var i = 1; i < states.Count; i++)
        {
            tape.MatMul(Normed(tape, states[i], _stateNorms[i]), _fusion[i], x, accumulate: true);
        }

        return x;
    }

    /// <inheritdoc/>
    public override Variable Run(Tape tape, Variable features, int[] tokens, CallRows rows) => Normed(
        tape, _block.Run(tape, features, rows, layer: 0, second: Normed(tape, Vectors(tape, tokens), _tokenNorm)), _finalNorm);

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable outputs) => tape.MatMul(outputs, Network.Head);

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (loss, weight, rows) = (0.0, 0.0, batch.Rows);
        var inputs = new List<Variable> { Features(tape, [.. Layers.Select(batch.States)]) };
        for (var j = 0; j < Math.Min(Unrolled, Slots); j++)
        {
            // All steps so far in one call: keys and values of earlier steps are computed again, and so carry their gradient.
            int[] tokens = [.. Enumerable.Range(1, j + 1).SelectMany(batch.Tokens)];
            var call = new CallRows([.. Enumerable.Range(0, j + 1).SelectMany(s => batch.Positions.Select(p => p + s))], Seen(batch, j + 1));
            var outputs = Run(tape, tape.Stack([.. inputs]), tokens, call).Slice(j * rows, rows);
            var (own, count) = Judge(tape, Logits(tape, outputs), batch, j + 2, Math.Pow(Decay, j));
            (loss, weight) = (loss + own, weight + count);
            inputs.Add(outputs);
        }

        return (loss, weight);
    }

    /// <summary>Row i of step s sees rows up to i of step 0, in its text, and row i of steps 1 to s.</summary>
    private static Visibility Seen(HeadBatch batch, int steps)
    {
        var visibility = new Visibility();
        for (var step = 0; step < steps; step++)
        {
            for (var row = 0; row < batch.Rows; row++)
            {
                visibility.AddRow(0, 0).AddRange(row - batch.Positions[row], row + 1);
                for (var own = 1; own <= step; own++)
                {
                    visibility.AddRange(own * batch.Rows + row, own * batch.Rows + row + 1);
                }
            }
        }

        return visibility;
    }
}
