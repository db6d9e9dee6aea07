// How often each corpus is seen in one epoch of training, as multipliers: stories=2,dotnet=0.5.
// A whole multiplier repeats every document; a fraction adds that share of them, another share in each epoch.
// Refuses: negative or absurd weights, a mix that leaves nothing, a text that is no list of name=number.

using System.Globalization;

namespace Ptp.Core.Training;

/// <summary>Weights by corpus name; a corpus that is not named has weight 1.</summary>
public sealed class CorpusMix
{
    private const double Heaviest = 1000;
    private readonly Dictionary<string, double> weights;

    /// <summary>Checks and keeps the weights.</summary>
    /// <param name="weights">Multiplier of each corpus; 0 leaves it out.</param>
    public CorpusMix(IReadOnlyDictionary<string, double> weights)
    {
        ArgumentNullException.ThrowIfNull(weights);
        this.weights = new Dictionary<string, double>(weights, StringComparer.Ordinal);
        foreach (var (name, weight) in this.weights)
        {
            Guard.Require(weight is >= 0 and <= Heaviest, "Mix corpora", $"{name}={Guard.Text(weight)}",
                "a weight from 0 to 1000", "Give each corpus a multiplier, such as stories=2.");
        }
    }

    /// <summary>Every corpus once.</summary>
    public static CorpusMix Even { get; } = new(new Dictionary<string, double>());

    /// <summary>Reads "stories=2,dotnet=0.5".</summary>
    /// <param name="text">Names and multipliers; empty means every corpus once.</param>
    public static CorpusMix Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var weights = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (var item in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            var sides = item.Split('=');
            Guard.Require(
                sides.Length == 2 && double.TryParse(sides[1], NumberStyles.Float, CultureInfo.InvariantCulture, out var weight)
                && weights.TryAdd(sides[0].Trim(), weight),
                "Mix corpora", $"'{item}'", "name=multiplier, each name once", "Write it like stories=2,dotnet=0.5.");
        }

        return new CorpusMix(weights);
    }

    /// <summary>The multiplier of a corpus.</summary>
    /// <param name="corpus">Its name.</param>
    public double Weight(string corpus) => weights.GetValueOrDefault(corpus, 1);

    /// <summary>Indices of the documents of one epoch, shuffled. The same arguments give the same order.</summary>
    /// <param name="documents">All documents.</param>
    /// <param name="seed">Seed of the data order, a stream of its own.</param>
    /// <param name="epoch">Number of the epoch, from 0.</param>
    public int[] Epoch(IReadOnlyList<Document> documents, ulong seed, int epoch = 0)
    {
        ArgumentNullException.ThrowIfNull(documents);
        var order = new List<(ulong Key, int Document)>();
        for (var i = 0; i < documents.Count; i++)
        {
            var weight = Weight(documents[i].Corpus);
            var share = CorpusText.Hash($"share {i} {epoch}", seed) / 18446744073709551616.0;
            var times = (int)weight + (share < weight - Math.Floor(weight) ? 1 : 0);
            for (var copy = 0; copy < times; copy++)
            {
                order.Add((CorpusText.Hash($"order {i} {epoch} {copy}", seed), i));
            }
        }

        Guard.Require(order.Count > 0, "Mix corpora", "weights that leave no document", "at least one",
            "Give some corpus a weight above 0.");
        order.Sort();
        return order.ConvertAll(o => o.Document).ToArray();
    }
}
