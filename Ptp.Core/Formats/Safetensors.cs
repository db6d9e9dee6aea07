// Writes safetensors files: header first, then the values in pieces, so that no second copy of a model is made.
// Source: the safetensors format; tensors lie in the order of their names, the header is padded to 8 bytes.
// Refuses: names twice, shapes that do not fit their values, values that would become infinite in the file's format.

using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using System.Text.Json;

namespace Ptp.Core.Formats;

/// <summary>Writes single and sharded safetensors files; equal input gives equal bytes.</summary>
public static class Safetensors
{
    /// <summary>The file of an unsharded model.</summary>
    public const string SingleName = "model.safetensors";

    /// <summary>The list of shards of a sharded model.</summary>
    public const string IndexName = "model.safetensors.index.json";

    /// <summary>The shard size at which others split, 5 GB.</summary>
    public const long DefaultShardBytes = 5_000_000_000;

    private const int ChunkValues = 1 << 14;

    /// <summary>Writes one file, in one step.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="type">The number format of the file.</param>
    /// <param name="metadata">Notes to store beside them.</param>
    public static void Write(
        string path, IEnumerable<StoredTensor> tensors, StoredType type = StoredType.F32,
        IReadOnlyDictionary<string, string>? metadata = null)
    {
        var sorted = Sorted(path, tensors);
        AtomicFile.Write(path, stream => WriteTo(stream, path, sorted, type, metadata));
    }

    /// <summary>Writes one file's bytes to a stream.</summary>
    /// <param name="stream">Receives the bytes.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="type">The number format.</param>
    /// <param name="metadata">Notes to store beside them.</param>
    public static void Write(
        Stream stream, IEnumerable<StoredTensor> tensors, StoredType type = StoredType.F32,
        IReadOnlyDictionary<string, string>? metadata = null) =>
        WriteTo(stream, "a stream", Sorted("a stream", tensors), type, metadata);

    /// <summary>Writes a folder's weights: one file, or shards and their index where one would be too large.</summary>
    /// <param name="folder">The folder; weights that it held before are replaced.</param>
    /// <param name="tensors">The tensors, in any order.</param>
    /// <param name="type">The number format.</param>
    /// <param name="maxShardBytes">Most bytes of values in one shard; a larger tensor gets a shard of its own.</param>
    /// <param name="metadata">Notes to store beside them.</param>
    public static void WriteFolder(
        string folder, IEnumerable<StoredTensor> tensors, StoredType type = StoredType.F32,
        long maxShardBytes = DefaultShardBytes, IReadOnlyDictionary<string, string>? metadata = null) =>
        WriteFolder(folder, tensors, type, maxShardBytes, metadata, []);

    /// <summary>As the public one, with further files that must appear together with the weights.</summary>
    internal static void WriteFolder(
        string folder, IEnumerable<StoredTensor> tensors, StoredType type, long maxShardBytes,
        IReadOnlyDictionary<string, string>? metadata, IEnumerable<(string Path, Action<Stream> Write)> others)
    {
        Guard.Require(maxShardBytes > 0, $"Write {folder}", $"a shard size of {maxShardBytes} bytes", "at least 1",
            "Leave the option out for the usual size.");
        var shards = Split(Sorted(folder, tensors), type, maxShardBytes);
        var files = new List<(string Path, Action<Stream> Write)>();
        for (var i = 0; i < shards.Count; i++)
        {
            var (path, shard) = (Path.Combine(folder, ShardName(i, shards.Count)), shards[i]);
            files.Add((path, stream => WriteTo(stream, path, shard, type, metadata)));
        }

        if (shards.Count > 1)
        {
            files.Add((Path.Combine(folder, IndexName), stream => WriteIndex(stream, shards, type)));
        }

        files.AddRange(others);
        AtomicFile.WriteAll(files);
        RemoveOld(folder, shards.Count);
    }

    private static string ShardName(int index, int count) => count == 1
        ? SingleName
        : string.Create(CultureInfo.InvariantCulture, $"model-{index + 1:D5}-of-{count:D5}.safetensors");

    // What an earlier save left under other names would be read instead of the new weights, or waste the disk.
    private static void RemoveOld(string folder, int count)
    {
        AtomicFile.Remove(Path.Combine(folder, count == 1 ? IndexName : SingleName));
        foreach (var path in Directory.GetFiles(folder, "model-?????-of-?????.safetensors"))
        {
            var keep = count > 1 && path.EndsWith(
                string.Create(CultureInfo.InvariantCulture, $"-of-{count:D5}.safetensors"), StringComparison.Ordinal);
            if (!keep)
            {
                AtomicFile.Remove(path);
            }
        }
    }

