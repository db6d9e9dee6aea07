// The register of the family: one line per system, a drafter with a verifier, and what the pair promises.
// A promise of the path is checked on every text that is compared; a promise of the law by enumeration, on a language of three tokens.
// Refuses: nothing; a system whose adapter, head, small model or text is not there is left out. A new system joins by a line here.

using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Reference.Commands;

/// <summary>What systems are made from; all share model, law, u and text.</summary>
/// <param name="Decoding">Model, law, and perhaps an adapter.</param>
/// <param name="Nodes">Rows of a verifying call, at most.</param>
/// <param name="Costs">What calls cost, if drafts shall be as large as pays; null = always as large as allowed.</param>
/// <param name="Corpus">The suffix array of retrieval; null without text to retrieve from.</param>
/// <param name="Automaton">The suffix automaton of the same text.</param>
/// <param name="Heads">Trained heads of the model.</param>
/// <param name="Drafts">Small models with its tokenizer.</param>
/// <param name="Adapters">Folder with folders of more adapters whose slots serve any pick rule; null = none.</param>
internal sealed record FamilyParts(
    Decoding Decoding, int Nodes, CallCosts? Costs, SuffixArray? Corpus, SuffixAutomaton Automaton, HeadShelf Heads, DraftShelf Drafts,
    string? Adapters)
{
    private const int SmallSlots = 5; // calls of the small model per round; published runs take 3 to 7

    /// <summary>A decoder of trees.</summary>
    public IDecoder Tree(ITreeDrafter drafter, VerificationRule? rule = null) => new TreeDecoding(
        Decoding.Model.Model, drafter, Decoding.Law, Decoding.Rule, Nodes, rule, Decoding.Seed,
        Costs is null ? null : new PayingNodes(Costs, Nodes));

    /// <summary>The likeliest drafter of the adapter as one of trees; null without an adapter.</summary>
    public ITreeDrafter? Ptp() => Decoding.Adapter switch
    {
        null => null,
        { HasTrees: true } adapter => new CategoricalTreeDrafter(adapter),
        var adapter => new ChainTree(adapter.NewDrafter()),
    };

    /// <summary>Chains of another adapter, under the rule that all share; null without it.</summary>
    public IDecoder? Slots(string name) => Adapters is not null && AdapterFolder.Exists(Path.Combine(Adapters, name))
        ? (Decoding with { AskedRule = Decoding.Rule }).With(Path.Combine(Adapters, name)).ErrorCorrected()
        : null;

    /// <summary>Chains of a trained head; null without it.</summary>
    public IDecoder? Chain(string head) => Heads.Find(head) is { } found ? Tree(new ChainTree(new HeadChainDrafter(found, Decoding.Rule))) : null;

    /// <summary>Trees of a trained head in the shape that it was calibrated to; null without it.</summary>
    public IDecoder? Static(string head, HeadProposals proposals = HeadProposals.SharedU, VerificationRule? rule = null) =>
        Heads.Find(head) is { Accuracy: { } accuracy } found
            ? Tree(new HeadTreeDrafter(found, Decoding.Rule, TreeShape.Best([.. accuracy], Nodes - 1), proposals: proposals), rule)
            : null;

    /// <summary>Trees of a trained head, grown from its own chances; null without it.</summary>
    public IDecoder? Grown(string head, HeadProposals proposals = HeadProposals.SharedU, VerificationRule? rule = null) =>
        Heads.Find(head) is { } found ? Tree(new HeadTreeDrafter(found, Decoding.Rule, beam: 6, proposals: proposals), rule) : null;

    /// <summary>Speculative decoding: chains of a small model, by the verifier's u, or by dice under the ratio rule; null without it.</summary>
    public IDecoder? Small(string name, bool draws = false) => Drafts.Find(name) is { } small
        ? Tree(
            new ModelDrafter(
                small, Decoding.Model.Model.Config.VocabularySize, Decoding.Law, Decoding.Rule, [.. Enumerable.Repeat(1, SmallSlots)], draws),
            draws ? RatioRule.Instance : null)
        : null;

    /// <summary>Table of likeliest successors.</summary>
    public TokenRecycling Recycling() => new(Decoding.Model.Model.Config.VocabularySize);
}

