// The models that studies with many trainings share: a base of 0.2 M parameters and gated adapters of full rank on it, one per recipe,
// each trained once per folder; u is drawn anew inside its token's cell at every step.
// Refuses: nothing; sizes are fixed so that studies compare and share what they train.

using System.Globalization;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>How an adapter of a study is made; what is not said is the paper's own choice.</summary>
internal sealed record TripRecipe(SlotReading Reading, string Embedding)
{
    /// <summary>Pick rule.</summary>
    public string Rule { get; init; } = "inverse-cdf";

    /// <summary>Loss; null = cross-entropy.</summary>
    public DistillationLoss Loss { get; init; } = DistillationLoss.CrossEntropy;

    /// <summary>Texts continued by the slots themselves.</summary>
    public bool Student { get; init; }

    /// <summary>Texts of the language instead of the base's own.</summary>
    public bool Dataset { get; init; }

    /// <summary>b of the places of u in the cells.</summary>
    public double Beta { get; init; } = 1;

    /// <summary>The law, at temperature 1 unless said otherwise.</summary>
    public SamplingOptions Law { get; init; } = TripModels.Law;

    /// <summary>Seed of weights and of the order of texts.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>The folder's name: everything that differs from the paper's choice.</summary>
    public string Name => string.Join('-', ((string?[])[
        "small", Reading == SlotReading.OneHot ? "one-hot" : "categorical", Embedding.Replace(':', '.'),
        Rule == "inverse-cdf" ? null : Rule.Replace(':', '.'), Loss == DistillationLoss.CrossEntropy ? null : Loss.ToString().ToLowerInvariant(),
        Student ? "student" : null, Dataset ? "dataset" : null, Beta == 1 ? null : Beta.ToString("'beta'0.##", CultureInfo.InvariantCulture),
        Law == TripModels.Law ? null : string.Create(CultureInfo.InvariantCulture, $"T{Law.Temperature}k{Law.TopK}p{Law.TopP}"),
        Seed == 1 ? null : $"seed{Seed}"]).Where(part => part is not null));
}

/// <summary>Small models of trips.</summary>
/// <param name="space">Where they are kept.</param>
internal sealed class SmallTrips(StudySpace space)
{
    private const int BaseSteps = 4000;
    private const int AdapterSteps = 1500;
    private const int InverseSteps = 6000;
    private const int Rank = 64; // D: slots may differ from the base as much as a network of their own could
    private const int Texts = 100_000;
    private readonly Dictionary<string, IReadOnlyList<Completion>> _texts = [];
    private Transformer? _base;

    /// <summary>Sizes: 0.2 M parameters.</summary>
    public static TransformerConfig Config { get; } = (TripModels.Config with { HiddenSize = 64, IntermediateSize = 176 }).Validated();

    /// <summary>Steps of one adapter, for tables.</summary>
    public int Steps() => space.Steps(AdapterSteps);

    /// <summary>The base.</summary>
    public Transformer Base => _base ??= space.Network("small-base", Config, space.Steps(BaseSteps), model =>
        TripModels.LanguageTrainer(model, TripModels.Trips(Sized(Texts), "training trips"), space.Steps(BaseSteps), 1024));

    /// <summary>Trains, or loads, the adapter of a recipe.</summary>
    /// <param name="recipe">How it is made.</param>
    /// <param name="rule">The rule to read it by, where its slots do not see u; null = the recipe's.</param>
    public SlotModel Adapter(TripRecipe recipe, PickRule? rule = null)
    {
        var ptp = Trained(recipe);
        if (rule is not null && rule.Name != ptp.Rule.Name)
        {
            ptp = PtpAdapter.Load(Path.Combine(space.Folder, recipe.Name), Base, StudySpace.Fingerprint, rule);
        }

        ptp.PickSoftness = 0; // laws are read as the paper reads them, by the rule itself
        return ptp;
    }

