// How many rounds a text takes (property 15), what the statistics add up to, and the rounds of the oracle's Algorithm 1.
// Source: PTP section 5.1; ReferenceDecoders in plain double.
// Not here: equality of tokens, which the decoder contract tests.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class ProgressTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 cases, with and without the first law: ceil(N / (q + 1)) rounds.
    [Fact]
    public void A_perfect_student_needs_the_fewest_rounds() => Cases.RunSeeds(60, seed =>
    {
        var drawn = new ExactnessCase(_backend, 4000 + (ulong)seed);
        var tokens = drawn.Expected.Tokens.Length;
        foreach (var kind in (DrafterKind[])[DrafterKind.Perfect, DrafterKind.PerfectWithFirstLaw])
        {
            var stats = drawn.ErrorCorrected(drawn.Drafter(kind), allSlots: true).Decode(drawn.Prompt, drawn.U, drawn.Limits).Stats;
            Assert.Equal((tokens + drawn.Slots) / (drawn.Slots + 1), stats.Rounds);
            Assert.Equal(stats.FirstTried, stats.FirstRight);
            Assert.Equal(stats.Correct, stats.OwnCorrect);
            Assert.Equal(stats.SlotTried.ToArray().Sum(), stats.SlotRight.ToArray().Sum() + CutByTheEnd(drawn, stats));
        }
    });

    // The same property of a student that errs now and then does not hold: what the count of rounds says is not said of anyone.
    [Fact]
    public void Control_a_student_that_errs_needs_more_rounds()
    {
        var more = 0;
        for (var seed = 1; seed <= 60; seed++)
        {
            var drawn = new ExactnessCase(_backend, 4000 + (ulong)seed);
            more += Stats(drawn, DrafterKind.Flaky).Rounds > (drawn.Expected.Tokens.Length + drawn.Slots) / (drawn.Slots + 1) ? 1 : 0;
        }

        Assert.InRange(more, 30, 60);
    }

    // 60 cases: a wrong student costs a round per token, and half as many where the first token is exact.
    [Fact]
    public void A_wrong_student_needs_a_round_per_token() => Cases.RunSeeds(60, seed =>
    {
        var drawn = new ExactnessCase(_backend, 5000 + (ulong)seed);
        var wrong = Stats(drawn, DrafterKind.Wrong);
        Assert.Equal(drawn.Expected.Tokens.Length, wrong.Rounds);
        Assert.Equal((0L, 0L, 0L), (wrong.Correct, wrong.OwnCorrect, wrong.FirstRight));
        Assert.Equal(wrong.Rounds, wrong.Calls);
    });

    // 60 cases: the gated drafter spends a second call unless its draft is already refuted.
    [Fact]
    public void Calls_and_rows_of_gated_decoding_add_up() => Cases.RunSeeds(60, seed =>
    {
        var drawn = new ExactnessCase(_backend, 6000 + (ulong)seed);
        var stats = Stats(drawn, DrafterKind.Gated);
        Assert.Equal(0, stats.DrafterCalls);
        Assert.InRange(stats.Calls, stats.Rounds, 2 * stats.Rounds);
        Assert.Equal(stats.Tokens / (double)stats.Rounds, stats.AcceptedPerRound);
        Assert.InRange(stats.OwnCorrect, 0, stats.Correct);
        Assert.Equal(stats.Correct, stats.CorrectHistogram.ToArray().Select((rounds, m) => rounds * m).Sum());
        if (drawn.ExactFirst && stats.Tokens > 2)
        {
            // All rounds but the last commit two tokens at least.
            Assert.True(stats.Tokens >= 2 * (stats.Rounds - 1) + 1, $"{stats.Tokens} tokens in {stats.Rounds} rounds");
        }
    });

    // 80 cases: the oracle, given the same laws and drafts, commits the same tokens in the same rounds.
    [Fact]
    public void Rounds_equal_those_of_the_oracle() => Cases.RunSeeds(80, seed =>
    {
        var drawn = new ExactnessCase(_backend, 7000 + (ulong)seed, InverseCdf.Instance);
        var session = new ModelSession(drawn.Model, drawn.Law, InverseCdf.Instance);
        var room = drawn.Model.Config.MaxContext - drawn.Prompt.Length;
        var most = Math.Min(drawn.Limits.MaxNewTokens, room);
        var stop = drawn.Limits.EndTokens.ToHashSet();
        var refined = seed % 2 == 0;
        var drafter = new HashDrafter((uint)seed, drawn, refined);

        double[] Law(int[] prefix)
        {
            session.Start(prefix);
            session.Verify([prefix[^1]]);
            return Array.ConvertAll(session.Law(0).ToArray(), p => (double)p);
        }

        // A draft is never longer than what is left, so the oracle's student stops there too.
        var oracle = new ReferenceDecoders(Law, stop, most).ErrorCorrected(
            drawn.Prompt, g => drawn.U.At(g, 0),
            (prefix, u) => drafter.Tokens(
                prefix.Length - drawn.Prompt.Length, Math.Min(u.Length, drawn.Prompt.Length + most - prefix.Length - 1)),
            drawn.Slots, refined);

        var rounds = new List<ScalarRound>();
        var decoded = new ErrorCorrectedDecoding(
            drawn.Model, drafter, drawn.Law, InverseCdf.Instance, drawn.Slots, exactFirst: true).Decode(
            drawn.Prompt, drawn.U, drawn.Limits, commitment =>
            {
                rounds.Add(new ScalarRound(commitment.Correct, commitment.Tokens.Length));
                return true;
            });
        Assert.Equal(oracle.Tokens, decoded.Tokens);
        Assert.Equal(oracle.Rounds.Select(r => r with { Correct = Math.Min(r.Correct, r.Committed) }), rounds);
    });

    // 25 models in double: away from ties, float and double pick the same tokens from the same u.
    [Fact]
    public void Tokens_equal_those_of_the_model_in_double() => Cases.RunSeeds(25, seed =>
    {
        var drawn = new ExactnessCase(_backend, 8000 + (ulong)seed, InverseCdf.Instance);
        var law = new ScalarLaw(drawn.Law.Temperature, drawn.Law.TopK, drawn.Law.TopP);
        var model = ScalarModels.Of(drawn.Model);
        int[] tokens = [.. drawn.Prompt];
        foreach (var expected in drawn.Expected.Tokens.Take(8))
        {
            var probabilities = law.FromLogits(model.NextLogits(tokens));
            var u = drawn.U.At(tokens.Length - drawn.Prompt.Length, 0);
            var (left, right) = ScalarPick.Cell(expected, Allowed(probabilities, expected));
            Assert.InRange(u, left - 1e-4, right + 1e-4);
            tokens = [.. tokens, expected];
        }
    });

    public void Dispose() => _backend.Dispose();

    private static double[] Allowed(double[] law, int token)
    {
        Assert.True(law[token] > 0, $"Token {token} is impossible in double.");
        return law;
    }

    private static DecodeStats Stats(ExactnessCase drawn, DrafterKind kind) =>
        drawn.ErrorCorrected(drawn.Drafter(kind), allSlots: true).Decode(drawn.Prompt, drawn.U, drawn.Limits).Stats;

    // Draft tokens behind an end token were right in their way, but were never committed.
    private static long CutByTheEnd(ExactnessCase drawn, DecodeStats stats) =>
        drawn.Expected.Stop == StopReason.EndToken
            ? stats.SlotTried.ToArray().Sum() - stats.SlotRight.ToArray().Sum()
            : 0;

    /// <summary>Drafts that depend on the place alone: partly right, and the same for library and oracle.</summary>
    private sealed class HashDrafter(uint seed, ExactnessCase owner, bool firstLaw) : IDrafter
    {
        public int Slots => owner.Slots;

        public void Start(IReadOnlyList<int> prompt)
        {
            // No state.
        }

        public int[] Tokens(long g, int count)
        {
            var tokens = new int[Math.Max(0, count)];
            for (var slot = 0; slot < tokens.Length; slot++)
            {
                var right = g + slot < owner.Expected.Tokens.Length ? owner.Expected.Tokens[g + slot] : 0;
                var hash = (seed * 2654435761u + (uint)g * 40503u + (uint)slot * 2246822519u) >> 7;
                tokens[slot] = hash % 4 == 0 ? (right + 1) % owner.Model.Config.VocabularySize : right;
            }

            return tokens;
        }

        public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
        {
            var tokens = Tokens(g, count);
            if (firstLaw)
            {
                session.Verify([session.Tokens[^1]]);
            }

            return new Draft(tokens, new float[tokens.Length], firstLaw);
        }
    }
}
