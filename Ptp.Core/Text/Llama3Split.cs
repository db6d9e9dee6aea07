// LLaMA 3's and Qwen 2's pre-tokenizer, as the pattern (N digits together, 3 or 1)
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// The contractions ignore the case of ASCII letters only; the pattern would also take U+017F for an s.

namespace Ptp.Core.Text;

/// <summary>LLaMA 3's way to cut text.</summary>
internal static class Llama3Split
{
    /// <summary>Length in bytes of the first piece of a non-empty text; at least 1.</summary>
    public static int PieceLength(ReadOnlySpan<byte> text, int mostDigits)
    {
        var kind = WordSplit.Classify(text, out var length);
        if (kind is Kind.Letter or Kind.Invalid)
        {
            return WordSplit.RunLength(text, length, kind);
        }

        if (kind == Kind.Number)
        {
            return NumberLength(text, length, mostDigits);
        }

        if (text[0] == (byte)'\'' && Contraction(text) is var contraction and > 0)
        {
            return contraction;
        }

        var next = length < text.Length ? WordSplit.Classify(text[length..], out var nextLength) : Kind.Invalid;
        if (next == Kind.Letter && !IsBreak(text[0]))
        {
            return WordSplit.RunLength(text, length, Kind.Letter);
        }

        if (kind == Kind.Other || (text[0] == (byte)' ' && next == Kind.Other))
        {
            length = WordSplit.RunLength(text, length, Kind.Other);
            while (length < text.Length && IsBreak(text[length]))
            {
                length++;
            }

            return length;
        }

        var lastBreak = text[..WordSplit.RunLength(text, length, Kind.Space)].LastIndexOfAny((byte)'\r', (byte)'\n');
        return lastBreak >= 0 ? lastBreak + 1 : Gpt2Split.SpaceLength(text, length, digitsAlone: false);
    }

    private static int NumberLength(ReadOnlySpan<byte> text, int length, int mostDigits)
    {
        for (var digits = 1; digits < mostDigits && length < text.Length; digits++)
        {
            if (WordSplit.Classify(text[length..], out var step) != Kind.Number)
            {
                break;
            }

            length += step;
        }

        return length;
    }

    private static bool IsBreak(byte b) => b is (byte)'\r' or (byte)'\n';

    private static int Contraction(ReadOnlySpan<byte> text)
    {
        var first = text.Length > 1 ? text[1] | 0x20 : 0;
        if (first is 's' or 't' or 'm' or 'd')
        {
            return 2;
        }

        var second = text.Length > 2 ? text[2] | 0x20 : 0;
        return (first, second) is ('r', 'e') or ('v', 'e') or ('l', 'l') ? 3 : 0;
    }
}
