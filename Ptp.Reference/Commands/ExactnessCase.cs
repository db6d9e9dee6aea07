// One generated case of "same u, same tokens": a random model, law, prompt, u and limits, and what plain decoding says.
// Source: PTP section 5.1 (losslessness for any student); paper ladder not used, sizes are tiny so that thousands run.
// Refuses: nothing. A difference is returned as text that names what differs; the caller adds the seed.

using System.Globalization;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>A model, a law, a prompt, u, limits; a function of the seed alone.</summary>
public sealed class ExactnessCase
{
    private static readonly double[] s_temperatures = [0, 0.3, 0.7, 1, 1.5];
    private static readonly double[] s_topP = [1, 1, 0.3, 0.6, 0.9, 0.95];
    private readonly RandomStream _random;
    private readonly IBackend _backend;
    private IWatched? _watched;

    /// <summary>Draws the case of a seed and decodes it one token at a time.</summary>
    /// <param name="backend">Where its models live.</param>
    /// <param name="seed">Any word.</param>
    /// <param name="rule">How u picks; null for one that the seed chooses.</param>
    public ExactnessCase(IBackend backend, ulong seed, PickRule? rule = null)
    {
        (Seed, _backend) = (seed, backend);
        _random = new RandomStream(seed, "exactness case");
        Model = RandomModel(backend, RandomConfig(_random), _random);
        var vocabulary = Model.Config.VocabularySize;
        Law = new SamplingOptions
        {
            Temperature = Draw(s_temperatures),
            TopK = _random.NextInt(2) == 0 ? 0 : 1 + _random.NextInt(vocabulary + 3),
            TopP = Draw(s_topP),
        };
        Prompt = Ids(1 + _random.NextInt(Model.Config.MaxContext / 3));
        Rule = rule ?? AnyRule(new RandomStream(seed, "pick rule"));
        U = Auxiliaries.FromSeed(_random.NextBits(), Rule.NumbersPerToken(vocabulary));
        Limits = new DecodeLimits(1 + _random.NextInt(40), Ids(_random.NextInt(3)));
        Slots = 1 + _random.NextInt(20);
        ExactFirst = _random.NextInt(2) == 0;
        Expected = new Autoregressive(Model, Law, Rule).Decode(Prompt, U, Limits);
    }

    /// <summary>What the case is a function of.</summary>
    public ulong Seed { get; }

    /// <summary>The verifier.</summary>
    public Transformer Model { get; }

    /// <summary>Temperature 0 to 1.5, top-k, top-p.</summary>
    public SamplingOptions Law { get; }

    /// <summary>At least one token.</summary>
    public int[] Prompt { get; }

    /// <summary>How u picks a token.</summary>
    public PickRule Rule { get; }

    /// <summary>u_g of every generated token.</summary>
    public Auxiliaries U { get; }

    /// <summary>End tokens and most new tokens; some reach the context's end first.</summary>
    public DecodeLimits Limits { get; }

    /// <summary>N, slots of the draft.</summary>
    public int Slots { get; }

    /// <summary>Whether the first draft token is replaced where its law is known.</summary>
    public bool ExactFirst { get; }

    /// <summary>What decoding one token at a time gives.</summary>
    public Decoded Expected { get; }

    /// <summary>Error-corrected decoding with a drafter, watched: the cache must hold all committed tokens but the last.</summary>
    /// <param name="drafter">Any drafter.</param>
    /// <param name="allSlots">True to use all slots in every round; false: lengths of a kind that the seed chooses.</param>
    public IDecoder ErrorCorrected(IDrafter drafter, bool allSlots = false)
    {
        var watched = new WatchedDrafter(drafter);
        _watched = watched;
        return new ErrorCorrectedDecoding(
            Model, watched, Law, Rule, Slots, ExactFirst,
            allSlots ? null : Length(new RandomStream(Seed, "length")));
    }

    /// <summary>Verification by a rule, watched as <see cref="ErrorCorrected"/> is.</summary>
    /// <param name="drafter">Any drafter.</param>
    /// <param name="rule">Any rule; one that promises the path must give the expected tokens.</param>
    /// <param name="own">The adapter of a 'self:' rule.</param>
    public IDecoder Verified(IDrafter drafter, VerificationRule rule, SlotModel? own = null)
    {
        var watched = new WatchedDrafter(drafter);
        _watched = watched;
        return new DraftAndVerify(Model, watched, rule, Law, Rule, Slots, Seed, own);
    }

