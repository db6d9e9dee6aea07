// Reads NumPy arrays (.npy versions 1 to 3, and .npz archives of them) that hold reference vectors.
// Source: the .npy format: magic, version, header length, a Python dictionary, then the values in C order.
// Refuses: Fortran order, big-endian values, objects; every other kind of number becomes double.

using System.Buffers.Binary;
using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.RegularExpressions;

namespace Ptp.Tests;

/// <summary>One array: its shape and its values in row-major order.</summary>
public sealed partial record NpyFile(int[] Shape, double[] Values)
{
    /// <summary>The values rounded to float.</summary>
    public float[] Floats => Array.ConvertAll(Values, value => (float)value);

    public static NpyFile Read(string path) => Parse(File.ReadAllBytes(path));

    public static NpyFile Parse(byte[] bytes)
    {
        if (bytes.Length < 10 || !bytes.AsSpan(0, 6).SequenceEqual(Magic))
        {
            throw new InvalidDataException("Not an .npy file.");
        }

        var (start, length) = bytes[6] == 1
            ? (10, BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(8)))
            : (12, (int)BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8)));
        var header = Encoding.UTF8.GetString(bytes, start, length);
        var descr = Descr().Match(header).Groups[1].Value;
        if (!header.Contains("'fortran_order': False", StringComparison.Ordinal))
        {
            throw new InvalidDataException($"Only C order is read: {header}");
        }

        var shape = Shapes().Match(header).Groups[1].Value
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Select(size => int.Parse(size, CultureInfo.InvariantCulture)).ToArray();
        var data = bytes.AsSpan(start + length);
        var values = new double[shape.Aggregate(1, (product, size) => product * size)];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = descr switch
            {
                "<f4" => BinaryPrimitives.ReadSingleLittleEndian(data[(4 * i)..]),
                "<f8" => BinaryPrimitives.ReadDoubleLittleEndian(data[(8 * i)..]),
                "<i4" => BinaryPrimitives.ReadInt32LittleEndian(data[(4 * i)..]),
                "<i8" => BinaryPrimitives.ReadInt64LittleEndian(data[(8 * i)..]),
                "|b1" or "|u1" => data[i],
                _ => throw new InvalidDataException($"Kind of number '{descr}' is not read."),
            };
        }

        return new NpyFile(shape, values);
    }

    private static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    [GeneratedRegex("'descr': '([^']*)'")]
    private static partial Regex Descr();

    [GeneratedRegex(@"'shape': \(([^)]*)\)")]
    private static partial Regex Shapes();
}

/// <summary>An archive of arrays, by name without ".npy".</summary>
public static class NpzFile
{
    public static Dictionary<string, NpyFile> Read(string path)
    {
        using var archive = ZipFile.OpenRead(path);
        var arrays = new Dictionary<string, NpyFile>(StringComparer.Ordinal);
        foreach (var entry in archive.Entries)
        {
            using var stream = entry.Open();
            using var memory = new MemoryStream();
            stream.CopyTo(memory);
            arrays.Add(System.IO.Path.GetFileNameWithoutExtension(entry.FullName), NpyFile.Parse(memory.ToArray()));
        }

        return arrays;
    }
}
