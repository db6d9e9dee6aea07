// GPT-2's pre-tokenizer over UTF-8 bytes: contractions, letters, numbers, others, white space, as the pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// By hand, because .NET's regular expressions class letters beyond U+FFFF as surrogates and cannot see raw bytes.
// Bytes that are no UTF-8 form pieces of their own, and each valid stretch is split as if it stood alone.

using System.Buffers;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>Splits bytes into the pieces inside which merges happen.</summary>
internal static class Gpt2Split
{
    private enum Kind : byte
    {
        Other,
        Letter,
        Number,
        Space,
        Invalid,
    }

    private static readonly Kind[] s_ascii = BuildAscii();

    /// <summary>Length in bytes of the first piece of a non-empty text; at least 1.</summary>
    public static int PieceLength(ReadOnlySpan<byte> text)
    {
        var kind = Classify(text, out var length);
        if (kind == Kind.Space)
        {
            if (text[0] == (byte)' ' && text.Length > 1)
            {
                var next = Classify(text[1..], out var nextLength);
                if (next is Kind.Letter or Kind.Number or Kind.Other)
                {
                    return RunLength(text, 1 + nextLength, next);
                }
            }

            return SpaceLength(text, length);
        }

        if (text[0] == (byte)'\'' && Contraction(text) is var contraction and > 0)
        {
            return contraction;
        }

        return RunLength(text, length, kind);
    }

    /// <summary>White space up to the next word keeps its last character for that word, if it has two or more.</summary>
    private static int SpaceLength(ReadOnlySpan<byte> text, int length)
    {
        var beforeLast = 0;
        while (length < text.Length)
        {
            var kind = Classify(text[length..], out var step);
            if (kind == Kind.Space)
            {
                beforeLast = length;
                length += step;
                continue;
            }

            return kind == Kind.Invalid || beforeLast == 0 ? length : beforeLast;
        }

        return length;
    }

    private static int RunLength(ReadOnlySpan<byte> text, int length, Kind kind)
    {
        while (length < text.Length && Classify(text[length..], out var step) == kind)
        {
            length += step;
        }

        return length;
    }

    private static int Contraction(ReadOnlySpan<byte> text)
    {
        if (text.Length < 2)
        {
            return 0;
        }

        if (text[1] is (byte)'s' or (byte)'t' or (byte)'m' or (byte)'d')
        {
            return 2;
        }

        return text.Length > 2 && (text[1], text[2]) is ((byte)'r', (byte)'e') or ((byte)'v', (byte)'e') or ((byte)'l', (byte)'l')
            ? 3
            : 0;
    }

    private static Kind Classify(ReadOnlySpan<byte> text, out int length)
    {
        if (text[0] < 128)
        {
            length = 1;
            return s_ascii[text[0]];
        }

        if (Rune.DecodeFromUtf8(text, out var rune, out length) != OperationStatus.Done)
        {
            length = 1;
            return Kind.Invalid;
        }

        return Of(rune);
    }

    private static Kind Of(Rune rune) =>
        Rune.IsLetter(rune) ? Kind.Letter
        : Rune.IsNumber(rune) ? Kind.Number
        : Rune.IsWhiteSpace(rune) ? Kind.Space
        : Kind.Other;

    private static Kind[] BuildAscii()
    {
        var kinds = new Kind[128];
        for (var i = 0; i < kinds.Length; i++)
        {
            kinds[i] = Of(new Rune(i));
        }

        return kinds;
    }
}
