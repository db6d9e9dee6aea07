// A network with auxiliary slots (PTP section 2.1): rows that carry u instead of a token, run through the base with gated
// LoRA (one network, one cache) or through a separate student. How they are laid out and read is the reading:
//   one-hot: slot l carries u_{g+l} and predicts t_{g+l};   categorical: slot l carries u_{g+l} and predicts the law of t_{g+l+1}
// Refuses: a sampler head on one-hot slots.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;

namespace Ptp.Core.Paper;

/// <summary>What a slot is before u is embedded into it.</summary>
public enum SlotStart
{
    /// <summary>The same vector for all slots, learned from the mean token vector on: u alone, as in the paper.</summary>
    MeanToken,

    /// <summary>The vector of the last known token, t_{g-1}: slot 0 begins as the very row that predicts t_g. Our addition.</summary>
    LastToken,
}

/// <summary>What a slot's output means.</summary>
public enum SlotReading
{
    /// <summary>O-PTP: the slot has seen its own u; its likeliest token is the draft.</summary>
    OneHot,

    /// <summary>C-PTP: the slot has seen earlier u only; its law and the next u give the draft by Pick, outside the network.</summary>
    Categorical,
}

/// <summary>A network with auxiliary slots.</summary>
public sealed class SlotModel
{
    private const int MostFeatures = 1 << 14;
    private float[] _features = [];
    private float[] _numbers = [];
    private int[] _lastTokens = [];
    private readonly AuxiliaryMlp? _mlp;

    /// <summary>Slots on <paramref name="network"/>; the embedding table starts small and random.</summary>
    /// <param name="network">The base model (with <paramref name="lora"/>), or a student of its own (without).</param>
    /// <param name="lora">The gated adapter, or null for a student.</param>
    /// <param name="embedding">How u becomes features.</param>
    /// <param name="slots">N, slots of one draft.</param>
    /// <param name="law">The sampling law it is trained for.</param>
    /// <param name="rule">How u picks a token.</param>
    /// <param name="seed">Seed of the table.</param>
    /// <param name="start">What a slot is before u is embedded into it.</param>
    /// <param name="reading">What a slot's output means.</param>
    /// <param name="sampler">For categorical slots: the head that also reads the tokens picked before, or null.</param>
    public SlotModel(
        Transformer network, GatedLora? lora, AuxiliaryEmbedding embedding, int slots, SamplingOptions law,
        PickRule rule, ulong seed, SlotStart start = SlotStart.MeanToken, SlotReading reading = SlotReading.OneHot,
        SamplerHead? sampler = null)
    {
        Guard.Require(slots is > 0 and <= 256, "Make a PTP model", $"{slots} slots", "1 to 256",
            "The paper uses 16.");
        Guard.Require(reading == SlotReading.Categorical || sampler is null, "Make a PTP model",
            "a sampler head on one-hot slots", "categorical slots", "One-hot slots are read by argmax alone.");
        (Network, Lora, Embedding, Slots, Start) = (network, lora, embedding, slots, start);
        (Reading, Sampler) = (reading, sampler);
        (Law, Rule) = (law.Validated(), rule);
        NumbersPerToken = rule.NumbersPerToken(network.Config.VocabularySize);
        var features = embedding.FeatureCount(NumbersPerToken);
        Guard.Require(features <= MostFeatures, "Make a PTP model", $"{features} features of {NumbersPerToken} numbers per token ({rule.Name})",
            $"at most {MostFeatures}", "Choose a rule of fewer numbers, or an embedding of fewer features each, such as linear:2 or constant.");
        Table = new Parameter(network.Backend, "ptp.auxiliary_embedding.weight", network.Config.HiddenSize, features);
        Initialise.Gaussian(Table, new RandomStream(seed, "auxiliary embedding"), 0.02);
        _mlp = embedding.MlpWidth > 0 ? new AuxiliaryMlp(network.Backend, network.Config.HiddenSize, features, embedding.MlpWidth, seed) : null;
        if (start == SlotStart.MeanToken)
        {
            StartAtMeanToken();
        }
    }

    /// <summary>The network that the slots run through.</summary>
    public Transformer Network { get; }

    /// <summary>The gated adapter, or null.</summary>
    public GatedLora? Lora { get; }

    /// <summary>How u becomes features.</summary>
    public AuxiliaryEmbedding Embedding { get; }

