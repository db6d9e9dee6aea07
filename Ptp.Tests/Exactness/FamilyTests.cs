// The family's drafters under the decoder contract: same u, same tokens, same stop, whatever they draft; three lines each.
// Source: the drafters' own papers claim at most the greedy text; verified by u they give the sampled one as well.
// Not here: the law above temperature 0 (Verification/LawExactTests), heads (Heads/HeadDecodingTests).

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public abstract class FamilyContract(FamilyKind kind) : DecoderContract
{
    protected override int CasesOfEquality => 255; // 300 in all

    protected override IDecoder Decoder(ExactnessCase drawn) => drawn.Speculative(FamilyCase.Drafter(drawn, kind));

    // 60 cases: at temperature 0 promises of the law and of the greedy text come to plain decoding's, on trees too. Control: no promise.
    [Fact]
    public void At_temperature_zero_greedy_exact_rules_are_plain_decoding()
    {
        using var backend = new CpuBackend(1);
        var different = 0;
        Cases.RunSeeds(60, seed =>
        {
            var drawn = new ExactnessCase(backend, 9000 + (ulong)seed);
            var plain = new Autoregressive(drawn.Model, SamplingOptions.Greedy, drawn.Rule).Decode(drawn.Prompt, drawn.U, drawn.Limits);
            bool IsPlain(string rule) => drawn
                .Speculative(FamilyCase.Drafter(drawn, kind, SamplingOptions.Greedy), VerificationRule.Parse(rule), SamplingOptions.Greedy)
                .Decode(drawn.Prompt, drawn.U, drawn.Limits).Tokens.SequenceEqual(plain.Tokens);
            foreach (var rule in (string[])["ratio", "argmax"])
            {
                Assert.True(IsPlain(rule), $"{drawn}: {rule}");
            }

            different += IsPlain("first:2") ? 0 : 1;
        });
        Assert.InRange(different, 10, 60);
    }
}

public sealed class PromptLookupTests() : FamilyContract(FamilyKind.PromptLookup);

public sealed class JacobiTests() : FamilyContract(FamilyKind.Jacobi);

public sealed class LookaheadTests() : FamilyContract(FamilyKind.Lookahead);

public sealed class RecyclingTests() : FamilyContract(FamilyKind.Recycling);

public sealed class RetrievalTests() : FamilyContract(FamilyKind.Retrieval);

public sealed class AutomatonTests() : FamilyContract(FamilyKind.Automaton);

public sealed class AutomatonOverRecyclingTests() : FamilyContract(FamilyKind.AutomatonOverRecycling);

public sealed class AutomatonOverPtpTests() : FamilyContract(FamilyKind.AutomatonOverPtp);

public sealed class ModelByUTests() : FamilyContract(FamilyKind.ModelByU);

public sealed class ModelByDiceTests() : FamilyContract(FamilyKind.ModelByDice);

public sealed class ModelTreeTests() : FamilyContract(FamilyKind.ModelTree);

public sealed class ChainTreeTests() : FamilyContract(FamilyKind.Chain);
