// What a verification rule gets to see of one draft token: the token, the verifier's law at its place, u's own choice.
// Laws are views into the decoder's memory, so a trial lives as long as the question it asks.
// Refuses: nothing. Fresh randomness comes from the decoder's own dice, never from u.

namespace Ptp.Core.Decoding.Verification;

/// <summary>One draft token before its verifier.</summary>
public readonly ref struct Trial
{
    /// <summary>x, the draft token.</summary>
    public required int Token { get; init; }

    /// <summary>Its place in the draft, counted from 0; a first token that is known counts.</summary>
    public int Place { get; init; }

    /// <summary>p, the sampling law after all draft tokens before this one, [V].</summary>
    public required ReadOnlySpan<float> Law { get; init; }

    /// <summary>The same at temperature 1 without truncation, [V]; empty unless the rule reads it.</summary>
    public ReadOnlySpan<float> RawLaw { get; init; }

    /// <summary>Pick(u, p): what plain decoding would commit here.</summary>
    public required int Picked { get; init; }

    /// <summary>u, the first number of the token's auxiliaries.</summary>
    public float U { get; init; }

    /// <summary>q(x), what the drafter gives its token.</summary>
    public float Confidence { get; init; }

    /// <summary>What is left of p without the siblings refused before, [V], sum 1; empty unless the rule reads it.</summary>
    public ReadOnlySpan<double> Rest { get; init; }

    /// <summary>The law q that x was drawn from, without its earlier siblings, [V], sum 1; empty if x is a point mass.</summary>
    public ReadOnlySpan<double> Proposal { get; init; }

    /// <summary>Fresh randomness, independent of u.</summary>
    public required Dice Dice { get; init; }
}
