// Models that are measured: the rungs of the paper's ladder, and the shapes of llama2.c's stories models, all with random weights.
// Source of the shapes: karpathy/llama2.c, 15M, 42M and 110M, V = 32,000, embeddings tied. Times depend on sizes only.
// Refuses: other names. The context is 1,024 tokens, so that a prompt of 512 and a text behind it fit.

using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Bench;

/// <summary>Sizes by name.</summary>
internal static class Shapes
{
    private const int Vocabulary = 32_000;
    private const int Context = 1024;

    /// <summary>llama2.c's models, smallest first.</summary>
    public static readonly string[] Stories = ["15M", "42M", "110M"];

    /// <summary>Every name that <see cref="Named"/> knows.</summary>
    public static IEnumerable<string> Names => TransformerConfig.Names.Concat(Stories);

    /// <summary>A shape by name; the paper's rungs have a vocabulary of 2,048.</summary>
    public static TransformerConfig Named(string name)
    {
        var (width, layers, heads, hidden) = name switch
        {
            "15M" => (288, 6, 6, 768),
            "42M" => (512, 8, 8, 1376),
            "110M" => (768, 12, 12, 2048),
            _ => (0, 0, 0, 0),
        };
        return width == 0
            ? TransformerConfig.Named(name, 2048)
            : new TransformerConfig
            {
                VocabularySize = Vocabulary,
                HiddenSize = width,
                IntermediateSize = hidden,
                Layers = layers,
                Heads = heads,
                KeyValueHeads = heads,
                MaxContext = Context,
                TieEmbeddings = true,
            }.Validated();
    }

    /// <summary>Weights that a call of one token reads: those of the blocks, and the head.</summary>
    public static long ReadWeights(TransformerConfig config) =>
        config.BlockParameters + (long)config.VocabularySize * config.HiddenSize;

    /// <summary>Writes a folder with random weights, to be exported and measured elsewhere on the same numbers.</summary>
    public static void Write(IBackend backend, string name, string folder) =>
        ModelCheckpoint.Save(folder, new Transformer(backend, Named(name), 1), StoredType.F32);
}
