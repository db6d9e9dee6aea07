// Law-exact decoding proven by enumeration: every way the dice can fall, run through the real decoder, and the law of all 27 texts of
// a random model compared to 1e-12. Drafters: drawn chains, drawn siblings, point masses, each for a fixed u. Controls: classic flaws.
// Not here: path-exact rules, which the decoder contract tests bit for bit.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Verification;

public sealed class LawExactTests : IDisposable
{
    private const double Rounding = 1e-12;
    private readonly CpuBackend _backend = new(1);

    public static TheoryData<string> Drafters =>
        ["chain", "siblings 2", "siblings 3", "by u", "lookup", "jacobi", "recycling", "lookahead", "automaton over chain"];

    // 8 languages each, 4 where siblings make many ways: about 40,000 texts decoded.
    [Theory]
    [MemberData(nameof(Drafters))]
    public void Every_text_has_its_own_probability(string drafter) => Cases.RunSeeds(drafter.StartsWith("siblings", StringComparison.Ordinal) ? 4 : 8, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        Assert.InRange(language.Error(() => Drafter(language, drafter), () => RatioRule.Instance), 0, Rounding);
        Assert.InRange(language.Ways, 27, 200_000);
    });

    [Fact]
    public void Without_a_flaw_the_second_writing_has_the_law() => Cases.RunSeeds(4, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        Assert.InRange(language.Error(() => Drafter(language, "siblings 2"), () => new FlawedSiblings(SiblingFlaw.None)), 0, Rounding);
    });

    // Controls: each flaw shifts a text's probability by far more than rounding does. Where only one token has p > q, as in about half of
    // these languages of three tokens, what happens to q does not matter, so not each of them shows it.
    [Theory]
    [InlineData(SiblingFlaw.SiblingKept, "siblings 2", 6, 2)]
    [InlineData(SiblingFlaw.ProposalNotRenormalised, "siblings 2", 6, 2)]
    [InlineData(SiblingFlaw.RestNotRenormalised, "chain", 12, 12)]
    [InlineData(SiblingFlaw.RestIsTheLaw, "chain", 12, 12)]
    [InlineData(SiblingFlaw.DrawReused, "chain", 12, 9)]
    public void Control_each_flaw_loses_the_law(SiblingFlaw flaw, string drafter, int languages, int atLeast)
    {
        var caught = new List<double>();
        Cases.RunSeeds(languages, seed =>
        {
            var language = new LawEnumeration(_backend, (ulong)seed);
            caught.Add(language.Error(() => Drafter(language, drafter), () => new FlawedSiblings(flaw)));
        });
        Assert.True(caught.Count(error => error > 1e-4) >= atLeast, string.Join(' ', caught));
    }

    // Controls: rules that promise less, and a drafter that lies about the law it drew from.
    [Theory]
    [InlineData("argmax")]
    [InlineData("entropy:0.3,0.3")]
    [InlineData("ratio:2,0")]
    public void Control_rules_without_that_promise_lose_the_law(string rule) => Cases.RunSeeds(3, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        Assert.True(language.Error(() => Drafter(language, "chain"), () => VerificationRule.Parse(rule)) > 1e-4);
    });

    [Fact]
    public void Control_a_drafter_that_hides_its_law_loses_the_law() => Cases.RunSeeds(3, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        Assert.True(language.Error(() => new Liar(Drafter(language, "chain")), () => new FlawedRatio(0.9, false, true)) > 1e-4);
        // What is drawn may be called a point mass all the same: then it is one, for each way it was drawn.
        Assert.InRange(language.Error(() => new Liar(Drafter(language, "chain")), () => RatioRule.Instance), 0, Rounding);
    });

    // Accepting by shares of a draw from q, one token: 1 - TV(p, q) of drafts stand, the most there can be; by u fewer do.
    [Fact]
    public void No_coupling_accepts_more_than_the_ratio()
    {
        var (ratio, shared) = (0.0, 0.0);
        Cases.RunSeeds(20, seed =>
        {
            var random = new RandomStream((ulong)seed, "couplings");
            float[] Law()
            {
                double[] weights = [.. Enumerable.Range(0, 6).Select(_ => -Math.Log(1 - random.NextDouble()))];
                return [.. weights.Select(w => (float)(w / weights.Sum()))];
            }

            var (p, q) = (Law(), Law());
            var maximal = p.Zip(q, Math.Min).Sum(x => (double)x);
            var laws = new NodeLaws(6);
            var accepted = EnumeratedDice.All(dice =>
            {
                Span<int> drawn = stackalloc int[1];
                dice.DrawDistinct(q, drawn);
                laws.Start(p, q);
                return dice.Coin(laws.Rest[drawn[0]] / laws.Proposal[drawn[0]]);
            }).Where(way => way.Result).Sum(way => way.Weight);
            Assert.Equal(maximal, accepted, 1e-6);
            ratio += accepted;
            var (left, right, same) = (0.0, 0.0, 0.0);
            for (var token = 0; token < 6; token++)
            {
                same += Math.Max(0, Math.Min(left + p[token], right + q[token]) - Math.Max(left, right));
                (left, right) = (left + p[token], right + q[token]);
            }

            Assert.True(same <= maximal + 1e-6);
            shared += same;
        });
        Assert.True(shared < 0.8 * ratio, $"{shared} of {ratio}");
    }

    public void Dispose() => _backend.Dispose();

    private static ITreeDrafter Drafter(LawEnumeration of, string name)
    {
        ITreeDrafter Model(int[] widths, bool draws) =>
            new ModelDrafter(of.Small, LawEnumeration.V, of.Law, InverseCdf.Instance, widths, draws);
        return name switch
        {
            "chain" => Model([1, 1], true),
            "siblings 2" => Model([2, 1], true),
            "siblings 3" => Model([3, 1], true),
            "by u" => Model([1, 1], false),
            "lookup" => new PromptLookup(1),
            "jacobi" => new JacobiDrafter(2),
            "recycling" => new TokenRecycling(LawEnumeration.V, 6),
            "lookahead" => new LookaheadDrafter(2, 2, 2),
            _ => new AutomatonDrafter(null, Model([1, 1], true), new AutomatonOptions { Threshold = 2 }),
        };
    }

    /// <summary>Hides the laws that tokens were drawn from.</summary>
    private sealed class Liar(ITreeDrafter inner) : ITreeDrafter
    {
        public int Slots => inner.Slots;

        public void Start(IReadOnlyList<int> prompt) => inner.Start(prompt);

        public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
        {
            var tree = inner.Propose(session, u, g, nodes, depth);
            return new DraftTree(tree.Tokens, tree.Parents, tree.Depths)
            {
                RootIsCommitted = tree.RootIsCommitted,
                Confidences = tree.Confidences,
            };
        }
    }
}