    /// <summary>Draft lengths: all slots, lengths at random in every round, or what pays under made-up costs.</summary>
    private IDraftLength? Length(RandomStream random) => random.NextInt(4) switch
    {
        0 => new ErraticLength(random),
        1 => new PayingLength(Costs(random), Costs(random), Slots),
        2 => new PayingLength(Costs(random), Costs(random), Slots, firstIsExact: false),
        _ => null,
    };

    private static CallCosts Costs(RandomStream random) => new([.. from rows in (int[])[1, 2, 4, 16] from context in (int[])[0, 40] select new CallCost(rows, context, 0.1 + random.NextDouble() * rows)]);

    /// <summary>A drafter of a kind, its random choices and weights from the seed.</summary>
    /// <param name="kind">What it does.</param>
    public IDrafter Drafter(DrafterKind kind)
    {
        var random = new RandomStream(Seed, "drafter " + kind);
        switch (kind)
        {
            case DrafterKind.Gated or DrafterKind.Categorical or DrafterKind.GatedTwin or DrafterKind.CategoricalTwin:
                return Slotted(kind).NewDrafter();
            case DrafterKind.Student:
                var config = RandomConfig(random) with
                {
                    VocabularySize = Model.Config.VocabularySize,
                    MaxContext = Model.Config.MaxContext,
                };
                return Slotted(RandomModel(_backend, config, random), null, random).NewDrafter();
            default:
                return new ScriptedDrafter(this, kind, random);
        }
    }

    /// <summary>A drafter of a flow head with random weights, or a copula, on random slots that see no u.</summary>
    public FlowDrafter Flow()
    {
        var random = new RandomStream(Seed, "flow head");
        var lora = new GatedLora(_backend, Model.Config, 2, 1.5, random.NextBits());
        foreach (var weight in lora.Parameters)
        {
            Initialise.Gaussian(weight, random, 0.3);
        }

        var reading = random.NextInt(2) == 0 ? SlotReading.Categorical : SlotReading.OneHot;
        var ptp = new SlotModel(
            Model, random.NextInt(4) == 0 ? null : lora, new ConstantEmbedding(), Slots, Law, Rule, random.NextBits(), SlotStart.LastToken, reading);
        Initialise.Gaussian(ptp.Table, random, 1);
        if (Rule is InverseCdf && random.NextInt(3) == 0)
        {
            var copula = new CopulaHead(Model, Slots, Law, Rule);
            Initialise.Gaussian(copula.Weights, random, 1);
            return new FlowDrafter(ptp, copula);
        }

        var size = new FlowHeadSize(
            1 + random.NextInt(3), 1 + random.NextInt(3), 1 + random.NextInt(12), random.NextInt(2) * (1 + random.NextInt(4)));
        size = random.NextInt(3) == 0 ? size with { Clusters = 0, Bins = 2 + random.NextInt(6) } : size with { Tied = random.NextInt(3) == 0 };
        var head = new FlowHead(Model, size, Law, random.NextBits());
        foreach (var parameter in head.Parameters)
        {
            Initialise.Gaussian(parameter, random, Math.Pow(10, random.NextInt(8) == 0 ? 25 : 0));
        }

        return new FlowDrafter(ptp, head) { PickSoftness = random.NextInt(2) * random.NextDouble() };
    }

    /// <summary>Draft trees of a random adapter, or scripted ones that hold right and wrong continuations at random.</summary>
    /// <param name="scripted">True for scripted trees.</param>
    public IDecoder Tree(bool scripted)
    {
        var random = new RandomStream(Seed, "trees");
        ITreeDrafter drafter = scripted
            ? new ScriptedTreeDrafter(this, random)
            : new CategoricalTreeDrafter(Slotted(random.NextInt(2) == 0 ? DrafterKind.Categorical : DrafterKind.CategoricalTwin));
        return new TreeDecoding(Model, drafter, Law, Rule, 1 + random.NextInt(24));
    }

    /// <summary>A drafter of trees under a rule, watched; all nodes, or as many as pay by a made-up clock.</summary>
    /// <param name="drafter">Any drafter of trees.</param>
    /// <param name="rule">Any rule; null = exact.</param>
    /// <param name="law">Another law than the case's, or null.</param>
    public TreeDecoding Speculative(ITreeDrafter drafter, VerificationRule? rule = null, SamplingOptions? law = null)
    {
        var random = new RandomStream(Seed, "speculative");
        var watched = new WatchedTree(drafter);
        _watched = watched;
        var (nodes, now) = (2 + random.NextInt(60), 0.0);
        return new TreeDecoding(
            Model, watched, law ?? Law, Rule, nodes, rule, Seed,
            random.NextInt(2) == 0 ? null : new PayingNodes(Costs(random), nodes, () => now += random.NextDouble()));
    }

