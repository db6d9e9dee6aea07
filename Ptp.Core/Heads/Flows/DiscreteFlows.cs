// Flows of whole numbers: permutations of states, so densities need no determinant and inverses are equal to the bit.
//   modular (Tran 2019): y_i = (mu(x_<i) + sigma(x_<i) x_i) mod V, sigma coprime with V;   integer (Hoogeboom 2019): y_B = x_B + round t(x_A)
// Who computes mu, sigma and t is the caller's affair. Refuses: states outside 0 to V - 1, a sigma that shares a factor with V.

using System.Globalization;

namespace Ptp.Core.Heads.Flows;

/// <summary>mu and sigma of a state.</summary>
/// <param name="Shift">mu, any whole number.</param>
/// <param name="Scale">sigma, coprime with V.</param>
public readonly record struct ModularStep(int Shift, int Scale);

/// <summary>Reads the states before one, x_&lt;i; says what happens to it.</summary>
/// <param name="before">[i].</param>
public delegate ModularStep ModularConditioner(ReadOnlySpan<int> before);

/// <summary>An autoregressive permutation of {0..V-1}^D: done in one pass, undone in D steps.</summary>
/// <param name="states">V.</param>
/// <param name="conditioner">mu and sigma.</param>
public sealed class ModularFlow(int states, ModularConditioner conditioner)
{
    /// <summary>y of x, both [D].</summary>
    public void Forward(ReadOnlySpan<int> x, Span<int> y)
    {
        for (var i = 0; i < x.Length; i++)
        {
            var (shift, scale, _) = Step(x[..i]);
            y[i] = Wrap(shift + (long)scale * State(x[i]));
        }
    }

    /// <summary>x of y, both [D], one state after the other.</summary>
    public void InverseInSteps(ReadOnlySpan<int> y, Span<int> x)
    {
        for (var i = 0; i < y.Length; i++)
        {
            var (shift, _, back) = Step(x[..i]);
            x[i] = Wrap(back * Wrap(State(y[i]) - shift));
        }
    }

    private (long Shift, int Scale, long Back) Step(ReadOnlySpan<int> before)
    {
        var (shift, scale) = conditioner(before);
        scale = Wrap(scale);

        // Euclid: back * scale = 1 modulo V, if their greatest common divisor is one.
        long divisor = states, rest = scale, last = 0, back = 1;
        while (rest != 0)
        {
            (divisor, rest, last, back) = (rest, divisor % rest, back, last - divisor / rest * back);
        }

        Guard.Require(divisor == 1, "Apply a modular flow", $"a scale of {scale}", $"one without a common factor with {states}",
            "Take a prime number of states, or scales of 1.");
        return (shift, scale, Wrap(last));
    }

    private int State(int value) => (uint)value < (uint)states ? value : throw new PtpException(
        "Apply a modular flow", $"state {value.ToString(CultureInfo.InvariantCulture)}",
        $"a state from 0 to {(states - 1).ToString(CultureInfo.InvariantCulture)}", "Make the flow for as many states as there are.");

    private int Wrap(long value) => (int)((value % states + states) % states);
}

/// <summary>Reads the numbers that pass unchanged; the others are zero.</summary>
/// <param name="kept">[D].</param>
/// <param name="shifts">Receives t, [D]; entries of numbers that pass unchanged are not read.</param>
public delegate void IntegerConditioner(ReadOnlySpan<int> kept, Span<double> shifts);

/// <summary>A coupling of whole numbers, undone in one pass. Sums wrap around as the machine's do, which is a bijection still.</summary>
/// <param name="kept">True for numbers that pass unchanged, [D].</param>
/// <param name="conditioner">t.</param>
public sealed class IntegerCoupling(bool[] kept, IntegerConditioner conditioner)
{
    /// <summary>y of x, both [D].</summary>
    public void Forward(ReadOnlySpan<int> x, Span<int> y) => Apply(x, y, 1);

    /// <summary>x of y, both [D].</summary>
    public void Inverse(ReadOnlySpan<int> y, Span<int> x) => Apply(y, x, -1);

    private void Apply(ReadOnlySpan<int> from, Span<int> to, int sign)
    {
        var seen = new int[from.Length];
        var shifts = new double[from.Length];
        for (var i = 0; i < seen.Length; i++)
        {
            seen[i] = kept[i] ? from[i] : 0;
        }

        conditioner(seen, shifts);
        for (var i = 0; i < seen.Length; i++)
        {
            to[i] = kept[i] ? from[i] : unchecked(from[i] + sign * (int)Math.Round(shifts[i]));
        }
    }
}
