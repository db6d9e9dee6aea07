// The sampler head (Samragh et al. 2025, arXiv 2507.11851): a small MLP that tells slot k which tokens were picked before it.
//   z_k = h_k + Down (silu(G_0 n(h_k) + sum_i G_i n(v_{k-i})) * (U_0 n(h_k) + sum_i U_i n(v_{k-i}))),  logits = head(z_k)
// v: a token's vector; ours may read t_{k-1} behind the base's first blocks instead, where it has met its context. Refuses: no token.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>Laws of slots given the tokens before them.</summary>
public sealed class SamplerHead
{
    private readonly Parameter _norm;
    private readonly Parameter _tokenNorm;
    private readonly Parameter? _stateNorm;
    private readonly Parameter[] _gates; // [1 + History], [F, D] each: of the slot, then of the token 1, 2, ... places before
    private readonly Parameter[] _ups;
    private readonly Parameter _down;

    /// <summary>A head of zero effect: Down is zero.</summary>
    /// <param name="network">Whose embeddings, final norm and head it shares.</param>
    /// <param name="history">Tokens it reads.</param>
    /// <param name="width">F, width of the MLP.</param>
    /// <param name="seed">Seed of its weights.</param>
    /// <param name="depth">Blocks of the network that the latest token runs through before it is read; 0 = its vector is read.</param>
    public SamplerHead(Transformer network, int history, int width, ulong seed, int depth = 0)
    {
        Guard.Require(depth >= 0 && depth <= network.Config.Layers, "Make a sampler head", $"a depth of {depth} blocks",
            $"0 to the network's {network.Config.Layers}", "One block is cheap and tells most.");
        Guard.Require(history is > 0 and <= 8 && width is > 0 and <= 1 << 16, "Make a sampler head",
            $"{history} tokens of history, width {width}", "1 to 8 tokens and a width of 1 to 65536", "Correct the options.");
        (Network, History, Width, Depth) = (network, history, width, depth);
        var model = network.Config.HiddenSize;
        var random = new RandomStream(seed, "sampler head");
        _norm = Gain("sampler.norm.weight");
        _tokenNorm = Gain("sampler.token_norm.weight");
        _stateNorm = depth > 0 ? Gain("sampler.state_norm.weight") : null;
        _gates = Matrices("gate");
        _ups = Matrices("up");
        _down = new Parameter(network.Backend, "sampler.down.weight", model, width);

        Parameter Gain(string name)
        {
            var gain = new Parameter(network.Backend, name, 1, model, isVector: true);
            Initialise.Constant(gain, 1f);
            return gain;
        }

        Parameter[] Matrices(string name) => [.. Enumerable.Range(0, history + 1).Select(i =>
        {
            var matrix = new Parameter(network.Backend, $"sampler.{name}.{i}.weight", width, model);
            Initialise.Gaussian(matrix, random, 1 / Math.Sqrt(model * (history + 1.0)));
            return matrix;
        })];
    }

    /// <summary>The model whose embeddings, final norm and head it shares.</summary>
    public Transformer Network { get; }

    /// <summary>Tokens it reads.</summary>
    public int History { get; }

    /// <summary>F.</summary>
    public int Width { get; }

    /// <summary>Blocks of the network that the latest token runs through before it is read.</summary>
    public int Depth { get; }

    /// <summary>What is trained.</summary>
    public IEnumerable<Parameter> Parameters =>
        [_norm, _tokenNorm, .. _stateNorm is null ? (Parameter[])[] : [_stateNorm], .. _gates, .. _ups, _down];

    /// <summary>Logits [R, V] of slots whose earlier tokens are known.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="earlier">Tokens i + 1 places before the ones that the slots predict, for i = 0, 1, ..., [History * R].</param>
    /// <param name="latest">With a depth: hidden states of earlier[0] behind that many blocks of the network, [R, D].</param>
    public Variable Logits(Tape tape, Variable slots, ReadOnlySpan<int> earlier, Variable? latest = null)
    {
        Guard.Require(latest is not null == Depth > 0, "Run a sampler head", latest is null ? "no hidden states" : "hidden states",
            Depth > 0 ? $"those behind block {Depth}" : "tokens alone", "Give what the head's depth asks for.");
        var rows = slots.Value.Rows;
        var (gate, up) = OfSlots(tape, slots);
        for (var i = 0; i < History; i++)
        {
            var tokens = i == 0 && latest is { } states ? Normed(tape, states) : Tokens(tape, earlier.Slice(i * rows, rows));
            tape.MatMul(tokens, _gates[i + 1], gate, accumulate: true);
            tape.MatMul(tokens, _ups[i + 1], up, accumulate: true);
        }

        return Finish(tape, slots, gate, up);
    }

    /// <summary>The slots' own share of gate and up, [R, F] each.</summary>
    internal (Variable Gate, Variable Up) OfSlots(Tape tape, Variable slots)
    {
        var normed = tape.RmsNorm(slots, _norm, Network.Config.NormEpsilon);
        return Share(tape, normed, 0);
    }

    /// <summary>A token's share of gate and up, <paramref name="places"/> before the prediction, [1, F] each.</summary>
    internal (Variable Gate, Variable Up) OfToken(Tape tape, int token, int places)
    {
        var vector = Tokens(tape, [token]);
        return Share(tape, vector, places);
    }

    /// <summary>The latest token's share of gate and up, [1, F] each, from its hidden state behind <see cref="Depth"/> blocks, [1, D].</summary>
    internal (Variable Gate, Variable Up) OfLatest(Tape tape, Variable state)
    {
        var normed = Normed(tape, state);
        return Share(tape, normed, 1);
    }

    /// <summary>Gate and up complete: logits [R, V].</summary>
    internal Variable Finish(Tape tape, Variable slots, Variable gate, Variable up) =>
        Network.Logits(tape, tape.MatMulAdd(slots, tape.SwiGlu(gate, up), _down));

    /// <summary>What one input adds to gate and up, [R, F] each.</summary>
    private (Variable Gate, Variable Up) Share(Tape tape, Variable x, int input)
    {
        var needsGradient = x.Gradient is not null || _gates[input].Gradient is not null;
        var (gate, up) = (tape.Empty(x.Value.Rows, Width, needsGradient), tape.Empty(x.Value.Rows, Width, needsGradient));
        tape.MatMul(x, [_gates[input], _ups[input]], [gate, up]);
        return (gate, up);
    }

    private Variable Normed(Tape tape, Variable states) => tape.RmsNorm(states, _stateNorm!, Network.Config.NormEpsilon);

    private Variable Tokens(Tape tape, ReadOnlySpan<int> ids)
    {
        var vectors = tape.Empty(ids.Length, Network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(Network.Embeddings, ids, vectors);
        return tape.RmsNorm(vectors, _tokenNorm, Network.Config.NormEpsilon);
    }
}
