// Property 1: Pick(u, P) is the token j with F(j-1) <= u < F(j), and P(j) > 0; checked on 1,200 laws at up to 144 u each.
// Negative controls: a closed right edge, sums in float, the reversed interval; each must be caught on the same cases.
// Also: the vectorised skip never changes an answer, and what is refused.

using Ptp.Core;
using Ptp.Core.Paper;
using Ptp.Reference.Oracle;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class PickTests
{
    private const int Cases = 1_200;

    private delegate int Rule(double u, float[] law);

    [Fact]
    public void Pick_follows_its_definition() => Assert.Null(FirstViolation((u, law) => Pick.Token(u, law)));

    [Fact]
    public void Pick_equals_the_oracle() =>
        Assert.Null(FirstViolation((u, law) => ScalarPick.Token(u, [.. law.Select(p => (double)p)])));

    [Theory]
    [InlineData("closed right edge")]
    [InlineData("float sums")]
    [InlineData("reversed interval")]
    public void A_broken_rule_is_caught(string fault) => Assert.NotNull(FirstViolation(fault switch
    {
        "closed right edge" => static (u, law) => FirstOrLast(law, edge => edge >= u),
        "float sums" => FloatSums,
        _ => static (u, law) => Math.Min(Pick.Token(u, law) + 1, law.Length - 1),
    }));

    [Fact]
    public void The_fast_skip_never_changes_an_answer()
    {
        // 600 wide laws: rounding of the tail differs between the orders of summation, so edges are probed to the bit.
        for (var seed = 0; seed < 600; seed++)
        {
            var law = Laws.Generate(seed);
            foreach (var u in Laws.Probes(law, seed))
            {
                Assert.True(
                    Pick.TokenByRunningSum(u, law) == Pick.Token(u, law), $"seed {seed}, u {u:R}, V {law.Length}");
            }
        }
    }

    [Fact]
    public void The_ends_belong_to_the_first_and_last_possible_token()
    {
        float[] law = [0, 0.25f, 0, 0.75f, 0];
        Assert.Equal(1, Pick.Token(0, law));
        Assert.Equal(1, Pick.Token(Math.BitDecrement(0.25), law));
        Assert.Equal(3, Pick.Token(0.25, law));
        Assert.Equal(3, Pick.Token(Math.BitDecrement(1.0), law));

        // Rounding leaves the total below one: the gap belongs to the last possible token.
        Assert.Equal(1, Pick.Token(Math.BitDecrement(1.0), [0.5f, MathF.BitDecrement(0.5f), 0]));
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(-1e-300)]
    [InlineData(double.NaN)]
    public void U_outside_the_unit_interval_is_refused(double u) =>
        Assert.NotEmpty(Assert.Throws<PtpException>(() => Pick.Token(u, [1f])).WayOut);

    [Fact]
    public void What_is_not_a_law_is_refused()
    {
        Assert.Throws<PtpException>(() => Pick.Token(0.5, []));
        Assert.Throws<PtpException>(() => Pick.Token(0.5, [0, 0]));
        Assert.Throws<PtpException>(() => Pick.Token(0.9, [0.25f, 0.25f]));
        Assert.Throws<PtpException>(() => Pick.Token(0.9, new float[200]));
        Assert.Throws<PtpException>(() => Pick.Token(0.5, [.. Enumerable.Repeat(float.NaN, 200)]));
    }

    // The definition, with edges clipped to one; the gap that rounding leaves belongs to the last possible token.
    private static string? FirstViolation(Rule rule)
    {
        for (var seed = 0; seed < Cases; seed++)
        {
            var law = Laws.Generate(seed);
            var edges = Laws.Edges(law);
            var last = Array.FindLastIndex(law, p => p > 0);
            foreach (var u in Laws.Probes(law, seed))
            {
                var token = rule(u, law);
                var right = token == last ? Math.Max(1, edges[token + 1]) : edges[token + 1];
                if (!(law[token] > 0 && edges[token] <= u && u < right))
                {
                    return $"seed {seed}: u = {u:R} gave {token}, whose cell is [{edges[token]:R}, {right:R})";
                }
            }
        }

        return null;
    }

    private static int FirstOrLast(float[] law, Func<double, bool> reached)
    {
        var edges = Laws.Edges(law);
        var token = Array.FindIndex(edges, 1, edge => reached(edge));
        return token >= 1 ? token - 1 : Array.FindLastIndex(law, p => p > 0);
    }

    private static int FloatSums(double u, float[] law)
    {
        var sum = 0f;
        for (var token = 0; token < law.Length; token++)
        {
            sum += law[token];
            if (law[token] > 0 && sum > u)
            {
                return token;
            }
        }

        return Array.FindLastIndex(law, p => p > 0);
    }
}
