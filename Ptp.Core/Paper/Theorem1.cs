// Theorem 1, executed: t_k = f(t_<i; u_i .. u_k), by unrolling t_j = Pick(u_j, P(. | t_<j)) for j = i .. k.
// Any next-token law will do. Nothing later than u_k enters, which the order of the loop shows.
// Not here: speed. Decoders must give the same tokens in fewer calls of the model.

namespace Ptp.Core.Paper;

/// <summary>The law of the next token: reads the tokens so far, writes probabilities, [V].</summary>
/// <param name="tokens">All tokens so far.</param>
/// <param name="law">Receives the probabilities, [V].</param>
public delegate void NextTokenLaw(ReadOnlySpan<int> tokens, Span<float> law);

/// <summary>Context and auxiliaries determine the text.</summary>
[Paper("Theorem 1")]
public static class Theorem1
{
    /// <summary>The tokens t_i .. t_k.</summary>
    /// <param name="context">t_&lt;i, the tokens before.</param>
    /// <param name="u">u_i .. u_k, one number in [0, 1) per token wanted.</param>
    /// <param name="next">The law of the next token.</param>
    /// <param name="vocabularySize">V.</param>
    public static int[] Tokens(
        ReadOnlySpan<int> context, ReadOnlySpan<float> u, NextTokenLaw next, int vocabularySize)
    {
        ArgumentNullException.ThrowIfNull(next);
        var law = new float[vocabularySize];
        var tokens = new int[context.Length + u.Length];
        context.CopyTo(tokens);
        for (var k = 0; k < u.Length; k++)
        {
            next(tokens.AsSpan(0, context.Length + k), law);
            tokens[context.Length + k] = Pick.Token(u[k], law);
        }

        return tokens[context.Length..];
    }
}
