// Sizes of the scalar transformer and the names and shapes of its weights, as Hugging Face names them.
// Source: the tensor names of LlamaForCausalLM checkpoints.
// Refuses nothing itself; ScalarTransformer checks the weights against this list.

namespace Ptp.Reference.Oracle;

/// <summary>Sizes of a LLaMA-style decoder.</summary>
/// <param name="Vocabulary">V.</param>
/// <param name="Hidden">D.</param>
/// <param name="Intermediate">Width of the gated MLP.</param>
/// <param name="Layers">L.</param>
/// <param name="Heads">H.</param>
/// <param name="KeyValueHeads">Heads of keys and values; divides H.</param>
/// <param name="HeadSize">K; even.</param>
/// <param name="RopeTheta">Base of the rotary angles.</param>
/// <param name="NormEps">Added under the root of RMSNorm.</param>
/// <param name="Tied">True if the head is the embedding table.</param>
public sealed record ScalarConfig(
    int Vocabulary, int Hidden, int Intermediate, int Layers, int Heads, int KeyValueHeads, int HeadSize,
    double RopeTheta, double NormEps, bool Tied)
{
    /// <summary>Name of the embedding table [V, D].</summary>
    public const string Embedding = "model.embed_tokens.weight";

    /// <summary>Name of the last norm's gain [D].</summary>
    public const string FinalNorm = "model.norm.weight";

    /// <summary>Name of the head [V, D]: the embedding table if tied.</summary>
    public string Head => Tied ? Embedding : "lm_head.weight";

    /// <summary>Prefix of everything in block <paramref name="layer"/>.</summary>
    public static string Block(int layer) => $"model.layers.{layer}.";

    /// <summary>The seven linears of a block, without the block's prefix: name, outputs, inputs.</summary>
    public IReadOnlyList<(string Name, int Outputs, int Inputs)> BlockLinears =>
    [
        ("self_attn.q_proj", Heads * HeadSize, Hidden),
        ("self_attn.k_proj", KeyValueHeads * HeadSize, Hidden),
        ("self_attn.v_proj", KeyValueHeads * HeadSize, Hidden),
        ("self_attn.o_proj", Hidden, Heads * HeadSize),
        ("mlp.gate_proj", Intermediate, Hidden),
        ("mlp.up_proj", Intermediate, Hidden),
        ("mlp.down_proj", Hidden, Intermediate),
    ];

    /// <summary>Every linear that an adapter may sit on: full name without ".weight" to (outputs, inputs).</summary>
    public IReadOnlyDictionary<string, (int Outputs, int Inputs)> Linears =>
        (from layer in Enumerable.Range(0, Layers)
         from linear in BlockLinears
         select (Block(layer) + linear.Name, linear)).ToDictionary(
            pair => pair.Item1, pair => (pair.linear.Outputs, pair.linear.Inputs));

    /// <summary>Shape of every weight by name.</summary>
    public IReadOnlyDictionary<string, int[]> WeightShapes
    {
        get
        {
            var shapes = new Dictionary<string, int[]> { [Embedding] = [Vocabulary, Hidden], [FinalNorm] = [Hidden] };
            shapes[Head] = [Vocabulary, Hidden];
            for (var layer = 0; layer < Layers; layer++)
            {
                shapes[Block(layer) + "input_layernorm.weight"] = [Hidden];
                shapes[Block(layer) + "post_attention_layernorm.weight"] = [Hidden];
            }

            foreach (var (name, (outputs, inputs)) in Linears)
            {
                shapes[name + ".weight"] = [outputs, inputs];
            }

            return shapes;
        }
    }
}
