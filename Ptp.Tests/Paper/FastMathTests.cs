// FastMath.Exp against Math.Exp in double, and its widths against each other, bit for bit.
// Negative control: MathF.Exp gives other bits than ours, so the equality of widths is not trivial.
// 400,000 arguments for the error bound, 64,000 for the widths, all seeded.

using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;
using Xunit;

namespace Ptp.Tests.Paper;

public sealed class FastMathTests
{
    [Fact]
    public void Exp_is_within_1_1_ulp()
    {
        var worst = 0.0;
        var worstAt = 0f;
        void Check(float x)
        {
            var exact = Math.Exp(x);
            var ulp = MathF.BitIncrement((float)exact) - (double)(float)exact;
            if ((float)exact > exact && MathF.ILogB((float)exact) > Math.ILogB(exact))
            {
                ulp /= 2;
            }

            var error = Math.Abs(FastMath.Exp(x) - exact) / ulp;
            if (!(error <= worst))
            {
                (worst, worstAt) = (error, x);
            }
        }

        for (var i = 0; i <= 350_000; i++)
        {
            Check((float)(-87 + i * (175.0 / 350_000)));
        }

        var random = new Random(1);
        for (var i = 0; i < 50_000; i++)
        {
            Check((float)Math.Pow(2, -random.NextDouble() * 30) * (random.Next(2) * 2 - 1));
        }

        Assert.True(worst <= 1.1, $"{worst} ulp at {worstAt:R}");
    }

    [Fact]
    public void Silu_is_within_1_1_ulp_where_its_plain_formula_is_not()
    {
        var (worst, plain) = (0.0, 0.0);
        for (var i = 0; i <= 3_500_000; i++)
        {
            var x = (float)(-87 + i * (175.0 / 3_500_000));
            var exact = x / (1 + Math.Exp(-(double)x));
            var magnitude = MathF.Abs((float)exact);
            var ulp = MathF.BitIncrement(magnitude) - (double)magnitude;
            worst = Math.Max(worst, Math.Abs(FastMath.Silu(x) - exact) / ulp);
            plain = Math.Max(plain, Math.Abs(x / (1f + FastMath.Exp(-x)) - exact) / ulp);
        }

        Assert.True(worst <= 1.1, $"{worst} ulp");
        Assert.True(plain > 1.5, "the control must round off more");
    }

    [Fact]
    public void Gates_keep_their_limits_and_give_the_same_bits_at_every_width()
    {
        float[] limits = [0f, -0f, float.NegativeInfinity, float.MinValue, 88.5f, float.MaxValue, float.NaN];
        float[] silu = [0f, -0f, FastMath.Silu(-87f), FastMath.Silu(-87f), 88.5f, float.MaxValue, float.NaN];
        float[] sigmoid = [0.5f, 0.5f, FastMath.Sigmoid(-87f), FastMath.Sigmoid(-87f), 1f, 1f, float.NaN];
        Assert.InRange(FastMath.Silu(-87f), -1.5e-36f, -1.4e-36f);
        for (var i = 0; i < limits.Length; i++)
        {
            Assert.Equal(silu[i], FastMath.Silu(limits[i]));
            Assert.Equal(sigmoid[i], FastMath.Sigmoid(limits[i]));
        }

        var random = new Random(3);
        var lanes = new float[16];
        for (var round = 0; round < 4_000; round++)
        {
            for (var i = 0; i < 16; i++)
            {
                lanes[i] = round % 2 == 0
                    ? (float)(random.NextDouble() * 180 - 90)
                    : BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
            }

            var x = Vector512.Create(lanes);
            var (wide, half, gates) = (FastMath.Silu(x), FastMath.Silu(x.GetLower()), FastMath.Sigmoid(x));
            var below = -Vector512.Abs(x);
            var (exp, expWide, expHalf) = (FastMath.Exp(below), FastMath.ExpBelowZero(below), FastMath.ExpBelowZero(below.GetLower()));
            for (var i = 0; i < 16; i++)
            {
                Assert.True(Same(FastMath.Silu(lanes[i]), wide[i]) && Same(wide[i % 8], half[i % 8]), $"silu of {lanes[i]:R}");
                Assert.True(Same(FastMath.Sigmoid(lanes[i]), gates[i]), $"sigmoid of {lanes[i]:R}");
                Assert.True(Same(exp[i], expWide[i]) && Same(exp[i % 8], expHalf[i % 8]), $"exp of {below[i]:R}");
            }
        }
    }

