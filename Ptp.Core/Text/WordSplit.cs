// The choice among pre-tokenizers, and how all of them see bytes: letter, number, white space, other, or no UTF-8.
// By hand, because .NET's regular expressions class letters beyond U+FFFF as surrogates and cannot see raw bytes.
// Bytes that are no UTF-8 form pieces of their own, and each valid stretch is split as if it stood alone.

using System.Buffers;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>How text is cut into the pieces inside which merges happen.</summary>
internal enum WordRules
{
    /// <summary>GPT-2's pattern.</summary>
    Gpt2,

    /// <summary>Every digit alone, then GPT-2's pattern between them.</summary>
    Gpt2Digits,

    /// <summary>LLaMA 3's pattern: at most three digits together.</summary>
    Llama3,

    /// <summary>Qwen 2's pattern: LLaMA 3's with every digit alone.</summary>
    Qwen2,
}

/// <summary>What a character is to a pre-tokenizer.</summary>
internal enum Kind : byte
{
    /// <summary>None of the others.</summary>
    Other,

    /// <summary>\p{L}.</summary>
    Letter,

    /// <summary>\p{N}.</summary>
    Number,

    /// <summary>\s.</summary>
    Space,

    /// <summary>The end of a stretch: a byte that is no UTF-8.</summary>
    Invalid,
}

/// <summary>Splits bytes into pieces.</summary>
internal static class WordSplit
{
    private static readonly Kind[] s_ascii = BuildAscii();

    /// <summary>Length in bytes of the first piece of a non-empty text; at least 1.</summary>
    public static int PieceLength(ReadOnlySpan<byte> text, WordRules rules) => rules switch
    {
        WordRules.Gpt2 => Gpt2Split.PieceLength(text, digitsAlone: false),
        WordRules.Gpt2Digits => Gpt2Split.PieceLength(text, digitsAlone: true),
        WordRules.Llama3 => Llama3Split.PieceLength(text, mostDigits: 3),
        _ => Llama3Split.PieceLength(text, mostDigits: 1),
    };

    /// <summary>The kind and length of the first character.</summary>
    public static Kind Classify(ReadOnlySpan<byte> text, out int length)
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

    /// <summary>Goes on from <paramref name="length"/> while characters are of one kind.</summary>
    public static int RunLength(ReadOnlySpan<byte> text, int length, Kind kind)
    {
        while (length < text.Length && Classify(text[length..], out var step) == kind)
        {
            length += step;
        }

        return length;
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
