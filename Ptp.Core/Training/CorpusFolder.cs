// A prepared corpus on disk: train/<name>.txt, heldout/<name>.txt and corpus.json with counts, bytes and SHA-256.
// Each document is followed by a line <|endoftext|>. Files are written under a temporary name and renamed; the JSON comes last.
// Refuses: a folder without corpus.json, a file that is missing or is not the one that was written.

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Ptp.Core.Formats;

namespace Ptp.Core.Training;

/// <summary>Both sides of all corpora of a folder.</summary>
/// <param name="Train">Documents to train on, corpus by corpus.</param>
/// <param name="HeldOut">Documents that never enter training.</param>
public sealed record CorpusFolder(IReadOnlyList<Document> Train, IReadOnlyList<Document> HeldOut)
{
    /// <summary>Reads a folder that <see cref="CorpusBuilder"/> wrote.</summary>
    /// <param name="folder">The folder.</param>
    public static CorpusFolder Read(string folder)
    {
        var index = Path.Combine(folder, "corpus.json");
        Guard.Require(File.Exists(index), "Read a prepared corpus", $"'{folder}' without corpus.json",
            "a folder written by 'ptp corpus'", "Run 'ptp corpus --out FOLDER' first.");
        var train = new List<Document>();
        var heldOut = new List<Document>();
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(index));
            foreach (var corpus in json.RootElement.GetProperty("corpora").EnumerateArray())
            {
                var name = corpus.GetProperty("name").GetString()!;
                CheckName(name);
                train.AddRange(ReadFile(folder, "train", name, corpus.GetProperty("train")));
                heldOut.AddRange(ReadFile(folder, "heldout", name, corpus.GetProperty("heldout")));
            }
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or IOException)
        {
            throw new PtpException("Read a prepared corpus", $"'{index}': {e.Message}", "what 'ptp corpus' wrote",
                "Prepare the corpus again.", e);
        }

        return new CorpusFolder(train, heldOut);
    }

    /// <summary>Names become file names, so they are letters, digits, - and _.</summary>
    internal static void CheckName(string name) => Guard.Require(
        name.Length is > 0 and <= 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'),
        "Name a corpus", $"'{name}'", "1 to 64 letters, digits, - or _", "Choose a simpler name.");

    /// <summary>Writes one side of one corpus and returns its entry for corpus.json.</summary>
    internal static CorpusFile Write(string folder, string side, string name, IReadOnlyList<Document> documents)
    {
        var text = new StringBuilder();
        long characters = 0;
        foreach (var document in documents)
        {
            characters += document.Text.Length;
            text.Append(document.Text).Append('\n').Append(CorpusText.Separator).Append('\n');
        }

        var bytes = Encoding.UTF8.GetBytes(text.ToString());
        AtomicFile.Write(Path.Combine(folder, side, name + ".txt"), stream => stream.Write(bytes));
        return new CorpusFile(documents.Count, characters, bytes.Length, Sum(bytes));
    }

    private static IEnumerable<Document> ReadFile(string folder, string side, string name, JsonElement entry)
    {
        var path = Path.Combine(folder, side, name + ".txt");
        Guard.Require(File.Exists(path), "Read a prepared corpus", $"'{folder}' without {side}/{name}.txt",
            "every file that corpus.json names", "Prepare the corpus again.");
        var bytes = File.ReadAllBytes(path);
        Guard.Require(Sum(bytes) == entry.GetProperty("sha256").GetString(), "Read a prepared corpus",
            $"'{path}', which is not the file that corpus.json describes", "its SHA-256",
            "Prepare the corpus again; add text through 'ptp corpus', so that nothing held out enters training.");
        var documents = Encoding.UTF8.GetString(bytes).Split("\n" + CorpusText.Separator + "\n");
        return documents.Take(documents.Length - 1).Select(text => new Document(name, text));
    }

    private static string Sum(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}

/// <summary>One written file.</summary>
/// <param name="Documents">Documents in it.</param>
/// <param name="Characters">UTF-16 characters of the documents, separators not counted.</param>
/// <param name="Bytes">Size of the file.</param>
/// <param name="Sha256">Its SHA-256 in hexadecimal.</param>
public sealed record CorpusFile(int Documents, long Characters, long Bytes, string Sha256);
