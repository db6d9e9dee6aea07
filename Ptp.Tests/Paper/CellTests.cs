// Property 2: cells tile [0, 1), and every u drawn for a token picks that token again, at any noise, Beta noise included.
// A cell without a number of the grid is reported. 1,200 laws, up to 12 tokens each, 7 noises per token.
// Negative controls: the unguarded cast to float and the reversed interval must mis-assign on the same cases.

using Ptp.Core;
using Ptp.Core.Paper;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class CellTests
{
    private const int Cases = 1_200;

    private delegate bool Draw(int token, float[] law, double noise, out float u);

    [Fact]
    public void Cells_tile_the_unit_interval_and_agree_with_pick()
    {
        for (var seed = 0; seed < 400; seed++)
        {
            var law = Laws.Generate(seed);
            var previous = 0.0;
            for (var token = 0; token < law.Length; token++)
            {
                var cell = Cell.Of(token, law);
                if (law[token] > 0)
                {
                    Assert.True(cell.Left == previous && cell.Right >= cell.Left, $"seed {seed}, token {token}: {cell}");
                    previous = cell.Right;
                    if (cell.Width > 0 && token % 7 == seed % 7)
                    {
                        Assert.Equal(token, Pick.Token(cell.Left, law));
                        Assert.Equal(token, Pick.Token(Math.BitDecrement(cell.Right), law));
                    }
                }
                else
                {
                    Assert.True(cell.Width == 0, $"seed {seed}, token {token}: {cell}");
                }
            }

            Assert.Equal(1.0, previous);
        }
    }

    [Fact]
    public void Drawn_u_picks_its_token_again()
    {
        var (wrong, drawn, reported) = Count((int token, float[] law, double noise, out float u) =>
            Cell.TryDraw(token, law, noise, out u));
        Assert.Equal(0, wrong);
        Assert.True(drawn > 20_000 && reported > 2_000, $"{drawn} drawn, {reported} reported: too few to mean anything");
    }

    [Fact]
    public void A_cell_is_reported_only_if_it_holds_no_number_of_the_grid()
    {
        for (var seed = 0; seed < Cases; seed++)
        {
            var law = Laws.Generate(seed);
            foreach (var token in SomeTokens(law, seed))
            {
                var cell = Cell.Of(token, law);
                var first = Math.Ceiling(cell.Left * Cell.Grid) / Cell.Grid;
                Assert.Equal(first < cell.Right, Cell.TryDraw(token, law, 0, out var u));
                Assert.True(!(first < cell.Right) || u == first, $"seed {seed}, token {token}: {u:R}");
                if (first < cell.Right)
                {
                    Assert.True(Cell.TryDraw(token, law, 1, out var highest));
                    Assert.True(highest + 1.0 / Cell.Grid >= cell.Right, $"seed {seed}, token {token}: {highest:R}");
                }
            }
        }
    }

    [Fact]
    public void Drawn_u_lies_where_the_noise_says()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var law = Laws.Generate(seed);
            foreach (var token in SomeTokens(law, seed))
            {
                var cell = Cell.Of(token, law);
                var noise = (seed % 11) / 11.0;
                if (Cell.TryDraw(token, law, noise, out var u))
                {
                    Assert.True(Math.Abs(u - (cell.Left + noise * cell.Width)) <= 2.0 / Cell.Grid, $"seed {seed}");
                }
            }
        }
    }

    [Theory]
    [InlineData("unguarded cast")]
    [InlineData("reversed interval")]
    public void A_broken_draw_is_caught(string fault)
    {
        var (wrong, _, _) = Count(fault == "unguarded cast" ? UnguardedCast : Reversed);
        Assert.True(wrong > 100, $"{fault}: only {wrong} wrong");
    }

    [Fact]
    public void Bad_arguments_are_refused()
    {
        Assert.Throws<PtpException>(() => Cell.Of(2, [0.5f, 0.5f]));
        Assert.Throws<PtpException>(() => Cell.TryDraw(-1, [0.5f, 0.5f], 0.5, out _));
        Assert.Throws<PtpException>(() => Cell.TryDraw(0, [0.5f, 0.5f], double.NaN, out _));
        Assert.Throws<PtpException>(() => BetaNoise.Sample(0, new RandomStream(1, "noise")));
        Assert.Throws<PtpException>(() => BetaNoise.Sample(double.NaN, new RandomStream(1, "noise")));
        Assert.False(Cell.TryDraw(0, [0f, 1f], 0.5, out _));
    }

    private static (int Wrong, int Drawn, int Reported) Count(Draw draw)
    {
        var (wrong, drawn, reported) = (0, 0, 0);
        var stream = new RandomStream(7, "cell noise");
        for (var seed = 0; seed < Cases; seed++)
        {
            var law = Laws.Generate(seed);
            foreach (var token in SomeTokens(law, seed))
            {
                double[] noises =
                [
                    0, Math.BitDecrement(1.0), 1, stream.NextDouble(),
                    BetaNoise.Sample(0.3, stream), BetaNoise.Sample(0.01, stream), BetaNoise.Sample(4, stream),
                ];
                foreach (var noise in noises)
                {
                    if (!draw(token, law, noise, out var u))
                    {
                        reported++;
                        continue;
                    }

                    drawn++;
                    var onGrid = u * Cell.Grid == Math.Floor(u * Cell.Grid);
                    wrong += u is >= 0 and < 1 && onGrid && Pick.Token(u, law) == token ? 0 : 1;
                }
            }
        }

        return (wrong, drawn, reported);
    }

    private static IEnumerable<int> SomeTokens(float[] law, int seed)
    {
        var random = new RandomStream((ulong)seed, "tokens");
        var possible = Enumerable.Range(0, law.Length).Where(id => law[id] > 0).ToArray();
        return Enumerable.Range(0, Math.Min(12, possible.Length)).Select(_ => possible[random.NextInt(possible.Length)]);
    }

    private static bool UnguardedCast(int token, float[] law, double noise, out float u)
    {
        var cell = Cell.Of(token, law);
        u = MathF.Round((float)(cell.Left + noise * cell.Width) * Cell.Grid) / Cell.Grid;
        return true;
    }

    private static bool Reversed(int token, float[] law, double noise, out float u) =>
        Cell.TryDraw(Math.Min(token + 1, law.Length - 1), law, noise, out u);
}
