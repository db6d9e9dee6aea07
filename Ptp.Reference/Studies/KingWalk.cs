// Walks of a king over the 25 zones: a language in which two tokens can fit each other or not, with nothing to remember but the last zone.
//   P(t_k | t_<k) = the trip language's law behind the zone t_{k-1}, of zones one step around it alone; the first zone is the market's
// Small enough that slots can be trained to the end in minutes. Refuses: zones outside 0 to 24.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Reference.Studies;

/// <summary>The language of walks, and the models that are trained on it.</summary>
/// <param name="space">Where models are kept.</param>
internal sealed class KingWalk(StudySpace space)
{
    /// <summary>Zones of a walk.</summary>
    public const int Length = 8;

    private const int Side = 5;
    private const int Walks = 20_000;
    private const int Batch = 250;
    private const int BaseSteps = 4000;
    private const int SlotSteps = 50_000;
    private const int InverseSteps = 15_000;
    private static readonly double[][] s_next = [.. Enumerable.Range(0, TripLanguage.Zones).Select(Around)];
    private Transformer? _base;
    private IReadOnlyList<Completion>? _texts;

    /// <summary>Sizes: 0.1 M parameters.</summary>
    public static TransformerConfig Config { get; } = (TripModels.Config with
    {
        HiddenSize = 48,
        IntermediateSize = 132,
        Layers = 3,
        Heads = 3,
        KeyValueHeads = 3,
        MaxContext = 16,
    }).Validated();

    /// <summary>The law of drafts: the paper's temperature, at which a base leaves next to nothing to zones that are impossible.</summary>
    public static SamplingOptions Sampling { get; } = new() { Temperature = 0.7 };

    /// <summary>Steps of every adapter: borders of cells are read ever more exactly, long after most tokens are right.</summary>
    public int Steps => space.Steps(SlotSteps);

    /// <summary>The base.</summary>
    public Transformer Base => _base ??= space.Network("walk-base", Config, space.Steps(BaseSteps), model =>
    {
        var random = new RandomStream(1, "training walks");
        return TripModels.LanguageTrainer(model, [.. Enumerable.Range(0, Sized(Walks)).Select(_ => Walk(random))], space.Steps(BaseSteps), 512);
    });

    /// <summary>The exact law of the next zone, [25].</summary>
    /// <param name="walk">Zones so far, without the begin token.</param>
    public static double[] Law(ReadOnlySpan<int> walk) => walk.Length == 0 ? TripLanguage.Law([]) : s_next[walk[^1]];

    /// <summary>Whether a zone lies one step from another.</summary>
    public static bool IsStep(int from, int to) =>
        from != to && Math.Abs(from % Side - to % Side) <= 1 && Math.Abs(from / Side - to / Side) <= 1;

    /// <summary>A walk with the begin token before it: 1 + <see cref="Length"/> tokens.</summary>
    public static int[] Walk(RandomStream random)
    {
        var tokens = new int[1 + Length];
        tokens[0] = TripLanguage.Begin;
        for (var k = 0; k < Length; k++)
        {
            tokens[k + 1] = Pick.Token(random.NextDouble(), [.. Law(tokens.AsSpan(1, k)).Select(p => (float)p)]);
        }

        return tokens;
    }

    /// <summary>A context of 1 to 6 zones that the base wrote.</summary>
    public static int[] Context(Autoregressive plain, PickRule rule, int index) =>
    [
        TripLanguage.Begin,
        .. plain.Decode(
            [TripLanguage.Begin], Auxiliaries.FromSeed(900_000 + (ulong)index, rule.NumbersPerToken(TripLanguage.Vocabulary)),
            new DecodeLimits(1 + index % (Length - 2), [])).Tokens,
    ];

    /// <summary>Two slots on the base, trained once per folder; u is drawn anew inside its token's cell at every step.</summary>
    /// <param name="reading">O-PTP or C-PTP.</param>
    /// <param name="embedding">How u enters a slot; "constant" for independent slots.</param>
    /// <param name="start">What a slot is before u is embedded into it.</param>
    public SlotModel Pairs(SlotReading reading, string embedding, SlotStart start)
    {
        var name = string.Join('-', "walk", reading == SlotReading.OneHot ? "one-hot" : "categorical", embedding.Replace(':', '.'),
            start == SlotStart.LastToken ? "last-token" : "mean-token");
        var ptp = space.Slots(name, Base, () => new SlotModel(
            Base, new GatedLora(space.Backend, Config, Config.HiddenSize, 1, 1), AuxiliaryEmbedding.Parse(embedding), 2, Sampling,
            InverseCdf.Instance, 1, start, reading), Steps, slots => new Distillation(
            slots, Texts(), new DistillationOptions { ContextTokens = 200, SlotRows = 384, InferredU = 1 }, new AdamWOptions { WeightDecay = 0.01 },
            new LearningRate { Peak = 3e-3, WarmUp = 100, Steps = Steps, FinalFraction = 0.03 }).Step);
        ptp.PickSoftness = 0; // laws are read as the paper reads them, by the rule itself
        return ptp;
    }

    /// <summary>C-PTP from walks alone, by inversion, in a network of its own that begins from nothing; windows of three tokens.</summary>
    /// <param name="embedding">How u enters a slot.</param>
    /// <param name="rule">How u picks.</param>
    /// <param name="history">Tokens that a sampler head reads, in place of the network's last block; 0 = slots alone.</param>
    public SlotModel Inverse(string embedding, string rule, int history = 0)
    {
        var random = new RandomStream(1, "training walks");
        return space.Slots(TripModels.InverseName("walk-inverse", embedding, rule, history), new Transformer(space.Backend, Config, 2),
            () => TripModels.FromNothing(space.Backend, Config, embedding, rule, 3, SlotStart.LastToken, history), space.Steps(InverseSteps), ptp => new InverseAutoregressiveTraining(
            ptp, [.. Enumerable.Range(0, Sized(Walks)).Select(_ => Walk(random))], new InverseTrainingOptions { Rows = 400, Horizon = 3, OwnLawWeight = 0.8 },
            new AdamWOptions { WeightDecay = 0.01 }, new LearningRate { Peak = 3e-3, WarmUp = 100, Steps = space.Steps(InverseSteps), FinalFraction = 0.03 }).Step);
    }

    /// <summary>The base's own walks.</summary>
    private IReadOnlyList<Completion> Texts()
    {
        if (_texts is null)
        {
            var sampling = new BatchedSampling(Base, Sampling, InverseCdf.Instance, Batch);
            _texts = [.. Enumerable.Range(0, Math.Max(1, Sized(Walks) / Batch)).SelectMany(batch =>
            {
                SamplingJob[] jobs = [.. Enumerable.Range(batch * Batch, Batch).Select(i =>
                    new SamplingJob([TripLanguage.Begin], Auxiliaries.FromSeed((ulong)i), Length))];
                return sampling.Run(jobs).Zip(jobs, (tokens, job) => new Completion(tokens, 1, job.U));
            })];
        }

        return _texts;
    }

    private int Sized(int walks) => Math.Max(Batch, (int)(walks * Math.Min(1, space.Effort)));

    private static double[] Around(int zone)
    {
        double[] near = [.. TripLanguage.Law([zone]).Select((p, to) => IsStep(zone, to) ? p : 0)];
        var sum = near.Sum();
        return [.. near.Select(p => p / sum)];
    }
}
