// A LLaMA-style model and its tokenizer as llama.cpp expects them in a GGUF file.
//   names: blk.0.attn_q.weight for model.layers.0.self_attn.q_proj.weight, and so on; norms stay F32
//   RoPE there turns neighbours (2i, 2i + 1), here halves (i, i + K/2): rows of Q and K are put in that order.
// Refuses: nothing of its own; a tokenizer with fewer ids than the model gets unused tokens at its end.

using Ptp.Core.Model;
using Ptp.Core.Text;

namespace Ptp.Core.Formats;

/// <summary>Exports models.</summary>
public static class GgufModel
{
    private const int Normal = 1;
    private const int Unknown = 2;
    private const int Control = 3;
    private const int UserDefined = 4;
    private const int Unused = 5;
    private const int ByteToken = 6;

    /// <summary>Writes a model as a GGUF file.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="name">The model's name, for people.</param>
    /// <param name="files">Configuration and weights.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="type">Format of the matrices; rows that Q8_0 cannot hold are stored as F16.</param>
    public static void Write(string path, string name, ModelFiles files, Tokenizer tokenizer, GgufType type)
    {
        var config = files.Config;
        List<KeyValuePair<string, object>> metadata =
        [
            new("general.architecture", "llama"),
            new("general.name", name),
            new("general.file_type", type switch { GgufType.F32 => 0u, GgufType.F16 => 1u, GgufType.BF16 => 32u, _ => 7u }),
            new("llama.vocab_size", (uint)config.VocabularySize),
            new("llama.context_length", (uint)config.MaxContext),
            new("llama.embedding_length", (uint)config.HiddenSize),
            new("llama.block_count", (uint)config.Layers),
            new("llama.feed_forward_length", (uint)config.IntermediateSize),
            new("llama.rope.dimension_count", (uint)config.HeadSize),
            new("llama.rope.freq_base", (float)config.RopeTheta),
            new("llama.attention.head_count", (uint)config.Heads),
            new("llama.attention.head_count_kv", (uint)config.KeyValueHeads),
            new("llama.attention.key_length", (uint)config.HeadSize),
            new("llama.attention.value_length", (uint)config.HeadSize),
            new("llama.attention.layer_norm_rms_epsilon", config.NormEpsilon),
            .. Text(tokenizer, config),
        ];
        Gguf.Write(path, metadata, [.. files.Tensors.Values.Where(t => t.Name != "lm_head.weight" || !config.TieEmbeddings)
            .Select(t => Tensor(t, config, type))]);
    }

    /// <summary>Rows of Q or K of <paramref name="heads"/> heads, halves to neighbours: row 2i + j from row i + j K/2.</summary>
    internal static float[] Interleave(StoredTensor tensor, int heads)
    {
        var columns = tensor.Shape[1];
        var half = tensor.Shape[0] / heads / 2;
        var values = new float[tensor.Values.Length];
        for (var row = 0; row < tensor.Shape[0]; row++)
        {
            var (head, inside) = Math.DivRem(row, 2 * half);
            var from = head * 2 * half + inside / 2 + inside % 2 * half;
            tensor.Values.AsSpan(from * columns, columns).CopyTo(values.AsSpan(row * columns));
        }

        return values;
    }

    private static GgufTensor Tensor(StoredTensor tensor, TransformerConfig config, GgufType type)
    {
        var stored = tensor.Shape.Length < 2 ? GgufType.F32
            : type == GgufType.Q8_0 && tensor.Shape[^1] % GgufQuantization.Block != 0 ? GgufType.F16
            : type;
        return new GgufTensor(Name(tensor.Name), tensor.Shape, stored, tensor.Name switch
        {
            var n when n.EndsWith("q_proj.weight", StringComparison.Ordinal) => () => Interleave(tensor, config.Heads),
            var n when n.EndsWith("k_proj.weight", StringComparison.Ordinal) => () => Interleave(tensor, config.KeyValueHeads),
            _ => () => tensor.Values,
        });
    }

