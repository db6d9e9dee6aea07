// Finds out which form a tokenizer file or folder has, reads it, and turns every way of damage into one kind of error.
// Sizes are checked before anything is allocated for them.
// Refuses missing files, files beyond 256 MiB, and forms that nothing here reads.

using System.Text;
using System.Text.Json;

namespace Ptp.Core.Text;

/// <summary>Loading by path, and what all readers share.</summary>
internal static class TokenizerFiles
{
    /// <summary>Largest vocabulary that is read or trained.</summary>
    public const int MaxVocabulary = 1 << 21;

    private const long MaxFileBytes = 256L << 20;

    public static Tokenizer Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (Directory.Exists(path))
        {
            return LoadFolder(path);
        }

        return Path.GetExtension(path) switch
        {
            ".json" => TokenizerJson.Read(Bytes(path), path, TokenizerMarks.Beside(path)),
            ".bin" => Llama2cFile.Read(Bytes(path), path),
            ".model" => SentencePieceModel.Read(Bytes(path), path),
            _ => throw new PtpException(
                "Load a tokenizer", $"'{path}'",
                "tokenizer.json, tokenizer.model, a tokenizer.bin of llama2.c, or a folder with one",
                "Check the path, or convert the tokenizer to tokenizer.json."),
        };
    }

    private static Tokenizer LoadFolder(string folder)
    {
        foreach (var name in (string[])["tokenizer.json", "tokenizer.model", "tokenizer.bin"])
        {
            var path = Path.Combine(folder, name);
            if (File.Exists(path))
            {
                return Load(path);
            }
        }

        var vocabulary = Path.Combine(folder, "vocab.json");
        var merges = Path.Combine(folder, "merges.txt");
        return File.Exists(vocabulary) && File.Exists(merges) ? Gpt2Files.Read(Bytes(vocabulary), Bytes(merges), folder)
            : throw new PtpException(
                "Load a tokenizer", $"the folder '{folder}' without a tokenizer",
                "tokenizer.json, tokenizer.model, tokenizer.bin, or vocab.json and merges.txt",
                "Put the tokenizer beside the model, or name its file.");
    }

    /// <summary>The whole file, if it is there and of a sane size.</summary>
    public static byte[] Bytes(string path)
    {
        Guard.Require(
            File.Exists(path), "Load a tokenizer", $"'{path}', which is not there", "an existing file", "Check the path.");
        try
        {
            var length = new FileInfo(path).Length;
            Guard.Require(
                length <= MaxFileBytes, "Load a tokenizer", $"'{path}' of {length} bytes", $"at most {MaxFileBytes} bytes",
                "Check that it is a tokenizer.");
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PtpException(
                "Load a tokenizer", $"'{path}': {e.Message}", "a readable file", "Check its permissions.", e);
        }
    }

    /// <summary>Runs a reader of JSON; whatever the JSON does to it becomes the four-part error.</summary>
    public static T ReadJson<T>(byte[] bytes, string source, Func<JsonElement, T> read)
    {
        try
        {
            var start = bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
            using var document = JsonDocument.Parse(
                bytes.AsMemory(start), new JsonDocumentOptions { AllowDuplicateProperties = false });
            return read(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            throw Damaged(source, e.Message, "well-formed JSON with the fields of a tokenizer", e);
        }
    }

    /// <summary>The error for a damaged file.</summary>
    public static PtpException Damaged(string source, string received, string expected, Exception? inner = null) =>
        new("Read a tokenizer", $"'{source}': {received}", expected, "Get an undamaged copy of the file.", inner);
}
