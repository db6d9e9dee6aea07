// Reads tokenizer.json of Hugging Face tokenizers where its model is BPE: byte-level as in GPT-2, LLaMA 3, Qwen 2 and
// SmolLM, or SentencePiece's with byte fall-back as in LLaMA 1 and 2, Mistral and TinyLlama. Merges may be "left right"
// strings or ["left","right"] arrays; ids may have gaps, which decode to nothing.
// Refuses every normalizer, pre-tokenizer or model that would need code that is not here (see TokenizerJsonSteps).

using System.Text;
using System.Text.Json;

namespace Ptp.Core.Text;

/// <summary>The reader of tokenizer.json.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Read(byte[] bytes, string source, TokenizerMarks marks) =>
        TokenizerFiles.ReadJson(bytes, source, root => Read(root, source, marks));

    private static Tokenizer Read(JsonElement root, string source, TokenizerMarks marks)
    {
        var model = root.GetProperty("model");
        var type = TokenizerJsonSteps.Type(model);
        Require(type is "BPE" or null, source, $"a model of type '{type}'", "type BPE");
        foreach (var field in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            Require(string.IsNullOrEmpty(TokenizerJsonSteps.Text(model, field)), source, $"a {field}", "none");
        }

        var steps = new TokenizerJsonSteps(source);
        var added = ReadAdded(root, source);
        var ids = ReadVocabulary(model.GetProperty("vocab"), source);
        var pairs = Merges(model.GetProperty("merges"), source);
        if (TokenizerJsonSteps.Flag(model, "byte_fallback"))
        {
            return BuildSentencePiece(ids, pairs, added, steps.Prefix(root), marks, source);
        }

        var options = steps.ByteLevel(root) with { IgnoreMerges = TokenizerJsonSteps.Flag(model, "ignore_merges") };
        return BuildByteLevel(ids, pairs, added, options, marks, source);
    }

    /// <summary>Builds a byte-level tokenizer from a vocabulary and pairs of byte alphabet strings.</summary>
    public static ByteLevelBpe BuildByteLevel(
        Dictionary<string, int> ids,
        IEnumerable<(string Left, string Right)> pairs,
        IReadOnlyList<AddedToken> added,
        ByteLevelOptions options,
        TokenizerMarks marks,
        string source)
    {
        var tokens = new byte[Size(ids, added, source)][];
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

        var (begin, end) = marks.Ids(new AddedTokens(added));
        return new ByteLevelBpe(tokens, MergeIds(ids, pairs, source), added, options, begin, end);
    }

    /// <summary>An object of strings and ids.</summary>
    public static Dictionary<string, int> ReadVocabulary(JsonElement vocabulary, string source)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var entry in vocabulary.EnumerateObject())
        {
            var id = entry.Value.GetInt32();
            RequireId(id, source);
            Require(ids.TryAdd(entry.Name, id), source, $"the token '{entry.Name}' twice", "each token once");
        }

        return ids;
    }

    /// <summary>"left right" in two.</summary>
    public static (string Left, string Right) SplitMerge(string merge, string source)
    {
        var space = merge.IndexOf(' ', StringComparison.Ordinal);
        Require(space > 0 && space < merge.Length - 1, source, $"the merge '{merge}'", "two strings with a space between");
        return (merge[..space], merge[(space + 1)..]);
    }

    private static SentencePieceBpe BuildSentencePiece(
        Dictionary<string, int> ids,
        IEnumerable<(string Left, string Right)> pairs,
        IReadOnlyList<AddedToken> added,
        SpacePrefix prefix,
        TokenizerMarks marks,
        string source)
    {
        var pieces = new Piece[Size(ids, added, source)];
        Array.Fill(pieces, new Piece([], 0, Special: true));
        foreach (var (text, id) in ids)
        {
            Require(pieces[id].Special, source, $"id {id} twice", "one string per id");
            pieces[id] = new Piece(SentencePieceBuilder.Bytes(text), 0, Special: false);
        }

        foreach (var token in added)
        {
            pieces[token.Id] = new Piece(Encoding.UTF8.GetBytes(token.Content), 0, token.Special);
        }

        return SentencePieceBuilder.FromMerges(
            pieces, MergeIds(ids, pairs, source), added, prefix, marks.Ids(new AddedTokens(added)), source);
    }

    private static List<BpeMerge> MergeIds(
        Dictionary<string, int> ids, IEnumerable<(string Left, string Right)> pairs, string source)
    {
        var merges = new List<BpeMerge>();
        foreach (var (left, right) in pairs)
        {
            if (!ids.TryGetValue(left, out var l) || !ids.TryGetValue(right, out var r)
                || !ids.TryGetValue(left + right, out var result))
            {
                throw TokenizerFiles.Damaged(
                    source, $"the merge '{left}' + '{right}'", "parts and result in the vocabulary");
            }

            merges.Add(new BpeMerge(l, r, result));
        }

        return merges;
    }

    private static List<AddedToken> ReadAdded(JsonElement root, string source)
    {
        var added = new List<AddedToken>();
        if (!root.TryGetProperty("added_tokens", out var list) || list.ValueKind == JsonValueKind.Null)
        {
            return added;
        }

        var seen = new HashSet<int>();
        foreach (var entry in list.EnumerateArray())
        {
            var id = entry.GetProperty("id").GetInt32();
            var content = TokenizerJsonSteps.Text(entry, "content") ?? "";
            RequireId(id, source);
            Require(seen.Add(id), source, $"the added id {id} twice", "each id once");
            foreach (var flag in (string[])["lstrip", "rstrip", "single_word"])
            {
                Require(
                    !TokenizerJsonSteps.Flag(entry, flag), source,
                    $"the added token '{content}' with {flag}", "one that matches as it stands");
            }

            added.Add(new AddedToken(id, content, TokenizerJsonSteps.Flag(entry, "special")));
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

    /// <summary>One more than the greatest id; gaps must be few, so that one wrong id allocates nothing large.</summary>
    private static int Size(Dictionary<string, int> ids, IReadOnlyList<AddedToken> added, string source)
    {
        var size = Math.Max(ids.Values.Append(-1).Max(), added.Select(t => t.Id).Append(-1).Max()) + 1;
        Require(
            size <= 2 * (ids.Count + added.Count) + 1024, source,
            $"id {size - 1} among {ids.Count} tokens", "ids without large gaps");
        return size;
    }

    private static void RequireId(int id, string source) => Require(
        id is >= 0 and < TokenizerFiles.MaxVocabulary, source,
        $"id {id}", $"an id from 0 to {TokenizerFiles.MaxVocabulary - 1}");

    private static void Require(bool condition, string source, string received, string expected)
    {
        if (!condition)
        {
            throw TokenizerFiles.Damaged(source, received, expected);
        }
    }
}
