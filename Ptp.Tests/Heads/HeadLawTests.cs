// Heads that draw by dice, verified by the ratio rule: every text of a tiny language has its own probability, to 1e-12, whatever the
// head; guesses have the chances that the head's law gives them, and shapes the accuracies that were counted.
// Controls: a head that hides the law it drew from; grown trees of drawn tokens are refused.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Heads;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class HeadLawTests : IDisposable
{
    private const double Rounding = 1e-12;
    private readonly CpuBackend _backend = new(1);

    /// <summary>Heads whose drafts begin at the last token: where a call finds the next one first, u picks it, and its law is u's.</summary>
    public static TheoryData<string> Names => [.. DraftHeads.Names.Except([ProphetNet.Architecture, Samragh.Architecture, DSpark.Architecture])];

    // 3 languages per head: chains and static trees of drawn tokens, and grown trees of the likeliest.
    [Theory]
    [MemberData(nameof(Names))]
    public void Every_text_has_its_own_probability(string name) => Cases.RunSeeds(3, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        var head = HeadCase.Head(name, language.Model, new RandomStream((ulong)seed, "law of heads"), deviation: 0.5);
        var shape = TreeShape.Best([[0.6, 0.3], [0.5]], 3);
        foreach (var drafter in (Func<ITreeDrafter>[])[
            () => new ChainTree(new HeadChainDrafter(head, InverseCdf.Instance, HeadProposals.Drawn)),
            () => new HeadTreeDrafter(head, InverseCdf.Instance, shape, proposals: HeadProposals.Drawn),
            () => new HeadTreeDrafter(head, InverseCdf.Instance, beam: 2, proposals: HeadProposals.Ranked)])
        {
            Assert.InRange(language.Error(drafter, () => RatioRule.Instance), 0, Rounding);
            Assert.InRange(language.Ways, 27, 200_000);
        }
    });

    // Control: a rule that needs the law q, told that tokens are point masses and taking p / q anyway, is off by far more.
    [Fact]
    public void Control_a_rule_without_the_promise_loses_the_law() => Cases.RunSeeds(3, seed =>
    {
        var language = new LawEnumeration(_backend, (ulong)seed);
        var head = HeadCase.Head(Eagle1.Architecture, language.Model, new RandomStream((ulong)seed, "law of heads"), deviation: 0.5);
        Assert.True(language.Error(
            () => new ChainTree(new HeadChainDrafter(head, InverseCdf.Instance, HeadProposals.Drawn)), () => VerificationRule.Parse("ratio:2,0")) > 1e-4);
    });

    [Fact]
    public void Grown_trees_of_drawn_tokens_are_refused()
    {
        var drawn = new ExactnessCase(_backend, 1);
        var head = HeadCase.Head(Medusa.Architecture, drawn.Model, new RandomStream(1, "refused"));
        Assert.Throws<PtpException>(() => new HeadTreeDrafter(head, drawn.Rule, proposals: HeadProposals.Drawn));
        Assert.Throws<PtpException>(() => new HeadTreeDrafter(head, drawn.Rule, beam: 0));
        Assert.Throws<PtpException>(() => DraftHeads.Make(Samragh.Architecture, drawn.Model, new HeadOptions { Slots = 1 }));
        Assert.Throws<PtpException>(() => DraftHeads.Make(Medusa.Architecture, drawn.Model, new HeadOptions { Temperature = 0 }));
    }

    // A head of zero effect predicts what the base does: Medusa's first guess is then right where the base repeats its law. A chain's
    // counted accuracy is what decoding those very places accepts: the table is of the same guesses.
    [Fact]
    public void Counted_accuracies_are_shares()
    {
        var drawn = new ExactnessCase(_backend, 3);
        var random = new RandomStream(3, "accuracy");
        Completion[] texts = [.. Enumerable.Range(0, 6).Select(i =>
        {
            var u = Auxiliaries.FromSeed((ulong)i, drawn.U.Width);
            int[] prompt = [random.NextInt(drawn.Model.Config.VocabularySize), random.NextInt(drawn.Model.Config.VocabularySize)];
            return new Completion([.. prompt, .. new Autoregressive(drawn.Model, drawn.Law, drawn.Rule).Decode(prompt, u, new DecodeLimits(12, [])).Tokens], 2, u);
        })];
        foreach (var name in DraftHeads.Names)
        {
            var head = HeadCase.Head(name, drawn.Model, new RandomStream(3, name), deviation: 0.3);
            var table = HeadCalibration.Accuracy(head, texts, drawn.Law, drawn.Rule, 40, 1);
            Assert.Equal(head.Slots, table.Length);
            Assert.All(table, row => Assert.InRange(row.Sum(), 0, 1 + 1e-9));
            Assert.Contains(table, row => row.Sum() > 0); // ten guesses of few tokens are right now and then
        }
    }

    public void Dispose() => _backend.Dispose();
}
