// Rows of training: documents packed end to end, each isolated from its neighbours by visibility, no padding.
// A document is <begin> tokens <end>; what does not fit goes on, from position 0, in the next batch.
// Refuses: an empty corpus. The order of documents is a named random stream, so a run can be resumed exactly.

using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Training;

/// <summary>R rows of packed documents.</summary>
/// <param name="Ids">Input tokens, [R].</param>
/// <param name="Targets">Next tokens, [R]; -1 = none.</param>
/// <param name="Positions">Position within the document, [R].</param>
/// <param name="Visibility">Causal within each document.</param>
/// <param name="Starts">First row of each document.</param>
public sealed record PackedBatch(int[] Ids, int[] Targets, int[] Positions, Visibility Visibility, List<int> Starts);

/// <summary>Documents of one corpus with its share of the training tokens.</summary>
public sealed record WeightedDocuments(string Name, IReadOnlyList<int[]> Documents, double Share);

/// <summary>An endless, reproducible sequence of packed batches.</summary>
public sealed class PackedBatches
{
    private readonly IReadOnlyList<WeightedDocuments> _corpora;
    private readonly double[] _given; // tokens drawn from each corpus, divided by its share
    private readonly int[][] _orders;
    private readonly int[] _next;
    private readonly int[] _epochs;
    private readonly ulong _seed;
    private readonly int _boundary;
    private int[] _rest = [];

    /// <summary>Batches over <paramref name="corpora"/>.</summary>
    /// <param name="corpora">Documents without begin and end tokens.</param>
    /// <param name="boundary">The token put before and after each document.</param>
    /// <param name="seed">Seed of the order.</param>
    public PackedBatches(IReadOnlyList<WeightedDocuments> corpora, int boundary, ulong seed)
    {
        Guard.Require(corpora.Count > 0 && corpora.All(c => c.Documents.Count > 0 && c.Share > 0), "Pack a corpus",
            "an empty corpus or a share of zero", "documents with a positive share", "Leave that corpus out.");
        _corpora = corpora;
        _boundary = boundary;
        _seed = seed;
        _given = new double[corpora.Count];
        _next = new int[corpora.Count];
        _epochs = new int[corpora.Count];
        _orders = [.. corpora.Select((_, i) => Order(i))];
    }

    /// <summary>The next batch of exactly <paramref name="rows"/> rows.</summary>
    /// <param name="rows">R.</param>
    /// <param name="longest">Longest piece of a document, at most the model's context.</param>
    public PackedBatch Next(int rows, int longest)
    {
        var batch = new PackedBatch(new int[rows], new int[rows], new int[rows], new Visibility(), []);
        var row = 0;
        while (row < rows)
        {
            var piece = _rest.Length > 1 ? _rest : NextDocument();
            var count = Math.Min(Math.Min(piece.Length - 1, longest), rows - row);
            batch.Starts.Add(row);
            for (var i = 0; i < count; i++)
            {
                batch.Ids[row + i] = piece[i];
                batch.Targets[row + i] = piece[i + 1];
                batch.Positions[row + i] = i;
            }

            batch.Visibility.AddCausal(0, 0, count);
            _rest = piece[count..];
            row += count;
        }

        return batch;
    }

    private int[] NextDocument()
    {
        var corpus = 0;
        for (var i = 1; i < _given.Length; i++)
        {
            corpus = _given[i] < _given[corpus] ? i : corpus;
        }

        if (_next[corpus] == _orders[corpus].Length)
        {
            _next[corpus] = 0;
            _epochs[corpus]++;
            _orders[corpus] = Order(corpus);
        }

        var document = _corpora[corpus].Documents[_orders[corpus][_next[corpus]++]];
        _given[corpus] += (document.Length + 1) / _corpora[corpus].Share;
        return [_boundary, .. document, _boundary];
    }

    private int[] Order(int corpus)
    {
        var order = new int[_corpora[corpus].Documents.Count];
        var random = new RandomStream(_seed, $"order {_corpora[corpus].Name} {_epochs[corpus]}");
        for (var i = 0; i < order.Length; i++)
        {
            var j = random.NextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }

        return order;
    }
}
