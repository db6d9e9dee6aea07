// Reads tokenizer.json of Hugging Face tokenizers where its model is byte-level BPE as GPT-2's.
// Merges may be "left right" strings or ["left","right"] arrays; ids may have gaps, which decode to nothing.
// Refuses every normalizer, pre-tokenizer or model type that would need code that is not here.

using System.Text.Json;

namespace Ptp.Core.Text;

/// <summary>The reader of tokenizer.json.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Read(byte[] bytes, string source) => TokenizerFiles.ReadJson(bytes, source, root => Read(root, source));

    private static ByteLevelBpe Read(JsonElement root, string source)
    {
        var model = root.GetProperty("model");
        RequireType(model, "BPE", "model", source);
        Require(IsNull(root, "normalizer"), source, "a normalizer", "none");
        var split = root.GetProperty("pre_tokenizer");
        RequireType(split, "ByteLevel", "pre_tokenizer", source);
        Require(!Flag(split, "add_prefix_space") && Flag(split, "use_regex", absent: true), source, "ByteLevel options", "no prefix space, and its own pattern");
        var added = ReadAdded(root, source);
        return ReadByteLevel(ReadVocabulary(model.GetProperty("vocab"), source), Merges(model.GetProperty("merges"), source), added, source);
    }

    /// <summary>Builds the tokenizer from a vocabulary and pairs of byte alphabet strings.</summary>
    public static ByteLevelBpe ReadByteLevel(
        Dictionary<string, int> ids, IEnumerable<(string Left, string Right)> pairs, IReadOnlyList<AddedToken> added, string source)
    {
        var size = Math.Max(ids.Values.Append(-1).Max(), added.Select(t => t.Id).Append(-1).Max()) + 1;
        var tokens = new byte[size][];
        Array.Fill(tokens, []);
        var outside = added.Select(t => t.Id).ToHashSet();
        foreach (var (text, id) in ids)
        {
            if (!outside.Contains(id))
            {
                Require(tokens[id].Length == 0, source, $"id {id} twice", "one string per id");
                tokens[id] = ByteAlphabet.Read(text)
                    ?? throw TokenizerFiles.Damaged(source, $"the token '{text}'", "characters of the byte alphabet");
            }
        }

        var merges = new List<BpeMerge>();
        foreach (var (left, right) in pairs)
        {
            if (!ids.TryGetValue(left, out var l) || !ids.TryGetValue(right, out var r) || !ids.TryGetValue(left + right, out var result))
            {
                throw TokenizerFiles.Damaged(source, $"the merge '{left}' + '{right}'", "parts and result in the vocabulary");
            }

            merges.Add(new BpeMerge(l, r, result));
        }

        return new ByteLevelBpe(tokens, merges, added);
    }

    /// <summary>An object of strings and ids.</summary>
    public static Dictionary<string, int> ReadVocabulary(JsonElement vocabulary, string source)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in vocabulary.EnumerateObject())
        {
            var id = entry.Value.GetInt32();
            Require(id is >= 0 and < TokenizerFiles.MaxVocabulary, source, $"id {id}", $"an id from 0 to {TokenizerFiles.MaxVocabulary - 1}");
            Require(entry.Name.Length > 0 && ids.TryAdd(entry.Name, id), source, $"the token '{entry.Name}'", "tokens that are not empty and occur once");
        }

        return ids;
    }

    private static List<AddedToken> ReadAdded(JsonElement root, string source)
    {
        var added = new List<AddedToken>();
        if (IsNull(root, "added_tokens"))
        {
            return added;
        }

        var seen = new HashSet<int>();
        foreach (var entry in root.GetProperty("added_tokens").EnumerateArray())
        {
            var id = entry.GetProperty("id").GetInt32();
            var content = entry.GetProperty("content").GetString() ?? "";
            Require(id is >= 0 and < TokenizerFiles.MaxVocabulary && seen.Add(id), source, $"the added id {id}", "ids in range, each once");
            Require(
                !Flag(entry, "lstrip") && !Flag(entry, "rstrip") && !Flag(entry, "single_word"), source,
                $"the added token '{content}' with lstrip, rstrip or single_word", "added tokens that match as they stand");
            added.Add(new AddedToken(id, content, Flag(entry, "special")));
        }

        return added;
    }

    private static IEnumerable<(string Left, string Right)> Merges(JsonElement merges, string source)
    {
        foreach (var merge in merges.EnumerateArray())
        {
            if (merge.ValueKind == JsonValueKind.Array)
            {
                Require(merge.GetArrayLength() == 2, source, "a merge of other than two parts", "pairs");
                yield return (merge[0].GetString() ?? "", merge[1].GetString() ?? "");
            }
            else
            {
                yield return SplitMerge(merge.GetString() ?? "", source);
            }
        }
    }

    /// <summary>"left right" in two.</summary>
    public static (string Left, string Right) SplitMerge(string merge, string source)
    {
        var space = merge.IndexOf(' ', StringComparison.Ordinal);
        Require(space > 0 && space < merge.Length - 1, source, $"the merge '{merge}'", "two strings with a space between");
        return (merge[..space], merge[(space + 1)..]);
    }

    private static bool IsNull(JsonElement element, string name) =>
        !element.TryGetProperty(name, out var value) || value.ValueKind == JsonValueKind.Null;

    private static bool Flag(JsonElement element, string name, bool absent = false) =>
        element.TryGetProperty(name, out var value) ? value.GetBoolean() : absent;

    private static void RequireType(JsonElement element, string type, string what, string source)
    {
        var received = element.TryGetProperty("type", out var value) ? value.GetString() : null;
        Require(received is null && type == "BPE" || received == type, source, $"{what} of type '{received}'", $"type {type}");
    }

    private static void Require(bool condition, string source, string received, string expected)
    {
        if (!condition)
        {
            throw TokenizerFiles.Damaged(source, received, expected);
        }
    }
}
