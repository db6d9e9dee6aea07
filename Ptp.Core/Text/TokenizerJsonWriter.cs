// Writes a byte-level BPE as tokenizer.json, the form of Hugging Face tokenizers: byte alphabet strings, ranked merges,
// ByteLevel pre-tokenizer and decoder, added tokens. Added tokens stand in the vocabulary too, as in GPT-2's own file.
// A folder gets tokenizer_config.json too, which names begin and end. Files appear complete or not at all.

using System.Text.Encodings.Web;
using System.Text.Json;
using Ptp.Core.Formats;

namespace Ptp.Core.Text;

/// <summary>The writer of tokenizer.json.</summary>
internal static class TokenizerJsonWriter
{
    private static readonly JsonWriterOptions s_options =
        new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(ByteLevelBpe tokenizer, string path) =>
        AtomicFile.Write(path, stream => Write(tokenizer, stream));

    public static void WriteFolder(ByteLevelBpe tokenizer, string folder) => AtomicFile.WriteAll([
        (Path.Combine(folder, "tokenizer.json"), stream => Write(tokenizer, stream)),
        (Path.Combine(folder, "tokenizer_config.json"), stream => WriteConfig(tokenizer, stream)),
    ]);

    public static void Write(ByteLevelBpe tokenizer, Stream stream)
    {
        using var json = new Utf8JsonWriter(stream, s_options);
        json.WriteStartObject();
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        foreach (var token in tokenizer.AddedTokens)
        {
            WriteAdded(json, token);
        }

        json.WriteEndArray();
        WriteNormalizer(json, tokenizer.Options);
        WriteSplit(json, tokenizer.Options.Rules);
        json.WriteNull("post_processor");
        json.WritePropertyName("decoder");
        WriteByteLevel(json, ownPattern: true);
        WriteModel(json, tokenizer);
        json.WriteEndObject();
    }

    private static void WriteConfig(ByteLevelBpe tokenizer, Stream stream)
    {
        using var json = new Utf8JsonWriter(stream, s_options);
        json.WriteStartObject();
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        json.WriteString("bos_token", Name(tokenizer, tokenizer.BeginToken));
        json.WriteString("eos_token", Name(tokenizer, tokenizer.EndTokens.Count > 0 ? tokenizer.EndTokens[0] : null));
        json.WriteEndObject();
    }

    private static string? Name(ByteLevelBpe tokenizer, int? id) =>
        tokenizer.AddedTokens.FirstOrDefault(t => t.Id == id)?.Content;

    private static void WriteAdded(Utf8JsonWriter json, AddedToken token)
    {
        json.WriteStartObject();
        json.WriteNumber("id", token.Id);
        json.WriteString("content", token.Content);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", token.Special);
        json.WriteEndObject();
    }

    private static void WriteNormalizer(Utf8JsonWriter json, ByteLevelOptions options)
    {
        if (!options.Compose)
        {
            json.WriteNull("normalizer");
            return;
        }

        json.WriteStartObject("normalizer");
        json.WriteString("type", "NFC");
        json.WriteEndObject();
    }

    private static void WriteSplit(Utf8JsonWriter json, WordRules rules)
    {
        json.WritePropertyName("pre_tokenizer");
        if (rules == WordRules.Gpt2)
        {
            WriteByteLevel(json, ownPattern: true);
            return;
        }

        json.WriteStartObject();
        json.WriteString("type", "Sequence");
        json.WriteStartArray("pretokenizers");
        json.WriteStartObject();
        json.WriteString("type", rules == WordRules.Gpt2Digits ? "Digits" : "Split");
        if (rules == WordRules.Gpt2Digits)
        {
            json.WriteBoolean("individual_digits", true);
        }
        else
        {
            json.WriteStartObject("pattern");
            json.WriteString("Regex", TokenizerJsonSteps.Pattern(rules));
            json.WriteEndObject();
            json.WriteString("behavior", "Isolated");
            json.WriteBoolean("invert", false);
        }

        json.WriteEndObject();
        WriteByteLevel(json, ownPattern: rules == WordRules.Gpt2Digits);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void WriteByteLevel(Utf8JsonWriter json, bool ownPattern)
    {
        json.WriteStartObject();
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", ownPattern);
        json.WriteEndObject();
    }

    private static void WriteModel(Utf8JsonWriter json, ByteLevelBpe tokenizer)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteBoolean("ignore_merges", tokenizer.Options.IgnoreMerges);
        json.WriteStartObject("vocab");
        var names = tokenizer.AddedTokens.ToDictionary(t => t.Id, t => t.Content);
        for (var id = 0; id < tokenizer.VocabularySize; id++)
        {
            var bytes = tokenizer.TokenBytes(id);
            if (names.TryGetValue(id, out var name))
            {
                json.WriteNumber(name, id);
            }
            else if (!bytes.IsEmpty)
            {
                json.WriteNumber(ByteAlphabet.Spell(bytes), id);
            }
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (var merge in tokenizer.Merges)
        {
            var left = ByteAlphabet.Spell(tokenizer.TokenBytes(merge.Left));
            json.WriteStringValue($"{left} {ByteAlphabet.Spell(tokenizer.TokenBytes(merge.Right))}");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