    /// <summary>Verification and drafting in one call, with a random adapter and budget, fixed or by (made-up) costs.</summary>
    /// <param name="kind">Gated or categorical.</param>
    /// <param name="branching">True for a random branching model behind the split of the budget.</param>
    public IDecoder PartialQuadratic(DrafterKind kind, bool branching = false)
    {
        var random = new RandomStream(Seed, "branches");
        var costs = new CallCosts([
            .. from rows in (int[])[1, 8, 64] from context in (int[])[0, 64]
               select new CallCost(rows, context, 1 + 0.05 * rows * random.NextDouble())]);
        var pays = random.NextInt(3) == 0;
        return new PartialQuadraticDecoding(Slotted(kind), Law, new PartialQuadraticOptions
        {
            Budget = random.NextInt(40),
            AsPrinted = !pays && random.NextInt(3) == 0,
            Costs = pays ? costs : null,
            Drafting = pays ? costs : null,
            Branching = branching
                ? new BranchingModel(0.9 * random.NextDouble(), 0.01 + 0.98 * random.NextDouble(), 0.5)
                : null,
        });
    }

    /// <summary>Runs a decoder and compares it with plain decoding.</summary>
    /// <param name="decoder">Any decoder that claims to be exact.</param>
    /// <param name="u">u to hand it; null for the case's own.</param>
    /// <returns>Null if all is equal, or what differs.</returns>
    public string? Difference(IDecoder decoder, Auxiliaries? u = null)
    {
        var streamed = new List<int>();
        var rounds = 0;
        string? fault = null;
        Decoded decoded;
        try
        {
            decoded = decoder.Decode(Prompt, u ?? U, Limits, commitment =>
            {
                rounds++;
                streamed.AddRange(commitment.Tokens.Span);
                var least = Math.Max(1, commitment.Correct);
                fault ??= commitment.Tokens.Length >= least && commitment.Tokens.Length <= commitment.Correct + 1
                    ? _watched?.Fault
                    : $"round {rounds} committed {commitment.Tokens.Length} tokens, {commitment.Correct} of them correct";
                return true;
            });
        }
        catch (Exception error) when (error is Core.PtpException or ArgumentException or IndexOutOfRangeException)
        {
            return $"{decoder.Name} failed: {error.Message}";
        }

        var stats = decoded.Stats;
        return fault
            ?? Unequal("tokens", List(Expected.Tokens), List(decoded.Tokens))
            ?? Unequal("streamed tokens", List(Expected.Tokens), List([.. streamed]))
            ?? Unequal("stop", Expected.Stop, decoded.Stop)
            ?? Unequal("Stats.Tokens", decoded.Tokens.Length, stats.Tokens)
            ?? Unequal("Stats.Rounds", rounds, stats.Rounds)
            ?? Unequal("rounds at most tokens", true, rounds <= decoded.Tokens.Length)
            ?? Unequal("rounds in the histogram", stats.Rounds, Sum(stats.CorrectHistogram))
            ?? Unequal("calls at least rounds", true, stats.Calls >= stats.Rounds);
    }

    /// <summary>Sizes of a tiny model with grouped heads: V 5 to 40, D 8 to 32, one to three layers.</summary>
    public static TransformerConfig RandomConfig(RandomStream random)
    {
        var keyValueHeads = 1 + random.NextInt(2);
        return new TransformerConfig
        {
            VocabularySize = 5 + random.NextInt(36),
            HiddenSize = 8 + random.NextInt(25),
            IntermediateSize = 8 + random.NextInt(41),
            Layers = 1 + random.NextInt(3),
            KeyValueHeads = keyValueHeads,
            Heads = keyValueHeads * (1 + random.NextInt(3)),
            HeadSize = 2 * (1 + random.NextInt(6)),
            MaxContext = 24 + random.NextInt(41),
            TieEmbeddings = random.NextInt(2) == 0,
        }.Validated();
    }

