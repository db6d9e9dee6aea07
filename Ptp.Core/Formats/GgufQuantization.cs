// GGUF's number formats of weights: F32, F16, BF16, and Q8_0, blocks of 32 whole numbers in [-127, 127] that share an F16 scale.
//   Q8_0:  d = max |x| / 127 (rounded to F16 for the file),  q_i = round(x_i / d);  x_i ~ d q_i.  34 bytes per block
// Source: ggml's formats. Refuses: rows that are not whole blocks; the writer stores those as F16.

using System.Buffers.Binary;
using System.Numerics.Tensors;

namespace Ptp.Core.Formats;

/// <summary>The number format of a tensor in a GGUF file; the values are the file's own.</summary>
public enum GgufType
{
    /// <summary>32-bit IEEE float.</summary>
    F32 = 0,

    /// <summary>16-bit IEEE float.</summary>
    F16 = 1,

    /// <summary>Blocks of 32 signed bytes with a scale.</summary>
    Q8_0 = 8,

    /// <summary>The upper half of a 32-bit float.</summary>
    BF16 = 30,
}

/// <summary>Values to the bytes of a GGUF tensor and back.</summary>
public static class GgufQuantization
{
    /// <summary>Values of a block of Q8_0.</summary>
    public const int Block = 32;

    private const int BlockBytes = 2 + Block;

    /// <summary>Bytes of <paramref name="count"/> values.</summary>
    public static long Bytes(GgufType type, long count) => type switch
    {
        GgufType.F32 => 4 * count,
        GgufType.F16 or GgufType.BF16 => 2 * count,
        _ => count / Block * BlockBytes,
    };

    /// <summary>Values to bytes.</summary>
    /// <param name="values">Values; whole blocks for Q8_0.</param>
    /// <param name="type">The format.</param>
    /// <param name="bytes">Receives <see cref="Bytes"/> bytes.</param>
    public static void Encode(ReadOnlySpan<float> values, GgufType type, Span<byte> bytes)
    {
        if (type != GgufType.Q8_0)
        {
            NumberFormats.Encode(values, Stored(type), bytes);
            return;
        }

        for (; values.Length > 0; values = values[Block..], bytes = bytes[BlockBytes..])
        {
            var scale = MathF.Abs(TensorPrimitives.MaxMagnitude(values[..Block])) / 127;
            var inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(bytes, (Half)scale);
            for (var i = 0; i < Block; i++)
            {
                bytes[2 + i] = (byte)(sbyte)MathF.Round(values[i] * inverse, MidpointRounding.AwayFromZero);
            }
        }
    }

    /// <summary>Bytes to values.</summary>
    /// <param name="bytes">As many as <see cref="Bytes"/> says.</param>
    /// <param name="type">Their format.</param>
    /// <param name="values">Receives the values.</param>
    public static void Decode(ReadOnlySpan<byte> bytes, GgufType type, Span<float> values)
    {
        if (type != GgufType.Q8_0)
        {
            NumberFormats.Decode(bytes, Stored(type), values);
            return;
        }

        for (; values.Length > 0; values = values[Block..], bytes = bytes[BlockBytes..])
        {
            var scale = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes);
            for (var i = 0; i < Block; i++)
            {
                values[i] = scale * (sbyte)bytes[2 + i];
            }
        }
    }

    /// <summary>The same format in safetensors; not for Q8_0.</summary>
    internal static StoredType Stored(GgufType type) =>
        type switch { GgufType.F32 => StoredType.F32, GgufType.BF16 => StoredType.BF16, _ => StoredType.F16 };
}
