// Reads GGUF files, version 2 and 3: metadata, and tensors stored as F32, F16, BF16 or Q8_0.
// Source: the GGUF specification. Every count and length is checked against the file's size before anything is allocated.
// Refuses: other versions, big-endian files, names twice, tensors past the end, other number formats (when they are read).

using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace Ptp.Core.Formats;

/// <summary>A tensor's place in a GGUF file.</summary>
/// <param name="Shape">Sizes, outermost first.</param>
/// <param name="Type">ggml's number of its format.</param>
/// <param name="Offset">Bytes from the first tensor on.</param>
public readonly record struct GgufEntry(int[] Shape, int Type, long Offset);

/// <summary>A GGUF file in memory.</summary>
public sealed class GgufFile
{
    private const int MaxRank = 4;
    private readonly string _path;
    private readonly byte[] _bytes;
    private readonly Dictionary<string, object> _metadata = [];
    private readonly Dictionary<string, GgufEntry> _tensors = [];
    private readonly long _data;
    private int _at;

    private GgufFile(string path, byte[] bytes)
    {
        (_path, _bytes) = (path, bytes);
        Require(bytes.AsSpan().StartsWith(Gguf.Magic), "a file that does not begin with GGUF", "the GGUF magic");
        _at = 4;
        var version = (int)Number(4);
        Require(version is 2 or Gguf.Version, $"version {version}", "version 2 or 3, little-endian");
        var tensors = Count("tensors", 24);
        var metadata = Count("metadata entries", 12);
        for (var i = 0; i < metadata; i++)
        {
            var key = Text();
            Require(_metadata.TryAdd(key, Value((GgufValue)Number(4), depth: 0)), $"the key '{key}' twice", "each key once");
        }

        for (var i = 0; i < tensors; i++)
        {
            Entry();
        }

        var alignment = _metadata.TryGetValue("general.alignment", out var own) && own is uint a and > 0 and <= 1 << 20 ? a : Gguf.Alignment;
        _data = (_at + alignment - 1) / alignment * alignment;
        foreach (var (name, entry) in _tensors)
        {
            var end = Enum.IsDefined((GgufType)entry.Type)
                ? _data + entry.Offset + GgufQuantization.Bytes((GgufType)entry.Type, Gguf.Count(entry.Shape))
                : _data + entry.Offset;
            Require(entry.Offset >= 0 && entry.Offset % alignment == 0 && end <= bytes.Length,
                $"tensor {name} up to byte {end} of {bytes.Length}", "tensors inside the file, aligned");
        }
    }

    /// <summary>Values by key: numbers, bool, string, or arrays of them.</summary>
    public IReadOnlyDictionary<string, object> Metadata => _metadata;

    /// <summary>Tensors by name.</summary>
    public IReadOnlyDictionary<string, GgufEntry> Tensors => _tensors;

    /// <summary>Reads a file of less than 2 GiB.</summary>
    /// <exception cref="PtpException">The file is missing, too large, or damaged.</exception>
    public static GgufFile Read(string path)
    {
        try
        {
            var size = new FileInfo(path).Length;
            Guard.Require(size < int.MaxValue, $"Read {path}", $"{size} bytes", "less than 2 GiB", "Use a smaller model.");
            return new GgufFile(path, File.ReadAllBytes(path));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new PtpException($"Read {path}", error.Message.TrimEnd('.'), "a GGUF file that can be read",
                "Check the path and its rights.", error);
        }
    }

    /// <summary>Values of a tensor, row-major.</summary>
    public float[] Values(string name)
    {
        Guard.Require(_tensors.TryGetValue(name, out var entry), $"Read {_path}", $"no tensor {name}", "a tensor of the file",
            "Look at its list of tensors.");
        Guard.Require(Enum.IsDefined((GgufType)entry.Type), $"Read {_path}", $"tensor {name} in ggml's format {entry.Type}",
            "F32 (0), F16 (1), Q8_0 (8) or BF16 (30)", "Convert the file to one of these.");
        var values = new float[Gguf.Count(entry.Shape)];
        var length = (int)GgufQuantization.Bytes((GgufType)entry.Type, values.Length);
        GgufQuantization.Decode(_bytes.AsSpan((int)(_data + entry.Offset), length), (GgufType)entry.Type, values);
        return values;
    }

