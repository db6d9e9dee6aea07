// A decoder block that also reads an encoder: self-attention, attention to the memory, gated MLP, each behind a norm and added to the stream.
//   h = x + O attention(rope(Q n(x)), rope(K n(x)), V n(x));  g = h + O' attention(Q' n(h), K' m, V' m);  x' = g + Down(silu(Gate n(g)) * Up n(g))
// Rows of the memory m and of the call stand in one attention call, so that visibility alone says who reads which source.
// Refuses: a cache; grouped heads are the configuration's to choose.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>A block with attention to an encoder's output.</summary>
internal sealed class CrossBlock
{
    private readonly TransformerConfig _config;
    private readonly RopeTable _rope;
    private readonly Parameter[] _linears; // [7], order of BlockLinear
    private readonly Parameter[] _cross; // [4]: query, key, value, output
    private readonly Parameter[] _norms; // [3]: before self-attention, before the memory, before the MLP

    /// <summary>A block whose matrices are zero; gains are one.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="config">Sizes.</param>
    /// <param name="rope">Cosines and sines of all positions.</param>
    /// <param name="prefix">Begins the names of its parameters.</param>
    public CrossBlock(IBackend backend, TransformerConfig config, RopeTable rope, string prefix)
    {
        (_config, _rope) = (config, rope);
        _linears = [.. Enum.GetValues<BlockLinear>().Select(linear => Matrix(linear, Transformer.NameOf(linear)))];
        _cross = [.. ((BlockLinear[])[BlockLinear.Query, BlockLinear.Key, BlockLinear.Value, BlockLinear.Output])
            .Select(linear => Matrix(linear, Transformer.NameOf(linear).Replace("self_attn", "cross_attn", StringComparison.Ordinal)))];
        _norms = [.. ((string[])["input_layernorm", "cross_layernorm", "post_attention_layernorm"]).Select(Gain)];

        Parameter Matrix(BlockLinear linear, string name)
        {
            var (outputs, inputs) = Transformer.ShapeOf(config, linear);
            return new Parameter(backend, $"{prefix}{name}.weight", outputs, inputs);
        }

        Parameter Gain(string name)
        {
            var gain = new Parameter(backend, $"{prefix}{name}.weight", 1, config.HiddenSize, isVector: true);
            Initialise.Constant(gain, 1f);
            return gain;
        }
    }

    /// <summary>Every parameter once.</summary>
    public IEnumerable<Parameter> Parameters => [.. _linears, .. _cross, .. _norms];

    /// <summary>Gaussian matrices of deviation 0.02, those that write to the stream smaller with depth.</summary>
    public void Randomise(RandomStream random, int layers)
    {
        foreach (var matrix in _linears.Concat(_cross))
        {
            var writes = matrix == _linears[(int)BlockLinear.Output] || matrix == _linears[(int)BlockLinear.Down] || matrix == _cross[3];
            Initialise.Gaussian(matrix, random, writes ? 0.02 / Math.Sqrt(3.0 * layers) : 0.02);
        }
    }

    /// <summary>The stream behind the block, [R, D].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="x">The stream, [R, D].</param>
    /// <param name="rows">Positions and visibility of the stream's rows.</param>
    /// <param name="memory">The encoder's output, [S, D].</param>
    /// <param name="reads">Who reads what: S rows of the memory, of which nothing is asked, then R rows that see rows below S.</param>
    public Variable Run(Tape tape, Variable x, CallRows rows, Variable memory, Visibility reads)
    {
        var heads = new HeadShape(_config.Heads, _config.KeyValueHeads, _config.HeadSize);
        var input = Normed(tape, x, 0);
        var (q, k, v) = (Linear(tape, BlockLinear.Query, input), Linear(tape, BlockLinear.Key, input), Linear(tape, BlockLinear.Value, input));
        tape.RopeAndStore(_rope, rows.Positions, q, k, v, [], default);
        var h = tape.MatMulAdd(x, tape.Attention(q, k, v, default, rows.Visibility, heads), _linears[(int)BlockLinear.Output]);

        var both = tape.Stack(memory, Normed(tape, h, 1)); // [S + R, D]
        var read = tape.Attention(
            tape.MatMul(both, _cross[0]), tape.MatMul(both, _cross[1]), tape.MatMul(both, _cross[2]), default, reads, heads);
        var g = tape.MatMulAdd(h, read.Slice(memory.Value.Rows, x.Value.Rows), _cross[3]);

        var inner = Normed(tape, g, 2);
        var gated = tape.SwiGlu(Linear(tape, BlockLinear.Gate, inner), Linear(tape, BlockLinear.Up, inner));
        return tape.MatMulAdd(g, gated, _linears[(int)BlockLinear.Down]);
    }

    private Variable Normed(Tape tape, Variable x, int norm) => tape.RmsNorm(x, _norms[norm], _config.NormEpsilon);

    private Variable Linear(Tape tape, BlockLinear linear, Variable x) => tape.MatMul(x, _linears[(int)linear]);
}