    private SlotModel Trained(TripRecipe recipe)
    {
        var steps = Steps();
        return space.Slots(recipe.Name, Base, () => new SlotModel(
            Base, new GatedLora(space.Backend, Config, Rank, 1, recipe.Seed), AuxiliaryEmbedding.Parse(recipe.Embedding), TripModels.Slots, recipe.Law,
            PickRule.Parse(recipe.Rule), recipe.Seed, SlotStart.MeanToken, recipe.Reading), steps, ptp => new Distillation(
            ptp, CompletionsOf(recipe), new DistillationOptions
            {
                ContextTokens = 512,
                SlotRows = 768,
                Loss = recipe.Loss,
                Proposals = recipe.Student ? ProposalSource.Student : ProposalSource.Given,
                InferredU = recipe.Beta,
                Seed = recipe.Seed,
            },
            new AdamWOptions { WeightDecay = 0.01 },
            new LearningRate { Peak = 5e-3, WarmUp = 50, Steps = steps, FinalFraction = 0.03 }).Step);
    }

    /// <summary>C-PTP from the data alone, in a network of its own, with as many steps and as many parameters as its autoregressive equal.</summary>
    /// <param name="embedding">How u enters a slot.</param>
    /// <param name="rule">How u picks.</param>
    /// <param name="history">Tokens that a sampler head reads, in place of the network's last block; 0 = slots alone, as in the paper.</param>
    public SlotModel Inverse(string embedding, string rule, int history = 0) => space.Slots(
        TripModels.InverseName("inverse", embedding, rule, history), InverseBase,
        () => TripModels.FromNothing(space.Backend, Config, embedding, rule, TripModels.Slots, SlotStart.MeanToken, history),
        space.Steps(InverseSteps), ptp => new InverseAutoregressiveTraining(
            ptp, TripModels.Trips(Sized(Texts), "training trips"),
            new InverseTrainingOptions { Rows = 1280, Horizon = TripModels.Slots, OwnLawWeight = 0.8 }, new AdamWOptions { WeightDecay = 0.01 },
            new LearningRate { Peak = 2e-3, WarmUp = 100, Steps = space.Steps(InverseSteps), FinalFraction = 0.03 }).Step);

    /// <summary>The autoregressive model of the same size and steps.</summary>
    public Transformer InverseBase => space.Network("inverse-base", Config, space.Steps(InverseSteps), model =>
        TripModels.LanguageTrainer(model, TripModels.Trips(Sized(Texts), "training trips"), space.Steps(InverseSteps), 1280));

    /// <summary>Correct tokens of drafts of the adapter of a recipe, in each context.</summary>
    public int[] Correct(TripRecipe recipe)
    {
        var correct = TripDrafts.Correct(space, Base, Adapter(recipe), space.Cases(TripDrafts.Contexts));
        space.Note(Invariant($"{recipe.Name}: {TripDrafts.Mean(correct, TripModels.Slots):0.00} correct"));
        return correct;
    }

    /// <summary>Texts of the language itself, or of the base under the recipe's law; u is inferred, so whose numbers wrote them does not matter.</summary>
    private IReadOnlyList<Completion> CompletionsOf(TripRecipe recipe)
    {
        var key = recipe.Dataset ? "dataset" : recipe.Law.ToString();
        if (!_texts.TryGetValue(key, out var texts))
        {
            var none = Auxiliaries.FromSeed(0, PickRule.Parse(recipe.Rule).NumbersPerToken(Config.VocabularySize));
            texts = recipe.Dataset
                ? [.. TripModels.Trips(Sized(Texts), "training trips").Select(trip => new Completion(trip, 1, none))]
                : TripModels.Written(Base, recipe.Law, Sized(Texts / 4));
            _texts[key] = texts;
        }

        var width = PickRule.Parse(recipe.Rule).NumbersPerToken(Config.VocabularySize);
        return texts[0].U.Width == width ? texts : [.. texts.Select(text => text with { U = Auxiliaries.FromSeed(0, width) })];
    }

    private int Sized(int texts) => Math.Max(250, (int)(texts * Math.Min(1, space.Effort)));
}
