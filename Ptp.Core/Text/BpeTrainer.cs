// Trains byte-level BPE: count the distinct words of a corpus, then merge the most frequent pair of tokens, again and
// again; among equally frequent pairs the one whose byte strings are greater (left first, then right) wins.
// Counts are kept up to date from the words that a merge touches; a heap with lazy repair finds the next pair.
// Ids: 256 bytes in order, merges in order, special tokens last. Refuses sizes too small for bytes and specials.

using System.Runtime.InteropServices;
using System.Text;

namespace Ptp.Core.Text;

/// <summary>How far training has come.</summary>
/// <param name="Merging">False while words are counted, true while pairs are merged.</param>
/// <param name="Done">Documents read, or tokens made.</param>
/// <param name="Total">Tokens wanted; 0 while documents are read, whose number is unknown.</param>
public readonly record struct BpeProgress(bool Merging, long Done, long Total);

/// <summary>Makes a vocabulary out of a corpus.</summary>
public static class BpeTrainer
{
    /// <summary>Trains on texts.</summary>
    /// <param name="documents">The corpus; read once, one document at a time. Names of special tokens are cut out.</param>
    /// <param name="vocabularySize">V wanted, specials included; fewer if the corpus has no more pairs.</param>
    /// <param name="specialTokens">Names of special tokens, such as &lt;|endoftext|&gt;.</param>
    /// <param name="progress">Hears of the progress.</param>
    /// <param name="cancellation">Stops the training.</param>
    public static ByteLevelBpe Train(
        IEnumerable<string> documents,
        int vocabularySize,
        IReadOnlyList<string> specialTokens,
        IProgress<BpeProgress>? progress = null,
        CancellationToken cancellation = default) =>
        Train(
            documents.Select(d => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(d)),
            vocabularySize, specialTokens, progress, cancellation);

    /// <summary>Trains on raw bytes.</summary>
    /// <param name="documents">The corpus; read once, one document at a time. Names of special tokens are cut out.</param>
    /// <param name="vocabularySize">V wanted, specials included; fewer if the corpus has no more pairs.</param>
    /// <param name="specialTokens">Names of special tokens, such as &lt;|endoftext|&gt;.</param>
    /// <param name="progress">Hears of the progress.</param>
    /// <param name="cancellation">Stops the training.</param>
    public static ByteLevelBpe Train(
        IEnumerable<ReadOnlyMemory<byte>> documents,
        int vocabularySize,
        IReadOnlyList<string> specialTokens,
        IProgress<BpeProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(documents);
        ArgumentNullException.ThrowIfNull(specialTokens);
        var mergeLimit = vocabularySize - 256 - specialTokens.Count;
        Guard.Require(
            mergeLimit >= 0 && vocabularySize <= TokenizerFiles.MaxVocabulary, "Train a tokenizer",
            $"a vocabulary of {vocabularySize}",
            $"{256 + specialTokens.Count} (256 bytes and the special tokens) to {TokenizerFiles.MaxVocabulary}",
            "Ask for a size in that range; 2000 to 4000 suits a small model.");
        var specials = new AddedTokens(specialTokens.Select((name, i) => new AddedToken(i, name, Special: true)));
        var words = CountWords(documents, specials, progress, cancellation);
        var (tokens, merges) = new BpePairCounts(words).Run(mergeLimit, progress, cancellation);
        var added = specialTokens.Select((name, i) => new AddedToken(tokens.Count + i, name, Special: true)).ToArray();
        return new ByteLevelBpe([.. tokens, .. added.Select(_ => Array.Empty<byte>())], merges, added);
    }

    private static Dictionary<byte[], long> CountWords(
        IEnumerable<ReadOnlyMemory<byte>> documents,
        AddedTokens specials,
        IProgress<BpeProgress>? progress,
        CancellationToken cancellation)
    {
        var words = new Dictionary<byte[], long>(ByteComparer.Instance);
        var bySpan = words.GetAlternateLookup<ReadOnlySpan<byte>>();
        var read = 0L;
        foreach (var document in documents)
        {
            cancellation.ThrowIfCancellationRequested();
            var rest = document.Span;
            while (!rest.IsEmpty)
            {
                var (at, _, length) = specials.Next(rest, parseSpecial: true);
                CountText(rest[..at], bySpan);
                rest = rest[(at + length)..];
            }

            if (++read % 256 == 0)
            {
                progress?.Report(new BpeProgress(false, read, 0));
            }
        }

        return words;
    }

    private static void CountText(
        ReadOnlySpan<byte> text, Dictionary<byte[], long>.AlternateLookup<ReadOnlySpan<byte>> words)
    {
        while (!text.IsEmpty)
        {
            var length = WordSplit.PieceLength(text, WordRules.Gpt2);
            CollectionsMarshal.GetValueRefOrAddDefault(words, text[..length], out _)++;
            text = text[length..];
        }
    }
}
