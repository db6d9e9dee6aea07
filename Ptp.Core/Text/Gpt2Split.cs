// GPT-2's pre-tokenizer: contractions, letters, numbers, others, white space, as the pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// With digitsAlone every number character is a piece and ends the stretch before it, as a split ahead of the pattern does.

namespace Ptp.Core.Text;

/// <summary>GPT-2's way to cut text.</summary>
internal static class Gpt2Split
{
    /// <summary>Length in bytes of the first piece of a non-empty text; at least 1.</summary>
    public static int PieceLength(ReadOnlySpan<byte> text, bool digitsAlone)
    {
        var kind = WordSplit.Classify(text, out var length);
        if (kind == Kind.Space)
        {
            if (text[0] == (byte)' ' && text.Length > 1)
            {
                var next = WordSplit.Classify(text[1..], out var nextLength);
                if (next is Kind.Letter or Kind.Other || (next == Kind.Number && !digitsAlone))
                {
                    return WordSplit.RunLength(text, 1 + nextLength, next);
                }
            }

            return SpaceLength(text, length, digitsAlone);
        }

        if (kind == Kind.Number && digitsAlone)
        {
            return length;
        }

        return text[0] == (byte)'\'' && Contraction(text) is var contraction and > 0
            ? contraction
            : WordSplit.RunLength(text, length, kind);
    }

    /// <summary>White space up to the next word keeps its last character for that word, if it has two or more.</summary>
    public static int SpaceLength(ReadOnlySpan<byte> text, int length, bool digitsAlone)
    {
        var beforeLast = 0;
        while (length < text.Length)
        {
            var kind = WordSplit.Classify(text[length..], out var step);
            if (kind == Kind.Space)
            {
                beforeLast = length;
                length += step;
                continue;
            }

            var stretchEnds = kind == Kind.Invalid || (kind == Kind.Number && digitsAlone);
            return stretchEnds || beforeLast == 0 ? length : beforeLast;
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

        return text.Length > 2
            && (text[1], text[2]) is ((byte)'r', (byte)'e') or ((byte)'v', (byte)'e') or ((byte)'l', (byte)'l')
            ? 3
            : 0;
    }
}
