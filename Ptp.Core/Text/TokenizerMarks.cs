// Which tokens begin and end a text: tokenizer_config.json beside tokenizer.json may say so by name (a string, or an
// object with "content"); else the usual names decide.
// Refuses a configuration that is no JSON; ignores names that the vocabulary lacks.

using System.Text.Json;

namespace Ptp.Core.Text;

/// <summary>Names of the tokens that begin and end a text, if a file says them.</summary>
/// <param name="Begin">bos_token.</param>
/// <param name="End">eos_token.</param>
internal sealed record TokenizerMarks(string? Begin, string? End)
{
    /// <summary>Nothing is said.</summary>
    public static TokenizerMarks None { get; } = new(null, null);

    /// <summary>Reads tokenizer_config.json in the same folder, if it is there.</summary>
    public static TokenizerMarks Beside(string path)
    {
        var config = Path.Combine(Path.GetDirectoryName(path) ?? "", "tokenizer_config.json");
        return File.Exists(config) ? Read(TokenizerFiles.Bytes(config), config) : None;
    }

    /// <summary>Reads the content of tokenizer_config.json.</summary>
    public static TokenizerMarks Read(byte[] bytes, string source) => TokenizerFiles.ReadJson(
        bytes, source, root => new TokenizerMarks(Name(root, "bos_token"), Name(root, "eos_token")));

    /// <summary>The ids: what the file says first, then the usual names.</summary>
    public (int? Begin, int[] End) Ids(AddedTokens added) =>
        (added.Find(Begin) ?? added.BeginToken,
        [.. new[] { added.Find(End) }.OfType<int>().Concat(added.EndTokens).Distinct()]);

    private static string? Name(JsonElement root, string field)
    {
        if (!root.TryGetProperty(field, out var value))
        {
            return null;
        }

        return value.ValueKind switch
        {
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Object => value.TryGetProperty("content", out var content) ? content.GetString() : null,
            _ => null,
        };
    }
}
