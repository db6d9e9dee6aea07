// config.json of a Hugging Face folder <-> TransformerConfig, for the architectures whose mathematics we have.
// Source: fields and defaults of LLaMA and Mistral configurations, old (rope_theta) and new (rope_parameters).
// Refuses: biases, RoPE scaling, sliding windows shorter than the context, other activations, quantised weights.

using System.Text.Json;
using Ptp.Core.Model;

namespace Ptp.Core.Formats;

/// <summary>Reads and writes config.json.</summary>
public static class HuggingFaceConfig
{
    /// <summary>The file's name.</summary>
    public const string FileName = "config.json";

    /// <summary>Reads and checks a configuration.</summary>
    /// <param name="path">config.json, or the folder that holds it.</param>
    /// <exception cref="PtpException">It is missing, malformed, or of a model that Ptp does not compute.</exception>
    public static TransformerConfig Read(string path)
    {
        using var json = JsonFile.Open(Directory.Exists(path) ? Path.Combine(path, FileName) : path);
        return Parse(json);
    }

    /// <summary>Parses the bytes of a configuration.</summary>
    /// <param name="utf8">The file's content.</param>
    public static TransformerConfig Parse(ReadOnlyMemory<byte> utf8)
    {
        using var json = JsonFile.Parse(utf8, "Read config.json");
        return Parse(json);
    }

    /// <summary>Writes a configuration.</summary>
    /// <param name="stream">Receives the file's content.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="type">The number format of the weights beside it.</param>
    public static void Write(Stream stream, TransformerConfig config, StoredType type = StoredType.F32)
    {
        ArgumentNullException.ThrowIfNull(config);
        config = config.Validated();
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartArray("architectures");
        json.WriteStringValue("LlamaForCausalLM");
        json.WriteEndArray();
        json.WriteBoolean("attention_bias", false);
        WriteToken(json, "bos_token_id", config.BeginToken is { } begin ? [begin] : []);
        WriteToken(json, "eos_token_id", config.EndTokens);
        json.WriteNumber("head_dim", config.HeadSize);
        json.WriteString("hidden_act", "silu");
        json.WriteNumber("hidden_size", config.HiddenSize);
        json.WriteNumber("intermediate_size", config.IntermediateSize);
        json.WriteNumber("max_position_embeddings", config.MaxContext);
        json.WriteBoolean("mlp_bias", false);
        json.WriteString("model_type", "llama");
        json.WriteNumber("num_attention_heads", config.Heads);
        json.WriteNumber("num_hidden_layers", config.Layers);
        json.WriteNumber("num_key_value_heads", config.KeyValueHeads);
        json.WriteNumber("rms_norm_eps", config.NormEpsilon);
        json.WriteNull("rope_scaling");
        json.WriteNumber("rope_theta", config.RopeTheta);
        json.WriteBoolean("tie_word_embeddings", config.TieEmbeddings);
        json.WriteString("torch_dtype", type switch
        {
            StoredType.F16 => "float16",
            StoredType.BF16 => "bfloat16",
            _ => "float32",
        });
        json.WriteNumber("vocab_size", config.VocabularySize);
        json.WriteEndObject();
    }

    private static TransformerConfig Parse(JsonFile json)
    {
        var mistral = Architecture(json) == "mistral";
        RequireKnownMathematics(json);
        var heads = json.Int("num_attention_heads");
        var context = json.Int("max_position_embeddings", mistral ? 131_072 : 2048);
        RequireWholeWindow(json, context);
        var vocabulary = json.Int("vocab_size");
        return new TransformerConfig
        {
            VocabularySize = vocabulary,
            HiddenSize = json.Int("hidden_size"),
            IntermediateSize = json.Int("intermediate_size"),
            Layers = json.Int("num_hidden_layers"),
            Heads = heads,
            // Absent, Mistral's own default is 8; null, or absent elsewhere, means one per query head.
            KeyValueHeads = json.Int("num_key_value_heads", mistral && !json.Has("num_key_value_heads") ? 8 : heads),
            HeadSize = json.Int("head_dim", 0),
            MaxContext = context,
            RopeTheta = Theta(json),
            NormEpsilon = (float)json.Number("rms_norm_eps", 1e-6),
            TieEmbeddings = json.Flag("tie_word_embeddings", false),
            BeginToken = Tokens(json, "bos_token_id", 1, vocabulary) is [var begin, ..] ? begin : null,
            EndTokens = Tokens(json, "eos_token_id", 2, vocabulary),
        }.Validated();
    }

