// The words of corpus preparation: a part as read from a source, a reading with its damage report, a document as trained on.
// Cleaning: line ends become \n, control characters become spaces, text that was decoded wrongly is left out and counted.
// Refuses: files that cannot be read; a part that holds the separator or a replacement character is dropped, never repaired.

using System.Text;

namespace Ptp.Core.Training;

/// <summary>One text to train or evaluate on.</summary>
/// <param name="Corpus">Name of the corpus it belongs to.</param>
/// <param name="Text">The text, with \n as line end and no white space at its ends.</param>
public sealed record Document(string Corpus, string Text);

/// <summary>A piece of a source before it is split and joined.</summary>
/// <param name="Block">Parts of one block stay on one side of the split: an address, a run of paragraphs, a type.</param>
/// <param name="Template">What makes two parts the same for the split; no template is on both sides.</param>
/// <param name="Text">The text itself.</param>
public sealed record CorpusPart(string Block, string Template, string Text);

/// <summary>What a source gave.</summary>
/// <param name="Name">Name of the corpus.</param>
/// <param name="Parts">Its parts in reading order.</param>
public sealed record CorpusReading(string Name, IReadOnlyList<CorpusPart> Parts)
{
    /// <summary>Files read.</summary>
    public IReadOnlyList<string> Sources { get; init; } = [];

    /// <summary>True if short parts of a block are to be joined to documents of 300 to 1500 characters.</summary>
    public bool JoinShort { get; init; }

    /// <summary>Parts left out because they were decoded wrongly, hold the separator, or were cut off.</summary>
    public int Damaged { get; init; }

    /// <summary>Control characters that became spaces.</summary>
    public int ControlCharacters { get; init; }

    /// <summary>Parts left out as exact duplicates, or above the cap of their template.</summary>
    public int Duplicates { get; init; }
}

/// <summary>Text repair and the separator, shared by all sources.</summary>
public static class CorpusText
{
    /// <summary>The line that stands between two documents.</summary>
    public const string Separator = "<|endoftext|>";

    /// <summary>Reads a UTF-8 file, with \n as the only line end and no byte order mark.</summary>
    /// <param name="path">The file.</param>
    /// <param name="controls">Control characters that became spaces.</param>
    public static string Read(string path, out int controls)
    {
        Guard.Require(File.Exists(path), "Read a corpus", $"'{path}', which is no file", "a text file in UTF-8",
            "Check the path.");
        try
        {
            return Clean(Encoding.UTF8.GetString(File.ReadAllBytes(path)), out controls);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PtpException("Read a corpus", $"'{path}': {e.Message}", "a readable file",
                "Check its permissions, and that it is smaller than 2 GB.", e);
        }
    }

    /// <summary>One line end, no byte order mark, no control characters.</summary>
    internal static string Clean(string text, out int controls)
    {
        controls = 0;
        var clean = new StringBuilder(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '\r')
            {
                if (i + 1 == text.Length || text[i + 1] != '\n')
                {
                    clean.Append('\n');
                }
            }
            else if (c == '\uFEFF')
            {
                continue;
            }
            else if (char.IsControl(c) && c is not ('\n' or '\t'))
            {
                clean.Append(' ');
                controls++;
            }
            else
            {
                clean.Append(c);
            }
        }

        return clean.ToString();
    }

    /// <summary>True for text that was decoded with the wrong encoding somewhere on its way, or that holds the separator.</summary>
    internal static bool IsDamaged(string text) =>
        text.Contains('\uFFFD', StringComparison.Ordinal) || text.Contains("\u00e2\u20ac", StringComparison.Ordinal)
        || text.Contains(Separator, StringComparison.Ordinal);

    /// <summary>FNV-1a over UTF-16 with a final mix: the same on every machine and in every run.</summary>
    internal static ulong Hash(string text, ulong seed = 0)
    {
        var hash = 14695981039346656037UL ^ seed;
        foreach (var c in text)
        {
            hash = (hash ^ c) * 1099511628211UL;
        }

        hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9UL;
        hash = (hash ^ (hash >> 27)) * 0x94D049BB133111EBUL;
        return hash ^ (hash >> 31);
    }
}
