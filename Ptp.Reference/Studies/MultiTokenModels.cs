// Models that learn a task with and without extra heads, at equal parameters: what Gloeckle et al. (2024) compare on their small tasks.
//   n tokens at once: n - 1 blocks leave the trunk and become heads, so that L blocks are trained in each case; heads are dropped afterwards
// A text's answer is right if the likeliest token is, at each of its tokens, given the true ones before: the same as greedy decoding.
// Refuses: more heads than blocks.

using Ptp.Core.Autograd;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Trains and asks such models.</summary>
internal sealed class MultiTokenModels(StudySpace space)
{
    private const int Rows = 1024;

    /// <summary>u of texts that no numbers wrote.</summary>
    public static Auxiliaries NoU { get; } = Auxiliaries.FromSeed(0);

    /// <summary>Seeds of each model: two, or one if this is only a look.</summary>
    public ulong[] Seeds => space.Effort >= 0.02 ? [1, 2] : [1];

    /// <summary>What models of several seeds reach: mean (lowest to highest).</summary>
    public static string Cell(double[] values) => Invariant($"{values.Average():0.0} ({values.Min():0.0} to {values.Max():0.0})");

    /// <summary>Sizes of a network of L blocks in all.</summary>
    public static TransformerConfig Config(int vocabulary, int context, int width, int layers, int heads) => new TransformerConfig
    {
        VocabularySize = vocabulary,
        HiddenSize = width,
        IntermediateSize = 4 * width * 2 / 3 / 4 * 4,
        Layers = layers,
        Heads = heads,
        KeyValueHeads = heads,
        MaxContext = context,
        TieEmbeddings = true,
    }.Validated();

    /// <summary>Weights in the blocks.</summary>
    public static int Parameters(TransformerConfig config) =>
        config.Layers * config.HiddenSize * (4 * config.HiddenSize + 3 * config.IntermediateSize);

    /// <summary>A model trained to predict n tokens at once; only its next-token part is kept.</summary>
    /// <param name="name">Its folder.</param>
    /// <param name="config">Sizes, all blocks counted.</param>
    /// <param name="tokens">n.</param>
    /// <param name="texts">Texts; tokens from each prompt's end on are targets.</param>
    /// <param name="steps">Steps at effort 1.</param>
    /// <param name="rate">Highest learning rate.</param>
    /// <param name="seed">Of weights and batches.</param>
    public Transformer Train(string name, TransformerConfig config, int tokens, IReadOnlyList<Completion> texts, int steps, double rate, ulong seed)
    {
        var trunk = config with { Layers = config.Layers - (tokens - 1) };
        return space.Network($"{name}-n{tokens}-{seed}", trunk.Validated(), space.Steps(steps), model =>
        {
            var fresh = new Transformer(space.Backend, trunk, seed);
            foreach (var (from, to) in fresh.Parameters.Zip(model.Parameters))
            {
                space.Backend.Copy(from.Value, to.Value);
                to.Changed();
            }

            var heads = tokens == 1 ? null : new Gloeckle(model, new HeadOptions { Slots = tokens - 1, Width = config.IntermediateSize, Seed = seed });
            return new JointTraining(model, heads, texts, new JointTrainingOptions
            {
                Rows = Rows,
                Rate = new LearningRate { Peak = rate, WarmUp = 50, Steps = space.Steps(steps), FinalFraction = 0.03 },
                Optimiser = new AdamWOptions { WeightDecay = 0.05 },
                Seed = seed,
            }).Step;
        });
    }

    /// <summary>Whether the likeliest token is right, for each token of each text but the first, [texts][T - 1].</summary>
    public bool[][] Right(Transformer model, IReadOnlyList<Completion> texts)
    {
        var (tape, right) = (new Tape(space.Backend), new List<bool[]>());
        var logits = new float[model.Config.VocabularySize];
        foreach (var text in texts)
        {
            tape.Reset();
            var length = text.Tokens.Length;
            int[] positions = [.. Enumerable.Range(0, length)];
            var all = model.Forward(tape, text.Tokens, new CallRows(positions, Visibility.Causal(0, length))).Value;
            right.Add([.. Enumerable.Range(0, length - 1).Select(row =>
            {
                space.Backend.Download(all.Slice(row, 1), logits);
                return Array.IndexOf(logits, logits.Max()) == text.Tokens[row + 1];
            })]);
        }

        return [.. right];
    }
}
