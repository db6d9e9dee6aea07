// The models that studies of trips share: an autoregressive base, O-PTP, C-PTP and independent slots distilled from it with equal
// work, C-PTP trained by inversion without it; all of one size, each trained once per folder.
// Refuses: nothing; sizes are fixed so that studies compare.

using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Reference.Studies;

/// <summary>Models of trips.</summary>
internal sealed class TripModels(StudySpace space)
{
    /// <summary>Zones of a trip.</summary>
    public const int Length = 40;

    /// <summary>N, slots.</summary>
    public const int Slots = 16;

    private const int BaseSteps = 6000;
    private const int SlotSteps = 6000;
    private const int CopulaSteps = 600;
    private const int Texts = 20_000;
    private static readonly Auxiliaries s_noU = Auxiliaries.FromSeed(0); // of texts that no numbers wrote
    private IReadOnlyList<Completion>? _completions;
    private Transformer? _base;

    /// <summary>Sizes: 0.8 M parameters.</summary>
    public static TransformerConfig Config { get; } = new TransformerConfig
    {
        VocabularySize = TripLanguage.Vocabulary,
        HiddenSize = 128,
        IntermediateSize = 344,
        Layers = 4,
        Heads = 4,
        KeyValueHeads = 4,
        MaxContext = 64,
        TieEmbeddings = false,
    }.Validated();

    /// <summary>The sampling law: the model's own.</summary>
    public static SamplingOptions Law { get; } = new() { Temperature = 1 };

    /// <summary>Categorical slots in a network that begins from nothing, to be trained by inversion.</summary>
    /// <param name="backend">Device.</param>
    /// <param name="config">Sizes of the network of slots alone.</param>
    /// <param name="embedding">How u enters a slot.</param>
    /// <param name="rule">How u picks.</param>
    /// <param name="slots">N.</param>
    /// <param name="start">What a slot is before u is embedded into it.</param>
    /// <param name="history">Tokens that a sampler head reads, in place of the last block and with as many parameters; 0 = slots alone, as in the paper.</param>
    public static SlotModel FromNothing(
        IBackend backend, TransformerConfig config, string embedding, string rule, int slots, SlotStart start, int history)
    {
        var network = new Transformer(backend, history > 0 ? config with { Layers = config.Layers - 1 } : config, 2);
        var block = config.HiddenSize * (4 * config.HiddenSize + 3 * config.IntermediateSize);
        var head = history > 0 ? new SamplerHead(network, history, block / ((2 * history + 3) * config.HiddenSize), 3) : null;
        return new SlotModel(
            network, null, AuxiliaryEmbedding.Parse(embedding), slots, Law, PickRule.Parse(rule), 1, start, SlotReading.Categorical, head);
    }

    /// <summary>The folder of what <see cref="FromNothing"/> makes.</summary>
    public static string InverseName(string prefix, string embedding, string rule, int history) =>
        $"{prefix}-{embedding.Replace(':', '.')}-{rule.Replace(':', '.')}{(history > 0 ? $"-head{history}" : "")}";

    /// <summary>Trips that never enter training.</summary>
    public static int[][] HeldOut(int count) => Trips(count, "held-out trips");

    /// <summary>The autoregressive base.</summary>
    public Transformer Base => _base ??= space.Network("base", Config, space.Steps(BaseSteps), model =>
        LanguageTrainer(model, Trips(Texts, "training trips"), space.Steps(BaseSteps), 1024));

    /// <summary>Slots distilled from the base's own trips, in a network of their own that begins as the base's copy.</summary>
    /// <param name="reading">O-PTP or C-PTP.</param>
    /// <param name="embedding">How u enters a slot; "constant" for independent slots.</param>
    public SlotModel Distilled(SlotReading reading, string embedding)
    {
        var name = $"{(reading == SlotReading.OneHot ? "one-hot" : "categorical")}-{embedding.Replace(':', '-')}";
        return space.Slots(name, Base, () => Make(Copy(Base), reading, embedding), space.Steps(SlotSteps), ptp => new Distillation(
            ptp, Completions(), new DistillationOptions { ContextTokens = 512, SlotRows = 768, Loss = DistillationLoss.CrossEntropy },
            new AdamWOptions { WeightDecay = 0.01 }, Rate(SlotSteps)).Step);
    }

