// Reads one safetensors file: the header at once, the values of each tensor when asked, into the caller's buffer.
// Source: the safetensors format; SafetensorsHeader checks it, NumberFormats turns F16 and BF16 into float.
// Refuses: number formats that hold no weights (integers, F64, F8), when such a tensor is asked for.

using System.Buffers;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Ptp.Core.Formats;

/// <summary>An open safetensors file; reading is safe from several threads.</summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int ChunkBytes = 1 << 18;

    private readonly SafeFileHandle _handle;
    private readonly SafetensorsHeader _header;
    private readonly string _path;
    private readonly long _dataStart;

    private SafetensorsFile(string path, SafeFileHandle handle)
    {
        (_path, _handle) = (path, handle);
        var length = RandomAccess.GetLength(handle);
        Span<byte> prefix = stackalloc byte[8];
        Require(length >= 8, $"{length} bytes", "at least the 8 bytes of the header's length");
        Fill(prefix, 0);
        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        var limit = (ulong)Math.Min(length - 8, SafetensorsHeader.MaxLength);
        Require(headerLength <= limit, $"a header length of {headerLength}", $"at most {limit} for this file");
        var json = new byte[headerLength]; // no longer than the file itself
        Fill(json, 8);
        _dataStart = 8 + json.Length;
        _header = SafetensorsHeader.Parse(path, json, length - _dataStart);
    }

    /// <summary>Names of all tensors, in the order of their bytes.</summary>
    public IReadOnlyList<string> Names => _header.Names;

    /// <summary>What the writer noted about the file.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Opens a file and checks its whole header.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="PtpException">It is missing, damaged or of another format.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        SafeFileHandle? handle = null;
        try
        {
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            return new SafetensorsFile(path, handle);
        }
        catch (Exception error)
        {
            handle?.Dispose();
            if (error is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
            {
                throw new PtpException($"Read {path}", error.Message.TrimEnd('.'),
                    "a safetensors file that can be read", "Check the path and its rights.", error);
            }

            throw;
        }
    }

    /// <summary>True if the file holds the tensor.</summary>
    /// <param name="name">Its name.</param>
    public bool Contains(string name) => _header.Places.ContainsKey(name);

    /// <summary>The sizes of a tensor.</summary>
    /// <param name="name">Its name.</param>
    public int[] ShapeOf(string name) => [.. Place(name).Shape];

    /// <summary>The number format of a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="PtpException">The format is none that holds weights.</exception>
    public StoredType TypeOf(string name) => Place(name).DType switch
    {
        "F32" => StoredType.F32,
        "F16" => StoredType.F16,
        "BF16" => StoredType.BF16,
        var other => throw new PtpException($"Read '{name}' of {_path}", $"numbers of type {other}", "F32, F16 or BF16",
            "Convert the weights to one of these."),
    };

    /// <summary>All values of a tensor.</summary>
    /// <param name="name">Its name.</param>
    public float[] Read(string name)
    {
        var type = TypeOf(name);
        var values = new float[Count(name, type)]; // no more than the file has bytes for: the header is checked
        Read(name, values);
        return values;
    }

    /// <summary>All values of a tensor, into a buffer of exactly their number.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="values">Receives the values.</param>
    public void Read(string name, Span<float> values)
    {
        var type = TypeOf(name);
        var count = Count(name, type);
        Require(values.Length == count, $"a buffer of {values.Length} values for '{name}'", $"{count}");
        var at = _dataStart + Place(name).Begin;
        if (type == StoredType.F32 && BitConverter.IsLittleEndian)
        {
            ReadDirect(values, at);
            return;
        }

        var width = NumberFormats.Width(type);
        var chunk = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            while (values.Length > 0)
            {
                var step = Math.Min(values.Length, ChunkBytes / width);
                var bytes = chunk.AsSpan(0, step * width);
                Fill(bytes, at);
                NumberFormats.Decode(bytes, type, values[..step]);
                values = values[step..];
                at += bytes.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(chunk);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();

    private void ReadDirect(Span<float> values, long at)
    {
        const int Step = 1 << 26; // the bytes of a longer span would not fit an int
        for (; values.Length > 0; values = values[Math.Min(Step, values.Length)..], at += 4L * Step)
        {
            Fill(MemoryMarshal.AsBytes(values[..Math.Min(Step, values.Length)]), at);
        }
    }

    private void Fill(Span<byte> bytes, long at)
    {
        while (bytes.Length > 0)
        {
            var read = 0;
            try
            {
                read = RandomAccess.Read(_handle, bytes, at);
            }
            catch (IOException error)
            {
                throw new PtpException($"Read {_path}", error.Message.TrimEnd('.'), "a file that can be read",
                    "Check the disk, or fetch the file again.", error);
            }

            Require(read > 0, $"an end at byte {at}", "the length that the file had when it was opened");
            bytes = bytes[read..];
            at += read;
        }
    }

    private int Count(string name, StoredType type)
    {
        var place = Place(name);
        var count = (place.End - place.Begin) / NumberFormats.Width(type);
        Require(count <= Array.MaxLength, $"{count} values in '{name}'", $"at most {Array.MaxLength}");
        return (int)count;
    }

    private TensorPlace Place(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _header.Places.TryGetValue(name, out var place)
            ? place
            : throw new PtpException($"Read {_path}", $"the name '{name}'", $"one of its {Names.Count} tensors",
                "List the file's names and check the spelling.");
    }

    private void Require(bool ok, string received, string expected) =>
        Guard.Require(ok, $"Read {_path}", received, expected,
            "The file is damaged or still being written: fetch it again.");
}