    // The architecture decides; files without it name at least the model type.
    private static string Architecture(JsonFile json)
    {
        if (json.Find("architectures") is { } list)
        {
            if (list.ValueKind != JsonValueKind.Array)
            {
                throw json.Wrong("architectures", list, "a list of names");
            }

            foreach (var item in list.EnumerateArray())
            {
                switch (item.ValueKind == JsonValueKind.String ? json.Text(item) : "")
                {
                    case "LlamaForCausalLM":
                        return "llama";
                    case "MistralForCausalLM":
                        return "mistral";
                }
            }

            throw json.Bad($"architectures = {Short(list)}", "LlamaForCausalLM or MistralForCausalLM",
                "Ptp computes LLaMA-style decoders without biases; choose such a model.");
        }

        var type = json.String("model_type");
        return type is "llama" or "mistral"
            ? type
            : throw json.Bad($"model_type = '{type}'", "llama or mistral",
                "Ptp computes LLaMA-style decoders without biases; choose such a model.");
    }

    private static void RequireKnownMathematics(JsonFile json)
    {
        foreach (var bias in (string[])["attention_bias", "mlp_bias", "qkv_bias", "use_qk_norm"])
        {
            Refuse(json, json.Flag(bias, false), $"{bias} = true", "false");
        }

        var activation = json.String("hidden_act", "silu");
        Refuse(json, activation is not ("silu" or "swish"), $"hidden_act = '{activation}'", "silu");
        Refuse(json, json.Number("partial_rotary_factor", 1) != 1, "partial_rotary_factor below 1",
            "RoPE on whole heads");
        Refuse(json, json.Find("quantization_config") is not null, "quantised weights",
            "weights in F32, F16 or BF16");
        foreach (var field in (string[])["rope_scaling", "rope_parameters"])
        {
            if (json.Find(field) is not { } rope)
            {
                continue;
            }

            if (rope.ValueKind != JsonValueKind.Object)
            {
                throw json.Wrong(field, rope, "an object or null");
            }

            foreach (var key in (string[])["rope_type", "type"])
            {
                var plain = !rope.TryGetProperty(key, out var kind)
                    || (kind.ValueKind == JsonValueKind.String && json.Text(kind) == "default");
                Refuse(json, !plain, $"{field} = {Short(rope)}", "plain RoPE (rope_type 'default')");
            }

            Refuse(json, rope.TryGetProperty("factor", out var factor) && JsonFile.Finite(factor) != 1,
                $"{field} = {Short(rope)}", "plain RoPE, without a factor");
            Refuse(json, rope.TryGetProperty("partial_rotary_factor", out var part) && JsonFile.Finite(part) != 1,
                $"{field} = {Short(rope)}", "RoPE on whole heads");
        }
    }

    private static void RequireWholeWindow(JsonFile json, int context)
    {
        var window = json.Int("sliding_window", int.MaxValue);
        if (window < context && json.Flag("use_sliding_window", true))
        {
            throw json.Bad($"sliding_window = {window} and max_position_embeddings = {context}",
                "a window as long as the context",
                $"Within {window} tokens the model is the same without it: set max_position_embeddings to {window}.");
        }
    }

    private static double Theta(JsonFile json)
    {
        if (json.Find("rope_parameters") is { } rope && rope.TryGetProperty("rope_theta", out var theta))
        {
            return JsonFile.Finite(theta) ?? throw json.Wrong("rope_parameters.rope_theta", theta, "a finite number");
        }

        return json.Number("rope_theta", 10_000);
    }

    // An id, a list of ids, or null; absent means the library's default, where the vocabulary has it.
    private static int[] Tokens(JsonFile json, string name, int fallback, int vocabulary)
    {
        if (!json.Has(name))
        {
            return fallback < vocabulary ? [fallback] : [];
        }

        if (json.Find(name) is not { } value)
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array)
        {
            return [json.Int(name)];
        }

        var ids = new List<int>();
        foreach (var item in value.EnumerateArray())
        {
            ids.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out var id)
                ? id
                : throw json.Wrong(name, value, "an id, a list of ids, or null"));
        }

        return [.. ids];
    }

    private static void WriteToken(Utf8JsonWriter json, string name, IReadOnlyList<int> ids)
    {
        switch (ids)
        {
            case []:
                json.WriteNull(name);
                break;
            case [var id]:
                json.WriteNumber(name, id);
                break;
            default:
                json.WriteStartArray(name);
                foreach (var id in ids)
                {
                    json.WriteNumberValue(id);
                }

                json.WriteEndArray();
                break;
        }
    }

    private static void Refuse(JsonFile json, bool when, string received, string expected)
    {
        if (when)
        {
            throw json.Bad(received, expected, "Ptp does not compute this variant; choose a model without it.");
        }
    }

    private static string Short(JsonElement value)
    {
        var text = value.GetRawText().ReplaceLineEndings(" ");
        return text.Length <= 80 ? text : text[..80] + "...";
    }
}
