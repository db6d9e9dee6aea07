// Hydra (Ankner et al. 2024, arXiv 2402.05109): Medusa's heads, each told the tokens drafted before its own.
//   law of t_{i+k+2} = Head (h_i + silu(W_{k,0} h_i + sum_{j=1..k+1} W_{k,j} n(E[t_{i+j}]) + b_k)),   L = sum_k L_k
// The token vectors are the base's, normalised, as its table is tied and small. Refuses: Hydra++'s extra decoder layer.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Sequentially dependent heads.</summary>
public sealed class Hydra : DraftHead
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "hydra";

    private readonly Parameter[][] _weights; // [K][k + 2], [D, D] each: of the state, then of tokens 1, 2, ... places on
    private readonly Parameter[] _biases; // [K], [D, 1] each
    private readonly Parameter _tokenNorm;

    /// <summary>Heads whose share of the state is zero, whose shares of tokens are small and random.</summary>
    public Hydra(Transformer network, HeadOptions options)
        : base(network, options)
    {
        var width = network.Config.HiddenSize;
        _weights = [.. Enumerable.Range(0, Slots).Select(k => Enumerable.Range(0, k + 2)
            .Select(j => Matrix($"{k}.linear.{j}", width, width, gain: j == 0 ? 0 : 0.1)).ToArray())];
        _biases = [.. Enumerable.Range(0, Slots).Select(k => Matrix($"{k}.bias", width, 1, gain: 0))];
        _tokenNorm = Gain("token_norm");
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _weights.SelectMany(w => w), .. _biases, _tokenNorm];

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new HydraSteps(this);

    /// <summary>Logits of head <paramref name="k"/>, [R, V].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="states">Hidden states of the base's last block, [R, D].</param>
    /// <param name="k">0 to K - 1.</param>
    /// <param name="tokens">tokens[j][r] = token j + 1 places behind row r, [k + 1][R].</param>
    public Variable Logits(Tape tape, Variable states, int k, int[][] tokens)
    {
        var h = Network.Normed(tape, states);
        var y = tape.MatMul(h, _weights[k][0]);
        for (var j = 0; j <= k; j++)
        {
            tape.MatMul(Normed(tape, Vectors(tape, tokens[j]), _tokenNorm), _weights[k][j + 1], y, accumulate: true);
        }

        AddBias(tape, _biases[k], y);
        return tape.MatMul(tape.Add(h, Silu(tape, y)), Network.Head);
    }

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (loss, weight) = (0.0, 0.0);
        int[][] tokens = [.. Enumerable.Range(1, Slots).Select(batch.Tokens)];
        for (var k = 0; k < Slots; k++)
        {
            var (own, count) = Judge(tape, Logits(tape, batch.States(Layers[0]), k, tokens), batch, k + 2);
            (loss, weight) = (loss + own, weight + count);
        }

        return (loss, weight);
    }

    /// <summary>Reads each node's path.</summary>
    private sealed class HydraSteps(Hydra head) : HeadSteps
    {
        private Tape? _tape;
        private Tensor? _state; // [1, D]

        public override int Slots => head.Slots;

        public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
        {
            _tape = session.Tape;
            _tape.Reset();
            _state = session.Cache.States(head.Layers[0])!.Slice(session.Cache.Length - 1, 1);
            return null;
        }

        public override Tensor Laws(DraftNodes nodes, int[] which)
        {
            var depth = nodes.Depth(which[0]);
            int[][] paths = [.. which.Select(node => (int[])[nodes.Token(0), .. nodes.Path(node).Select(nodes.Token)])];
            int[][] tokens = [.. Enumerable.Range(0, depth + 1).Select(j => paths.Select(path => path[j]).ToArray())];
            var states = _tape!.Empty(which.Length, _state!.Columns, needsGradient: false);
            _tape.Backend.Embedding(_state, new int[which.Length], states.Value);
            return head.Logits(_tape, states, depth, tokens).Value;
        }
    }
}
