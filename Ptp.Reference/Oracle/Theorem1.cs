// Theorems 1 and 2, executable: the tokens t_i..t_k are a function of the context and of u_i..u_k, and of nothing else.
// Source: t_k = f_P(t_(<i); u_i..u_k), and P(t_k | t_(<i), u_i..u_(k-1)) = P(t_k | t_(<k)).
// Refuses: what ScalarPick refuses. Not here: sampling, stop tokens (ReferenceDecoders).

namespace Ptp.Reference.Oracle;

/// <summary>The law of the next token, [V], after a whole prefix.</summary>
public delegate double[] ScalarNextLaw(int[] prefix);

/// <summary>The function f_P of Theorem 1, by recursion on the first unknown token.</summary>
public static class Theorem1
{
    /// <summary>
    /// t_i..t_k. The first token uses u_i alone; the rest is the same function of the context grown by it.
    /// </summary>
    public static int[] Tokens(ScalarNextLaw law, int[] context, double[] u)
    {
        if (u.Length == 0)
        {
            return [];
        }

        var first = ScalarPick.Token(u[0], law(context));
        return [first, .. Tokens(law, [.. context, first], u[1..])];
    }

    /// <summary>
    /// Theorem 2: the law of t_k given the context and u_i..u_(k-1). The auxiliaries stand for the tokens they decide.
    /// </summary>
    public static double[] LawGiven(ScalarNextLaw law, int[] context, double[] u) =>
        law([.. context, .. Tokens(law, context, u)]);
}
