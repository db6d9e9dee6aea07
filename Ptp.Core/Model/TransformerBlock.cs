// One block of a LLaMA-style decoder: attention and gated MLP, each behind a norm and added to the stream.
//   h = x + O attention(rope(Q n(x)), rope(K n(x)), V n(x));   x' = h + Down (silu(Gate n(h)) * Up n(h))
// Draft heads reuse it: without the first norm (EAGLE-1), or with a second input to Q, K and V (EAGLE-3). Refuses: biases, dropout.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>A block and its weights.</summary>
public sealed class TransformerBlock
{
    private readonly TransformerConfig _config;
    private readonly RopeTable _rope;
    private readonly IBackend _backend;
    private readonly Parameter[] _linears; // [7], order of BlockLinear
    private readonly Parameter[] _second; // [3]: query, key, value of the second input; empty without one
    private readonly Parameter? _attentionNorm;
    private readonly Parameter _mlpNorm;

    /// <summary>A block whose matrices are zero; gains are one.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="rope">Cosines and sines of all positions.</param>
    /// <param name="prefix">Begins the names of its parameters, such as "model.layers.0.".</param>
    /// <param name="inputNorm">False to attend to the stream as it is.</param>
    /// <param name="secondInput">True if queries, keys and values also read a second input [R, D].</param>
    internal TransformerBlock(
        IBackend backend, TransformerConfig config, RopeTable rope, string prefix, bool inputNorm = true, bool secondInput = false)
    {
        (_backend, _config, _rope) = (backend, config, rope);
        _linears = [.. Enum.GetValues<BlockLinear>().Select(linear => Matrix(linear, ""))];
        _second = secondInput ? [.. _linears.Take(3).Select((_, i) => Matrix((BlockLinear)i, "_second"))] : [];
        _attentionNorm = inputNorm ? Gain("input_layernorm") : null;
        _mlpNorm = Gain("post_attention_layernorm");

        Parameter Matrix(BlockLinear linear, string suffix)
        {
            var (outputs, inputs) = Transformer.ShapeOf(config, linear);
            return new Parameter(backend, $"{prefix}{Transformer.NameOf(linear)}{suffix}.weight", outputs, inputs);
        }

        Parameter Gain(string name)
        {
            var gain = new Parameter(backend, $"{prefix}{name}.weight", 1, config.HiddenSize, isVector: true);
            Initialise.Constant(gain, 1f);
            return gain;
        }
    }

    private TransformerBlock(TransformerBlock of, WeightFormat format)
    {
        (_backend, _config, _rope, _mlpNorm, _attentionNorm) = (of._backend, of._config, of._rope, of._mlpNorm, of._attentionNorm);
        _linears = [.. of._linears.Select(matrix => matrix.Twin(format))];
        _second = [.. of._second.Select(matrix => matrix.Twin(format))];
    }

    /// <summary>Every parameter once, in the order of Hugging Face files.</summary>
    public IEnumerable<Parameter> Parameters =>
        [.. _linears, .. _second, .. _attentionNorm is null ? (Parameter[])[] : [_attentionNorm], _mlpNorm];

    /// <summary>Its matrices alone.</summary>
    public IEnumerable<Parameter> Matrices => [.. _linears, .. _second];

    /// <summary>A block of the same numbers whose products are stored otherwise.</summary>
    internal TransformerBlock Twin(WeightFormat format) => new(this, format);

    /// <summary>Gaussian matrices of deviation 0.02; the two that write to the stream shrink with depth (GPT-2, section 2.3).</summary>
    /// <param name="random">Their stream.</param>
    /// <param name="layers">Blocks of the whole network.</param>
    public void Randomise(RandomStream random, int layers)
    {
        foreach (var matrix in _linears.Concat(_second))
        {
            var writes = matrix == _linears[(int)BlockLinear.Output] || matrix == _linears[(int)BlockLinear.Down];
            Initialise.Gaussian(matrix, random, writes ? 0.02 / Math.Sqrt(2.0 * layers) : 0.02);
        }
    }

