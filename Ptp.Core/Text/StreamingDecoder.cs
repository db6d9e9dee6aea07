// Ids in, text out, one token at a time: bytes of an unfinished UTF-8 character wait for the next token.
// The concatenation of all Append results and Flush equals Tokenizer.Decode of all ids together.
// Refuses ids outside the vocabulary, as the tokenizer does.

using System.Text;

namespace Ptp.Core.Text;

/// <summary>Decodes a stream of ids; emits complete characters only.</summary>
public sealed class StreamingDecoder
{
    private readonly Tokenizer _tokenizer;
    private readonly Decoder _utf8 = Encoding.UTF8.GetDecoder();
    private bool _stripFirstSpace;

    internal StreamingDecoder(Tokenizer tokenizer, bool stripFirstSpace) =>
        (_tokenizer, _stripFirstSpace) = (tokenizer, stripFirstSpace);

    /// <summary>The text that became complete with this token; may be empty.</summary>
    /// <param name="id">The next token.</param>
    public string Append(int id)
    {
        var bytes = _tokenizer.TokenBytes(id);
        if (_stripFirstSpace && !bytes.IsEmpty)
        {
            _stripFirstSpace = false;
            bytes = bytes[0] == (byte)' ' ? bytes[1..] : bytes;
        }

        return Convert(bytes, flush: false);
    }

    /// <summary>What is left at the end: U+FFFD for an unfinished character, else nothing.</summary>
    public string Flush() => Convert([], flush: true);

    private string Convert(ReadOnlySpan<byte> bytes, bool flush)
    {
        if (bytes.IsEmpty && !flush)
        {
            return "";
        }

        var count = _utf8.GetCharCount(bytes, flush);
        Span<char> chars = count <= 256 ? stackalloc char[count] : new char[count];
        _utf8.GetChars(bytes, chars, flush);
        return chars.ToString();
    }
}
