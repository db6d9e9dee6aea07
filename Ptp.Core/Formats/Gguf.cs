// Writes GGUF files, version 3: header, metadata, tensor list, then the tensors, each at a multiple of 32 bytes.
// Source: the GGUF specification; little-endian; sizes of a tensor are written innermost first, unlike everywhere else here.
// Refuses: names twice, shapes that do not fit their values, scales and values that become infinite in the file's format.

using System.Numerics.Tensors;
using System.Text;

namespace Ptp.Core.Formats;

/// <summary>A tensor on its way into a GGUF file.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Shape">Its sizes, outermost first.</param>
/// <param name="Type">The number format.</param>
/// <param name="Values">Makes its values; called once, when its turn comes.</param>
public sealed record GgufTensor(string Name, int[] Shape, GgufType Type, Func<float[]> Values);

/// <summary>GGUF files, as llama.cpp reads them.</summary>
public static class Gguf
{
    /// <summary>Version of the format.</summary>
    public const int Version = 3;

    /// <summary>Tensors begin at multiples of this.</summary>
    public const int Alignment = 32;

    internal static ReadOnlySpan<byte> Magic => "GGUF"u8;

    /// <summary>Writes a file, in one step.</summary>
    /// <param name="path">The file to create or replace.</param>
    /// <param name="metadata">Keys with values: uint, int, float, bool, string, or arrays of string, float or int.</param>
    /// <param name="tensors">The tensors, in the order of the file.</param>
    public static void Write(
        string path, IReadOnlyList<KeyValuePair<string, object>> metadata, IReadOnlyList<GgufTensor> tensors)
    {
        var twice = tensors.GroupBy(t => t.Name).FirstOrDefault(g => g.Count() > 1)?.Key
            ?? metadata.GroupBy(m => m.Key).FirstOrDefault(g => g.Count() > 1)?.Key;
        Guard.Require(twice is null, $"Write {path}", $"'{twice}' twice", "each name once", "Rename one of them.");
        AtomicFile.Write(path, stream =>
        {
            using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
            writer.Write(Magic);
            writer.Write(Version);
            writer.Write((long)tensors.Count);
            writer.Write((long)metadata.Count);
            foreach (var (key, value) in metadata)
            {
                Text(writer, key);
                Value(writer, value);
            }

            var offset = 0L;
            foreach (var tensor in tensors)
            {
                Text(writer, tensor.Name);
                writer.Write(tensor.Shape.Length);
                foreach (var size in tensor.Shape.Reverse())
                {
                    writer.Write((long)size);
                }

                writer.Write((int)tensor.Type);
                writer.Write(offset);
                offset = Aligned(offset + GgufQuantization.Bytes(tensor.Type, Count(tensor.Shape)));
            }

            foreach (var tensor in tensors)
            {
                Pad(writer);
                writer.Write(Bytes(path, tensor));
            }

            Pad(writer);
        });
    }

    internal static long Aligned(long offset) => (offset + Alignment - 1) / Alignment * Alignment;

    internal static long Count(ReadOnlySpan<int> shape)
    {
        var count = 1L;
        foreach (var size in shape)
        {
            count *= size;
        }

        return count;
    }

    private static byte[] Bytes(string path, GgufTensor tensor)
    {
        var values = tensor.Values();
        Guard.Require(
            values.Length == Count(tensor.Shape)
                && (tensor.Type != GgufType.Q8_0 || tensor.Shape[^1] % GgufQuantization.Block == 0),
            $"Write {path}", $"{values.Length} values for {tensor.Name} {StoredTensor.Text(tensor.Shape)} as {tensor.Type}",
            "as many values as the shape says, and rows of whole blocks", "Check the shape, or store it as F16.");
        // Q8_0 stores a scale, a 127th of the largest value, in F16.
        var limit = tensor.Type switch
        {
            GgufType.Q8_0 => 127 * NumberFormats.Overflow(StoredType.F16),
            var plain => NumberFormats.Overflow(GgufQuantization.Stored(plain)),
        };
        var largest = values.Length == 0 ? 0 : MathF.Abs(TensorPrimitives.MaxMagnitude<float>(values));
        Guard.Require(largest < limit, $"Write {path}", $"a value of {Guard.Text(largest)} in {tensor.Name}",
            $"finite values below {Guard.Text(limit)} for {tensor.Type}", "Store it as F32, or mend the weights.");
        var bytes = new byte[GgufQuantization.Bytes(tensor.Type, values.Length)];
        GgufQuantization.Encode(values, tensor.Type, bytes);
        return bytes;
    }

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        var at = writer.BaseStream.Position;
        writer.Write(new byte[Aligned(at) - at]);
    }

    private static void Text(BinaryWriter writer, string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((long)bytes.Length);
        writer.Write(bytes);
    }

    private static void Value(BinaryWriter writer, object value)
    {
        var type = TypeOf(value);
        writer.Write((int)type);
        switch (value)
        {
            case uint number: writer.Write(number); break;
            case int number: writer.Write(number); break;
            case float number: writer.Write(number); break;
            case bool flag: writer.Write(flag); break;
            case string text: Text(writer, text); break;
            case string[] texts: Array(writer, texts, t => Text(writer, t)); break;
            case float[] numbers: Array(writer, numbers, writer.Write); break;
            default: Array(writer, (int[])value, writer.Write); break;
        }
    }

    private static void Array<T>(BinaryWriter writer, T[] items, Action<T> write)
        where T : notnull
    {
        writer.Write((int)(typeof(T) == typeof(string) ? GgufValue.Text : typeof(T) == typeof(float) ? GgufValue.Float32 : GgufValue.Int32));
        writer.Write((long)items.Length);
        foreach (var item in items)
        {
            write(item);
        }
    }

    private static GgufValue TypeOf(object value) => value switch
    {
        uint => GgufValue.UInt32,
        int => GgufValue.Int32,
        float => GgufValue.Float32,
        bool => GgufValue.Bool,
        string => GgufValue.Text,
        string[] or float[] or int[] => GgufValue.Array,
        _ => throw new PtpException("Write GGUF metadata", value.GetType().Name,
            "uint, int, float, bool, string, or an array of string, float or int", "Convert it first."),
    };
}

/// <summary>Types of metadata values, numbered as in the file.</summary>
internal enum GgufValue
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}