    /// <summary>The stream behind the block, [R, D].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="x">The stream, [R, D].</param>
    /// <param name="rows">Positions, visibility, cache.</param>
    /// <param name="layer">Its layer of the cache and of <paramref name="lora"/>.</param>
    /// <param name="lora">Added in gated rows, or null.</param>
    /// <param name="second">The second input of queries, keys and values, [R, D], where the block has one.</param>
    public Variable Run(Tape tape, Variable x, CallRows rows, int layer, GatedLora? lora = null, Variable? second = null)
    {
        var input = _attentionNorm is { } norm ? tape.RmsNorm(x, norm, _config.NormEpsilon) : x;
        var h = Added(tape, x, BlockLinear.Output, Attend(tape, input, second, rows, layer, lora), rows, layer, lora);
        var normed = tape.RmsNorm(h, _mlpNorm, _config.NormEpsilon);
        var (gate, up) = (Empty(tape, BlockLinear.Gate, normed), Empty(tape, BlockLinear.Up, normed));
        Linear(tape, BlockLinear.Gate, normed, [gate, up], rows, layer, lora);
        return Added(tape, h, BlockLinear.Down, tape.SwiGlu(gate, up), rows, layer, lora);
    }

    /// <summary>Keys and values into the cache, and nothing else: for a last block whose output nobody reads.</summary>
    /// <param name="tape">The pass; records nothing here.</param>
    /// <param name="x">The stream, [R, D].</param>
    /// <param name="rows">Positions, slots, cache.</param>
    /// <param name="layer">Its layer of the cache.</param>
    public void Remember(Tape tape, Variable x, CallRows rows, int layer)
    {
        var input = _attentionNorm is { } norm ? tape.RmsNorm(x, norm, _config.NormEpsilon) : x;
        var (k, v) = (Empty(tape, BlockLinear.Key, input), Empty(tape, BlockLinear.Value, input));
        tape.MatMul(input, _linears.AsSpan((int)BlockLinear.Key, 2), [k, v]);
        tape.Backend.Rope(_rope, rows.Positions, k.Value);
        tape.Backend.Scatter(k.Value, rows.CacheSlots, rows.Cache![layer].Keys!);
        tape.Backend.Scatter(v.Value, rows.CacheSlots, rows.Cache[layer].Values!);
    }

    /// <summary>What the heads read, [R, H * K].</summary>
    private Variable Attend(Tape tape, Variable x, Variable? second, CallRows rows, int layer, GatedLora? lora)
    {
        var (q, k, v) = (Empty(tape, BlockLinear.Query, x), Empty(tape, BlockLinear.Key, x), Empty(tape, BlockLinear.Value, x));
        Linear(tape, BlockLinear.Query, x, [q, k, v], rows, layer, lora);
        if (second is not null)
        {
            tape.MatMul(second, _second[0], q, accumulate: true);
            tape.MatMul(second, _second[1], k, accumulate: true);
            tape.MatMul(second, _second[2], v, accumulate: true);
        }

        var cache = rows.Cache is null ? default : rows.Cache[layer];
        tape.RopeAndStore(_rope, rows.Positions, q, k, v, rows.CacheSlots, cache);
        var heads = new HeadShape(_config.Heads, _config.KeyValueHeads, _config.HeadSize);
        return tape.Attention(q, k, v, cache, rows.Visibility, heads);
    }

    private Variable Empty(Tape tape, BlockLinear linear, Variable x)
    {
        var weight = _linears[(int)linear];
        return tape.Empty(x.Value.Rows, weight.Value.Rows, x.Gradient is not null || weight.Gradient is not null);
    }

    /// <summary>Linear maps of the same input that follow each other in <see cref="BlockLinear"/>, LoRA added in gated rows.</summary>
    private void Linear(
        Tape tape, BlockLinear first, Variable x, ReadOnlySpan<Variable> y, CallRows rows, int layer, GatedLora? lora)
    {
        var weights = _linears.AsSpan((int)first, y.Length);
        if (lora is not null && x.Value.Rows > rows.GateStart)
        {
            lora.Linear(tape, layer, first, x, weights, y, rows.GateStart);
            return;
        }

        tape.MatMul(x, weights, y);
    }

    /// <summary>stream + Linear(x); without gated rows in one op, of which base rows have the same bits.</summary>
    private Variable Added(
        Tape tape, Variable stream, BlockLinear linear, Variable x, CallRows rows, int layer, GatedLora? lora)
    {
        if (lora is null || x.Value.Rows <= rows.GateStart)
        {
            return tape.MatMulAdd(stream, x, _linears[(int)linear]);
        }

        var y = Empty(tape, linear, x);
        Linear(tape, linear, x, [y], rows, layer, lora);
        return tape.Add(stream, y);
    }
}
