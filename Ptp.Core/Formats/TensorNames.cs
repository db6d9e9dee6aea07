// The names and shapes of a decoder's weights, as every LLaMA-style checkpoint on Hugging Face spells them.
// Source: the LLaMA layout: embedding, per block two norms, four attention and three MLP matrices, final norm, head.
// Not here: biases, query and key norms, experts; such models are refused by HuggingFaceConfig.

using System.Globalization;
using Ptp.Core.Model;

namespace Ptp.Core.Formats;

/// <summary>A tensor that a model must have. Matrices are [out, in].</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its sizes.</param>
public sealed record ExpectedTensor(string Name, int[] Shape);

/// <summary>Names of weights; <c>layer</c> counts from 0.</summary>
public static class TensorNames
{
    /// <summary>Token embedding, [V, D].</summary>
    public const string Embedding = "model.embed_tokens.weight";

    /// <summary>Norm before the head, [D].</summary>
    public const string FinalNorm = "model.norm.weight";

    /// <summary>Output head, [V, D]; absent where it is tied to the embedding.</summary>
    public const string Head = "lm_head.weight";

    /// <summary>Norm before attention, [D].</summary>
    public static string AttentionNorm(int layer) => Of(layer, "input_layernorm");

    /// <summary>Query projection, [H * K, D].</summary>
    public static string Query(int layer) => Of(layer, "self_attn.q_proj");

    /// <summary>Key projection, [key-value heads * K, D].</summary>
    public static string Key(int layer) => Of(layer, "self_attn.k_proj");

    /// <summary>Value projection, [key-value heads * K, D].</summary>
    public static string Value(int layer) => Of(layer, "self_attn.v_proj");

    /// <summary>Projection of the heads back to the residual stream, [D, H * K].</summary>
    public static string Output(int layer) => Of(layer, "self_attn.o_proj");

    /// <summary>Norm before the MLP, [D].</summary>
    public static string MlpNorm(int layer) => Of(layer, "post_attention_layernorm");

    /// <summary>Gate of the MLP, [intermediate, D].</summary>
    public static string Gate(int layer) => Of(layer, "mlp.gate_proj");

    /// <summary>Up projection of the MLP, [intermediate, D].</summary>
    public static string Up(int layer) => Of(layer, "mlp.up_proj");

    /// <summary>Down projection of the MLP, [D, intermediate].</summary>
    public static string Down(int layer) => Of(layer, "mlp.down_proj");

    /// <summary>All tensors of a model, in the order in which a token meets them.</summary>
    /// <param name="config">The model's sizes.</param>
    public static IReadOnlyList<ExpectedTensor> Expected(TransformerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        config = config.Validated();
        var (width, middle) = (config.HiddenSize, config.IntermediateSize);
        var all = new List<ExpectedTensor> { new(Embedding, [config.VocabularySize, width]) };
        for (var layer = 0; layer < config.Layers; layer++)
        {
            all.Add(new(AttentionNorm(layer), [width]));
            all.Add(new(Query(layer), [config.QueryWidth, width]));
            all.Add(new(Key(layer), [config.KeyValueWidth, width]));
            all.Add(new(Value(layer), [config.KeyValueWidth, width]));
            all.Add(new(Output(layer), [width, config.QueryWidth]));
            all.Add(new(MlpNorm(layer), [width]));
            all.Add(new(Gate(layer), [middle, width]));
            all.Add(new(Up(layer), [middle, width]));
            all.Add(new(Down(layer), [width, middle]));
        }

        all.Add(new(FinalNorm, [width]));
        if (!config.TieEmbeddings)
        {
            all.Add(new(Head, [config.VocabularySize, width]));
        }

        return all;
    }

    /// <summary>True for tensors of older files that change nothing: computed tables, a tied head.</summary>
    /// <param name="name">A name that <see cref="Expected"/> does not list.</param>
    /// <param name="config">The model's sizes.</param>
    public static bool IsHarmless(string name, TransformerConfig config)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(config);
        return name.EndsWith("rotary_emb.inv_freq", StringComparison.Ordinal)
            || name.EndsWith("rotary_emb.cos_cached", StringComparison.Ordinal)
            || name.EndsWith("rotary_emb.sin_cached", StringComparison.Ordinal)
            || (name == Head && config.TieEmbeddings);
    }

    private static string Of(int layer, string part) =>
        string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.{part}.weight");
}
