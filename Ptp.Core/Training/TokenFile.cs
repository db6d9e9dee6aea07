// Tokenised documents on disk: a header, the tokens of all documents end to end, the offsets, and a SHA-256 of it all.
// Layout, little endian: "PTPTOKEN", version, vocabulary, token bytes (2 or 4), 0; documents, tokens; tokens; offsets; sum.
// Refuses: files cut short, grown or altered, ids outside the vocabulary. Nothing is allocated before sizes agree.

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Ptp.Core.Formats;

namespace Ptp.Core.Training;

/// <summary>Documents as token ids, read whole: two bytes a token up to a vocabulary of 65,536, else four.</summary>
public sealed class TokenFile
{
    private const int HeaderSize = 40;
    private const int SumSize = 32;
    private const int Version = 1;
    private const int LargestVocabulary = 1 << 22;
    private readonly ushort[] narrow;
    private readonly int[] wide;
    private readonly long[] offsets;

    private TokenFile(int vocabularySize, ushort[] narrow, int[] wide, long[] offsets) =>
        (VocabularySize, this.narrow, this.wide, this.offsets) = (vocabularySize, narrow, wide, offsets);

    private static ReadOnlySpan<byte> Magic => "PTPTOKEN"u8;

    /// <summary>Ids are below this.</summary>
    public int VocabularySize { get; }

    /// <summary>Number of documents.</summary>
    public int Documents => offsets.Length - 1;

    /// <summary>Number of tokens of all documents.</summary>
    public long Tokens => offsets[^1];

    /// <summary>Number of tokens of one document.</summary>
    /// <param name="document">Its index.</param>
    public int Length(int document) => (int)(offsets[document + 1] - offsets[document]);

    /// <summary>Copies tokens of one document.</summary>
    /// <param name="document">Its index.</param>
    /// <param name="start">First token to copy.</param>
    /// <param name="destination">Filled wholly.</param>
    public void CopyTo(int document, int start, Span<int> destination)
    {
        Guard.Require(start >= 0 && start + (long)destination.Length <= Length(document), "Copy tokens",
            $"{destination.Length} from {start}", $"a range inside {Length(document)} tokens", "Ask for fewer.");
        var from = (int)(offsets[document] + start);
        for (var i = 0; i < destination.Length; i++)
        {
            destination[i] = wide.Length > 0 ? wide[from + i] : narrow[from + i];
        }
    }

    /// <summary>All tokens of one document.</summary>
    /// <param name="document">Its index.</param>
    public int[] Document(int document)
    {
        var tokens = new int[Length(document)];
        CopyTo(document, 0, tokens);
        return tokens;
    }

    /// <summary>Writes documents as they come, under a temporary name until all are there.</summary>
    /// <param name="path">The file.</param>
    /// <param name="vocabularySize">V: every id is below it.</param>
    /// <param name="documents">Token ids of each document.</param>
    public static void Write(string path, int vocabularySize, IEnumerable<int[]> documents)
    {
        ArgumentNullException.ThrowIfNull(documents);
        Guard.Require(vocabularySize is > 0 and <= LargestVocabulary, "Write tokens", $"a vocabulary of {vocabularySize}",
            $"1 to {LargestVocabulary}", "Use the vocabulary size of the tokenizer.");
        var width = WidthOf(vocabularySize);
        AtomicFile.Write(path, stream =>
        {
            stream.Write(new byte[HeaderSize]);
            var offsets = new List<long> { 0 };
            using var sum = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (var document in documents)
            {
                var bytes = new byte[document.Length * width];
                for (var i = 0; i < document.Length; i++)
                {
                    CheckId(document[i], vocabularySize, path);
                    PutToken(bytes, i, width, document[i]);
                }

                sum.AppendData(bytes);
                stream.Write(bytes);
                offsets.Add(offsets[^1] + document.Length);
            }

            var tail = new byte[8 * offsets.Count];
            for (var i = 0; i < offsets.Count; i++)
            {
                BinaryPrimitives.WriteInt64LittleEndian(tail.AsSpan(8 * i), offsets[i]);
            }

            var header = Header(vocabularySize, width, offsets.Count - 1, offsets[^1]);
            sum.AppendData(tail);
            sum.AppendData(header);
            stream.Write(tail);
            stream.Write(sum.GetHashAndReset());
            stream.Position = 0;
            stream.Write(header);
        });
    }

