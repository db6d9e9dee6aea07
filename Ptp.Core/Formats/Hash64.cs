// A fast 64-bit hash of names, numbers and weights, the same on every machine; it names models, it protects nothing.
// Method: four independent lanes, each xor, multiply by an odd number, rotate; a final mix spreads every bit.
// Not here: protection against forgery; whoever wants a collision can make one.

using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Text;

namespace Ptp.Core.Formats;

/// <summary>Accumulates a hash.</summary>
internal struct Hash64
{
    private const ulong Odd = 0xD1B54A32D192ED03;

    private ulong _a = 1;
    private ulong _b = 2;
    private ulong _c = 3;
    private ulong _d = 4;

    /// <summary>The hash of nothing.</summary>
    public Hash64()
    {
    }

    /// <summary>Adds one number.</summary>
    public void Add(ulong word)
    {
        // The rotation of roles makes the order of words count.
        (_a, _b, _c, _d) = (_b, _c, _d, Step(_a, word));
    }

    /// <summary>Adds a text and its length.</summary>
    public void Add(string text) => AddBytes(Encoding.UTF8.GetBytes(text));

    /// <summary>Adds floats rounded to BF16, and their number.</summary>
    public void AddRounded(ReadOnlySpan<float> values)
    {
        Add((ulong)values.Length);
        Span<ushort> words = stackalloc ushort[2048];
        for (; values.Length > 0; values = values[Math.Min(values.Length, words.Length)..])
        {
            var part = words[..Math.Min(values.Length, words.Length)];
            NumberFormats.EncodeBFloat16(values[..part.Length], part);
            if (!BitConverter.IsLittleEndian)
            {
                BinaryPrimitives.ReverseEndianness(part, part);
            }

            AddBytes(MemoryMarshal.AsBytes(part));
        }
    }

    /// <summary>Sixteen hexadecimal digits.</summary>
    public override readonly string ToString()
    {
        var mixed = Mix(_a) ^ BitOperations.RotateLeft(Mix(_b), 16) ^ BitOperations.RotateLeft(Mix(_c), 32)
            ^ BitOperations.RotateLeft(Mix(_d), 48);
        return Mix(mixed).ToString("x16", CultureInfo.InvariantCulture);
    }

    private void AddBytes(ReadOnlySpan<byte> bytes)
    {
        Add((ulong)bytes.Length);
        var (a, b, c, d) = (_a, _b, _c, _d);
        for (; bytes.Length >= 32; bytes = bytes[32..])
        {
            a = Step(a, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            b = Step(b, BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
            c = Step(c, BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));
            d = Step(d, BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]));
        }

        (_a, _b, _c, _d) = (a, b, c, d);
        Span<byte> rest = stackalloc byte[8];
        for (; bytes.Length > 0; bytes = bytes[Math.Min(8, bytes.Length)..])
        {
            rest.Clear();
            bytes[..Math.Min(8, bytes.Length)].CopyTo(rest);
            Add(BinaryPrimitives.ReadUInt64LittleEndian(rest));
        }
    }

    private static ulong Step(ulong lane, ulong word) => BitOperations.RotateLeft((lane ^ word) * Odd, 29);

    private static ulong Mix(ulong word)
    {
        word = (word ^ (word >> 31)) * Odd;
        word = (word ^ (word >> 29)) * Odd;
        return word ^ (word >> 32);
    }
}
