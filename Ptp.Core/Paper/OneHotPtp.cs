// O-PTP (PTP section 2.1): slots that carry u_i..u_k predict the token t_k itself, a point mass, read off by argmax.
//   slot k: embed(u_k) at position k - 1, sees the context, its own u and earlier ones;  t_k = argmax P(t_k | t_<i, u_i..u_k)
// Either gated LoRA on the verifier (one network, one cache) or a separate student. Refuses: an adapter without a base.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
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

/// <summary>A network with auxiliary slots.</summary>
[Paper("O-PTP")]
public sealed class OneHotPtp
{
    private float[] _features = [];
    private float[] _numbers = [];

    /// <summary>Slots on <paramref name="network"/>; the embedding table starts small and random.</summary>
    /// <param name="network">The base model (with <paramref name="lora"/>), or a student of its own (without).</param>
    /// <param name="lora">The gated adapter, or null for a student.</param>
    /// <param name="embedding">How u becomes features.</param>
    /// <param name="slots">N, slots of one draft.</param>
    /// <param name="law">The sampling law it is trained for.</param>
    /// <param name="rule">How u picks a token.</param>
    /// <param name="seed">Seed of the table.</param>
    /// <param name="start">What a slot is before u is embedded into it.</param>
    public OneHotPtp(
        Transformer network, GatedLora? lora, AuxiliaryEmbedding embedding, int slots, SamplingOptions law,
        PickRule rule, ulong seed, SlotStart start = SlotStart.MeanToken)
    {
        Guard.Require(slots is > 0 and <= 256, "Make an O-PTP model", $"{slots} slots", "1 to 256",
            "The paper uses 16.");
        (Network, Lora, Embedding, Slots, Start) = (network, lora, embedding, slots, start);
        (Law, Rule) = (law.Validated(), rule);
        NumbersPerToken = rule.NumbersPerToken(network.Config.VocabularySize);
        var features = embedding.FeatureCount(NumbersPerToken);
        Table = new Parameter(network.Backend, "ptp.auxiliary_embedding.weight", network.Config.HiddenSize, features);
        Initialise.Gaussian(Table, new RandomStream(seed, "auxiliary embedding"), 0.02);
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

    /// <summary>N.</summary>
    public int Slots { get; }

    /// <summary>What a slot is before u is embedded into it.</summary>
    public SlotStart Start { get; }

    /// <summary>The law it is trained for.</summary>
    public SamplingOptions Law { get; }

    /// <summary>How u picks a token.</summary>
    public PickRule Rule { get; }

    /// <summary>Uniform numbers per token.</summary>
    public int NumbersPerToken { get; }

    /// <summary>True if slots run through the verifier itself.</summary>
    public bool SharesBase => Lora is not null;

    /// <summary>What distillation trains.</summary>
    public IEnumerable<Parameter> Trained => (Lora?.Parameters ?? Network.Parameters).Append(Table);

    /// <summary>Embeds auxiliaries into rows of <paramref name="x"/>.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="u">Numbers, [R, NumbersPerToken].</param>
    /// <param name="lastTokens">For each slot, the last known token before its draft, [R].</param>
    /// <param name="x">Destination, [R, D].</param>
    public void Embed(Tape tape, ReadOnlySpan<float> u, int[] lastTokens, Variable x)
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

        tape.MatMul(tape.Constant(_features.AsSpan(0, rows * width), rows, width), Table, x, accumulate: anchored);
    }

    /// <summary>Embeds u of tokens g, g + 1, ..., which follow <paramref name="lastToken"/>, into rows of <paramref name="x"/>.</summary>
    public void Embed(Tape tape, Auxiliaries u, long g, int lastToken, Variable x)
    {
        var rows = x.Value.Rows;
        if (_numbers.Length < rows * NumbersPerToken)
        {
            _numbers = new float[rows * NumbersPerToken];
        }

        for (var row = 0; row < rows; row++)
        {
            for (var j = 0; j < NumbersPerToken; j++)
            {
                _numbers[row * NumbersPerToken + j] = u.At(g + row, j);
            }
        }

        var lastTokens = new int[rows];
        Array.Fill(lastTokens, lastToken);
        Embed(tape, _numbers.AsSpan(0, rows * NumbersPerToken), lastTokens, x);
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
