// Readers of plain text: stories with a separator between them, and long texts cut at natural borders.
// A long text is held out in blocks (a whole speech, or eight neighbouring documents), so that neighbours do not leak.
// Refuses: missing files. Drops, and counts, wrongly decoded parts and a last story that was cut off.

namespace Ptp.Core.Training;

/// <summary>Turns files into parts.</summary>
public static class CorpusSources
{
    private const int Shortest = 800;
    private const int Longest = 2000;
    private const int Wanted = 1600;
    private const int DocumentsPerBlock = 8;

    /// <summary>Stories with a <see cref="CorpusText.Separator"/> after each; exact duplicates are dropped.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">Name of the corpus.</param>
    public static CorpusReading Stories(string path, string name = "stories")
    {
        var stories = CorpusText.Read(path, out var controls).Split(CorpusText.Separator);
        var damaged = 0;
        if (stories[^1].AsSpan().Trim() is { Length: > 0 } last && !EndsSentence(last))
        {
            stories[^1] = "";
            damaged++;
        }

        return Unique(name, path, controls, damaged, stories.Select((s, i) => ("story " + i, s)));
    }

    /// <summary>
    /// A long text: paragraphs (blank lines between them) grouped to documents of 800 to 2000 characters, longer
    /// paragraphs cut at ends of sentences. A text of very long paragraphs is a collection, each paragraph a block.
    /// </summary>
    /// <param name="name">Name of the corpus.</param>
    /// <param name="path">The file.</param>
    public static CorpusReading Plain(string name, string path)
    {
        var text = CorpusText.Read(path, out var controls);
        return Unique(name, path, controls, 0, CutPlain(text));
    }

    private static CorpusReading Unique(
        string name, string path, int controls, int damaged, IEnumerable<(string Block, string Text)> raw)
    {
        var parts = new List<CorpusPart>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        var duplicates = 0;
        foreach (var (block, rawText) in raw)
        {
            var text = rawText.Trim();
            if (text.Length == 0)
            {
                continue;
            }

            if (CorpusText.IsDamaged(text))
            {
                damaged++;
            }
            else if (!seen.Add(text))
            {
                duplicates++;
            }
            else
            {
                parts.Add(new CorpusPart(block, text, text));
            }
        }

        return new CorpusReading(name, parts)
        {
            Sources = [path],
            Damaged = damaged,
            ControlCharacters = controls,
            Duplicates = duplicates,
        };
    }

    /// <summary>Documents of a long text with the block of each.</summary>
    internal static IEnumerable<(string Block, string Text)> CutPlain(string text)
    {
        var paragraphs = Paragraphs(text);
        var isCollection = paragraphs.Count > 1 && paragraphs.Average(p => (double)p.Length) > Longest;
        if (isCollection)
        {
            for (var i = 0; i < paragraphs.Count; i++)
            {
                foreach (var piece in Pieces(paragraphs[i]))
                {
                    yield return ("paragraph " + i, piece);
                }
            }

            yield break;
        }

        var document = "";
        var count = 0;
        foreach (var piece in paragraphs.SelectMany(Pieces))
        {
            if (document.Length > 0 && (document.Length >= Shortest || document.Length + piece.Length > Longest))
            {
                yield return ("run " + count++ / DocumentsPerBlock, document);
                document = "";
            }

            document = document.Length == 0 ? piece : document + "\n\n" + piece;
        }

        if (document.Length > 0)
        {
            yield return ("run " + count / DocumentsPerBlock, document);
        }
    }

    private static List<string> Paragraphs(string text)
    {
        var paragraphs = new List<string>();
        var lines = new List<string>();
        foreach (var line in text.Split('\n').Append(""))
        {
            if (!string.IsNullOrWhiteSpace(line))
            {
                lines.Add(line.TrimEnd());
            }
            else if (lines.Count > 0)
            {
                paragraphs.Add(string.Join('\n', lines));
                lines.Clear();
            }
        }

        return paragraphs;
    }

    private static IEnumerable<string> Pieces(string paragraph)
    {
        var start = 0;
        while (paragraph.Length - start > Longest)
        {
            var cut = Cut(paragraph.AsSpan(start, Wanted)) + start;
            yield return paragraph[start..cut].Trim();
            start = cut;
        }

        yield return paragraph[start..].Trim();
    }

    /// <summary>Where to end a document: after the last sentence, else the last word, else anywhere but inside a pair.</summary>
    private static int Cut(ReadOnlySpan<char> window)
    {
        for (var i = window.Length - 2; i >= Shortest; i--)
        {
            if (char.IsWhiteSpace(window[i + 1]) && EndsSentence(window[..(i + 1)]))
            {
                return i + 1;
            }
        }

        var space = window.LastIndexOfAny(' ', '\n');
        if (space >= Shortest)
        {
            return space + 1;
        }

        return char.IsHighSurrogate(window[^1]) ? window.Length - 1 : window.Length;
    }

    /// <summary>True after a full stop that closes a word of four letters or more ("Mr." does not), or after ! or ?.</summary>
    private static bool EndsSentence(ReadOnlySpan<char> text)
    {
        text = text.TrimEnd("\"'\u201d\u2019)*");
        if (text.Length == 0 || text[^1] is not ('.' or '!' or '?'))
        {
            return false;
        }

        return text[^1] != '.' || text.Length < 5 || text[^5..^1].ContainsAny(" .\n") == false;
    }
}