    private void Entry()
    {
        var name = Text();
        var rank = (int)Number(4);
        Require(rank is >= 0 and <= MaxRank, $"tensor {name} with {rank} sizes", $"at most {MaxRank}");
        var shape = new int[rank];
        var count = 1L;
        for (var i = rank - 1; i >= 0; i--)
        {
            var size = Number(8);
            Require(size is >= 1 and <= int.MaxValue && (count *= size) <= int.MaxValue,
                $"tensor {name} with a size of {size}", "sizes of at least 1, less than 2^31 values");
            shape[i] = (int)size;
        }

        var type = (int)Number(4);
        Require(type != (int)GgufType.Q8_0 || (rank > 0 && shape[^1] % GgufQuantization.Block == 0),
            $"tensor {name} in Q8_0 with {StoredTensor.Text(shape)}", "rows of whole blocks of 32");
        Require(_tensors.TryAdd(name, new GgufEntry(shape, type, Number(8))), $"tensor {name} twice", "each tensor once");
    }

    private object Value(GgufValue type, int depth)
    {
        switch (type)
        {
            case GgufValue.UInt8: return (byte)Number(1);
            case GgufValue.Int8: return (sbyte)Number(1);
            case GgufValue.UInt16: return (ushort)Number(2);
            case GgufValue.Int16: return (short)Number(2);
            case GgufValue.UInt32: return (uint)Number(4);
            case GgufValue.Int32: return (int)Number(4);
            case GgufValue.Float32: return BitConverter.Int32BitsToSingle((int)Number(4));
            case GgufValue.Bool: return Number(1) != 0;
            case GgufValue.Text: return Text();
            case GgufValue.UInt64: return (ulong)Number(8);
            case GgufValue.Int64: return Number(8);
            case GgufValue.Float64: return BitConverter.Int64BitsToDouble(Number(8));
            default:
                Require(type == GgufValue.Array && depth == 0, $"a metadata value of type {(int)type}", "types 0 to 12, arrays not nested");
                var item = (GgufValue)Number(4);
                var values = new object[Count("array items", 1)];
                for (var i = 0; i < values.Length; i++)
                {
                    values[i] = Value(item, depth + 1);
                }

                return values;
        }
    }

    private string Text()
    {
        var length = Number(8);
        if (length < 0 || length > _bytes.Length - _at)
        {
            throw Bad($"a text of {length} bytes", "texts inside the file");
        }

        var bytes = _bytes.AsSpan(_at, (int)length);
        _at += (int)length;
        Require(Utf8.IsValid(bytes), "a text that is no UTF-8", "UTF-8");
        return Encoding.UTF8.GetString(bytes);
    }

    /// <summary>A count of things of which each takes at least some bytes.</summary>
    private int Count(string what, int leastBytes)
    {
        var count = Number(8);
        Require(count >= 0 && count <= (_bytes.Length - _at) / leastBytes, $"{count} {what}", "no more than fit the file");
        return (int)count;
    }

    private long Number(int width)
    {
        if (_bytes.Length - _at < width)
        {
            throw Bad($"a file that ends after {_bytes.Length} bytes", "a whole file");
        }

        var bytes = _bytes.AsSpan(_at, width);
        _at += width;
        return width switch
        {
            1 => bytes[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
            4 => BinaryPrimitives.ReadInt32LittleEndian(bytes),
            _ => BinaryPrimitives.ReadInt64LittleEndian(bytes),
        };
    }

    private void Require(bool condition, string received, string expected)
    {
        if (!condition)
        {
            throw Bad(received, expected);
        }
    }

    private PtpException Bad(string received, string expected) =>
        new($"Read {_path}", received, expected, "Get the file anew; it is damaged or of another kind.");
}
