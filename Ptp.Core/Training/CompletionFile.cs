// Teacher completions on disk: tokens of prompt and continuation, and the u of every continued token.
// Layout, little endian: "PTPCOMPL", version, vocabulary, numbers per token, completions; then each: prompt length, length,
// seed of u (uint64), tokens (int32); SHA-256 of all before. Refuses: files cut short, grown or altered, u without a seed.

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Ptp.Core.Formats;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>A text that the teacher continued with known u.</summary>
/// <param name="Tokens">Prompt and continuation.</param>
/// <param name="PromptLength">Tokens of the prompt.</param>
/// <param name="U">u of Tokens[PromptLength + g] under index g.</param>
public sealed record Completion(int[] Tokens, int PromptLength, Auxiliaries U);

/// <summary>Reads and writes completions.</summary>
public static class CompletionFile
{
    private const int HeaderSize = 24;
    private const int SumSize = 32;
    private const int Version = 2;
    private const int EntrySize = 16;
    private const long Largest = 1L << 31;

    private static ReadOnlySpan<byte> Magic => "PTPCOMPL"u8;

    /// <summary>Writes a file, atomically.</summary>
    public static void Write(string path, int vocabulary, int numbersPerToken, IReadOnlyList<Completion> completions)
    {
        using var memory = new MemoryStream();
        memory.Write(Magic);
        Span<byte> word = stackalloc byte[4];
        Span<byte> seedWord = stackalloc byte[8];
        foreach (var value in (ReadOnlySpan<int>)[Version, vocabulary, numbersPerToken, completions.Count])
        {
            BinaryPrimitives.WriteInt32LittleEndian(word, value);
            memory.Write(word);
        }

        foreach (var completion in completions)
        {
            BinaryPrimitives.WriteInt32LittleEndian(word, completion.PromptLength);
            memory.Write(word);
            BinaryPrimitives.WriteInt32LittleEndian(word, completion.Tokens.Length);
            memory.Write(word);
            var seed = completion.U.Seed ?? throw new PtpException(
                $"Write completions to {path}", "auxiliaries without a seed", "seeded ones", "Make them with Auxiliaries.FromSeed.");
            BinaryPrimitives.WriteUInt64LittleEndian(seedWord, seed);
            memory.Write(seedWord);
            memory.Write(MemoryMarshal.AsBytes<int>(completion.Tokens));
        }

        var body = memory.ToArray();
        AtomicFile.Write(path, stream =>
        {
            stream.Write(body);
            stream.Write(SHA256.HashData(body));
        });
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="PtpException">The file is missing, damaged, or of another vocabulary.</exception>
    public static IReadOnlyList<Completion> Read(string path, int vocabulary, int numbersPerToken)
    {
        var asked = $"Read completions from {path}";
        const string wayOut = "Delete the file; distillation makes it again.";
        Guard.Require(File.Exists(path), asked, "no such file", "a completion file", wayOut);
        var size = new FileInfo(path).Length;
        Guard.Require(size is >= HeaderSize + SumSize and < Largest, asked, $"{size} bytes",
            $"{HeaderSize + SumSize} bytes or more, below 2 GiB", wayOut);
        var bytes = File.ReadAllBytes(path);
        var body = bytes.AsSpan(0, bytes.Length - SumSize);
        Guard.Require(
            body.StartsWith(Magic) && SHA256.HashData(body).AsSpan().SequenceEqual(bytes.AsSpan(body.Length)), asked,
            "a file whose sum does not match", "the file as it was written", wayOut);
        var header = MemoryMarshal.Cast<byte, int>(body[8..HeaderSize]);
        Guard.Require(header[0] == Version && header[1] == vocabulary && header[2] == numbersPerToken, asked,
            $"version {header[0]}, vocabulary {header[1]}, {header[2]} numbers per token",
            $"version {Version}, vocabulary {vocabulary}, {numbersPerToken} numbers per token",
            "Use another folder for the completions of another model.");
        var completions = new List<Completion>();
        var rest = body[HeaderSize..];
        while (completions.Count < header[3])
        {
            var sizes = rest.Length >= EntrySize ? MemoryMarshal.Cast<byte, int>(rest[..8]) : default;
            var whole = sizes.Length == 2 && sizes[0] > 0 && sizes[0] <= sizes[1] && EntrySize + 4L * sizes[1] <= rest.Length;
            Guard.Require(whole, asked, "a completion that runs past the end", "whole completions", wayOut);
            var (prompt, length) = (sizes[0], sizes[1]);
            var seed = BinaryPrimitives.ReadUInt64LittleEndian(rest[8..EntrySize]);
            var tokens = MemoryMarshal.Cast<byte, int>(rest.Slice(EntrySize, 4 * length)).ToArray();
            Guard.Require(tokens.All(t => (uint)t < (uint)vocabulary), asked, "an id out of range", $"ids below {vocabulary}", wayOut);
            completions.Add(new Completion(tokens, prompt, Auxiliaries.FromSeed(seed, numbersPerToken)));
            rest = rest[(EntrySize + 4 * length)..];
        }

        return completions;
    }
}
