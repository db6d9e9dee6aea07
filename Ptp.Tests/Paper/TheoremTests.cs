// Property 5 (Theorem 1, prefix form) and property 6 (Theorem 2, by enumeration) of next-token laws made from a seed.
// 300 texts of up to 12 tokens against the scalar oracle; 40 tiny languages (V at most 4, N at most 4) enumerated whole.
// Negative controls: an off-by-one in the index of u, and a law that ignores the last token, must both be caught.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Oracle;
using Xunit;
using Scalar = Ptp.Reference.Oracle.Theorem1;
using Theorem1 = Ptp.Core.Paper.Theorem1;

namespace Ptp.Tests.Paper;

public sealed class TheoremTests
{
    [Fact]
    public void Tokens_are_those_of_the_oracle()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var (law, context, u, v) = Case(seed);
            var tokens = Theorem1.Tokens(context, u, law, v);
            Assert.Equal(Scalar.Tokens(InDouble(law, v), context, [.. u.Select(x => (double)x)]), tokens);
            Assert.Equal(tokens, Theorem1.Tokens(context, u, law, v));
        }
    }

    [Fact]
    public void Later_u_never_change_earlier_tokens_and_own_u_does()
    {
        var changedOwn = 0;
        for (var seed = 0; seed < 300; seed++)
        {
            var (law, context, u, v) = Case(seed);
            var tokens = Theorem1.Tokens(context, u, law, v);
            var k = seed % u.Length;
            var other = u.ToArray();
            for (var j = k; j < u.Length; j++)
            {
                other[j] = (u[j] + 0.5f) % 1;
            }

            var changed = Theorem1.Tokens(context, other, law, v);
            Assert.Equal(tokens[..k], changed[..k]);
            changedOwn += tokens[k] != changed[k] ? 1 : 0;
        }

        Assert.True(changedOwn > 100, $"own u changed {changedOwn} tokens only: the property above would be empty");
    }

    [Theory]
    [InlineData("u off by one")]
    [InlineData("law ignores the last token")]
    public void A_broken_unrolling_is_caught(string fault)
    {
        var differs = 0;
        for (var seed = 0; seed < 300; seed++)
        {
            var (law, context, u, v) = Case(seed);
            NextTokenLaw blind = (prefix, row) => law(prefix[..^1], row);
            var broken = fault == "u off by one"
                ? Theorem1.Tokens(context, [.. u[1..], 0.5f], law, v)
                : Theorem1.Tokens(context, u, blind, v);
            differs += broken.SequenceEqual(Theorem1.Tokens(context, u, law, v)) ? 0 : 1;
        }

        Assert.True(differs > 200, $"{fault}: {differs} of 300");
    }

    [Fact]
    public void Boxes_of_u_have_the_joint_probabilities_and_fill_the_cube()
    {
        for (var seed = 0; seed < 40; seed++)
        {
            var v = 2 + seed % 3;
            var law = Law(seed, v);
            var sequences = ExactLaw.Sequences(InDouble(law, v), [1], 2 + seed % 3);
            Assert.Equal(1, sequences.Sum(s => s.Volume), 1e-6);
            var random = new RandomStream((ulong)seed, "place");
            foreach (var sequence in sequences)
            {
                Assert.Equal(sequence.Probability, sequence.Volume, 1e-6);
                var row = new float[v];
                var prefix = new List<int> { 1 };
                var u = new float[sequence.Tokens.Length];
                var exists = true;
                for (var k = 0; k < u.Length && exists; k++)
                {
                    law([.. prefix], row);
                    var cell = Cell.Of(sequence.Tokens[k], row);
                    Assert.Equal(sequence.Cells[k], (cell.Left, cell.Right));
                    exists = Cell.TryDraw(sequence.Tokens[k], row, random.NextDouble(), out u[k]);
                    prefix.Add(sequence.Tokens[k]);
                }

                if (exists)
                {
                    // Theorem 2: u stands for the tokens it decides, so the next law is that of the tokens.
                    Assert.Equal(sequence.Tokens, Theorem1.Tokens([1], u, law, v));
                    Assert.Equal(
                        InDouble(law, v)([.. prefix]),
                        Scalar.LawGiven(InDouble(law, v), [1], [.. u.Select(x => (double)x)]));
                }
            }
        }
    }

    private static (NextTokenLaw Law, int[] Context, float[] U, int V) Case(int seed)
    {
        var v = new[] { 2, 3, 10, 100 }[seed % 4];
        var auxiliaries = Auxiliaries.FromSeed((ulong)seed);
        return (Law(seed, v), [seed % v, (seed + 1) % v], [.. Enumerable.Range(0, 3 + seed % 10).Select(g => auxiliaries.At(g, 0))], v);
    }

    /// <summary>A law that depends on every token of the prefix and on its length.</summary>
    private static NextTokenLaw Law(int seed, int v)
    {
        var transform = new LogitsTransform(new() { TopP = seed % 2 == 0 ? 1 : 0.95 }, v);
        return (prefix, row) =>
        {
            var hash = (ulong)seed;
            foreach (var token in prefix)
            {
                hash = RandomStream.Mix(hash * 31 + (ulong)token + 1);
            }

            var random = new RandomStream(hash, "law");
            for (var id = 0; id < v; id++)
            {
                row[id] = (float)(1.5 * random.NextGaussian());
            }

            transform.ToLaw(row, row);
        };
    }

    private static ScalarNextLaw InDouble(NextTokenLaw law, int v) => prefix =>
    {
        var row = new float[v];
        law(prefix, row);
        return [.. row.Select(p => (double)p)];
    };
}
