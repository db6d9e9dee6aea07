// What a branch drafts: exactly what a drafting call would, had it been made after the tokens of that branch were committed. So
// positions, u, what a slot sees and where it starts are those of error-corrected decoding; a mistake there would cost no
// exactness, only speed, and no other test would see it. Control: the drafter one token further drafts something else.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class BranchDraftTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 texts of random models and adapters; every draft of every text is compared.
    [Theory]
    [InlineData(DrafterKind.Gated)]
    [InlineData(DrafterKind.Categorical)]
    public void A_branch_drafts_what_a_drafting_call_drafts(DrafterKind kind)
    {
        var (compared, others) = (0, 0);
        Cases.RunSeeds(60, seed =>
        {
            var drawn = new ExactnessCase(_backend, (ulong)seed);
            var ptp = drawn.Slotted(kind);
            var drafter = ptp.NewDrafter();
            var session = new ModelSession(drawn.Model, drawn.Law, ptp.Rule);
            var decoder = new PartialQuadraticDecoding(ptp, drawn.Law, new PartialQuadraticOptions { Budget = 30 });
            var text = new List<int>(drawn.Prompt);
            decoder.Decode(drawn.Prompt, drawn.U, drawn.Limits, commitment =>
            {
                var draft = commitment.Draft.ToArray();
                if (draft.Length > 0)
                {
                    int[] Call(int back)
                    {
                        session.Start(text[..^back]);
                        var g = text.Count - back - drawn.Prompt.Length;
                        return drafter.Propose(session, drawn.U, g, back + draft.Length).Tokens[back..].ToArray();
                    }

                    Assert.Equal(Call(1), draft); // the text's last token is the one that verification made known
                    compared++;
                    others += text.Count - drawn.Prompt.Length > 1 && !Call(2).AsSpan(0, draft.Length).SequenceEqual(draft) ? 1 : 0;
                }

                text.AddRange(commitment.Tokens.Span);
                return true;
            });
        });
        Assert.True(compared > 100, $"{compared} drafts compared");
        Assert.True(others > 10, $"control: {others} drafts of another call differ");
    }

    public void Dispose() => _backend.Dispose();
}
