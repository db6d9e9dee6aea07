// GPT-2's spelling of bytes as printable characters, in which byte-level vocabularies are written to files.
// Printable Latin-1 bytes stand for themselves; the other 68 take U+0100 onward in byte order.
// Refuses (returns null) strings with a character outside these 256.

namespace Ptp.Core.Text;

/// <summary>The bijection between 256 bytes and 256 printable characters.</summary>
internal static class ByteAlphabet
{
    private const int Limit = 0x144;
    private static readonly char[] s_characters = new char[256];
    private static readonly short[] s_bytes = new short[Limit];

    static ByteAlphabet()
    {
        Array.Fill(s_bytes, (short)-1);
        var next = 256;
        for (var b = 0; b < 256; b++)
        {
            var printable = b is >= 33 and <= 126 or >= 161 and <= 172 or >= 174 and <= 255;
            s_characters[b] = (char)(printable ? b : next++);
            s_bytes[s_characters[b]] = (short)b;
        }
    }

    public static string Spell(ReadOnlySpan<byte> bytes)
    {
        Span<char> text = bytes.Length <= 256 ? stackalloc char[bytes.Length] : new char[bytes.Length];
        for (var i = 0; i < bytes.Length; i++)
        {
            text[i] = s_characters[bytes[i]];
        }

        return text.ToString();
    }

    public static byte[]? Read(ReadOnlySpan<char> text)
    {
        var bytes = new byte[text.Length];
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] >= Limit || s_bytes[text[i]] < 0)
            {
                return null;
            }

            bytes[i] = (byte)s_bytes[text[i]];
        }

        return bytes;
    }
}
