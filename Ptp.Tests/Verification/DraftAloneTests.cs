// Drafts that stand unverified: one call per round, tokens those of a drafting call on a complete cache, and the base's own where none stands.
// Source: rules 9 and 10 of the follow-up, which need no base call. A cache that lags must change no number: that is what is compared.
// Not here: what the texts are worth (Faithfulness).

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Verification;

public sealed class DraftAloneTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 cases, two kinds of slots: each round is one call, and its tokens are those of a drafting call behind a complete cache.
    // Control: a drafting call one token earlier says something else.
    [Theory]
    [InlineData(DrafterKind.Gated)]
    [InlineData(DrafterKind.Categorical)]
    public void Rounds_are_single_calls_that_draft_as_if_all_were_cached(DrafterKind kind)
    {
        var (rounds, others) = (0, 0);
        Cases.RunSeeds(60, seed =>
        {
            var drawn = new ExactnessCase(_backend, 21_000 + (ulong)seed);
            var drafter = drawn.Slotted(kind).NewDrafter();
            var session = new ModelSession(drawn.Model, drawn.Law, drawn.Rule);
            var text = new List<int>(drawn.Prompt);
            int[] Drafted(int back, int count)
            {
                session.Start(text[..^back]);
                var g = text.Count - back - drawn.Prompt.Length;
                var tokens = drafter.Propose(session, drawn.U, g, back + count).Tokens.ToArray();
                tokens[0] = session.Pick(0, drawn.U, g); // the drafting call knows the first law
                return tokens[back..];
            }

            var decoded = Alone(drawn, drawn.Slotted(kind).NewDrafter(), "first:3").Decode(drawn.Prompt, drawn.U, drawn.Limits, commitment =>
            {
                var tokens = commitment.Tokens.ToArray();
                Assert.InRange(tokens.Length, 1, 3);
                Assert.Equal(Drafted(0, tokens.Length), tokens);
                if (text.Count > drawn.Prompt.Length && tokens.Length > 1)
                {
                    rounds++;
                    others += Drafted(1, tokens.Length).SequenceEqual(tokens) ? 0 : 1;
                }

                text.AddRange(tokens);
                return true;
            });
            Assert.Equal(decoded.Stats.Rounds, decoded.Stats.Calls);
        });
        Assert.True(rounds > 50 && others > 5, $"{others} of {rounds} drafts of an earlier call differ");
    }

    // 60 cases, all drafters: where no draft token stands, each token is the base's own; with perfect drafts all of them are.
    [Fact]
    public void What_the_base_says_itself_is_plain_decoding() => Cases.RunSeeds(60, seed =>
    {
        var drawn = new ExactnessCase(_backend, 22_000 + (ulong)seed);
        Holds(drawn, Alone(drawn, drawn.Drafter(ExactnessSoak.KindOf((ulong)seed)), "first:0"));
        Holds(drawn, Alone(drawn, new WatchedDrafter(drawn.Drafter(DrafterKind.Perfect)), "first:4"));
        Holds(drawn, Alone(drawn, new WatchedDrafter(drawn.Drafter(DrafterKind.PerfectWithFirstLaw)), "first:2.5"));
    });

    // Control: drafts that are not perfect do not write plain decoding's text when nobody looks.
    [Fact]
    public void Control_wrong_drafts_stand_too()
    {
        var different = 0;
        Cases.RunSeeds(30, seed =>
        {
            var drawn = new ExactnessCase(_backend, 23_000 + (ulong)seed);
            different += drawn.Difference(Alone(drawn, drawn.Drafter(DrafterKind.Wrong), "first:2")) is null ? 0 : 1;
        });
        Assert.Equal(30, different);
    }

    [Fact]
    public void Rules_that_ask_the_base_are_refused()
    {
        var drawn = new ExactnessCase(_backend, 1);
        foreach (var rule in (string[])["exact", "threshold:0.5", "first:2 or exact", "self:exact"])
        {
            Assert.NotEmpty(Assert.Throws<PtpException>(() => Alone(drawn, drawn.Drafter(DrafterKind.Random), rule)).WayOut);
        }
    }

    public void Dispose() => _backend.Dispose();

    private static DraftAlone Alone(ExactnessCase drawn, IDrafter drafter, string rule) =>
        new(drawn.Model, drafter, VerificationRule.Parse(rule), drawn.Law, drawn.Rule, drawn.Slots);

    private static void Holds(ExactnessCase drawn, IDecoder decoder)
    {
        var decoded = decoder.Decode(drawn.Prompt, drawn.U, drawn.Limits);
        Assert.True(drawn.Expected.Tokens.SequenceEqual(decoded.Tokens) && drawn.Expected.Stop == decoded.Stop, $"{drawn}: {decoder.Name}");
    }
}