    private static List<List<StoredTensor>> Split(List<StoredTensor> sorted, StoredType type, long maxBytes)
    {
        var shards = new List<List<StoredTensor>> { new() };
        var used = 0L;
        foreach (var tensor in sorted)
        {
            var bytes = (long)tensor.Values.Length * NumberFormats.Width(type);
            if (shards[^1].Count > 0 && used + bytes > maxBytes)
            {
                shards.Add([]);
                used = 0;
            }

            shards[^1].Add(tensor);
            used += bytes;
        }

        return shards;
    }

    private static void WriteIndex(Stream stream, List<List<StoredTensor>> shards, StoredType type)
    {
        var total = 0L;
        foreach (var shard in shards)
        {
            foreach (var tensor in shard)
            {
                total += (long)tensor.Values.Length * NumberFormats.Width(type);
            }
        }

        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteStartObject("metadata");
        json.WriteNumber("total_size", total);
        json.WriteEndObject();
        json.WriteStartObject("weight_map");
        for (var i = 0; i < shards.Count; i++)
        {
            foreach (var tensor in shards[i])
            {
                json.WriteString(tensor.Name, ShardName(i, shards.Count));
            }
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static List<StoredTensor> Sorted(string target, IEnumerable<StoredTensor> tensors)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var sorted = new List<StoredTensor>(tensors);
        sorted.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
        for (var i = 0; i < sorted.Count; i++)
        {
            var (name, shape, values) = (sorted[i].Name, sorted[i].Shape, sorted[i].Values);
            Require(i == 0 || sorted[i - 1].Name != name, target, $"the name '{name}' twice", "each name once");
            Require(name != "__metadata__", target, "a tensor named __metadata__", "another name");
            RequireText(name, target);
            var count = 1L;
            foreach (var size in shape)
            {
                Require(size >= 0, target, $"'{name}' of shape {StoredTensor.Text(shape)}", "sizes from 0");
                count = count > int.MaxValue ? count : count * size; // stays far from overflow
            }

            Require(count == values.Length, target, $"'{name}' with {values.Length} values",
                $"the product of its sizes {StoredTensor.Text(shape)}");
        }

        return sorted;
    }

    private static void WriteTo(
        Stream stream, string target, List<StoredTensor> sorted, StoredType type,
        IReadOnlyDictionary<string, string>? metadata)
    {
        var header = Header(target, sorted, type, metadata);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)header.Length);
        stream.Write(length);
        stream.Write(header);
        var width = NumberFormats.Width(type);
        var chunk = ArrayPool<byte>.Shared.Rent(ChunkValues * width);
        try
        {
            foreach (var tensor in sorted)
            {
                for (var at = 0; at < tensor.Values.Length; at += ChunkValues)
                {
                    var values = tensor.Values.AsSpan(at, Math.Min(ChunkValues, tensor.Values.Length - at));
                    RequireFits(values, type, tensor.Name, target);
                    var bytes = chunk.AsSpan(0, values.Length * width);
                    NumberFormats.Encode(values, type, bytes);
                    stream.Write(bytes);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    private static byte[] Header(
        string target, List<StoredTensor> sorted, StoredType type, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            if (metadata is { Count: > 0 })
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in new SortedDictionary<string, string>(
                    new Dictionary<string, string>(metadata), StringComparer.Ordinal))
                {
                    RequireText(key, target);
                    RequireText(value, target);
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var at = 0L;
            foreach (var tensor in sorted)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", type.ToString());
                json.WriteStartArray("shape");
                foreach (var size in tensor.Shape)
                {
                    json.WriteNumberValue(size);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(at);
                json.WriteNumberValue(at += (long)tensor.Values.Length * NumberFormats.Width(type));
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (buffer.Length % 8 != 0)
        {
            buffer.WriteByte((byte)' '); // values then start at a multiple of 8, as readers that map files want
        }

        Require(buffer.Length <= SafetensorsHeader.MaxLength, target, $"a header of {buffer.Length} bytes",
            $"at most {SafetensorsHeader.MaxLength}");
        return buffer.ToArray();
    }

    private static void RequireFits(ReadOnlySpan<float> values, StoredType type, string name, string target)
    {
        var limit = NumberFormats.Overflow(type);
        if (TensorPrimitives.MaxMagnitude(values) < limit)
        {
            return; // false for a NaN too, which is looked at below
        }

        foreach (var value in values)
        {
            if (float.IsFinite(value) && MathF.Abs(value) >= limit)
            {
                throw new PtpException($"Write {target}", $"{Guard.Text(value)} in '{name}'",
                    $"values that {type} can hold, below {Guard.Text(limit)}", "Write BF16 or F32.");
            }
        }
    }

    private static void RequireText(string text, string target)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            // EnumerateRunes replaces half a surrogate pair; a name that holds the replacement itself is as useless.
            Require(rune != Rune.ReplacementChar, target, "a name or note that is no Unicode text", "whole characters");
        }
    }

    private static void Require(bool ok, string target, string received, string expected) =>
        Guard.Require(ok, $"Write {target}", received, expected, "Correct the tensors, then write again.");
}
