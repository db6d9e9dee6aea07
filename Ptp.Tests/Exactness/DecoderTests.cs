// Every decoder of the library, and error-corrected decoding with every kind of drafter, under the decoder contract.
// Source: PTP Algorithm 1 with gated LoRA, with a student, and with drafters that work against it.
// Not here: what the contract says.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class PlainDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        new Autoregressive(drawn.Model, drawn.Law, drawn.Rule);
}

public sealed class GatedDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Gated));
}

public sealed class CategoricalDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Categorical));
}

public sealed class GatedTwinDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.GatedTwin));
}

public sealed class CategoricalTwinDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.CategoricalTwin));
}

public sealed class PartialQuadraticOneHotTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.PartialQuadratic(DrafterKind.Gated);
}

public sealed class PartialQuadraticCategoricalTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.PartialQuadratic(DrafterKind.Categorical);
}

public sealed class FlowHeadDecoderTests : DecoderContract
{
    protected override int CasesOfEquality => 255; // 300 in all

    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Flow());

    // 60 cases: drafts that are believed for two tokens, right or wrong, give other texts.
    [Fact]
    public void Control_drafts_that_nobody_verifies_are_found()
    {
        using var backend = new CpuBackend(1);
        var different = Enumerable.Range(0, 60).Count(seed =>
        {
            var drawn = new ExactnessCase(backend, (ulong)seed);
            return drawn.Difference(drawn.Verified(drawn.Flow(), VerificationRule.Parse("first:2"))) is not null;
        });
        Assert.InRange(different, 15, 60);
    }
}

public sealed class TreeDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.Tree(scripted: false);
}

public sealed class ScriptedTreeDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.Tree(scripted: true);
}

public sealed class PartialQuadraticBranchingModelTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.PartialQuadratic(DrafterKind.Gated, branching: true);
}

public sealed class PartialQuadraticCategoricalBranchingModelTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.PartialQuadratic(DrafterKind.Categorical, branching: true);
}

/// <summary>Every kind of drafter in turn.</summary>
public sealed class ExactRuleTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        drawn.Verified(drawn.Drafter(ExactnessSoak.KindOf(drawn.Seed)), ExactRule.Instance);
}

/// <summary>An adapter that changes nothing judges as the base does; its rows stand beside the base's in every call.</summary>
public sealed class ExactRuleOnOwnLawsTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn)
    {
        var lora = new GatedLora(drawn.Model.Backend, drawn.Model.Config, 2, 1, seed: 1);
        var own = new SlotModel(drawn.Model, lora, new FixedPointEmbedding(), drawn.Slots, drawn.Law, drawn.Rule, seed: 1);
        return drawn.Verified(drawn.Drafter(ExactnessSoak.KindOf(drawn.Seed)), VerificationRule.Parse("self:exact"), own);
    }
}

public sealed class StudentDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Student));
}

public sealed class RandomDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Random));
}

public sealed class WrongDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Wrong));
}

public sealed class PerfectDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Perfect));
}

public sealed class FlakyDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Flaky));
}

public sealed class EarlyEndDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        drawn.ErrorCorrected(drawn.Drafter(DrafterKind.EarlyEnd));
}

public sealed class FlakyFirstLawDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        drawn.ErrorCorrected(drawn.Drafter(DrafterKind.FlakyWithFirstLaw));
}

public sealed class PerfectFirstLawDecoderTests : DecoderContract
{
    protected override IDecoder Decoder(ExactnessCase drawn) =>
        drawn.ErrorCorrected(drawn.Drafter(DrafterKind.PerfectWithFirstLaw));
}

public sealed class SoakTests
{
    // 300 cases over all drafters, 180 over all systems of the family; the command runs as many as it is asked for.
    [Theory]
    [InlineData(300, false)]
    [InlineData(180, true)]
    public void A_short_soak_finds_nothing(int cases, bool family)
    {
        var told = 0;
        var report = ExactnessSoak.Run(50_000, cases, done => Interlocked.Increment(ref told), family);
        Assert.Empty(report.Failures);
        Assert.Equal((cases, cases), (report.Cases, told));
        Assert.True(report.Tokens > 10 * cases, $"{report.Tokens} tokens are too few to mean anything.");
    }

    // 45 languages over all law-exact systems. Control: a rule that accepts by another ratio is caught again and again.
    [Fact]
    public void A_short_soak_of_laws_finds_nothing()
    {
        var told = 0;
        var report = LawSoak.Run(50_000, 45, done => Interlocked.Increment(ref told));
        Assert.Empty(report.Failures);
        Assert.Equal((45, 45), (report.Cases, told));
        Assert.True(report.Tokens > 27 * 45, $"{report.Tokens} ways");
        Assert.NotEmpty(LawSoak.Run(50_000, 16, null, () => VerificationRule.Parse("ratio:2,0")).Failures);
    }

    [Fact]
    public void A_case_is_a_function_of_its_seed()
    {
        using var backend = new CpuBackend(1);
        var (first, second) = (new ExactnessCase(backend, 11), new ExactnessCase(backend, 11));
        Assert.Equal(first.ToString(), second.ToString());
        Assert.Equal(first.Expected.Tokens, second.Expected.Tokens);
    }

    // 300 seeds: every temperature, every stop, ties, both kinds of head and both modes of the first token occur.
    [Fact]
    public void The_generator_reaches_every_corner()
    {
        using var backend = new CpuBackend(1);
        var cases = Enumerable.Range(0, 150).Select(seed => new ExactnessCase(backend, (ulong)seed)).ToArray();
        Assert.Equal([0, 0.3, 0.7, 1, 1.5], cases.Select(c => c.Law.Temperature).Distinct().Order());
        Assert.Equal(
            [StopReason.EndToken, StopReason.MaxTokens, StopReason.ContextFull],
            cases.Select(c => c.Expected.Stop).Distinct().Order());
        Assert.Equal(20, cases.Select(c => c.Slots).Distinct().Count());
        Assert.Contains(cases, c => c.Law.TopK > 0 && c.Law.TopP < 1);
        Assert.Contains(cases, c => c.Model.Config.GroupSize > 1 && c.Model.Config.KeyValueHeads > 1);
        Assert.Equal(2, cases.Select(c => c.Model.Config.TieEmbeddings).Distinct().Count());
        Assert.Equal(2, cases.Select(c => c.ExactFirst).Distinct().Count());
        Assert.True(cases.Average(c => c.Expected.Tokens.Distinct().Count()) > 3, "Texts of one token test little.");
    }
}
