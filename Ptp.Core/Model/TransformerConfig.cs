// The shape of a LLaMA-style decoder, validated once at the door; the paper's size ladder by name.
// Field names follow Hugging Face's config.json, whose reader and writer are in Formats.
// Refuses: sizes that do not divide, absurd sizes, RoPE scaling, biases, activations other than SiLU.

using System.Globalization;

namespace Ptp.Core.Model;

/// <summary>Sizes of a transformer. D = HiddenSize, H = Heads, K = HeadSize, V = VocabularySize, L = Layers.</summary>
public sealed record TransformerConfig
{
    /// <summary>V, number of token ids.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>D, width of the residual stream.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Width of the gated MLP.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>L, number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>H, number of query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Number of key-value heads; divides <see cref="Heads"/>.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>K, width of one head; even, for RoPE. Defaults to D / H.</summary>
    public int HeadSize { get; init; }

    /// <summary>Longest sequence in tokens.</summary>
    public int MaxContext { get; init; } = 512;

    /// <summary>RoPE base.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>Added under the root of RMSNorm.</summary>
    public float NormEpsilon { get; init; } = 1e-5f;

    /// <summary>True if the output head is the embedding table.</summary>
    public bool TieEmbeddings { get; init; }

    /// <summary>Beginning-of-text id, if the model has one.</summary>
    public int? BeginToken { get; init; }

    /// <summary>Ids that end a text.</summary>
    public IReadOnlyList<int> EndTokens { get; init; } = [];

    /// <summary>Query heads per key-value head.</summary>
    public int GroupSize => Heads / KeyValueHeads;

    /// <summary>Width of all query heads, H * K.</summary>
    public int QueryWidth => Heads * HeadSize;

    /// <summary>Width of all key (or value) heads.</summary>
    public int KeyValueWidth => KeyValueHeads * HeadSize;

    /// <summary>Parameters inside the blocks: the figure by which the paper's ladder is named.</summary>
    public long BlockParameters =>
        Layers * (2L * HiddenSize * QueryWidth + 2L * HiddenSize * KeyValueWidth + 3L * HiddenSize * IntermediateSize);

    /// <summary>All parameters, embeddings, head and norms included.</summary>
    public long Parameters =>
        BlockParameters + (TieEmbeddings ? 1L : 2L) * VocabularySize * HiddenSize + (2L * Layers + 1) * HiddenSize;

    /// <summary>The names <see cref="Named"/> knows, smallest first.</summary>
    public static IReadOnlyList<string> Names { get; } = ["4k", "66k", "525k", "4.2M", "34M", "268M"];

    /// <summary>A rung of the paper's ladder (hidden, layers, heads), intermediate = 4 * hidden.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="vocabularySize">V.</param>
    /// <param name="tieEmbeddings">True to use the embedding table as head.</param>
    public static TransformerConfig Named(string name, int vocabularySize, bool tieEmbeddings = true)
    {
        var (hidden, layers, heads) = name switch
        {
            "4k" => (16, 1, 1),
            "66k" => (64, 1, 1),
            "525k" => (128, 2, 2),
            "4.2M" => (256, 4, 4),
            "34M" => (512, 8, 8),
            "268M" => (1024, 16, 16),
            _ => throw new PtpException(
                "Choose a model size", $"'{name}'", "one of " + string.Join(", ", Names),
                "Name a rung, or give hidden size, layers and heads yourself."),
        };
        return new TransformerConfig
        {
            VocabularySize = vocabularySize,
            HiddenSize = hidden,
            IntermediateSize = 4 * hidden,
            Layers = layers,
            Heads = heads,
            KeyValueHeads = heads,
            HeadSize = hidden / heads,
            TieEmbeddings = tieEmbeddings,
        }.Validated();
    }

    /// <summary>This configuration, checked, with HeadSize filled in.</summary>
    /// <exception cref="PtpException">A size is out of range or does not divide.</exception>
    public TransformerConfig Validated()
    {
        Positive(VocabularySize, "vocab_size", 1 << 22);
        Positive(HiddenSize, "hidden_size", 1 << 17);
        Positive(IntermediateSize, "intermediate_size", 1 << 20);
        Positive(Layers, "num_hidden_layers", 1024);
        Positive(Heads, "num_attention_heads", 1024);
        Positive(KeyValueHeads, "num_key_value_heads", 1024);
        Positive(MaxContext, "max_position_embeddings", 1 << 24);
        Require(Heads % KeyValueHeads == 0, "num_key_value_heads", KeyValueHeads, $"a divisor of {Heads} heads");
        Require(HeadSize > 0 || HiddenSize % Heads == 0, "num_attention_heads", Heads, $"a divisor of {HiddenSize}");
        var headSize = HeadSize > 0 ? HeadSize : HiddenSize / Heads;
        Require(headSize % 2 == 0 && headSize <= 1 << 14, "head_dim", headSize, "an even number, as RoPE turns pairs");
        Require(RopeTheta is >= 1 and < 1e12, "rope_theta", RopeTheta, "a number in [1, 1e12)");
        Require(NormEpsilon is > 0 and < 1, "rms_norm_eps", NormEpsilon, "a number in (0, 1)");
        Require(BeginToken is null or >= 0 && (BeginToken ?? 0) < VocabularySize, "bos_token_id", BeginToken ?? -1,
            $"an id below {VocabularySize}");
        foreach (var end in EndTokens)
        {
            Require(end >= 0 && end < VocabularySize, "eos_token_id", end, $"an id below {VocabularySize}");
        }

        return HeadSize == headSize ? this : this with { HeadSize = headSize };
    }

    private static void Positive(int value, string name, int limit) =>
        Require(value > 0 && value <= limit, name, value, $"a whole number from 1 to {limit}");

    private static void Require(bool ok, string name, double value, string expected) => Guard.Require(
        ok, "Check the transformer configuration", $"{name} = {value.ToString(CultureInfo.InvariantCulture)}", expected,
        "Correct the configuration, or the file it was read from.");
}
