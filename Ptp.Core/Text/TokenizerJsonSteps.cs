// What tokenizer.json says besides the vocabulary: normalizer and pre-tokenizer, recognised by what they do.
// Byte-level: ByteLevel alone, after Digits, or after one of two known Split patterns; normalizer NFC or none.
// SentencePiece: Prepend + Replace as normalizer, or Metaspace as pre-tokenizer.
// Refuses everything else, since a step that is not understood would give other ids in silence.

using System.Text.Json;

namespace Ptp.Core.Text;

/// <summary>Reads the steps around the model.</summary>
/// <param name="source">The file's name, for errors.</param>
internal sealed class TokenizerJsonSteps(string source)
{
    private const string Words3 =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        + @"|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string s_words1 = Words3.Replace("{1,3}", "", StringComparison.Ordinal);

    /// <summary>The pattern that stands for the rules in a file.</summary>
    public static string Pattern(WordRules rules) => rules == WordRules.Llama3 ? Words3 : s_words1;

    /// <summary>The options of a byte-level tokenizer.</summary>
    public ByteLevelOptions ByteLevel(JsonElement root)
    {
        var normalizers = Steps(root, "normalizer", "normalizers");
        var compose = normalizers.Count == 1 && Type(normalizers[0]) == "NFC";
        if (normalizers.Count > 0 && !compose)
        {
            throw Refuse("the normalizer", normalizers[0], "NFC or none");
        }

        var steps = Steps(root, "pre_tokenizer", "pretokenizers");
        var last = steps.Count > 0 ? steps[^1] : default;
        if (steps.Count is < 1 or > 2 || Type(last) != "ByteLevel" || Flag(last, "add_prefix_space"))
        {
            throw Refuse("a pre-tokenizer that ends with", last, "ByteLevel without a prefix space");
        }

        return new ByteLevelOptions(Rules(steps, Flag(last, "use_regex", absent: true)), Compose: compose);
    }

    /// <summary>Where a SentencePiece tokenizer puts its dummy space.</summary>
    public SpacePrefix Prefix(JsonElement root)
    {
        var normalizers = Steps(root, "normalizer", "normalizers");
        var steps = Steps(root, "pre_tokenizer", "pretokenizers");
        if (steps.Count == 1 && normalizers.Count == 0 && Type(steps[0]) == "Metaspace")
        {
            return Metaspace(steps[0]);
        }

        if (steps.Count > 0)
        {
            throw Refuse("the pre-tokenizer", steps[0], "Metaspace or none");
        }

        var prepends = false;
        var replaces = false;
        foreach (var step in normalizers)
        {
            switch (Type(step))
            {
                case "Prepend" when Text(step, "prepend") == "\u2581" && !replaces && !prepends:
                    prepends = true;
                    break;
                case "Replace" when Text(step, "content") == "\u2581" && PatternString(step) == " " && !replaces:
                    replaces = true;
                    break;
                default:
                    throw Refuse("the normalizer", step, "Prepend and Replace of U+2581");
            }
        }

        return !replaces ? throw Refuse("normalizers without", default, "Replace of spaces by U+2581")
            : prepends ? SpacePrefix.Always
            : SpacePrefix.Never;
    }

    /// <summary>The field "type", if there.</summary>
    public static string? Type(JsonElement element) => Text(element, "type");

    /// <summary>A field that is a string, or null.</summary>
    public static string? Text(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) ? value.GetString() : null;

    /// <summary>A field that is true or false.</summary>
    public static bool Flag(JsonElement element, string name, bool absent = false) =>
        element.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value.GetBoolean() : absent;

    private WordRules Rules(List<JsonElement> steps, bool ownPattern)
    {
        if (steps.Count == 1)
        {
            return ownPattern
                ? WordRules.Gpt2
                : throw Refuse("no split before", steps[0], "a split, or ByteLevel with its own pattern");
        }

        var first = steps[0];
        if (Type(first) == "Digits" && Flag(first, "individual_digits") && ownPattern)
        {
            return WordRules.Gpt2Digits;
        }

        var pattern = first.TryGetProperty("pattern", out var value) ? Text(value, "Regex") : null;
        var known = Type(first) == "Split" && !ownPattern
            && Text(first, "behavior") == "Isolated" && !Flag(first, "invert");
        return known && pattern == Words3 ? WordRules.Llama3
            : known && pattern == s_words1 ? WordRules.Qwen2
            : throw Refuse("the pre-tokenizer", first, "Digits one by one, or the Split pattern of LLaMA 3 or Qwen 2");
    }

    private SpacePrefix Metaspace(JsonElement step)
    {
        // Splitting at spaces changes nothing only if no piece has a space inside, which the file does not promise.
        if (Text(step, "replacement") != "\u2581" || Flag(step, "split", absent: true))
        {
            throw Refuse("the pre-tokenizer", step, "Metaspace with U+2581 and without split");
        }

        return (Text(step, "prepend_scheme"), Flag(step, "add_prefix_space", absent: true)) switch
        {
            ("first", _) => SpacePrefix.First,
            ("always", _) or (null, true) => SpacePrefix.Always,
            ("never", _) or (null, false) => SpacePrefix.Never,
            _ => throw Refuse("the prefix of", step, "first, always or never"),
        };
    }

    private static string? PatternString(JsonElement step) =>
        step.TryGetProperty("pattern", out var pattern) ? Text(pattern, "String") : null;

    /// <summary>A step, a sequence of steps, or none, as a list.</summary>
    private static List<JsonElement> Steps(JsonElement root, string name, string plural)
    {
        if (!root.TryGetProperty(name, out var step) || step.ValueKind == JsonValueKind.Null)
        {
            return [];
        }

        return Type(step) == "Sequence" ? [.. step.GetProperty(plural).EnumerateArray()] : [step];
    }

    private PtpException Refuse(string what, JsonElement step, string expected)
    {
        var text = step.ValueKind == JsonValueKind.Undefined ? "nothing" : step.GetRawText();
        return new PtpException(
            "Read a tokenizer", $"'{source}' with {what} {(text.Length <= 80 ? text : text[..80] + "...")}", expected,
            "Use a model whose tokenizer is of these kinds; others would give wrong ids.");
    }
}
