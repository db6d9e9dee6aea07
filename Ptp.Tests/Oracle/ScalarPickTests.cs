// Pick and its cells, and the one chain from logits to law, in the oracle.
// Source: min { j : F_j > u } over half-open cells; temperature, top-k, top-p, renormalise.
// Not here: the library's own Pick in float (its tests compare with this one).

using Ptp.Reference.Oracle;
using Xunit;
using static Ptp.Tests.Oracle.OracleGens;

namespace Ptp.Tests.Oracle;

public sealed class ScalarPickTests
{
    private static readonly double AlmostOne = Math.BitDecrement(1.0);

    private static double[] RandomLaw(int seed) => Language(seed, 1 + (seed & 15))([seed]);

    /// <summary>
    /// Where the edges are and between: every F_j below 1, its neighbours, 0, the largest u, and random ones.
    /// </summary>
    private static IEnumerable<double> InterestingU(double[] law, Random random)
    {
        var edge = 0.0;
        foreach (var probability in law)
        {
            edge += probability;
            yield return Math.Min(edge, AlmostOne);
            yield return Math.Min(Math.BitDecrement(edge), AlmostOne);
            yield return random.NextDouble();
        }

        yield return 0;
        yield return AlmostOne;
    }

    private static bool IsPick(int token, double u, double[] law) =>
        law[token] > 0 && ScalarPick.Cell(token, law) is var (left, right) && left <= u && u < right;

    [Seeds(200)]
    public void Pick_lies_in_its_cell_and_in_no_other(int seed)
    {
        var law = RandomLaw(seed);
        foreach (var u in InterestingU(law, new Random(seed)).Where(u => u >= 0))
        {
            var picked = ScalarPick.Token(u, law);
            Assert.All(Enumerable.Range(0, law.Length), token => Assert.Equal(token == picked, IsPick(token, u, law)));
        }
    }

    [Fact]
    public void Control_a_pick_with_closed_cells_is_wrong_on_the_edges()
    {
        double[] law = [0.25, 0, 0.25, 0.5];
        Assert.Equal(2, ScalarPick.Token(0.25, law)); // past the empty cell of token 1
        var closed = Array.FindIndex([0.25, 0.25, 0.5, 1.0], edge => edge >= 0.25);
        Assert.False(IsPick(closed, 0.25, law));
    }

    [Seeds(200)]
    public void Cells_partition_the_unit_interval(int seed)
    {
        var law = RandomLaw(seed);
        var reached = 0.0;
        for (var token = 0; token < law.Length; token++)
        {
            if (law[token] > 0)
            {
                var (left, right) = ScalarPick.Cell(token, law);
                Assert.Equal(reached, left);
                Assert.Equal(law[token], right - left, 1e-12);
                reached = right;
            }
        }

        Assert.Equal(1, reached);
    }

    [Seeds(200)]
    public void Auxiliary_then_Pick_gives_the_token_back(int seed)
    {
        var random = new Random(seed);
        var law = RandomLaw(seed);
        for (var token = 0; token < law.Length; token++)
        {
            foreach (var noise in (double[])[0, AlmostOne, random.NextDouble()])
            {
                if (law[token] > 0)
                {
                    Assert.Equal(token, ScalarPick.Token(ScalarPick.Auxiliary(token, law, noise), law));
                }
            }
        }
    }

    [Fact]
    public void What_has_no_answer_is_refused()
    {
        foreach (var u in (double[])[1, -1e-300, double.NaN, double.PositiveInfinity])
        {
            Assert.Throws<ArgumentOutOfRangeException>(() => ScalarPick.Token(u, [0.5, 0.5]));
        }

        Assert.Throws<ArgumentException>(() => ScalarPick.Token(0.5, [0, 0]));
        Assert.Throws<ArgumentException>(() => ScalarPick.Cell(0, [0, 1]));
        Assert.Throws<ArgumentException>(() => ScalarPick.Auxiliary(1, [0.9, 1e-30, 0.1], 0.5));
    }

    [Seeds(100)]
    public void Zero_temperature_is_argmax_with_the_lowest_id_and_small_ones_approach_it(int seed)
    {
        var random = new Random(seed);
        var logits = Array.ConvertAll(Normal(random, 6), value => Math.Round(2 * value)); // ties are common
        var best = Array.IndexOf(logits, logits.Max());
        var law = new ScalarLaw(Temperature: 0, TopK: random.Next(3), TopP: 0.3).FromLogits(logits);
        Assert.Equal(Enumerable.Range(0, 6).Select(id => id == best ? 1.0 : 0), law);
        Assert.Equal(law, new ScalarLaw(Temperature: 1e-300, TopK: 1).FromLogits(logits));
    }

    [Seeds(100)]
    public void Law_is_normalised_shift_invariant_and_keeps_the_most_likely(int seed)
    {
        var random = new Random(seed);
        var logits = Array.ConvertAll(Normal(random, 9, 2), value => Math.Round(value * 64) / 64);
        var settings = new ScalarLaw(0.3 + random.NextDouble(), random.Next(10), 0.1 + 0.9 * random.NextDouble());
        var law = settings.FromLogits(logits);
        Assert.Equal(1, law.Sum(), 1e-14);
        Assert.Equal(law, settings.FromLogits(Array.ConvertAll(logits, logit => logit + 512)));
        var kept = Enumerable.Range(0, 9).Where(id => law[id] > 0).ToArray();
        var lost = Enumerable.Range(0, 9).Except(kept).ToArray();
        Assert.All(kept, k => Assert.All(lost, l =>
            Assert.True(logits[k] > logits[l] || (logits[k] == logits[l] && k < l))));

        // The nucleus reaches top-p, and would not without its least likely member.
        var before = (settings with { TopP = 1 }).FromLogits(logits);
        var mass = kept.Sum(id => before[id]);
        Assert.True(mass >= settings.TopP - 1e-12);
        Assert.True(mass - kept.Min(id => before[id]) < settings.TopP + 1e-12);
    }

    [Fact]
    public void Top_k_comes_before_top_p()
    {
        double[] logits = [Math.Log(0.4), Math.Log(0.3), Math.Log(0.2), Math.Log(0.1), double.NegativeInfinity];
        // top-2 gives 4/7 and 3/7; 4/7 = 0.571 already reaches 0.55. On the full law top-p would keep two.
        Assert.Equal([1.0, 0, 0, 0, 0], new ScalarLaw(1, 2, 0.55).FromLogits(logits));
        Assert.Equal(2, new ScalarLaw(1, 0, 0.55).FromLogits(logits).Count(p => p > 0));
        Assert.Equal(4, new ScalarLaw().FromLogits(logits).Count(p => p > 0));

        // The edge: the mass before a member must be below top-p; one half is not below one half. Ties keep low ids.
        Assert.Equal([1.0, 0], new ScalarLaw(1, 0, 0.5).FromLogits([3, 3]));
    }

    [Fact]
    public void Bad_settings_and_logits_are_refused()
    {
        ScalarLaw[] settings =
        [
            new(-1), new(double.NaN), new(double.PositiveInfinity), new(1, -1),
            new(1, 0, 0), new(1, 0, 1.1), new(1, 0, double.NaN),
        ];
        Assert.All(settings, bad => Assert.Throws<ArgumentException>(() => bad.FromLogits([1, 2])));
        double[][] logits = [[0, double.NaN], [0, double.PositiveInfinity], [double.NegativeInfinity]];
        Assert.All(logits, bad => Assert.Throws<ArgumentException>(() => new ScalarLaw().FromLogits(bad)));
    }
}
