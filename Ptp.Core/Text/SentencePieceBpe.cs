// LLaMA's tokenizer: characters merge by score, best first and leftmost among equals, over the whole text at once;
// characters outside the vocabulary fall back to byte tokens. A space is put before a text and taken off when decoding.
// Source: SentencePiece's BPE. U+2581 counts as a space, as it does there, so it alone does not come back as it was.
// Refuses vocabularies without all 256 byte tokens.

using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>Where a dummy space is put before text.</summary>
public enum SpacePrefix
{
    /// <summary>Nowhere.</summary>
    Never,

    /// <summary>Before the first stretch of text only.</summary>
    First,

    /// <summary>Before each stretch of text between special tokens.</summary>
    Always,
}

/// <summary>SentencePiece BPE with byte fall-back.</summary>
public sealed class SentencePieceBpe : Tokenizer
{
    private readonly byte[][] _tokens;
    private readonly int[] _byteIds;
    private readonly AddedTokens _added;
    private readonly MergeTable _merges;
    private readonly Dictionary<int, int> _characters = [];
    private readonly SpacePrefix _prefix;

    internal SentencePieceBpe(
        byte[][] tokens,
        int[] byteIds,
        MergeTable merges,
        AddedTokens added,
        SpacePrefix prefix,
        int? beginToken,
        IReadOnlyList<int> endTokens)
    {
        (_tokens, _byteIds, _merges, _added, _prefix) = (tokens, byteIds, merges, added, prefix);
        (BeginToken, EndTokens) = (beginToken, endTokens);
        var outside = byteIds.Concat(added.All.Select(t => t.Id)).ToHashSet();
        for (var id = 0; id < tokens.Length; id++)
        {
            if (!outside.Contains(id)
                && Rune.DecodeFromUtf8(tokens[id], out var rune, out var length) == OperationStatus.Done
                && length == tokens[id].Length)
            {
                _characters.TryAdd(rune.Value, id);
            }
        }
    }

    /// <inheritdoc/>
    public override int VocabularySize => _tokens.Length;

    /// <summary>Score of each id: of two merges the one whose result scores higher comes first.</summary>
    internal IReadOnlyList<float> Scores { get; init; } = [];

    /// <summary>Ids of the 256 byte tokens.</summary>
    internal IReadOnlyList<int> ByteIds => _byteIds;

    /// <summary>Tokens outside the merges.</summary>
    internal IReadOnlyList<AddedToken> AddedTokens => _added.All;

    /// <summary>Where a dummy space is put.</summary>
    internal SpacePrefix Prefix => _prefix;

    /// <inheritdoc/>
    public override int? BeginToken { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<int> EndTokens { get; }

    /// <inheritdoc/>
    public override int[] Encode(string text) => Encode(text, parseSpecial: false);

    /// <inheritdoc/>
    public override int[] Encode(string text, bool parseSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        return EncodeAll(Encoding.UTF8.GetBytes(text), parseSpecial);
    }

    /// <inheritdoc/>
    public override int[] EncodeBytes(ReadOnlySpan<byte> utf8) => EncodeAll(utf8, parseSpecial: false);

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> TokenBytes(int id)
    {
        CheckId(id);
        return _tokens[id];
    }

    /// <inheritdoc/>
    public override byte[] DecodeBytes(ReadOnlySpan<int> ids)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
        {
            bytes.Write(TokenBytes(id));
        }

        var all = bytes.WrittenSpan;
        return (_prefix != SpacePrefix.Never && all.StartsWith(" "u8) ? all[1..] : all).ToArray();
    }

    /// <inheritdoc/>
    public override StreamingDecoder CreateStreamingDecoder(bool atStart = true) =>
        new(this, atStart && _prefix != SpacePrefix.Never);

    private int[] EncodeAll(ReadOnlySpan<byte> text, bool parseSpecial)
    {
        var ids = new List<int>(text.Length / 2 + 4);
        var prefix = _prefix != SpacePrefix.Never;
        while (!text.IsEmpty)
        {
            var (at, id, length) = _added.Next(text, parseSpecial);
            if (at > 0)
            {
                EncodeText(text[..at], prefix, ids);
                prefix = _prefix == SpacePrefix.Always;
            }

            if (length > 0)
            {
                ids.Add(id);
                prefix &= _prefix == SpacePrefix.Always;
            }

            text = text[(at + length)..];
        }

        return [.. ids];
    }

    private void EncodeText(ReadOnlySpan<byte> text, bool prefix, List<int> ids)
    {
        var start = ids.Count;
        if (prefix)
        {
            AddCharacter(new Rune(' '), " "u8, ids, ref start);
        }

        while (!text.IsEmpty)
        {
            var valid = Rune.DecodeFromUtf8(text, out var rune, out var length) == OperationStatus.Done;
            if (valid)
            {
                AddCharacter(rune.Value == 0x2581 ? new Rune(' ') : rune, text[..length], ids, ref start);
            }
            else
            {
                AddBytes(text[..length], ids, ref start);
            }

            text = text[length..];
        }

        MergeFrom(start, ids);
    }

    private void AddCharacter(Rune rune, ReadOnlySpan<byte> bytes, List<int> ids, ref int start)
    {
        if (_characters.TryGetValue(rune.Value, out var id))
        {
            ids.Add(id);
        }
        else
        {
            AddBytes(bytes, ids, ref start);
        }
    }

    /// <summary>Bytes that no piece covers: they never merge, so what stands before them is merged first.</summary>
    private void AddBytes(ReadOnlySpan<byte> bytes, List<int> ids, ref int start)
    {
        MergeFrom(start, ids);
        foreach (var b in bytes)
        {
            ids.Add(_byteIds[b]);
        }

        start = ids.Count;
    }

    private void MergeFrom(int start, List<int> ids)
    {
        var kept = _merges.Merge(CollectionsMarshal.AsSpan(ids)[start..]);
        CollectionsMarshal.SetCount(ids, start + kept);
    }
}
