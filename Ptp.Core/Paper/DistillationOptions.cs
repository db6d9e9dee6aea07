// What a step of distillation learns from, and how much of it (PTP sections 3.1 to 3.3): loss, source of tokens, rows, weights.
//   weight of slot l: Gamma^l; a completion goes on to slot l + 1 with probability Continuation
// Refuses: nothing itself; Distillation refuses what does not fit its model.

namespace Ptp.Core.Paper;

/// <summary>What a slot is taught by.</summary>
public enum DistillationLoss
{
    /// <summary>-log P(t): the token (O-PTP; for C-PTP the hard form).</summary>
    CrossEntropy,

    /// <summary>The token, each entry of the vocabulary by its own yes or no. O-PTP only.</summary>
    BinaryCrossEntropy,

    /// <summary>KL(Q || P), the base's law at its temperature. C-PTP only.</summary>
    Divergence,

    /// <summary>KL(P || Q). C-PTP only.</summary>
    ReverseDivergence,
}

/// <summary>Whose tokens the slots learn on (PTP section 3.2): any sequence will do whose tokens are possible under the base.</summary>
public enum ProposalSource
{
    /// <summary>The texts given to the trainer: the base's own completions, or a dataset.</summary>
    Given,

    /// <summary>Their beginnings, continued by the slots as they are now.</summary>
    Student,
}

/// <summary>Sizes and weights of a distillation step.</summary>
public sealed record DistillationOptions
{
    /// <summary>What a slot is taught by; null = cross-entropy for O-PTP, forward divergence for C-PTP.</summary>
    public DistillationLoss? Loss { get; init; }

    /// <summary>Whose tokens.</summary>
    public ProposalSource Proposals { get; init; }

    /// <summary>
    /// b of Beta(b, b): u is drawn anew inside its token's cell at every step (1 = uniform). Null: the u that made the text. Tokens that
    /// did not come from known u, such as a dataset's, need it.
    /// </summary>
    public double? InferredU { get; init; }

    /// <summary>Tokens of context per step.</summary>
    public int ContextTokens { get; init; } = 640;

    /// <summary>Slot rows per step.</summary>
    public int SlotRows { get; init; } = 512;

    /// <summary>Weight of slot l is Gamma^l; 1 = all equal.</summary>
    public double Gamma { get; init; } = 1;

    /// <summary>
    /// A completion keeps slot l + 1 after slot l with this probability (from the second on): like Gamma, but late slots
    /// cost time only as often as they count. 1 = always all slots.
    /// </summary>
    public double Continuation { get; init; } = 1;

    /// <summary>Seed of the choice of texts and starts.</summary>
    public ulong Seed { get; init; } = 1;
}