/// <summary>A system.</summary>
/// <param name="Name">What tables call it.</param>
/// <param name="Guarantee">What it promises.</param>
/// <param name="Make">Its decoder; null where something it needs is missing.</param>
/// <param name="Tiny">Its drafter for a language of three tokens, if it promises the law.</param>
internal sealed record FamilySystem(
    string Name, Guarantee Guarantee, Func<FamilyParts, IDecoder?> Make, Func<LawEnumeration, ITreeDrafter>? Tiny = null)
{
    private const string Typical = "entropy:0.3,0.09"; // Medusa's delta and epsilon
    private const double Rounding = 1e-12;
    private const int Languages = 4;

    /// <summary>Plain decoding, which all are compared with.</summary>
    public const string Plain = "autoregressive";

    /// <summary>All systems, plain decoding first.</summary>
    public static IReadOnlyList<FamilySystem> All { get; } =
    [
        new(Plain, Guarantee.Path, p => p.Decoding.Autoregressive()),
        new("ptp", Guarantee.Path, p => p.Decoding.Adapter is null ? null : p.Decoding.ErrorCorrected()),
        new("ptp tree", Guarantee.Path, p => p.Ptp() is CategoricalTreeDrafter tree ? p.Tree(tree) : null),
        new("independent slots", Guarantee.Path, p => p.Slots(ModelChoice.Independent)),
        new("flow head", Guarantee.Path, p => p.Slots(ModelChoice.Flow)),
        new("jacobi", Guarantee.Path, p => p.Tree(new JacobiDrafter())),
        new("jacobi, greedy prefix", Guarantee.Greedy, p => p.Tree(new JacobiDrafter(), VerificationRule.Parse("argmax"))),
        new("jacobi, remembered laws", Guarantee.Path, p => p.Tree(new JacobiDrafter(remembers: true))),
        new("lookahead", Guarantee.Path, p => p.Tree(new LookaheadDrafter())),
        new("prompt lookup", Guarantee.Path, p => p.Tree(new PromptLookup())),
        new("token recycling", Guarantee.Path, p => p.Tree(p.Recycling())),
        new("token recycling, ratio", Guarantee.Law, p => p.Tree(p.Recycling(), RatioRule.Instance),
            _ => new TokenRecycling(LawEnumeration.V, 6)),
        new("token recycling, typical", Guarantee.None, p => p.Tree(p.Recycling(), VerificationRule.Parse("entropy:0.3,0.09"))),
        new("rest", Guarantee.Path, p => p.Corpus is { } corpus ? p.Tree(new RetrievalDrafter(corpus)) : null),
        new("sam", Guarantee.Path, p => p.Tree(new AutomatonDrafter(p.Automaton))),
        new("sam over token recycling", Guarantee.Path, p => p.Tree(new AutomatonDrafter(p.Automaton, p.Recycling()))),
        new("sam over ptp", Guarantee.Path, p => p.Ptp() is { } ptp ? p.Tree(new AutomatonDrafter(p.Automaton, ptp)) : null),
        new("speculative 66k", Guarantee.Path, p => p.Small(DraftShelf.Smallest)),
        new("speculative 66k, ratio", Guarantee.Law, p => p.Small(DraftShelf.Smallest, draws: true), TinySmall),
        new("speculative 525k", Guarantee.Path, p => p.Small(DraftShelf.Small)),
        new("speculative 525k, ratio", Guarantee.Law, p => p.Small(DraftShelf.Small, draws: true), TinySmall),
        new("gloeckle", Guarantee.Path, p => p.Chain(Gloeckle.Architecture)),
        new("stern", Guarantee.Path, p => p.Chain(Stern.Architecture)),
        new("stern, greedy prefix", Guarantee.Greedy, p => p.Heads.Find(Stern.Architecture) is { } head
            ? p.Tree(new ChainTree(new HeadChainDrafter(head, p.Decoding.Rule, HeadProposals.Ranked)), VerificationRule.Parse("argmax")) : null),
        new("medusa", Guarantee.Path, p => p.Static(Medusa.Architecture)),
        new("medusa, typical", Guarantee.None, p => p.Static(Medusa.Architecture, HeadProposals.Ranked, VerificationRule.Parse(Typical))),
        new("hydra", Guarantee.Path, p => p.Static(Hydra.Architecture)),
        new("deepseek mtp", Guarantee.Path, p => p.Chain(SequentialMtp.Architecture)),
        new("nemotron mtp", Guarantee.Path, p => p.Chain(RecursiveMtp.Architecture)),
        new("eagle-1", Guarantee.Path, p => p.Static(Eagle1.Architecture)),
        new("eagle-1, ratio", Guarantee.Law, p => p.Static(Eagle1.Architecture, HeadProposals.Drawn, RatioRule.Instance),
            tiny => new HeadTreeDrafter(TinyEagle(tiny), InverseCdf.Instance, TreeShape.Best([[0.6, 0.3], [0.5]], 3), proposals: HeadProposals.Drawn)),
        new("eagle-2", Guarantee.Path, p => p.Grown(Eagle1.Architecture)),
        new("eagle-2, ratio", Guarantee.Law, p => p.Grown(Eagle1.Architecture, HeadProposals.Ranked, RatioRule.Instance),
            tiny => new HeadTreeDrafter(TinyEagle(tiny), InverseCdf.Instance, beam: 2, proposals: HeadProposals.Ranked)),
        new("eagle-3", Guarantee.Path, p => p.Grown(Eagle3.Architecture)),
        new("prophetnet streams", Guarantee.Path, p => p.Chain(ProphetNet.Architecture)),
        new("samragh", Guarantee.Path, p => p.Chain(Samragh.Architecture)),
        new("dspark", Guarantee.Path, p => p.Chain(DSpark.Architecture)),
    ];

    private static ModelDrafter TinySmall(LawEnumeration tiny) =>
        new(tiny.Small, LawEnumeration.V, tiny.Law, InverseCdf.Instance, [1, 1], draws: true);

    private static DraftHead TinyEagle(LawEnumeration tiny) =>
        HeadCase.Head(Eagle1.Architecture, tiny.Model, new RandomStream(1, "tiny eagle"), deviation: 0.5);

    /// <summary>Whether the promise was kept; null where nothing is promised, as for greedy systems above temperature 0.</summary>
    /// <param name="law">The law of the texts.</param>
    /// <param name="sameTexts">Whether each text was plain decoding's.</param>
    /// <param name="backend">Where the tiny languages live.</param>
    public bool? Holds(SamplingOptions law, bool sameTexts, IBackend backend) => Guarantee switch
    {
        Guarantee.Path => sameTexts,
        Guarantee.None => null,
        _ when law.Temperature <= 0 => sameTexts,
        Guarantee.Law => Enumerable.Range(1, Languages).All(seed =>
        {
            var language = new LawEnumeration(backend, (ulong)seed);
            return language.Error(() => Tiny!(language), () => RatioRule.Instance) <= Rounding;
        }),
        _ => null,
    };
}
