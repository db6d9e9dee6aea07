// Reads the tokenizer form of llama2.c: int32 longest piece (some writers leave it out), then for each piece a
// float32 score, int32 length and the bytes, little-endian, with spaces as spaces.
// Ids 0, 1, 2 are unknown, begin and end; models of that family begin a new text with 1, so it ends one as well.
// Refuses files that do not end with a whole piece and lengths that leave the file.

using System.Buffers.Binary;

namespace Ptp.Core.Text;

/// <summary>The reader of llama2.c's tokenizer.bin.</summary>
internal static class Llama2cFile
{
    public static SentencePieceBpe Read(ReadOnlySpan<byte> bytes, string source)
    {
        var pieces = Pieces(bytes, 4) ?? Pieces(bytes, 0)
            ?? throw TokenizerFiles.Damaged(
                source, "pieces that do not fill the file exactly", "score, length and bytes of each piece");
        if (pieces.Count < 3 + 256)
        {
            throw TokenizerFiles.Damaged(source, $"{pieces.Count} pieces", "unknown, begin, end and 256 bytes at least");
        }

        return SentencePieceBuilder.FromScores([.. pieces], SpacePrefix.Always, begin: 1, end: [2, 1], source);
    }

    private static List<Piece>? Pieces(ReadOnlySpan<byte> bytes, int at)
    {
        var pieces = new List<Piece>();
        while (at < bytes.Length)
        {
            if (bytes.Length - at < 8 || pieces.Count == TokenizerFiles.MaxVocabulary)
            {
                return null;
            }

            var score = BinaryPrimitives.ReadSingleLittleEndian(bytes[at..]);
            var length = BinaryPrimitives.ReadInt32LittleEndian(bytes[(at + 4)..]);
            at += 8;
            if (length < 0 || length > bytes.Length - at)
            {
                return null;
            }

            pieces.Add(new Piece(bytes.Slice(at, length).ToArray(), score, Special: pieces.Count < 3));
            at += length;
        }

        return pieces;
    }
}