    /// <summary>Table [D, F] that features [F] are multiplied with.</summary>
    public Parameter Table { get; }

    /// <summary>All that embeds u: <see cref="Table"/>, and the small network beside it if the embedding has one.</summary>
    public IEnumerable<Parameter> EmbeddingParameters => [Table, .. _mlp?.Parameters ?? []];

    /// <summary>N.</summary>
    public int Slots { get; }

    /// <summary>What a slot is before u is embedded into it.</summary>
    public SlotStart Start { get; }

    /// <summary>What a slot's output means.</summary>
    public SlotReading Reading { get; }

    /// <summary>The head that reads the tokens picked before, or null.</summary>
    public SamplerHead? Sampler { get; }

    /// <summary>The head that bends the laws of slots that see no u, or null; whoever sets it made it on <see cref="Network"/>.</summary>
    public FlowHead? Flow { get; set; }

    /// <summary>How far to trust a categorical slot's cells, see <see cref="PickGuess"/>; measured best near 0.1.</summary>
    public double PickSoftness { get; set; } = 0.1;

    /// <summary>How far to doubt a categorical slot's law when alternatives are weighed, as in a draft tree; measured best near 0.6.</summary>
    public double Doubt { get; set; } = 0.6;

    /// <summary>How often a draft's tokens are right, by the confidence stated of them, on held-out text; null = not measured.</summary>
    public ConfidenceCalibration? Confidence { get; set; }

    /// <summary>The same for the children of a draft tree's nodes, at <see cref="Doubt"/>.</summary>
    public ConfidenceCalibration? TreeConfidence { get; set; }

    /// <summary>How many tokens a slot's prediction lies behind the u it carries.</summary>
    public int Shift => Reading == SlotReading.Categorical ? 1 : 0;

    /// <summary>The law it is trained for.</summary>
    public SamplingOptions Law { get; }

    /// <summary>How u picks a token.</summary>
    public PickRule Rule { get; }

    /// <summary>Uniform numbers per token.</summary>
    public int NumbersPerToken { get; }

    /// <summary>True if slots run through the verifier itself.</summary>
    public bool SharesBase => Lora is not null;

    /// <summary>What distillation trains: the flow head alone if there is one.</summary>
    public IEnumerable<Parameter> Trained => Flow?.Parameters ?? [.. Lora?.Parameters ?? Network.Parameters, .. EmbeddingParameters, .. Sampler?.Parameters ?? []];

    /// <summary>True if draft trees and branches can be read off its slots' laws: gated, categorical, and bent by no flow head.</summary>
    public bool HasTrees => this is { Reading: SlotReading.Categorical, SharesBase: true, Flow: null };

    /// <summary>
    /// Whether its slots run through a twin of the session's model: its first token is then a guess too, and what its rows leave in the cache
    /// is not the model's own. Refuses: another model.
    /// </summary>
    internal bool RunsOnTwin(ModelSession session)
    {
        Guard.Require(ReferenceEquals(session.Model, Network) || (Network.Original is { } model && ReferenceEquals(session.Model, model)),
            "Draft with a gated adapter", "a session on another model", "the adapter's own base, or one whose twin it runs through",
            "Load the adapter on this model.");
        return Network.Original is not null;
    }

    /// <summary>A drafter of this model's kind.</summary>
    public IDrafter NewDrafter() => Flow is not null ? new FlowDrafter(this, Flow) { PickSoftness = PickSoftness }
        : Reading == SlotReading.Categorical ? new CategoricalDrafter(this)
        : SharesBase ? new OneHotDrafter(this) : new StudentDrafter(this);

    /// <summary>What held-out text makes of the confidences of a draft, [N], in memory that grows; empty = not measured.</summary>
    internal ReadOnlySpan<double> Chances(ReadOnlySpan<float> confidences, ref double[] memory)
    {
        if (Confidence is not { } map)
        {
            return [];
        }

        if (memory.Length < confidences.Length)
        {
            memory = new double[confidences.Length];
        }

        for (var i = 0; i < confidences.Length; i++)
        {
            memory[i] = map[confidences[i]];
        }

        return memory.AsSpan(0, confidences.Length);
    }

