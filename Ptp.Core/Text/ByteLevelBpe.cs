// GPT-2's tokenizer: split into words, then merge bytes inside each word by rank. Every byte is a token, hence any
// text and any bytes come back exactly. Words seen before are remembered, up to a fixed number.
// Refuses vocabularies in which a merge names a token that does not exist.

using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>One merge: the tokens <see cref="Left"/> and <see cref="Right"/> become <see cref="Result"/>.</summary>
/// <param name="Left">Id of the left part.</param>
/// <param name="Right">Id of the right part.</param>
/// <param name="Result">Id of the whole.</param>
public readonly record struct BpeMerge(int Left, int Right, int Result);

/// <summary>Variants of byte-level BPE that files ask for.</summary>
/// <param name="Rules">How text is cut into pieces.</param>
/// <param name="IgnoreMerges">True if a piece that is a token as a whole is that token, whatever the merges make.</param>
/// <param name="Compose">True to bring text into Unicode's composed form first (not in invariant globalization).</param>
internal sealed record ByteLevelOptions(
    WordRules Rules = WordRules.Gpt2, bool IgnoreMerges = false, bool Compose = false);

/// <summary>Byte-level byte-pair encoding.</summary>
public sealed class ByteLevelBpe : Tokenizer
{
    private const int CacheEntries = 1 << 16;
    private const int CachedPieceBytes = 64;

    private readonly byte[][] _tokens;
    private readonly AddedTokens _added;
    private readonly int[] _byteIds = new int[256];
    private readonly MergeTable _table;
    private readonly ConcurrentDictionary<byte[], int[]> _cache = new(ByteComparer.Instance);
    private readonly ConcurrentDictionary<byte[], int[]>.AlternateLookup<ReadOnlySpan<byte>> _cacheBySpan;
    private readonly Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>>? _wholePieces;
    private int _cached;

    /// <summary>Builds a tokenizer from its parts.</summary>
    /// <param name="tokens">Bytes of each id; ignored for added tokens.</param>
    /// <param name="merges">Merges, most important first.</param>
    /// <param name="added">Tokens outside the merges.</param>
    /// <param name="beginToken">Id that opens a text; null to go by the usual names.</param>
    /// <param name="endTokens">Ids that end a text; null to go by the usual names.</param>
    public ByteLevelBpe(
        IReadOnlyList<byte[]> tokens,
        IReadOnlyList<BpeMerge> merges,
        IEnumerable<AddedToken> added,
        int? beginToken = null,
        IReadOnlyList<int>? endTokens = null)
        : this(tokens, merges, added, new ByteLevelOptions(), beginToken, endTokens)
    {
    }

    internal ByteLevelBpe(
        IReadOnlyList<byte[]> tokens,
        IReadOnlyList<BpeMerge> merges,
        IEnumerable<AddedToken> added,
        ByteLevelOptions options,
        int? beginToken,
        IReadOnlyList<int>? endTokens)
    {
        Options = options;
        _tokens = [.. tokens];
        _added = new AddedTokens(added);
        Merges = [.. merges];
        foreach (var token in _added.All)
        {
            Require(
                token.Id >= 0 && token.Id < _tokens.Length,
                $"the added token '{token.Content}' with id {token.Id}", $"an id below {_tokens.Length}");
            _tokens[token.Id] = token.Special ? [] : Encoding.UTF8.GetBytes(token.Content);
        }

        FindByteIds();
        _table = new MergeTable(Merges.Count);
        for (var rank = 0; rank < Merges.Count; rank++)
        {
            var merge = Merges[rank];
            Require(
                Math.Max(Math.Max(merge.Left, merge.Right), merge.Result) < _tokens.Length
                    && Math.Min(Math.Min(merge.Left, merge.Right), merge.Result) >= 0,
                $"{merge}", $"ids below {_tokens.Length}");
            Require(
                _table.TryAdd(merge.Left, merge.Right, rank, merge.Result),
                $"the pair of merge {rank} twice", "each pair once");
        }

        BeginToken = beginToken ?? _added.BeginToken;
        EndTokens = endTokens ?? _added.EndTokens;
        _cacheBySpan = _cache.GetAlternateLookup<ReadOnlySpan<byte>>();
        _wholePieces = options.IgnoreMerges ? WholePieces() : null;
    }

    /// <inheritdoc/>
    public override int VocabularySize => _tokens.Length;

