// The contract of a tokenizer: text or raw bytes to ids and back, with what a model must know about special ids.
// Engines deal in ids only; text stays on this side. Specials decode to nothing, so they never leak into a text.
// Loading knows tokenizer.json, tokenizer.model, llama2.c's tokenizer.bin, vocab.json + merges.txt; refuses other forms.

using System.Text;

namespace Ptp.Core.Text;

/// <summary>Turns text into token ids and ids into text. Safe to share between threads.</summary>
public abstract class Tokenizer
{
    /// <summary>V, one more than the greatest id.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The id that opens a text, if the vocabulary has one.</summary>
    public abstract int? BeginToken { get; }

    /// <summary>The ids that end a text.</summary>
    public abstract IReadOnlyList<int> EndTokens { get; }

    /// <summary>Ids of a text; no special token is added or recognised.</summary>
    /// <param name="text">Any text; an unpaired surrogate counts as U+FFFD.</param>
    public abstract int[] Encode(string text);

    /// <summary>Ids of a text in which the names of special tokens may stand for those tokens.</summary>
    /// <param name="text">Any text.</param>
    /// <param name="parseSpecial">True to read special names as tokens; never do this with text you do not trust.</param>
    public abstract int[] Encode(string text, bool parseSpecial);

    /// <summary>Ids of raw bytes, which need not be valid UTF-8.</summary>
    /// <param name="utf8">The bytes.</param>
    public abstract int[] EncodeBytes(ReadOnlySpan<byte> utf8);

    /// <summary>The bytes that the ids stand for; specials stand for none.</summary>
    /// <param name="ids">Token ids.</param>
    public abstract byte[] DecodeBytes(ReadOnlySpan<int> ids);

    /// <summary>The text that the ids stand for; bytes that are no UTF-8 become U+FFFD.</summary>
    /// <param name="ids">Token ids.</param>
    public string Decode(ReadOnlySpan<int> ids) => Encoding.UTF8.GetString(DecodeBytes(ids));

    /// <summary>The bytes of one token; empty for specials.</summary>
    /// <param name="id">A token id.</param>
    public abstract ReadOnlySpan<byte> TokenBytes(int id);

    /// <summary>A decoder that takes ids one at a time and gives out complete characters only.</summary>
    /// <param name="atStart">False if the ids continue a text, whose first space is then no dummy prefix.</param>
    public virtual StreamingDecoder CreateStreamingDecoder(bool atStart = true) => new(this, stripFirstSpace: false);

    /// <summary>Loads a tokenizer from a file or from a folder that contains one.</summary>
    /// <param name="path">tokenizer.json, tokenizer.model, a tokenizer.bin of llama2.c, or a folder with one of them or with
    /// vocab.json and merges.txt.</param>
    /// <exception cref="PtpException">There is none, or it is damaged, or of a kind that is not read.</exception>
    public static Tokenizer Load(string path) => TokenizerFiles.Load(path);

    private protected void CheckId(int id) => Guard.Require(
        id >= 0 && id < VocabularySize, "Decode a token", $"id {id}", $"an id below {VocabularySize}",
        "Use the tokenizer that belongs to the model.");
}