    /// <summary>Embeds auxiliaries into rows of <paramref name="x"/>.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="u">Numbers, [R, NumbersPerToken].</param>
    /// <param name="lastTokens">For each slot, the last known token before its draft, [R].</param>
    /// <param name="x">Destination, [R, D].</param>
    public void Embed(Tape tape, ReadOnlySpan<float> u, ReadOnlySpan<int> lastTokens, Variable x)
    {
        var rows = x.Value.Rows;
        var width = Table.Value.Columns;
        if (_features.Length < rows * width)
        {
            _features = new float[rows * width];
        }

        for (var row = 0; row < rows; row++)
        {
            Embedding.Features(u.Slice(row * NumbersPerToken, NumbersPerToken), _features.AsSpan(row * width, width));
        }

        var anchored = Start == SlotStart.LastToken;
        if (anchored)
        {
            tape.Embedding(Network.Embeddings, lastTokens, x);
        }

        var features = tape.Constant(_features.AsSpan(0, rows * width), rows, width);
        tape.MatMul(features, Table, x, accumulate: anchored);
        _mlp?.Add(tape, features, x);
    }

    /// <summary>Embeds u of tokens g, g + 1, ..., which follow <paramref name="lastToken"/>, into rows of <paramref name="x"/>.</summary>
    public void Embed(Tape tape, Auxiliaries u, long g, int lastToken, Variable x)
    {
        var rows = x.Value.Rows;
        if (_numbers.Length < rows * NumbersPerToken)
        {
            (_numbers, _lastTokens) = (new float[rows * NumbersPerToken], new int[rows]);
        }

        for (var row = 0; row < rows; row++)
        {
            u.Fill(g + row, _numbers.AsSpan(row * NumbersPerToken, NumbersPerToken));
        }

        _lastTokens.AsSpan(0, rows).Fill(lastToken);
        Embed(tape, _numbers.AsSpan(0, rows * NumbersPerToken), _lastTokens.AsSpan(0, rows), x);
    }

    /// <summary>Logits [R, V] of slots' hidden states.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="hidden">[R, D].</param>
    /// <param name="earlier">What a sampler head reads: tokens i + 1 places before the predicted ones, [History * R].</param>
    /// <param name="latest">With a head that runs them through blocks: hidden states of earlier[0], [R, D].</param>
    internal Variable Logits(Tape tape, Variable hidden, ReadOnlySpan<int> earlier, Variable? latest = null) =>
        Sampler?.Logits(tape, hidden, earlier, latest) ?? Network.Logits(tape, hidden);

    /// <summary>One call of base rows for <paramref name="ids"/>, then slots g to g + count - 1, behind the session's cache.</summary>
    internal Variable Rows(Tape tape, ModelSession session, ReadOnlySpan<int> ids, Auxiliaries u, long g, int count, out CallRows rows)
    {
        var cached = session.Cache.Length;
        var x = tape.Empty(ids.Length + count, Network.Config.HiddenSize);
        tape.Embedding(Network.Embeddings, ids, x.Slice(0, ids.Length));
        if (count > 0)
        {
            Embed(tape, u, g, ids[^1], x.Slice(ids.Length, count));
        }

        var visibility = session.NewVisibility().AddCausal(0, cached, ids.Length);
        Span<int> positions = stackalloc int[count];
        for (var slot = 0; slot < count; slot++)
        {
            // A slot shares the position of the token before the one it predicts.
            positions[slot] = cached + ids.Length - 1 + slot + Shift;
            visibility.AddRow(0, cached).AddRange(0, ids.Length + slot + 1);
        }

        rows = session.BaseRows(ids.Length, visibility, positions);
        return x;
    }

    /// <summary>Moves all slots to the mean token vector, so that the base's circuits meet rows of a kind they know.</summary>
    private void StartAtMeanToken()
    {
        var (width, features) = (Table.Value.Rows, Table.Value.Columns);
        var tokens = new float[Network.Embeddings.Value.Length];
        Network.Backend.Download(Network.Embeddings.Value, tokens);
        var table = new float[Table.Value.Length];
        Network.Backend.Download(Table.Value, table);
        var direction = new float[features];
        Embedding.ConstantDirection(NumbersPerToken, direction);
        for (var i = 0; i < width; i++)
        {
            var sum = 0.0;
            for (var token = 0; token < Network.Config.VocabularySize; token++)
            {
                sum += tokens[token * width + i];
            }

            for (var feature = 0; feature < features; feature++)
            {
                table[i * features + feature] += (float)(sum / Network.Config.VocabularySize) * direction[feature];
            }
        }

        Initialise.Set(Table, table);
    }
}
