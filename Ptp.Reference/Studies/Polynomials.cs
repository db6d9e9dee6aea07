// Arithmetic of polynomials over a prime field, cut off at a power: the second task of Gloeckle et al. (2024).
//   F_p[X] / (X^K): negation, sum, product and composition; a text is "( a o b ) = c", elements written as K digits, lowest power first
// Expressions are random trees of m operators over random elements. Refuses: primes or lengths that are none.

using Ptp.Core;
using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Reference.Studies;

/// <summary>The ring and its texts.</summary>
/// <param name="prime">p.</param>
/// <param name="length">K, digits of an element.</param>
public sealed class Polynomials(int prime, int length)
{
    private const int Operators = 4;

    /// <summary>The token before every text.</summary>
    public int Begin => prime;

    /// <summary>V: digits, begin, two brackets, equals and four operators.</summary>
    public int Vocabulary => prime + 4 + Operators;

    private int Open => prime + 1;

    private int Close => prime + 2;

    private int EqualsSign => prime + 3;

    /// <summary>-a, [K].</summary>
    public int[] Negate(int[] a) => [.. a.Select(digit => (prime - digit) % prime)];

    /// <summary>a + b, [K].</summary>
    public int[] Add(int[] a, int[] b) => [.. a.Zip(b, (x, y) => (x + y) % prime)];

    /// <summary>a b, powers from K on cut off, [K].</summary>
    public int[] Multiply(int[] a, int[] b)
    {
        var product = new int[length];
        for (var i = 0; i < length; i++)
        {
            for (var j = 0; i + j < length; j++)
            {
                product[i + j] = (product[i + j] + a[i] * b[j]) % prime;
            }
        }

        return product;
    }

    /// <summary>a(b(X)), powers from K on cut off, by Horner's rule, [K].</summary>
    public int[] Compose(int[] a, int[] b)
    {
        var value = new int[length];
        for (var i = length - 1; i >= 0; i--)
        {
            value = Multiply(value, b);
            value[0] = (value[0] + a[i]) % prime;
        }

        return value;
    }

    /// <summary>A text of m operators: the expression is its prompt, the answer its targets.</summary>
    /// <param name="random">Its stream.</param>
    /// <param name="operators">m.</param>
    public Completion Text(RandomStream random, int operators)
    {
        Guard.Require(prime is >= 2 and <= 97 && length is >= 1 and <= 16 && operators >= 0, "Write an expression",
            $"{operators} operators over F_{prime} of {length} digits", "a prime to 97, 1 to 16 digits, no negative count", "Correct the sizes.");
        var tokens = new List<int> { Begin };
        var value = Write(random, operators, tokens);
        tokens.Add(EqualsSign);
        return new Completion([.. tokens, .. value], tokens.Count, MultiTokenModels.NoU);
    }

    /// <summary>Tokens of the longest text of m operators.</summary>
    public int Longest(int operators) => 2 + length + operators * (length + 3) + length;

    private int[] Write(RandomStream random, int operators, List<int> tokens)
    {
        if (operators == 0)
        {
            int[] element = [.. Enumerable.Range(0, length).Select(_ => random.NextInt(prime))];
            tokens.AddRange(element);
            return element;
        }

        var kind = random.NextInt(Operators);
        tokens.Add(Open);
        if (kind == 0)
        {
            tokens.Add(Sign(kind));
            var inner = Negate(Write(random, operators - 1, tokens));
            tokens.Add(Close);
            return inner;
        }

        var before = random.NextInt(operators);
        var left = Write(random, before, tokens);
        tokens.Add(Sign(kind));
        var right = Write(random, operators - 1 - before, tokens);
        tokens.Add(Close);
        return kind switch { 1 => Add(left, right), 2 => Multiply(left, right), _ => Compose(left, right) };
    }

    private int Sign(int kind) => prime + 4 + kind;
}
