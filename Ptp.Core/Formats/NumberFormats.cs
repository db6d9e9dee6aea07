// Converts between float and the stored formats F16 and BF16, in both directions, vectorised.
// Source: IEEE 754 binary16; bfloat16 as the upper half of binary32, rounded to the nearest, ties to even.
// Not here: refusing values that do not fit; the writer does that, as it can name the tensor.

using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Formats;

/// <summary>Bytes of a stored tensor to floats and back.</summary>
public static class NumberFormats
{
    /// <summary>Bytes per value.</summary>
    /// <param name="type">The format.</param>
    public static int Width(StoredType type) => type == StoredType.F32 ? 4 : 2;

    /// <summary>The smallest magnitude that the format rounds to infinity; infinity itself for F32.</summary>
    /// <param name="type">The format.</param>
    public static float Overflow(StoredType type) => type switch
    {
        StoredType.F16 => 65520f, // halfway between 65504, the largest, and 65536, the next step
        StoredType.BF16 => BitConverter.UInt32BitsToSingle(0x7F7F8000),
        _ => float.PositiveInfinity,
    };

    /// <summary>Rounds each value to the nearest BF16 value, as a BF16 file would give it back.</summary>
    /// <param name="values">Rounded in place.</param>
    public static void RoundToBFloat16(Span<float> values)
    {
        foreach (ref var value in values)
        {
            value = BitConverter.UInt32BitsToSingle((uint)ToBFloat16(value) << 16);
        }
    }

    /// <summary>Stored bytes (little-endian) to floats.</summary>
    /// <param name="bytes">As many times <see cref="Width"/> bytes as there are values.</param>
    /// <param name="type">Their format.</param>
    /// <param name="values">Receives the values.</param>
    public static void Decode(ReadOnlySpan<byte> bytes, StoredType type, Span<float> values)
    {
        if (type == StoredType.F32)
        {
            bytes.CopyTo(MemoryMarshal.AsBytes(values));
            FixOrder(MemoryMarshal.Cast<float, uint>(values));
            return;
        }

        var words = MemoryMarshal.Cast<byte, ushort>(bytes);
        var bits = MemoryMarshal.Cast<float, uint>(values);
        var i = 0;
        if (BitConverter.IsLittleEndian)
        {
            for (; i <= values.Length - 16; i += 16)
            {
                var (low, high) = Vector256.Widen(Vector256.Create(words[i..]));
                (type == StoredType.BF16 ? low << 16 : HalfBits(low)).CopyTo(bits[i..]);
                (type == StoredType.BF16 ? high << 16 : HalfBits(high)).CopyTo(bits[(i + 8)..]);
            }
        }

        for (; i < values.Length; i++)
        {
            var word = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]);
            bits[i] = type == StoredType.BF16 ? (uint)word << 16 : HalfBits(Vector256.CreateScalar((uint)word))[0];
        }
    }

    /// <summary>Floats to stored bytes (little-endian), rounded to the nearest, ties to even.</summary>
    /// <param name="values">The values.</param>
    /// <param name="type">The format to write.</param>
    /// <param name="bytes">Receives as many times <see cref="Width"/> bytes as there are values.</param>
    public static void Encode(ReadOnlySpan<float> values, StoredType type, Span<byte> bytes)
    {
        switch (type)
        {
            case StoredType.F32:
                MemoryMarshal.AsBytes(values).CopyTo(bytes);
                FixOrder(MemoryMarshal.Cast<byte, uint>(bytes));
                break;
            case StoredType.F16:
                TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(bytes));
                FixOrder(MemoryMarshal.Cast<byte, ushort>(bytes));
                break;
            default:
                EncodeBFloat16(values, MemoryMarshal.Cast<byte, ushort>(bytes));
                FixOrder(MemoryMarshal.Cast<byte, ushort>(bytes));
                break;
        }
    }

    /// <summary>Floats to BF16 words in the machine's byte order.</summary>
    internal static void EncodeBFloat16(ReadOnlySpan<float> values, Span<ushort> words)
    {
        var bits = MemoryMarshal.Cast<float, uint>(values);
        var i = 0;
        for (; i <= values.Length - 16; i += 16)
        {
            Vector256.Narrow(ToBFloat16(Vector256.Create(bits[i..])), ToBFloat16(Vector256.Create(bits[(i + 8)..])))
                .CopyTo(words[i..]);
        }

        for (; i < values.Length; i++)
        {
            words[i] = ToBFloat16(values[i]);
        }
    }

    /// <summary>One float to BF16; a NaN stays a NaN.</summary>
    internal static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value)
            ? (ushort)((bits >> 16) | 0x40) // rounding could carry a NaN's payload away and leave infinity
            : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static Vector256<uint> ToBFloat16(Vector256<uint> bits)
    {
        var upper = bits >> 16;
        var rounded = (bits + Vector256.Create(0x7FFFu) + (upper & Vector256<uint>.One)) >> 16;
        var isNaN = Vector256.GreaterThan(bits & Vector256.Create(0x7FFFFFFFu), Vector256.Create(0x7F800000u));
        return Vector256.ConditionalSelect(isNaN, upper | Vector256.Create(0x40u), rounded);
    }

    // Exponent and fraction move to their places in a float that is 2^112 too small; one exact product repairs the
    // exponent of normal and subnormal numbers alike. Infinity and NaN get their exponent set instead.
    private static Vector256<uint> HalfBits(Vector256<uint> words)
    {
        var sign = (words & Vector256.Create(0x8000u)) << 16;
        var magnitude = (words & Vector256.Create(0x7FFFu)) << 13;
        var scaled = (magnitude.AsSingle() * Vector256.Create(5.192296858534828e33f)).AsUInt32();
        var special = Vector256.GreaterThanOrEqual(magnitude, Vector256.Create(0x0F800000u));
        return sign | scaled | (special & Vector256.Create(0x7F800000u));
    }

    private static void FixOrder(Span<uint> words)
    {
        if (!BitConverter.IsLittleEndian)
        {
            BinaryPrimitives.ReverseEndianness(words, words);
        }
    }

    private static void FixOrder(Span<ushort> words)
    {
        if (!BitConverter.IsLittleEndian)
        {
            BinaryPrimitives.ReverseEndianness(words, words);
        }
    }
}
