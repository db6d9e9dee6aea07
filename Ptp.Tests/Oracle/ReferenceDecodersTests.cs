// Error-corrected decoding equals decoding one token at a time, for any student, and its rounds add up.
// Source: Algorithm 1; students from perfect to adversarial, and a slot model with an untrained adapter.
// Not here: the library's decoders (their tests compare with these).

using Ptp.Reference.Oracle;
using Xunit;
using static Ptp.Tests.Oracle.OracleGens;

namespace Ptp.Tests.Oracle;

public sealed class ReferenceDecodersTests
{
    private sealed record Case(int Seed)
    {
        public Random Random { get; } = new(Seed);

        public int Vocabulary => 2 + (Seed & 3);

        public ScalarNextLaw Law => Language(Seed, Vocabulary);

        public int[] Prompt => [.. Enumerable.Range(0, Seed & 1)];

        public Func<int, double> U => Auxiliaries(Seed);

        /// <summary>Right until a random place, wrong from there on, and of random length.</summary>
        public ScalarDraft Student => (prefix, u) =>
        {
            var right = Theorem1.Tokens(Law, prefix, u);
            var turn = Random.Next(u.Length + 1);
            var length = Random.Next(turn, u.Length + 1);
            return [.. right.Select((token, j) => j < turn ? token : (token + 1) % Vocabulary).Take(length)];
        };

        public ScalarDraft[] Students =>
        [
            Student,
            (prefix, u) => Theorem1.Tokens(Law, prefix, u), // perfect
            (prefix, u) => [.. Theorem1.Tokens(Law, prefix, u).Select(t => (t + 1) % Vocabulary)], // never right
            (prefix, u) => Theorem1.Tokens(Language(Seed + 1, Vocabulary), prefix, u), // another language, the same u
            (prefix, u) => new int[u.Length], // deaf to u
            (_, _) => [], // mute
        ];
    }

    // 100 cases, each with 6 students and both refinements: 1,200 comparisons.
    [Seeds(100)]
    public void Any_student_gives_the_autoregressive_tokens(int seed)
    {
        var drawn = new Case(seed & 0xffff);
        var slots = drawn.Random.Next(0, 6);
        var stop = drawn.Random.Next(2) == 0 ? new HashSet<int>() : [drawn.Random.Next(drawn.Vocabulary)];
        var decoders = new ReferenceDecoders(drawn.Law, stop, drawn.Random.Next(0, 15));
        var expected = decoders.Autoregressive(drawn.Prompt, drawn.U);
        foreach (var student in drawn.Students)
        {
            foreach (var refined in (bool[])[false, true])
            {
                var decoded = decoders.ErrorCorrected(drawn.Prompt, drawn.U, student, slots, refined);
                Assert.Equal(expected, decoded.Tokens);
                Assert.Equal(expected.Length, decoded.Rounds.Sum(round => round.Committed));
                Assert.All(decoded.Rounds, round => Assert.InRange(round.Correct, 0, slots));
                Assert.All(decoded.Rounds, round => Assert.InRange(round.Committed, 1, round.Correct + 1));
                Assert.All(decoded.Rounds.SkipLast(1), round => Assert.Equal(round.Correct + 1, round.Committed));
            }
        }
    }

    [Seeds(50)]
    public void A_perfect_student_needs_the_fewest_rounds_and_a_wrong_one_a_round_per_token(int seed)
    {
        var drawn = new Case(seed & 0xffff);
        var (slots, maxNew) = (drawn.Random.Next(1, 6), drawn.Random.Next(1, 15));
        var decoders = new ReferenceDecoders(drawn.Law, new HashSet<int>(), maxNew);
        int Rounds(ScalarDraft student, bool refined) =>
            decoders.ErrorCorrected(drawn.Prompt, drawn.U, student, slots, refined).Rounds.Count;

        Assert.Equal((maxNew + slots) / (slots + 1), Rounds(drawn.Students[1], false));
        Assert.Equal(maxNew, Rounds(drawn.Students[2], false));
        Assert.Equal((maxNew + 1) / 2, Rounds(drawn.Students[2], true)); // the first token is corrected: two per round
    }

