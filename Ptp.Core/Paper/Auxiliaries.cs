// The auxiliary numbers u, addressed by position: u(g, j) = f(seed, g, j), the j-th number of token g.
// Counter-based, hence prefix-stable: any number can be asked for in any order, any number of times.
// Refuses: indices below zero, j beyond the width, given values outside [0, 1) or past their end.

namespace Ptp.Core.Paper;

/// <summary>All the randomness of a text: equal auxiliaries, equal tokens.</summary>
[Paper("Auxiliary variables")]
public abstract class Auxiliaries
{
    /// <summary>Numbers per token.</summary>
    public abstract int Width { get; }

    /// <summary>The seed they all follow from, or null for given numbers.</summary>
    public virtual ulong? Seed => null;

    /// <summary>The j-th number of token g: a float in [0, 1).</summary>
    /// <param name="g">Index of the token, counted from the first generated one.</param>
    /// <param name="j">Index of the number, below <see cref="Width"/>.</param>
    public abstract float At(long g, int j);

    /// <summary>All numbers of token g.</summary>
    /// <param name="g">Index of the generated token.</param>
    /// <param name="numbers">Receives u_g[0], u_g[1], ...</param>
    public void Fill(long g, Span<float> numbers)
    {
        for (var j = 0; j < numbers.Length; j++)
        {
            numbers[j] = At(g, j);
        }
    }

    /// <summary>Endless numbers, multiples of 2^-24, from a seed.</summary>
    /// <param name="seed">Any word.</param>
    /// <param name="width">Numbers per token.</param>
    public static Auxiliaries FromSeed(ulong seed, int width = 1)
    {
        RequireWidth(width);
        return new Seeded(seed, width);
    }

    /// <summary>Given numbers.</summary>
    /// <param name="u">Numbers in [0, 1), those of a token side by side.</param>
    /// <param name="width">Numbers per token.</param>
    public static Auxiliaries FromValues(IReadOnlyList<float> u, int width = 1)
    {
        ArgumentNullException.ThrowIfNull(u);
        RequireWidth(width);
        foreach (var value in u)
        {
            Guard.UnitInterval(value, "Take given auxiliaries");
        }

        return new Given([.. u], width);
    }

    private static void RequireWidth(int width) => Guard.Require(
        width >= 1, "Make auxiliaries", $"{width} numbers per token", "at least 1",
        "Ask the pick rule: PickRule.NumbersPerToken.");

    private void RequireIndex(long g, int j)
    {
        if (g < 0 || (uint)j >= (uint)Width)
        {
            throw new PtpException(
                "Look up an auxiliary", $"token {g}, number {j}", $"a token of at least 0 and a number below {Width}",
                "Make the auxiliaries as wide as the pick rule needs.");
        }
    }

    private sealed class Seeded(ulong seed, int width) : Auxiliaries
    {
        private const ulong TokenGamma = 0x9e3779b97f4a7c15;
        private const ulong NumberGamma = 0xd1342543de82ef95;
        private readonly ulong _first = RandomStream.Mix(seed + TokenGamma);
        private readonly ulong _second = RandomStream.Mix(RandomStream.Mix(seed + TokenGamma) + NumberGamma);

        public override int Width { get; } = width;

        public override ulong? Seed => seed;

        public override float At(long g, int j)
        {
            RequireIndex(g, j);
            var bits = RandomStream.Mix(_first + (ulong)g * TokenGamma);
            bits = RandomStream.Mix((bits ^ _second) + (ulong)j * NumberGamma);
            return (bits >> 40) * (1f / Cell.Grid);
        }
    }

    private sealed class Given(float[] u, int width) : Auxiliaries
    {
        public override int Width => width;

        public override float At(long g, int j)
        {
            RequireIndex(g, j);
            return g < u.Length / width ? u[g * width + j] : throw new PtpException(
                "Look up an auxiliary", $"token {g}", $"a token below {u.Length / width}, the numbers given",
                "Give more numbers, ask for fewer tokens, or use Auxiliaries.FromSeed.");
        }
    }
}