    private static string Name(string name)
    {
        var parts = name.Split('.');
        return name switch
        {
            "model.embed_tokens.weight" => "token_embd.weight",
            "model.norm.weight" => "output_norm.weight",
            "lm_head.weight" => "output.weight",
            _ => $"blk.{parts[2]}." + parts[^2] switch
            {
                "input_layernorm" => "attn_norm",
                "q_proj" => "attn_q",
                "k_proj" => "attn_k",
                "v_proj" => "attn_v",
                "o_proj" => "attn_output",
                "post_attention_layernorm" => "ffn_norm",
                "gate_proj" => "ffn_gate",
                "up_proj" => "ffn_up",
                "down_proj" => "ffn_down",
                var other => throw new PtpException("Export a model as GGUF", $"a tensor {other}", "a LLaMA-style model",
                    "Only models that ptp can run can be exported."),
            } + ".weight",
        };
    }

    private static IEnumerable<KeyValuePair<string, object>> Text(Tokenizer tokenizer, TransformerConfig config)
    {
        var count = config.VocabularySize;
        var tokens = new string[count];
        var types = new int[count];
        for (var id = 0; id < count; id++)
        {
            (tokens[id], types[id]) = id < tokenizer.VocabularySize
                ? (tokenizer is ByteLevelBpe ? ByteAlphabet.Spell(tokenizer.TokenBytes(id)) : Piece(tokenizer.TokenBytes(id)), Normal)
                : ($"<unused_{id}>", Unused);
        }

        var begin = config.BeginToken ?? tokenizer.BeginToken;
        var end = config.EndTokens.Concat(tokenizer.EndTokens).Cast<int?>().FirstOrDefault();
        switch (tokenizer)
        {
            case ByteLevelBpe bpe:
                Added(bpe.AddedTokens, tokens, types);
                yield return new("tokenizer.ggml.model", "gpt2");
                yield return new("tokenizer.ggml.pre", bpe.Options.Rules switch
                {
                    WordRules.Gpt2 => "gpt-2",
                    WordRules.Gpt2Digits => "smollm",
                    WordRules.Llama3 => "llama-bpe",
                    _ => "qwen2",
                });
                yield return new("tokenizer.ggml.merges", bpe.Merges.Select(m => $"{tokens[m.Left]} {tokens[m.Right]}").ToArray());
                break;
            case SentencePieceBpe pieces:
                for (var value = 0; value < 256; value++)
                {
                    (tokens[pieces.ByteIds[value]], types[pieces.ByteIds[value]]) = ($"<0x{value:X2}>", ByteToken);
                }

                Added(pieces.AddedTokens, tokens, types);
                yield return new("tokenizer.ggml.model", "llama");
                yield return new("tokenizer.ggml.pre", "default");
                yield return new("tokenizer.ggml.add_space_prefix", pieces.Prefix != SpacePrefix.Never);
                yield return new("tokenizer.ggml.scores",
                    Enumerable.Range(0, count).Select(id => id < pieces.Scores.Count ? pieces.Scores[id] : 0).ToArray());
                break;
            default:
                throw new PtpException("Export a tokenizer as GGUF", tokenizer.GetType().Name, "byte-level BPE or SentencePiece BPE",
                    "Name another tokenizer with --tokenizer FILE.");
        }

        yield return new("tokenizer.ggml.tokens", tokens);
        yield return new("tokenizer.ggml.token_type", types);
        yield return new("tokenizer.ggml.add_bos_token", begin is not null);
        if (begin is { } bos)
        {
            yield return new("tokenizer.ggml.bos_token_id", (uint)bos);
        }

        if (end is { } eos)
        {
            yield return new("tokenizer.ggml.eos_token_id", (uint)eos);
        }
    }

    private static void Added(IEnumerable<AddedToken> added, string[] tokens, int[] types)
    {
        foreach (var token in added)
        {
            (tokens[token.Id], types[token.Id]) =
                (token.Content, token.Content == "<unk>" ? Unknown : token.Special ? Control : UserDefined);
        }
    }

    private static string Piece(ReadOnlySpan<byte> bytes) => System.Text.Encoding.UTF8.GetString(bytes).Replace(' ', '\u2581');
}
