// DeepSeek-V3's multi-token prediction (arXiv 2412.19437, section 2.2): K modules one after the other, a complete causal chain each.
//   h'_i = M [n_h(h^{k-1}_i); n_e(E[t_{i+k}])],  h^k = block_k(h'),  law of t_{i+k+1} = Head n(h^k_i),  L = lambda / K sum_k L_k
// h^0 is the base's last state before its final norm; table and output head are the base's. Refuses: training the base along.

using Ptp.Core.Autograd;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>DeepSeek's modules, each with its own weights.</summary>
public class SequentialMtp : DraftHead
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "deepseek-mtp";

    private readonly Module[] _modules;

    /// <summary>Modules that pass the state on, with small random blocks.</summary>
    public SequentialMtp(Transformer network, HeadOptions options)
        : this(network, options, options.Slots)
    {
    }

    private protected SequentialMtp(Transformer network, HeadOptions options, int modules)
        : base(network, options) => _modules = [.. Enumerable.Range(0, modules).Select(NewModule)];

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _modules.SelectMany(m => m.Parameters)];

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new MtpSteps(this);

    /// <summary>States of module <paramref name="k"/>, [R, D].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="states">States of the module before, or of the base, [R, D].</param>
    /// <param name="tokens">Token k + 1 places behind each row, [R].</param>
    /// <param name="k">Counted from 0.</param>
    /// <param name="rows">Positions, visibility, and a cache of the module's own.</param>
    public Variable Run(Tape tape, Variable states, int[] tokens, int k, CallRows rows)
    {
        var module = _modules[Math.Min(k, _modules.Length - 1)];
        var x = tape.MatMul(Normed(tape, states, module.StateNorm), module.OfState);
        tape.MatMul(Normed(tape, Vectors(tape, tokens), module.TokenNorm), module.OfToken, x, accumulate: true);
        return module.Block.Run(tape, x, rows, layer: 0);
    }

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (loss, weight, states) = (0.0, 0.0, batch.States(Layers[0]));
        for (var k = 0; k < TrainedDepth; k++)
        {
            states = Run(tape, states, batch.Tokens(k + 1), k, new CallRows(batch.Positions, batch.Visibility));
            var (own, count) = Judge(tape, Network.Logits(tape, states), batch, k + 2);
            (loss, weight) = (loss + own, weight + count);
        }

        return (loss, weight);
    }

    /// <summary>Modules in a row while training.</summary>
    private protected virtual int TrainedDepth => Slots;

    private Module NewModule(int k)
    {
        var width = Network.Config.HiddenSize;
        var ofState = Matrix($"{k}.projection.state", width, width, gain: 0.1);
        PassOn(ofState);
        return new Module(
            Gain($"{k}.state_norm"), Gain($"{k}.token_norm"), ofState, Matrix($"{k}.projection.token", width, width, gain: 0.5), Block($"{k}"));
    }

    private sealed record Module(Parameter StateNorm, Parameter TokenNorm, Parameter OfState, Parameter OfToken, TransformerBlock Block)
    {
        public IEnumerable<Parameter> Parameters => [StateNorm, TokenNorm, OfState, OfToken, .. Block.Parameters];
    }
}
