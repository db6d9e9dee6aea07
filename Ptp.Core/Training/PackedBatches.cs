// Rows of training: documents packed end to end, each isolated from its neighbours by visibility, no padding.
// A document is <begin> tokens <end>; what does not fit goes on, from position 0, in the next batch.
// Refuses: an empty corpus. The order of documents is a named random stream, so a run can be resumed exactly.

using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Training;

/// <summary>R rows of packed documents; it stands until the next batch of the same <see cref="PackedBatches"/>.</summary>
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
    private readonly string[] _orderNames;
    private readonly int[] _next;
    private readonly int[] _epochs;
    private readonly ulong _seed;
    private readonly int _boundary;
    private readonly RandomStream _order = new(0, "order");
    private PackedBatch _batch = new([], [], [], new Visibility(), []);
    private int[] _document = [];
    private int _at; // next token of <begin> document <end> to be an input
    private int _length; // inputs of it: all but the last

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
        _orderNames = [.. corpora.Select(c => $"order {c.Name} ")];
        _orders = [.. corpora.Select(c => new int[c.Documents.Count])];
        for (var corpus = 0; corpus < _orders.Length; corpus++)
        {
            Shuffle(corpus);
        }
    }

    /// <summary>The next batch of exactly <paramref name="rows"/> rows.</summary>
    /// <param name="rows">R.</param>
    /// <param name="longest">Longest piece of a document, at most the model's context.</param>
    public PackedBatch Next(int rows, int longest)
    {
        if (_batch.Ids.Length != rows)
        {
            _batch = _batch with { Ids = new int[rows], Targets = new int[rows], Positions = new int[rows] };
        }

        _batch.Starts.Clear();
        _batch.Visibility.Clear();
        for (var row = 0; row < rows;)
        {
            if (_at >= _length)
            {
                (_document, _at) = (NextDocument(), 0);
                _length = _document.Length + 1;
            }

            var count = Math.Min(Math.Min(_length - _at, longest), rows - row);
            _batch.Starts.Add(row);
            _batch.Visibility.AddCausal(0, 0, count);
            for (var i = 0; i < count; i++, row++, _at++)
            {
                (_batch.Ids[row], _batch.Targets[row], _batch.Positions[row]) = (TokenAt(_at), TokenAt(_at + 1), i);
            }
        }

        return _batch;
    }

    /// <summary>Token <paramref name="i"/> of the document with its boundaries.</summary>
    private int TokenAt(int i) => i == 0 || i == _length ? _boundary : _document[i - 1];

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
            Shuffle(corpus);
        }

        var document = _corpora[corpus].Documents[_orders[corpus][_next[corpus]++]];
        _given[corpus] += (document.Length + 1) / _corpora[corpus].Share;
        return document;
    }

    private void Shuffle(int corpus)
    {
        var order = _orders[corpus];
        _order.Restart(_seed, _orderNames[corpus], _epochs[corpus]);
        for (var i = 0; i < order.Length; i++)
        {
            var j = _order.NextInt(i + 1);
            order[i] = order[j];
            order[j] = i;
        }
    }
}