    [Fact]
    public void Every_width_gives_the_same_bits()
    {
        var random = new Random(2);
        var differsFromMathF = 0;
        for (var round = 0; round < 4_000; round++)
        {
            var x = new float[16];
            for (var i = 0; i < 16; i++)
            {
                x[i] = (round % 4) switch
                {
                    0 => (float)(random.NextDouble() * 180 - 90),
                    1 => (float)(random.NextDouble() * -30),
                    2 => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
                    _ => Special(random, i),
                };
            }

            var wide = Vector512.Create(x);
            var y = FastMath.Exp(wide);
            var half = FastMath.Exp(wide.GetLower());
            for (var i = 0; i < 16; i++)
            {
                var one = FastMath.Exp(x[i]);
                Assert.True(Same(one, y[i]), $"512 differs at {x[i]:R}");
                Assert.True(i >= 8 || Same(one, half[i]), $"256 differs at {x[i]:R}");
                differsFromMathF += Same(one, MathF.Exp(x[i])) ? 0 : 1;
            }
        }

        Assert.True(differsFromMathF > 100, "the control must see differences");

        static float Special(Random random, int i) => i switch
        {
            0 => float.NaN,
            1 => float.PositiveInfinity,
            2 => float.NegativeInfinity,
            3 => FastMath.ExpLowest,
            4 => MathF.BitDecrement(FastMath.ExpLowest),
            5 => FastMath.ExpHighest,
            6 => MathF.BitIncrement(FastMath.ExpHighest),
            7 => 0f,
            8 => float.MinValue,
            9 => float.MaxValue,
            10 => BitConverter.Int32BitsToSingle(0x7f800000 | random.Next(1, 1 << 23)),
            _ => (float)(-87.336544 + random.NextDouble() * 1e-4 - 5e-5),
        };
    }

    // Every float around both ends of the range, where each width has its own way to overflow and to flush.
    [Fact]
    public void Every_width_ends_at_the_same_float()
    {
        foreach (var (from, to) in new[] { (88.7f, 90f), (-87.3f, -87.4f) })
        {
            for (var x = from; from < to ? x < to : x > to; x = MathF.CopySign(MathF.BitIncrement(MathF.Abs(x)), x))
            {
                var one = FastMath.Exp(x);
                Assert.True(Same(one, FastMath.Exp(Vector512.Create(x))[5]) && Same(one, FastMath.Exp(Vector256.Create(x))[5]), $"exp of {x:R}");
            }
        }
    }

    [Fact]
    public void The_ends_are_zero_infinity_and_nan()
    {
        Assert.Equal(0f, FastMath.Exp(float.NegativeInfinity));
        Assert.Equal(0f, FastMath.Exp(-87.34f));
        Assert.Equal(1f, FastMath.Exp(0f));
        Assert.Equal(1f, FastMath.Exp(-0f));
        Assert.True(FastMath.Exp(FastMath.ExpLowest) >= 1.17549435e-38f);
        Assert.True(FastMath.Exp(FastMath.ExpLowest) < 1.1756e-38f);
        Assert.True(float.IsFinite(FastMath.Exp(FastMath.ExpHighest)));
        Assert.Equal(float.PositiveInfinity, FastMath.Exp(88.73f));
        Assert.Equal(float.PositiveInfinity, FastMath.Exp(float.PositiveInfinity));
        Assert.True(float.IsNaN(FastMath.Exp(float.NaN)));
    }

    // Four vectors side by side, of either width (the machine may lack it): 2,000 rounds of numbers of every kind.
    [Fact]
    public void Four_vectors_have_the_bits_of_each()
    {
        FourVectorsHaveTheBitsOfEach<Vector256<float>, Lanes256>();
        FourVectorsHaveTheBitsOfEach<Vector512<float>, Lanes512>();
    }

    private static unsafe void FourVectorsHaveTheBitsOfEach<TVector, TLanes>()
        where TVector : struct
        where TLanes : struct, ILanes<TVector>
    {
        var random = new Random(4);
        var count = FourVectors<TVector, TLanes>.Count;
        float* x = stackalloc float[count], y = stackalloc float[count];
        for (var round = 0; round < 2_000; round++)
        {
            for (var i = 0; i < count; i++)
            {
                x[i] = (round % 3) switch
                {
                    0 => (float)(random.NextDouble() * 180 - 90),
                    1 => (float)(random.NextDouble() * -30),
                    _ => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)),
                };
            }

            var all = FourVectors<TVector, TLanes>.Load(x);
            Each(FastMath.Exp(all), value => FastMath.Exp(value), "exp");
            Each(FastMath.Silu(all), value => FastMath.Silu(value), "silu");
            Each(FastMath.Sigmoid(all), value => FastMath.Sigmoid(value), "sigmoid");
            for (var i = 0; i < count; i++)
            {
                x[i] = -MathF.Abs(x[i]);
            }

            Each(FastMath.ExpBelowZero(FourVectors<TVector, TLanes>.Load(x)), value => FastMath.Exp(value), "exp below zero");

            void Each(FourVectors<TVector, TLanes> found, Func<float, float> expected, string name)
            {
                found.Store(y);
                for (var i = 0; i < count; i++)
                {
                    Assert.True(Same(expected(x[i]), y[i]), $"{name} of {x[i]:R}: {y[i]:R}");
                }
            }
        }
    }

    private static bool Same(float a, float b) =>
        BitConverter.SingleToInt32Bits(a) == BitConverter.SingleToInt32Bits(b) || (float.IsNaN(a) && float.IsNaN(b));
}