    /// <inheritdoc/>
    public override int? BeginToken { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<int> EndTokens { get; }

    /// <summary>What else the file asks for.</summary>
    internal ByteLevelOptions Options { get; }

    /// <summary>The merges, most important first.</summary>
    public IReadOnlyList<BpeMerge> Merges { get; }

    /// <summary>The tokens outside the merges, by id.</summary>
    public IReadOnlyList<AddedToken> AddedTokens => _added.All;

    /// <inheritdoc/>
    public override int[] Encode(string text) => Encode(text, parseSpecial: false);

    /// <inheritdoc/>
    public override int[] Encode(string text, bool parseSpecial)
    {
        ArgumentNullException.ThrowIfNull(text);
        var utf8 = Encoding.UTF8.GetBytes(text);
        return EncodeAll(Options.Compose ? Composed(utf8) : utf8, parseSpecial);
    }

    /// <inheritdoc/>
    public override int[] EncodeBytes(ReadOnlySpan<byte> utf8) => EncodeAll(utf8, parseSpecial: false);

    /// <inheritdoc/>
    public override byte[] DecodeBytes(ReadOnlySpan<int> ids)
    {
        var length = 0;
        foreach (var id in ids)
        {
            length = checked(length + TokenBytes(id).Length);
        }

        var bytes = new byte[length];
        var at = 0;
        foreach (var id in ids)
        {
            var token = _tokens[id];
            token.CopyTo(bytes, at);
            at += token.Length;
        }

        return bytes;
    }

    /// <inheritdoc/>
    public override ReadOnlySpan<byte> TokenBytes(int id)
    {
        CheckId(id);
        return _tokens[id];
    }

    /// <summary>Writes tokenizer.json, in the form that Hugging Face tokenizers reads.</summary>
    /// <param name="path">The file.</param>
    public void Save(string path) => TokenizerJsonWriter.Write(this, path);

    /// <summary>Writes tokenizer.json, and tokenizer_config.json with the names of begin and end.</summary>
    /// <param name="folder">The folder.</param>
    public void SaveFolder(string folder) => TokenizerJsonWriter.WriteFolder(this, folder);

    private int[] EncodeAll(ReadOnlySpan<byte> text, bool parseSpecial)
    {
        var ids = new List<int>(text.Length / 3 + 4);
        while (!text.IsEmpty)
        {
            var (at, id, length) = _added.Next(text, parseSpecial);
            EncodeText(text[..at], ids);
            if (length > 0)
            {
                ids.Add(id);
            }

            text = text[(at + length)..];
        }

        return [.. ids];
    }

    private void EncodeText(ReadOnlySpan<byte> text, List<int> ids)
    {
        while (!text.IsEmpty)
        {
            var length = WordSplit.PieceLength(text, Options.Rules);
            EncodePiece(text[..length], ids);
            text = text[length..];
        }
    }

    private void EncodePiece(ReadOnlySpan<byte> piece, List<int> ids)
    {
        if (piece.Length <= CachedPieceBytes && _cacheBySpan.TryGetValue(piece, out var known))
        {
            ids.AddRange(known);
            return;
        }

        if (_wholePieces is { } whole && whole.TryGetValue(piece, out var id))
        {
            ids.Add(id);
            return;
        }

        var start = ids.Count;
        foreach (var b in piece)
        {
            ids.Add(_byteIds[b]);
        }

        var count = _table.Merge(CollectionsMarshal.AsSpan(ids)[start..]);
        CollectionsMarshal.SetCount(ids, start + count);
        if (piece.Length is > 1 and <= CachedPieceBytes
            && _cached < CacheEntries
            && _cacheBySpan.TryAdd(piece, [.. ids[start..]]))
        {
            Interlocked.Increment(ref _cached);
        }
    }

    /// <summary>Decoded first, so that unpaired surrogates are U+FFFD by now and cannot stop the composition.</summary>
    private static byte[] Composed(byte[] utf8) =>
        Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(utf8).Normalize(NormalizationForm.FormC));

    private Dictionary<byte[], int>.AlternateLookup<ReadOnlySpan<byte>> WholePieces()
    {
        var ids = new Dictionary<byte[], int>(ByteComparer.Instance);
        var outside = _added.All.Select(t => t.Id).ToHashSet();
        for (var id = 0; id < _tokens.Length; id++)
        {
            if (_tokens[id].Length > 0 && !outside.Contains(id))
            {
                ids.TryAdd(_tokens[id], id);
            }
        }

        return ids.GetAlternateLookup<ReadOnlySpan<byte>>();
    }

    private void FindByteIds()
    {
        Array.Fill(_byteIds, -1);
        var special = _added.All.Select(t => t.Id).ToHashSet();
        for (var id = 0; id < _tokens.Length; id++)
        {
            if (_tokens[id].Length == 1 && !special.Contains(id))
            {
                Require(_byteIds[_tokens[id][0]] < 0, $"two tokens for byte {_tokens[id][0]}", "one token per byte");
                _byteIds[_tokens[id][0]] = id;
            }
        }

        var missing = Array.IndexOf(_byteIds, -1);
        Require(missing < 0, $"no token for byte {missing}", "a token for each of the 256 bytes");
    }

    private static void Require(bool condition, string received, string expected) => Guard.Require(
        condition, "Build a byte-level tokenizer", received, expected,
        "Train the tokenizer again, or get an undamaged file.");
}