    /// <summary>Reads and checks a whole file.</summary>
    /// <param name="path">The file.</param>
    public static TokenFile Read(string path)
    {
        Guard.Require(File.Exists(path), "Read tokens", $"'{path}', which is no file", "a token file", "Check the path.");
        try
        {
            using var stream = File.OpenRead(path);
            return Read(stream, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PtpException("Read tokens", $"'{path}': {e.Message}", "a readable token file", "Write it again.", e);
        }
    }

    private static TokenFile Read(FileStream stream, string path)
    {
        Require(stream.Length >= HeaderSize + 8 + SumSize, path, $"{stream.Length} bytes", "a header, offsets and a sum");
        var header = new byte[HeaderSize];
        stream.ReadExactly(header);
        Require(header.AsSpan(0, 8).SequenceEqual(Magic), path, "another kind of file", "the magic PTPTOKEN");
        var version = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(8));
        Require(version == Version, path, $"version {version}", $"version {Version}");
        var vocabulary = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(12));
        Require(vocabulary is > 0 and <= LargestVocabulary, path, $"a vocabulary of {vocabulary}", $"1 to {LargestVocabulary}");
        var width = BinaryPrimitives.ReadInt32LittleEndian(header.AsSpan(16));
        Require(width == WidthOf(vocabulary), path, $"{width} bytes a token", $"{WidthOf(vocabulary)}");
        var documents = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(24));
        var tokens = BinaryPrimitives.ReadInt64LittleEndian(header.AsSpan(32));
        var largest = (long)Array.MaxLength / 8;
        Require(documents >= 0 && documents < largest && tokens >= 0 && tokens < largest, path,
            $"{documents} documents, {tokens} tokens", $"counts from 0 to {largest}");
        var wanted = HeaderSize + tokens * width + 8 * (documents + 1) + SumSize;
        Require(stream.Length == wanted, path, $"{stream.Length} bytes", $"{wanted} bytes, as its header says");

        var body = new byte[tokens * width];
        var tail = new byte[8 * (documents + 1)];
        var stored = new byte[SumSize];
        stream.ReadExactly(body);
        stream.ReadExactly(tail);
        stream.ReadExactly(stored);
        using var sum = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sum.AppendData(body);
        sum.AppendData(tail);
        sum.AppendData(header);
        Require(sum.GetHashAndReset().AsSpan().SequenceEqual(stored), path, "altered bytes", "the SHA-256 at its end");

        var offsets = Offsets(tail, tokens, path);
        var narrow = width == 2 ? MemoryMarshal.Cast<byte, ushort>(body).ToArray() : [];
        var wide = width == 4 ? MemoryMarshal.Cast<byte, int>(body).ToArray() : [];
        foreach (var id in narrow)
        {
            CheckId(id, vocabulary, path);
        }

        foreach (var id in wide)
        {
            CheckId(id, vocabulary, path);
        }

        return new TokenFile(vocabulary, narrow, wide, offsets);
    }

    private static long[] Offsets(byte[] tail, long tokens, string path)
    {
        var offsets = new long[tail.Length / 8];
        for (var i = 0; i < offsets.Length; i++)
        {
            offsets[i] = BinaryPrimitives.ReadInt64LittleEndian(tail.AsSpan(8 * i));
            Require(offsets[i] >= (i == 0 ? 0 : offsets[i - 1]), path, $"offset {i} = {offsets[i]}", "offsets that do not fall");
        }

        Require(offsets[0] == 0 && offsets[^1] == tokens, path, $"offsets {offsets[0]} to {offsets[^1]}", $"0 to {tokens}");
        return offsets;
    }

    private static byte[] Header(int vocabularySize, int width, long documents, long tokens)
    {
        var header = new byte[HeaderSize];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), vocabularySize);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(16), width);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(24), documents);
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(32), tokens);
        return header;
    }

    private static int WidthOf(int vocabularySize) => vocabularySize <= ushort.MaxValue + 1 ? 2 : 4;

    private static void PutToken(byte[] bytes, int index, int width, int id)
    {
        if (width == 2)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * index), (ushort)id);
        }
        else
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(4 * index), id);
        }
    }

    private static void CheckId(int id, int vocabularySize, string path)
    {
        if ((uint)id >= (uint)vocabularySize)
        {
            Require(false, path, $"token id {id}", $"ids below {vocabularySize}");
        }
    }

    private static void Require(bool ok, string path, string received, string expected) =>
        Guard.Require(ok, $"Use the token file '{path}'", received, expected, "Write it again from the corpus.");
}