    /// <summary>Weights large enough for laws that are neither flat nor certain; some models have exactly equal logits.</summary>
    public static Transformer RandomModel(IBackend backend, TransformerConfig config, RandomStream random)
    {
        var model = new Transformer(backend, config, random.NextBits());
        foreach (var parameter in model.Parameters)
        {
            var deviation = parameter == model.Embeddings && parameter != model.Head
                ? 1
                : (0.5 + 2 * random.NextDouble()) / Math.Sqrt(parameter.Value.Columns);
            Initialise.Gaussian(parameter, random, deviation);
        }

        if (random.NextInt(8) == 0)
        {
            var (value, width) = (new float[model.Head.Value.Length], config.HiddenSize);
            backend.Download(model.Head.Value, value);
            value.AsSpan(0, width).CopyTo(value.AsSpan((config.VocabularySize - 1) * width)); // the last ties with the first
            Initialise.Set(model.Head, value);
        }

        return model;
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"seed {Seed}: {Rule.Name}, V {Model.Config.VocabularySize}, D {Model.Config.HiddenSize}, L {Model.Config.Layers}, {Law}, "
        + $"prompt {Prompt.Length}, {Limits.MaxNewTokens} new, end [{List(Limits.EndTokens)}], {Slots} slots, "
        + $"first {(ExactFirst ? "exact" : "drafted")}";

    /// <summary>A random adapter on the case's model.</summary>
    /// <param name="kind">Gated or categorical, or the same on a twin of the model.</param>
    public SlotModel Slotted(DrafterKind kind)
    {
        var random = new RandomStream(Seed, "drafter " + kind);
        var lora = new GatedLora(_backend, Model.Config, 1 + random.NextInt(4), 1.5, random.NextBits());
        // From mild to absurd: overflow in slot rows must not reach a base row.
        var deviation = Math.Pow(10, random.NextInt(4) switch { 0 => -1, 1 => 0, 2 => 2, _ => 25 });
        foreach (var weight in lora.Parameters.Where(p => p.Name.EndsWith("lora_B.weight", StringComparison.Ordinal)))
        {
            Initialise.Gaussian(weight, random, deviation);
        }

        var format = _backend.Stores(WeightFormat.Int8) ? WeightFormat.Int8 : WeightFormat.Exact; // an exact twin drafts all the same
        var network = kind is DrafterKind.GatedTwin or DrafterKind.CategoricalTwin ? Model.Twin(format) : Model;
        return Slotted(network, lora, random, kind is DrafterKind.Categorical or DrafterKind.CategoricalTwin);
    }

    private SlotModel Slotted(Transformer network, GatedLora? lora, RandomStream random, bool categorical = false)
    {
        var sampler = categorical && random.NextInt(3) > 0
            ? new SamplerHead(
                network, 1 + random.NextInt(3), 1 + random.NextInt(20), random.NextBits(), random.NextInt(network.Config.Layers + 1))
            : null;
        foreach (var weight in sampler?.Parameters ?? [])
        {
            Initialise.Gaussian(weight, random, 1);
        }

        var embedding = AuxiliaryEmbedding.Parse(random.NextInt(4) switch
        {
            0 => "binary-float",
            1 => "fixed-point",
            2 => "linear:5",
            _ => "constant",
        });
        var ptp = new SlotModel(
            network, lora, embedding, Slots, Law, Rule, random.NextBits(),
            random.NextInt(2) == 0 ? SlotStart.MeanToken : SlotStart.LastToken,
            categorical ? SlotReading.Categorical : SlotReading.OneHot, sampler)
        {
            PickSoftness = random.NextInt(2) * random.NextDouble(),
            Doubt = 0.05 + random.NextDouble(),
            Confidence = AnyCalibration(random),
            TreeConfidence = AnyCalibration(random),
        };
        Initialise.Gaussian(ptp.Table, random, 1);
        return ptp;
    }

    private static ConfidenceCalibration? AnyCalibration(RandomStream random)
    {
        double[] Rising() => [.. Enumerable.Range(0, 5).Select(_ => random.NextDouble()).Order()];
        return random.NextInt(2) == 0 ? null : new ConfidenceCalibration(Rising(), Rising());
    }

    private static PickRule AnyRule(RandomStream random) => random.NextInt(6) switch
    {
        0 => TreePick.Instance,
        1 => new RacePick(2 + random.NextInt(5)),
        2 => new RacePick(0),
        3 => new PermutedCdf(),
        _ => InverseCdf.Instance,
    };

    private int[] Ids(int count)
    {
        var ids = new int[count];
        for (var i = 0; i < count; i++)
        {
            ids[i] = _random.NextInt(Model.Config.VocabularySize);
        }

        return ids;
    }

    private double Draw(double[] values) => values[_random.NextInt(values.Length)];

    private static long Sum(ReadOnlySpan<long> counts)
    {
        var sum = 0L;
        foreach (var count in counts)
        {
            sum += count;
        }

        return sum;
    }

    private static string List(IEnumerable<int> ids) => string.Join(' ', ids);

    private static string? Unequal<T>(string what, T expected, T received) =>
        EqualityComparer<T>.Default.Equals(expected, received)
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"{what}: expected {expected}, received {received}");
}
