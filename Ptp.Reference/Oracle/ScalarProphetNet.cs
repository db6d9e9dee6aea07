// ProphetNet's encoder-decoder in scalar double, without streams: each prediction is a little decoder call of its own.
//   P(y_{i+1} | y_{<=i-s}, x): the rows y_0 .. y_max(0, i-s) causally, and behind them one row e_s at position i + 1 that sees them all
// So the n-stream mask is not used to check itself. Not here: speed, gradients.

namespace Ptp.Reference.Oracle;

/// <summary>The model by its weights' names, row-major, W [outputs, inputs].</summary>
/// <param name="Weights">All weights.</param>
/// <param name="Hidden">D.</param>
/// <param name="Vocabulary">V.</param>
/// <param name="Layers">Of the encoder, and of the decoder.</param>
/// <param name="Heads">H; keys and values have as many.</param>
/// <param name="Theta">RoPE's base.</param>
/// <param name="Epsilon">Of the norms.</param>
public sealed record ScalarProphetNet(
    IReadOnlyDictionary<string, double[]> Weights, int Hidden, int Vocabulary, int Layers, int Heads, double Theta, double Epsilon)
{
    /// <summary>The encoder's output, [S, D].</summary>
    public double[] Encode(int[] source)
    {
        var x = ScalarOps.Embedding(source, Weights["embed_tokens.weight"], Hidden);
        int[] positions = [.. Enumerable.Range(0, source.Length)];
        var all = new bool[source.Length, source.Length];
        Fill(all, (_, _) => true);
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"encoder.layers.{layer}.";
            x = Mlp(at, SelfAttention(at, x, positions, all));
        }

        return Norm("encoder.norm.weight", x);
    }

    /// <summary>Logits of stream s at place i, [V].</summary>
    /// <param name="memory">The encoder's output, [S, D].</param>
    /// <param name="target">y_0, y_1, ...</param>
    /// <param name="stream">s, from 0.</param>
    /// <param name="place">i; the token predicted is y_{i+1}.</param>
    public double[] Logits(double[] memory, int[] target, int stream, int place)
    {
        var known = 1 + Math.Max(0, place - stream);
        double[] slot = Weights["streams.weight"][(stream * Hidden)..((stream + 1) * Hidden)];
        double[] x = [.. ScalarOps.Embedding(target[..known], Weights["embed_tokens.weight"], Hidden), .. slot];
        int[] positions = [.. Enumerable.Range(0, known), place + 1];
        var (causal, reads) = (new bool[known + 1, known + 1], new bool[known + 1, memory.Length / Hidden]);
        Fill(causal, (row, column) => column <= row);
        Fill(reads, (_, _) => true);
        for (var layer = 0; layer < Layers; layer++)
        {
            var at = $"decoder.layers.{layer}.";
            var h = SelfAttention(at, x, positions, causal);
            var q = Linear(at + "cross_attn.q_proj.weight", Norm(at + "cross_layernorm.weight", h));
            var (k, v) = (Linear(at + "cross_attn.k_proj.weight", memory), Linear(at + "cross_attn.v_proj.weight", memory));
            var mixed = ScalarOps.Attention(q, k, v, reads, Heads, Heads, Hidden / Heads);
            x = Mlp(at, ScalarOps.Add(h, Linear(at + "cross_attn.o_proj.weight", mixed)));
        }

        var last = Norm("decoder.norm.weight", x)[(known * Hidden)..];
        return ScalarOps.Linear(last, Weights["embed_tokens.weight"], 1, Hidden, Vocabulary);
    }

    private double[] SelfAttention(string at, double[] x, int[] positions, bool[,] visible)
    {
        var n = Norm(at + "input_layernorm.weight", x);
        var size = Hidden / Heads;
        var q = ScalarOps.Rope(Linear(at + "self_attn.q_proj.weight", n), positions, Heads, size, Theta);
        var k = ScalarOps.Rope(Linear(at + "self_attn.k_proj.weight", n), positions, Heads, size, Theta);
        var mixed = ScalarOps.Attention(q, k, Linear(at + "self_attn.v_proj.weight", n), visible, Heads, Heads, size);
        return ScalarOps.Add(x, Linear(at + "self_attn.o_proj.weight", mixed));
    }

    private double[] Mlp(string at, double[] x)
    {
        var n = Norm(at + "post_attention_layernorm.weight", x);
        var gated = ScalarOps.SwiGlu(Linear(at + "mlp.gate_proj.weight", n), Linear(at + "mlp.up_proj.weight", n));
        var inner = gated.Length / (x.Length / Hidden);
        return ScalarOps.Add(x, ScalarOps.Linear(gated, Weights[at + "mlp.down_proj.weight"], x.Length / Hidden, inner, Hidden));
    }

    private double[] Norm(string name, double[] x) => ScalarOps.RmsNorm(x, Weights[name], x.Length / Hidden, Hidden, Epsilon);

    private double[] Linear(string name, double[] x) =>
        ScalarOps.Linear(x, Weights[name], x.Length / Hidden, Hidden, Weights[name].Length / Hidden);

    private static void Fill(bool[,] table, Func<int, int, bool> sees)
    {
        for (var row = 0; row < table.GetLength(0); row++)
        {
            for (var column = 0; column < table.GetLength(1); column++)
            {
                table[row, column] = sees(row, column);
            }
        }
    }
}
