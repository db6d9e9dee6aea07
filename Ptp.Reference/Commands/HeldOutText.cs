// Text to evaluate on: held-out files of a prepared corpus, or any text files, as documents per corpus.
// Documents of a file are separated by lines <|endoftext|>; a file without them is one document.
// Refuses: folders and files without text, and no text at all where none comes with ptp.

using Ptp.Core;
using Ptp.Core.Training;

namespace Ptp.Reference.Commands;

/// <summary>Reads evaluation text.</summary>
internal static class HeldOutText
{
    /// <summary>Its name under the default "models".</summary>
    public const string Folder = "heldout";

    /// <summary>Documents of the given folders and files, or of models/heldout.</summary>
    public static IReadOnlyList<Document> Read(IReadOnlyList<string> paths)
    {
        if (paths.Count == 0)
        {
            paths = [ModelChoice.Default(Folder) ?? throw new PtpException(
                "Find text to evaluate on", "no --data, and no folder models/heldout", "text the model was not trained on",
                "Give --data FOLDER (one that 'ptp corpus' wrote) or --data FILE.")];
        }

        var documents = paths.SelectMany(FilesOf).SelectMany(f => Split(f, CorpusText.Read(f, out _))).ToList();
        Guard.Require(documents.Count > 0, "Read text to evaluate on", string.Join(", ", paths), "files with text in them",
            "Name other files.");
        return documents;
    }

    /// <summary>The documents of a file; the corpus is named after it.</summary>
    public static IEnumerable<Document> Split(string path, string text)
    {
        var name = Path.GetFileNameWithoutExtension(path);
        return text.Split(CorpusText.Separator).Select(t => t.Trim()).Where(t => t.Length > 0)
            .Select(t => new Document(name, t));
    }

    private static IEnumerable<string> FilesOf(string path)
    {
        if (File.Exists(path))
        {
            return [path];
        }

        var folder = Directory.Exists(Path.Combine(path, "heldout")) ? Path.Combine(path, "heldout") : path;
        Guard.Require(Directory.Exists(folder) && Directory.GetFiles(folder, "*.txt").Length > 0,
            "Read text to evaluate on", $"'{path}'", "a text file, or a folder with *.txt or heldout/*.txt", "Check the path.");
        return Directory.GetFiles(folder, "*.txt").Order(StringComparer.Ordinal);
    }
}
