// Tokens and texts made visible: control characters, broken UTF-8 and marks that turn the writing direction become escapes such as
// \n, \x1b or \u{202e}, so that a token can neither act on a terminal nor break a page.
// Refuses: nothing; every id and every text has a form. Special tokens, which decode to nothing, show as <end> or <id>.

using System.Globalization;
using System.Text;
using Ptp.Core.Text;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Names tokens.</summary>
/// <param name="tokenizer">The model's tokenizer.</param>
/// <param name="endTokens">Ids that end a text.</param>
internal sealed class TokenNames(Tokenizer tokenizer, IReadOnlyList<int> endTokens)
{
    private static readonly UTF8Encoding s_strict = new(false, throwOnInvalidBytes: true);

    /// <summary>A token's text on one line; never empty.</summary>
    public string Of(int id)
    {
        if (endTokens.Contains(id))
        {
            return "<end>";
        }

        // A model may have more ids than its tokenizer has texts.
        var bytes = id < tokenizer.VocabularySize ? tokenizer.TokenBytes(id) : [];
        if (bytes.IsEmpty)
        {
            return Invariant($"<{id}>");
        }

        try
        {
            return Visible(s_strict.GetString(bytes));
        }
        catch (DecoderFallbackException)
        {
            var text = new StringBuilder();
            foreach (var part in bytes)
            {
                text.Append(part is >= 0x20 and < 0x7f ? ((char)part).ToString() : Invariant($"\\x{part:x2}"));
            }

            return text.ToString();
        }
    }

    /// <summary>A text without anything that acts instead of being seen.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="keepLines">True if line ends and tabs stay as they are.</param>
    public static string Visible(string text, bool keepLines = false)
    {
        var visible = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes()) // an unpaired surrogate comes as U+FFFD
        {
            visible.Append(rune.Value switch
            {
                '\n' or '\t' when keepLines => rune.ToString(),
                '\n' => "\\n",
                '\t' => "\\t",
                '\r' => "\\r",
                _ when Rune.IsControl(rune) => Invariant($"\\x{rune.Value:x2}"),
                _ when Acts(rune) => Invariant($"\\u{{{rune.Value:x}}}"),
                _ => rune.ToString(),
            });
        }

        return visible.ToString();
    }

    // Formats (joiners excepted, which are part of emoji), line separators, and code points that no XML may hold.
    private static bool Acts(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.Format => rune.Value is not (0x200c or 0x200d),
        UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => true,
        UnicodeCategory.OtherNotAssigned => (rune.Value & 0xfffe) == 0xfffe,
        _ => false,
    };
}
