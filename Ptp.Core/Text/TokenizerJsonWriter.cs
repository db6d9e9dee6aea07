// Writes a byte-level BPE as tokenizer.json, the form of Hugging Face tokenizers: byte alphabet strings, ranked merges,
// ByteLevel pre-tokenizer and decoder, added tokens. Added tokens stand in the vocabulary too, as in GPT-2's own file.
// The file appears complete or not at all.

using System.Text.Encodings.Web;
using System.Text.Json;
using Ptp.Core.Formats;

namespace Ptp.Core.Text;

/// <summary>The writer of tokenizer.json.</summary>
internal static class TokenizerJsonWriter
{
    private static readonly JsonWriterOptions s_options =
        new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write(ByteLevelBpe tokenizer, string path) => AtomicFile.Write(path, stream => Write(tokenizer, stream));

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
        json.WriteNull("normalizer");
        WriteByteLevel(json, "pre_tokenizer");
        json.WriteNull("post_processor");
        WriteByteLevel(json, "decoder");
        WriteModel(json, tokenizer);
        json.WriteEndObject();
    }

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

    private static void WriteByteLevel(Utf8JsonWriter json, string name)
    {
        json.WriteStartObject(name);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", true);
        json.WriteBoolean("use_regex", true);
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
        json.WriteBoolean("ignore_merges", false);
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
            json.WriteStringValue(
                $"{ByteAlphabet.Spell(tokenizer.TokenBytes(merge.Left))} {ByteAlphabet.Spell(tokenizer.TokenBytes(merge.Right))}");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}