    /// <summary>A flow head on independent slots.</summary>
    /// <param name="name">Its file.</param>
    /// <param name="slots">Slots that see no u.</param>
    /// <param name="size">Sizes.</param>
    /// <param name="source">What teaches.</param>
    public FlowHead Flow(string name, SlotModel slots, FlowHeadSize size, FlowHeadSource source)
    {
        var head = new FlowHead(slots.Network, size, Law, 1);
        space.Module(name, head.Parameters, space.Steps(SlotSteps), () => new FlowHeadTraining(
            slots, head, source == FlowHeadSource.Distillation ? Completions()
                : [.. Trips(Texts, "training trips").Select(t => new Completion(t, 1, s_noU))], source, new DistillationOptions { ContextTokens = 512, SlotRows = 768 }, new AdamWOptions { WeightDecay = 0.01 }, Rate(SlotSteps)).Step);
        return head;
    }

    /// <summary>A Gaussian copula on independent slots.</summary>
    /// <param name="slots">Slots that see no u.</param>
    public CopulaHead Copula(SlotModel slots)
    {
        var head = new CopulaHead(slots.Network, slots.Slots, Law, slots.Rule);
        var steps = space.Steps(CopulaSteps);
        space.Module("flow-copula", [head.Weights], steps, () => new CopulaTraining(
            slots, head, Completions(), new DistillationOptions { ContextTokens = 512, SlotRows = 768 }, new AdamWOptions { WeightDecay = 0 },
            new LearningRate { Peak = 0.02, WarmUp = 20, Steps = steps, FinalFraction = 0.03 }).Step);
        return head;
    }

    /// <summary>An O-PTP adapter on the base itself, for drafts of the base's own size.</summary>
    /// <param name="steps">Steps at effort 1.</param>
    public SlotModel Gated(int steps) => space.Slots("one-hot-gated", Base, () => new SlotModel(
        Base, new GatedLora(space.Backend, Config, 32, 1, 1), new FixedPointEmbedding(), Slots, Law, InverseCdf.Instance, 1),
        space.Steps(steps), ptp => new Distillation(
            ptp, Completions(), new DistillationOptions { ContextTokens = 512, SlotRows = 768 }, new AdamWOptions { WeightDecay = 0.01 },
            Rate(steps)).Step);

    private LearningRate Rate(int steps) => new() { Peak = 2e-3, WarmUp = 100, Steps = space.Steps(steps), FinalFraction = 0.03 };

    private static SlotModel Make(Transformer network, SlotReading reading, string embedding) => new(
        network, null, AuxiliaryEmbedding.Parse(embedding), Slots, Law, InverseCdf.Instance, 1, SlotStart.MeanToken, reading);

    private Transformer Copy(Transformer model)
    {
        var copy = new Transformer(space.Backend, Config, 1);
        foreach (var (from, to) in model.Parameters.Zip(copy.Parameters))
        {
            space.Backend.Copy(from.Value, to.Value);
            to.Changed();
        }

        return copy;
    }

    /// <summary>The base's own trips with the u that wrote them.</summary>
    private IReadOnlyList<Completion> Completions() => _completions ??= Written(Base, Law, (int)(Texts * Math.Min(1, space.Effort * 2)));

    /// <summary>Trips that a model writes from the u of seeds 0, 1, ..., by the paper's rule.</summary>
    internal static IReadOnlyList<Completion> Written(Transformer model, SamplingOptions law, int count)
    {
        const int Batch = 250;
        var sampling = new BatchedSampling(model, law, InverseCdf.Instance, Batch);
        var texts = new List<Completion>();
        for (var first = 0; first < count; first += Batch)
        {
            SamplingJob[] jobs = [.. Enumerable.Range(first, Batch).Select(i =>
                new SamplingJob([TripLanguage.Begin], Auxiliaries.FromSeed((ulong)i), Length))];
            texts.AddRange(sampling.Run(jobs).Zip(jobs, (tokens, job) => new Completion(tokens, 1, job.U)));
        }

        return texts;
    }

    /// <summary>Trips of the language, the begin token before each.</summary>
    internal static int[][] Trips(int count, string stream)
    {
        var random = new RandomStream(1, stream);
        return [.. Enumerable.Range(0, count).Select(_ => TripLanguage.Trip(random, Length))];
    }

    /// <summary>What takes the steps of an autoregressive model of trips.</summary>
    internal static Func<StepReport> LanguageTrainer(Transformer model, int[][] trips, int steps, int rows)
    {
        var batches = new PackedBatches([new WeightedDocuments("trips", [.. trips.Select(t => t[1..])], 1)], TripLanguage.Begin, 1);
        return new LanguageModelTrainer(
            model, batches, new AdamWOptions(), new LearningRate { Peak = 2e-3, WarmUp = 50, Steps = steps, FinalFraction = 0.05 }, rows).Step;
    }
}
