// XML documentation comments as plain English: a member's name, its summary, parameters, result, exceptions and remarks.
// Names (of types, parameters, keywords) are marked while rendering, so that the template of a text is the text without them.
// Leaves out: code samples, links without words, notes for developers, and every part that quotes a web address.

using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Ptp.Core.Training;

/// <summary>Renders one member of a documentation file.</summary>
internal static partial class CorpusXmlText
{
    private const char Open = '\u0001';
    private const char Close = '\u0002';

    /// <summary>
    /// Heading, text and two templates of a member; null where it says nothing in English. Whole is the template of the
    /// text, Topic that of its first line: overloads differ in parameters and exceptions but share what they are about.
    /// </summary>
    public static (string Heading, string Text, string Whole, string Topic)? Member(XElement member)
    {
        var lines = new List<string>();
        foreach (var element in member.Elements())
        {
            var name = (string?)element.Attribute("name") ?? "";
            var words = Words(element);
            if (words.Length == 0 || words.Contains("://", StringComparison.Ordinal))
            {
                continue;
            }

            switch (element.Name.LocalName)
            {
                case "summary":
                    lines.Insert(0, words);
                    break;
                case "param" or "typeparam":
                    lines.Add($"{Open}{name}{Close}: {words}");
                    break;
                case "returns" or "value":
                    lines.Add("Returns: " + words);
                    break;
                case "exception":
                    lines.Add($"Throws {Open}{TypeName(element)}{Close}: {words}");
                    break;
                case "remarks":
                    lines.Add(words);
                    break;
            }
        }

        var marked = string.Join('\n', lines);
        return IsEnglish(marked) ? (Heading(member), Plain(marked), Template(marked), Template(lines[0])) : null;
    }

    /// <summary>The text without marks.</summary>
    internal static string Plain(string marked) => Marks().Replace(marked, "");

    /// <summary>Names and numbers become placeholders; case and punctuation at the ends of words go.</summary>
    internal static string Template(string marked)
    {
        var text = MarkedName().Replace(marked, " _ ");
        text = Identifier().Replace(text, " _ ");
        text = NotWords().Replace(text.ToLowerInvariant(), " ");
        return Placeholders().Replace(text, "_").Trim();
    }

    /// <summary>"T:System.Collections.Generic.List`1" as "List", "M:System.String.Join(...)" as "String.Join".</summary>
    internal static string ShortName(string reference)
    {
        var colon = reference.IndexOf(':', StringComparison.Ordinal);
        var kind = colon is 1 ? reference[0] : ' ';
        var name = Braces().Replace(Arguments().Replace(reference[(colon + 1)..], ""), "");
        name = Arity().Replace(name, "").Replace("#ctor", ".ctor", StringComparison.Ordinal);
        name = name.Replace("..ctor", ".ctor", StringComparison.Ordinal);
        if (kind == 'N')
        {
            return name;
        }

        var dots = name.Split('.', StringSplitOptions.RemoveEmptyEntries);
        if (dots.Length == 0)
        {
            return "";
        }

        var last = dots[^1].Split('#')[^1].Replace("op_", "", StringComparison.Ordinal);
        var isMember = kind is 'M' or 'P' or 'F' or 'E' && dots.Length > 1;
        return (isMember, last) switch
        {
            (true, "ctor" or "cctor") => dots[^2],
            (true, _) => dots[^2] + "." + last,
            _ => last,
        };
    }

    private static string Heading(XElement member)
    {
        var reference = (string?)member.Attribute("name") ?? "";
        var parameters = member.Elements("param").Select(p => (string?)p.Attribute("name") ?? "").Where(p => p.Length > 0);
        return ShortName(reference) + (reference.StartsWith("M:", StringComparison.Ordinal)
            ? "(" + string.Join(", ", parameters) + ")" : "");
    }

    private static string TypeName(XElement element) => ShortName((string?)element.Attribute("cref") ?? "T:Exception");

    private static string Words(XElement element)
    {
        var text = new StringBuilder();
        Append(text, element);
        var words = Markdown().Replace(Link().Replace(text.ToString(), "$1"), "");
        words = Reference().Replace(Tag().Replace(words, "$1"), "");
        words = White().Replace(words, " ");
        return SpaceBefore().Replace(words, "$1").Trim();
    }

    private static void Append(StringBuilder text, XElement element)
    {
        foreach (var node in element.Nodes())
        {
            if (node is XText words)
            {
                text.Append(words.Value);
            }
            else if (node is XElement child)
            {
                AppendElement(text, child);
            }
        }
    }

