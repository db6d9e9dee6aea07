// Theorem 1 against decoding one token at a time, Theorem 2 by enumeration of every sequence of tiny languages.
// Source: t_k = f(context; u_i..u_k); the law of t_k is constant over the cell of u_i..u_(k-1); volume = probability.
// Not here: learned models.

using Ptp.Reference.Oracle;
using Xunit;
using static Ptp.Tests.Oracle.OracleGens;

namespace Ptp.Tests.Oracle;

public sealed class TheoremTests
{
    private static double[] Draw(Random random, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => random.NextDouble())];

    [Seeds(200)]
    public void Theorem_1_is_what_autoregressive_decoding_gives(int seed)
    {
        var random = new Random(seed);
        var law = Language(seed, random.Next(1, 9));
        int[] context = [.. Enumerable.Range(0, random.Next(4))];
        var u = Draw(random, random.Next(0, 12));
        var decoded = new ReferenceDecoders(law, new HashSet<int>(), u.Length).Autoregressive(context, g => u[g]);
        Assert.Equal(decoded, Theorem1.Tokens(law, context, u));
    }

    [Seeds(200)]
    public void Later_auxiliaries_never_change_earlier_tokens(int seed)
    {
        var random = new Random(seed);
        var law = Language(seed, random.Next(2, 9));
        var u = Draw(random, 10);
        var tokens = Theorem1.Tokens(law, [1], u);
        var k = random.Next(0, 10);
        double[] changed = [.. u[..k], .. Draw(random, 10 - k)];
        Assert.Equal(tokens[..k], Theorem1.Tokens(law, [1], changed)[..k]);
    }

    [Fact]
    public void Control_earlier_auxiliaries_do_change_later_tokens()
    {
        // 200 languages; t_4 must often depend on u_0, or the test above would hold for an independent sampler too.
        var moved = Enumerable.Range(0, 200).Count(seed =>
        {
            var law = Language(seed, 5);
            var u = Draw(new Random(seed), 5);
            double[] changed = [(u[0] + 0.5) % 1, .. u[1..]];
            return Theorem1.Tokens(law, [], u)[4] != Theorem1.Tokens(law, [], changed)[4];
        });
        Assert.InRange(moved, 50, 200);
    }

    // 60 languages, V = 2..4, N = 1..5; up to 1,024 sequences each, three points in every box.
    [Seeds(60)]
    public void Theorem_2_by_enumeration(int seed)
    {
        var random = new Random(seed);
        var (law, length) = (Language(seed, random.Next(2, 5)), random.Next(1, 6));
        int[] context = [2, 0];
        var sequences = ExactLaw.Sequences(law, context, length);
        Assert.Equal(1, sequences.Sum(sequence => sequence.Volume), 1e-12);
        foreach (var sequence in sequences)
        {
            Assert.Equal(sequence.Probability, sequence.Volume, 1e-13);
            var almostOne = Enumerable.Repeat(Math.BitDecrement(1.0), length).ToArray();
            double[][] places = [new double[length], almostOne, Draw(random, length)];
            foreach (var u in places.Select(sequence.Point))
            {
                Assert.Equal(sequence.Tokens, Theorem1.Tokens(law, context, u));
                int[] past = [.. context, .. sequence.Tokens[..^1]]; // t_(<k)
                Assert.Equal(law(past), Theorem1.LawGiven(law, context, u[..^1]));
            }
        }
    }

    [Seeds(60)]
    public void Control_outside_its_box_a_sequence_does_not_come(int seed)
    {
        var random = new Random(seed);
        var law = Language(seed, 3);
        foreach (var sequence in ExactLaw.Sequences(law, [], 3))
        {
            var at = random.Next(3);
            var u = sequence.Point(Draw(random, 3));
            u[at] = sequence.Cells[at].Right; // half-open: the edge belongs to the next token
            if (u[at] < 1)
            {
                Assert.NotEqual(sequence.Tokens, Theorem1.Tokens(law, [], u));
            }
        }
    }

    [Fact]
    public void Control_independent_prediction_has_another_joint_law()
    {
        // Without u_1, t_2 can be given its marginal at best, and marginals do not multiply to the joint law.
        var law = Language(11, 3, zeros: 0);
        var pairs = ExactLaw.Sequences(law, [], 2);
        double Marginal(int token) => pairs.Where(p => p.Tokens[1] == token).Sum(p => p.Probability);
        double[] second = [Marginal(0), Marginal(1), Marginal(2)];
        var first = law([]);
        Assert.Equal(1, second.Sum(), 1e-12);
        var distance = pairs.Sum(p => Math.Abs(p.Probability - first[p.Tokens[0]] * second[p.Tokens[1]])) / 2;
        Assert.True(distance > 0.02, $"Total variation {distance}.");
    }

    [Fact]
    public void Too_many_sequences_are_refused() =>
        Assert.Throws<ArgumentException>(() => ExactLaw.Sequences(_ => [0.25, 0.25, 0.25, 0.25], [], 9));
}
