// Puts a SentencePieceBpe together from pieces with scores, or from pieces with ranked merges, as the files give them.
// A pair may merge if the joined bytes are a piece; its rank is the place of the piece's score among all scores, so
// that equal scores have equal ranks and the leftmost pair goes first.
// Refuses duplicate pieces, scores that are no numbers, and vocabularies without all 256 byte pieces <0x00>..<0xFF>.

using System.Globalization;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>One piece of a SentencePiece vocabulary.</summary>
/// <param name="Bytes">Its text as bytes, with U+2581 already turned into a space.</param>
/// <param name="Score">The higher, the earlier it merges.</param>
/// <param name="Special">True for control and unknown pieces.</param>
internal readonly record struct Piece(byte[] Bytes, float Score, bool Special);

/// <summary>Builds SentencePieceBpe.</summary>
internal static class SentencePieceBuilder
{
    private const int LongestMerged = 256;

    /// <summary>Builds from scores; every split of a piece into two pieces becomes a merge.</summary>
    public static SentencePieceBpe FromScores(
        Piece[] pieces, SpacePrefix prefix, int? begin, IReadOnlyList<int> end, string source)
    {
        var ids = new Dictionary<byte[], int>(ByteComparer.Instance);
        var byteIds = ByteIds(pieces, source);
        var isByte = byteIds.ToHashSet();
        for (var id = 0; id < pieces.Length; id++)
        {
            Require(float.IsFinite(pieces[id].Score), source, $"the score of piece {id}", "finite scores");
            if (!pieces[id].Special && !isByte.Contains(id))
            {
                Require(
                    pieces[id].Bytes.Length > 0 && ids.TryAdd(pieces[id].Bytes, id), source,
                    $"piece {id}, empty or there before", "pieces that differ");
            }
        }

        var ranks = Ranks(pieces);
        var merges = new List<(int Left, int Right, int Result)>();
        var bySpan = ids.GetAlternateLookup<ReadOnlySpan<byte>>();
        foreach (var (bytes, id) in ids)
        {
            // Real pieces are far shorter; without the limit a damaged length would cost its square.
            for (var at = 1; at < bytes.Length && bytes.Length <= LongestMerged; at++)
            {
                if (bySpan.TryGetValue(bytes.AsSpan(0, at), out var left)
                    && bySpan.TryGetValue(bytes.AsSpan(at), out var right))
                {
                    merges.Add((left, right, id));
                }
            }
        }

        return Build(pieces, byteIds, merges, ranks, Specials(pieces), prefix, begin, end, source);
    }

    /// <summary>Builds from ranked merges; equal results share the best rank among them.</summary>
    public static SentencePieceBpe FromMerges(
        Piece[] pieces,
        IReadOnlyList<BpeMerge> merges,
        IEnumerable<AddedToken> added,
        SpacePrefix prefix,
        (int? Begin, IReadOnlyList<int> End) marks,
        string source)
    {
        var ranks = new int[pieces.Length];
        Array.Fill(ranks, int.MaxValue);
        for (var i = 0; i < merges.Count; i++)
        {
            ranks[merges[i].Result] = Math.Min(ranks[merges[i].Result], i);
        }

        return Build(
            pieces, ByteIds(pieces, source), [.. merges.Select(m => (m.Left, m.Right, m.Result))], ranks, added, prefix,
            marks.Begin, marks.End, source);
    }

    /// <summary>A piece's bytes from its text: U+2581 stands for a space.</summary>
    public static byte[] Bytes(string piece) => Encoding.UTF8.GetBytes(piece.Replace('\u2581', ' '));

    private static SentencePieceBpe Build(
        Piece[] pieces,
        int[] byteIds,
        List<(int Left, int Right, int Result)> merges,
        int[] ranks,
        IEnumerable<AddedToken> added,
        SpacePrefix prefix,
        int? begin,
        IReadOnlyList<int> end,
        string source)
    {
        var table = new MergeTable(merges.Count);
        foreach (var (left, right, result) in merges)
        {
            Require(
                table.TryAdd(left, right, ranks[result], result), source,
                $"the pair {left}, {right} twice", "each pair once");
        }

        var tokens = Array.ConvertAll(pieces, p => p.Special ? [] : p.Bytes);
        for (var b = 0; b < 256; b++)
        {
            tokens[byteIds[b]] = [(byte)b];
        }

        return new SentencePieceBpe(tokens, byteIds, table, new AddedTokens(added), prefix, begin, end)
        {
            // Only the order of scores matters, and llama.cpp, to which they are exported, looks at results of merges alone.
            Scores = Array.ConvertAll(ranks, rank => rank == int.MaxValue ? float.MinValue : -(float)rank),
        };
    }

    private static IEnumerable<AddedToken> Specials(Piece[] pieces)
    {
        for (var id = 0; id < pieces.Length; id++)
        {
            // llama2.c's files write a line break before and after the names of begin and end.
            var name = Encoding.UTF8.GetString(pieces[id].Bytes).Trim('\n');
            if (pieces[id].Special && name.Length > 0)
            {
                yield return new AddedToken(id, name, Special: true);
            }
        }
    }

    private static int[] Ranks(Piece[] pieces)
    {
        var scores = pieces.Select(p => p.Score).Distinct().OrderDescending().ToArray();
        var places = new Dictionary<float, int>(scores.Length);
        foreach (var score in scores)
        {
            places.TryAdd(score, places.Count);
        }

        return Array.ConvertAll(pieces, p => places[p.Score]);
    }

    private static int[] ByteIds(Piece[] pieces, string source)
    {
        var ids = new int[256];
        Array.Fill(ids, -1);
        for (var id = 0; id < pieces.Length; id++)
        {
            var name = pieces[id].Bytes;
            if (name.Length == 6 && name.AsSpan().StartsWith("<0x"u8) && name[5] == (byte)'>'
                && byte.TryParse(
                    name.AsSpan(3, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                Require(ids[value] < 0, source, $"byte {value} twice", "one piece per byte");
                ids[value] = id;
            }
        }

        var missing = Array.IndexOf(ids, -1);
        Require(missing < 0, source, $"no piece for byte {missing}", "the byte pieces <0x00> to <0xFF>");
        return ids;
    }

    private static void Require(bool condition, string source, string received, string expected)
    {
        if (!condition)
        {
            throw TokenizerFiles.Damaged(source, received, expected);
        }
    }
}