    // 40 random models, each with a slot student on the same weights; temperatures 0, 0.7 and 1.5.
    [Seeds(40)]
    public void A_slot_model_with_an_untrained_adapter_changes_nothing(int seed)
    {
        var random = new Random(seed);
        var config = TinyConfig(tied: true);
        var model = new ScalarTransformer(config, Weights(config, random));
        var adapter = Lora(config, 2, 0.5, random);
        var direction = Normal(random, config.Hidden);
        var temperature = new[] { 0, 0.7, 1.5 }[random.Next(3)];
        var settings = new ScalarLaw(temperature, TopK: random.Next(5), TopP: 0.6 + 0.4 * random.NextDouble());
        int[] Student(int[] prefix, double[] u)
        {
            double[] slots = [.. u.SelectMany(value => direction.Select(d => d * (value - 0.5)))]; // [N, D]
            var pass = model.Forward(ScalarCall.WithSlots(prefix, slots, config.Hidden), adapter);
            var rows = u.Select((_, j) => pass.Row(prefix.Length + j));
            return [.. rows.Select(row => Array.IndexOf(row, row.Max()))];
        }

        var decoders = new ReferenceDecoders(
            prefix => settings.FromLogits(model.NextLogits(prefix)), new HashSet<int> { 0 }, maxNew: 6);
        var expected = decoders.Autoregressive([3], Auxiliaries(seed));
        Assert.Equal(expected, decoders.ErrorCorrected([3], Auxiliaries(seed), Student, 3).Tokens);
        Assert.Equal(expected, decoders.ErrorCorrected([3], Auxiliaries(seed), Student, 3, true).Tokens);
    }

    [Fact]
    public void Control_redrawing_u_every_round_changes_tokens()
    {
        var different = Enumerable.Range(0, 50).Count(seed =>
        {
            var drawn = new Case(seed);
            var decoders = new ReferenceDecoders(drawn.Law, new HashSet<int>(), 12);
            var asked = 0;
            var expected = decoders.Autoregressive(drawn.Prompt, drawn.U);
            return !expected.SequenceEqual(
                decoders.ErrorCorrected(drawn.Prompt, _ => drawn.U(asked++), drawn.Student, 3).Tokens);
        });
        Assert.InRange(different, 25, 50);
    }

    [Fact]
    public void Control_a_student_that_is_not_verified_changes_tokens()
    {
        var different = Enumerable.Range(0, 50).Count(seed =>
        {
            var drawn = new Case(seed);
            var decoders = new ReferenceDecoders(drawn.Law, new HashSet<int>(), 12);
            var expected = decoders.Autoregressive(drawn.Prompt, drawn.U);
            var u = Enumerable.Range(0, 12).Select(drawn.U).ToArray();
            return !expected.SequenceEqual(drawn.Students[3](drawn.Prompt, u));
        });
        Assert.InRange(different, 25, 50);
    }

    [Fact]
    public void A_stop_token_inside_the_draft_ends_the_text()
    {
        double[] Law(int[] prefix) => prefix.Length == 2 ? [0, 1] : [1, 0];
        var decoders = new ReferenceDecoders(Law, new HashSet<int> { 1 }, maxNew: 10);
        var decoded = decoders.ErrorCorrected([], _ => 0.5, (_, _) => [0, 0, 1, 0, 0], 5);
        Assert.Equal([0, 0, 1], decoded.Tokens);
        Assert.Equal([new ScalarRound(5, 3)], decoded.Rounds);
    }

    [Fact]
    public void A_draft_longer_than_its_slots_is_refused() =>
        Assert.Throws<ArgumentException>(() => new ReferenceDecoders(_ => [1.0], new HashSet<int>(), 4)
            .ErrorCorrected([], _ => 0.5, (_, _) => [0, 0], 1));
}
