// Reads GPT-2's original two files: vocab.json (string to id) and merges.txt (one pair a line, best first).
// A token of several characters that no merge makes is an added special token, as <|endoftext|> is there.
// Refuses files that are no UTF-8 and merges that name absent tokens.

using System.Text;

namespace Ptp.Core.Text;

/// <summary>The reader of vocab.json with merges.txt.</summary>
internal static class Gpt2Files
{
    public static ByteLevelBpe Read(byte[] vocabulary, byte[] merges, string source)
    {
        var ids = TokenizerFiles.ReadJson(vocabulary, source, root => TokenizerJson.ReadVocabulary(root, source));
        var pairs = Pairs(merges, source);
        var made = pairs.Select(p => p.Left + p.Right).ToHashSet(StringComparer.Ordinal);
        var added = ids.Where(e => e.Key.Length > 1 && !made.Contains(e.Key))
            .Select(e => new AddedToken(e.Value, e.Key, Special: true)).ToArray();
        return TokenizerJson.BuildByteLevel(ids, pairs, added, new ByteLevelOptions(), TokenizerMarks.None, source);
    }

    private static List<(string Left, string Right)> Pairs(byte[] merges, string source)
    {
        string text;
        try
        {
            text = new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(merges);
        }
        catch (DecoderFallbackException e)
        {
            throw TokenizerFiles.Damaged(source, "merges.txt with bytes that are no UTF-8", "UTF-8", e);
        }

        var pairs = new List<(string, string)>();
        foreach (var line in text.AsSpan().EnumerateLines())
        {
            if (!line.IsEmpty && !line.StartsWith("#version", StringComparison.Ordinal))
            {
                pairs.Add(TokenizerJson.SplitMerge(line.ToString(), source));
            }
        }

        return pairs;
    }
}