    private static void AppendElement(StringBuilder text, XElement child)
    {
        switch (child.Name.LocalName.ToLowerInvariant())
        {
            case "example" or "examples" or "devremarks" or "forinternaluseonly" or "script" or "format" or "listheader":
                return;
            case "code" when child.Attributes().Any(a => a.Name.LocalName is "language" or "lang") || child.Value.Contains('\n', StringComparison.Ordinal):
                return;
            case "see" or "seealso" or "xref" or "paramref" or "typeparamref":
                AppendName(text, child);
                return;
            case "c" or "code" or "b" or "i" or "em" or "strong" when !child.Value.Contains(' ', StringComparison.Ordinal):
                text.Append(Open);
                Append(text, child);
                text.Append(Close);
                return;
            case "sup":
                text.Append('^');
                Append(text, child);
                return;
            case "term":
                Append(text, child);
                text.Append(child.ElementsAfterSelf("description").Any() ? ": " : " ");
                return;
            case "item" or "li":
                var start = text.Length;
                Append(text, child);
                EndItem(text, start);
                return;
            case "para" or "p" or "br" or "list" or "ul" or "div":
                text.Append(' ');
                Append(text, child);
                text.Append(' ');
                return;
            default:
                Append(text, child);
                return;
        }
    }

    private static void AppendName(StringBuilder text, XElement child)
    {
        var name = (string?)child.Attribute("langword") ?? (string?)child.Attribute("name");
        var reference = (string?)child.Attribute("cref") ?? (string?)child.Attribute("uid");
        if (!string.IsNullOrWhiteSpace(child.Value))
        {
            text.Append(Open);
            Append(text, child);
            text.Append(Close);
        }
        else if (name is not null || reference is not null)
        {
            text.Append(Open).Append(name ?? ShortName(reference!)).Append(Close);
        }
        else
        {
            text.Append("the documentation");
        }
    }

    private static void EndItem(StringBuilder text, int start)
    {
        while (text.Length > start && char.IsWhiteSpace(text[^1]))
        {
            text.Length--;
        }

        text.Append(text.Length == start || text[^1] is '.' or ';' or ':' or ',' ? " " : "; ");
    }

    /// <summary>Twenty letters or more, and three words of four that are letters only.</summary>
    private static bool IsEnglish(string marked)
    {
        var words = 0;
        var plain = 0;
        var letters = 0;
        foreach (var word in Plain(marked).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries))
        {
            var core = word.AsSpan().Trim(".,;:()'\"-");
            words++;
            var own = 0;
            foreach (var c in core)
            {
                own += char.IsLetter(c) ? 1 : 0;
            }

            letters += own;
            plain += own == core.Length || core.Count('.') + own == core.Length ? 1 : 0;
        }

        return letters >= 20 && 4 * plain >= 3 * words
            && !marked.Contains("__m", StringComparison.Ordinal) && !marked.Contains("#define", StringComparison.Ordinal);
    }

    [GeneratedRegex("[\u0001\u0002]")]
    private static partial Regex Marks();

    [GeneratedRegex("\u0001[^\u0002]*\u0002")]
    private static partial Regex MarkedName();

    [GeneratedRegex(@"\b\w*(?:[a-z][A-Z]|[A-Z]{2}|[0-9_])\w*\b")]
    private static partial Regex Identifier();

    [GeneratedRegex(@"[^\p{L}_]+")]
    private static partial Regex NotWords();

    [GeneratedRegex(@"_(?:[ _]*_)*")]
    private static partial Regex Placeholders();

    [GeneratedRegex(@"\(.*$", RegexOptions.Singleline)]
    private static partial Regex Arguments();

    [GeneratedRegex(@"\{[^}]*\}+|[\[\]~@]")]
    private static partial Regex Braces();

    [GeneratedRegex("`+[0-9]*")]
    private static partial Regex Arity();

    [GeneratedRegex(@"\s+")]
    private static partial Regex White();

    [GeneratedRegex(@" +([.,;:)](?=\s|$))")]
    private static partial Regex SpaceBefore();

    [GeneratedRegex(@"!?\[([^\]\n]*)\]\([^)\s]*\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`+|\*\*+")]
    private static partial Regex Markdown();

    // A tag quoted as text; List<T> is not one.
    [GeneratedRegex(@"(?<!\w)</?([A-Za-z]+)\s*/?>")]
    private static partial Regex Tag();

    // A reference that somebody wrote as text.
    [GeneratedRegex(@"\b[TMPFEN]:(?:[A-Za-z]\w*\.)+")]
    private static partial Regex Reference();
}
