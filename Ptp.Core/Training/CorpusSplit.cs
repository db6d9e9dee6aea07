// Which documents are trained on and which are held out: by block, by hash, and never one template on both sides.
// Held out: 3 % of the characters, more if that is under 200 documents, at most 10 %.
// Refuses nothing: a corpus too small for both sides keeps all of it for training.

using System.Text;

namespace Ptp.Core.Training;

/// <summary>The two sides of one corpus.</summary>
/// <param name="Train">Documents to train on.</param>
/// <param name="HeldOut">Documents that never enter training.</param>
public sealed record CorpusSplit(IReadOnlyList<Document> Train, IReadOnlyList<Document> HeldOut)
{
    private const int FewestDocuments = 200;
    private const int JoinedFrom = 300;
    private const int JoinedUpTo = 1500;

    /// <summary>Parts of the held-out side that were dropped because training has their template.</summary>
    public int Dropped { get; init; }

    /// <summary>Splits a reading by its blocks, then joins short parts within each side.</summary>
    /// <param name="reading">The parts.</param>
    /// <param name="seed">Another seed holds out other blocks.</param>
    public static CorpusSplit Of(CorpusReading reading, ulong seed = 0)
    {
        var (train, heldOut, dropped) = Parts(reading, seed);
        return new CorpusSplit(Documents(reading, train), Documents(reading, heldOut)) { Dropped = dropped };
    }

    /// <summary>The two sides before joining. No block and no template is on both.</summary>
    internal static (List<CorpusPart> Train, List<CorpusPart> HeldOut, int Dropped) Parts(CorpusReading reading, ulong seed)
    {
        var held = HeldOutBlocks(reading, seed);
        var train = reading.Parts.Where(p => !held.Contains(p.Block)).ToList();
        var known = train.Select(p => p.Template).ToHashSet(StringComparer.Ordinal);
        var candidates = reading.Parts.Where(p => held.Contains(p.Block)).ToList();
        var heldOut = candidates.Where(p => !known.Contains(p.Template)).ToList();
        return (train, heldOut, candidates.Count - heldOut.Count);
    }

    private static HashSet<string> HeldOutBlocks(CorpusReading reading, ulong seed)
    {
        // A template seen in two blocks will most likely be dropped, so only the others count towards the target.
        var blockOf = new Dictionary<string, string?>(StringComparer.Ordinal);
        foreach (var part in reading.Parts)
        {
            blockOf[part.Template] = blockOf.TryGetValue(part.Template, out var b) && b != part.Block ? null : part.Block;
        }

        var sizes = new Dictionary<string, long>(StringComparer.Ordinal);
        long total = 0;
        foreach (var part in reading.Parts)
        {
            total += part.Text.Length;
            var own = blockOf[part.Template] is null ? 0 : part.Text.Length;
            sizes[part.Block] = sizes.GetValueOrDefault(part.Block) + own;
        }

        var documents = reading.JoinShort ? Math.Max(1, total / ((JoinedFrom + JoinedUpTo) / 2)) : Math.Max(1, reading.Parts.Count);
        var target = (long)(total * Math.Clamp((double)FewestDocuments / documents, 0.03, 0.10));
        var held = new HashSet<string>(StringComparer.Ordinal);
        long taken = 0;
        foreach (var (block, size) in sizes.OrderBy(s => CorpusText.Hash(s.Key, seed)).ThenBy(s => s.Key, StringComparer.Ordinal))
        {
            if (taken >= target || sizes.Count - held.Count <= 1)
            {
                break;
            }

            // A block far above the target would take the corpus with it.
            if (size > 0 && taken + size <= target + target / 4)
            {
                held.Add(block);
                taken += size;
            }
        }

        return held;
    }

    private static List<Document> Documents(CorpusReading reading, List<CorpusPart> parts)
    {
        if (!reading.JoinShort)
        {
            return parts.ConvertAll(p => new Document(reading.Name, p.Text));
        }

        var documents = new List<Document>();
        var text = new StringBuilder();
        var block = "";
        foreach (var part in parts)
        {
            var isFull = text.Length + part.Text.Length > JoinedUpTo || part.Block != block;
            if (text.Length >= JoinedFrom && isFull)
            {
                documents.Add(new Document(reading.Name, text.ToString()));
                text.Clear();
            }

            block = part.Block;
            text.Append(text.Length > 0 ? "\n\n" : "").Append(part.Text);
        }

        if (text.Length > 0)
        {
            documents.Add(new Document(reading.Name, text.ToString()));
        }

        return documents;
    }
}
