// What bends the laws of independent slots by the u of tokens before them, as drafters see it.
//   P_k known alone  ->  P(t_k | u_<k), all slots at once
// Refuses: nothing; its implementations say what they need.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;

namespace Ptp.Core.Heads;

/// <summary>Slots of one or more drafts, run by run, in memory of their owner.</summary>
/// <param name="hidden">Hidden states, [R, D].</param>
/// <param name="logits">Their own logits, [R, V].</param>
/// <param name="known">The text's tokens 1, 2, ... places before each slot's own, [History * R]; read where no slot stands.</param>
/// <param name="slotOf">Each row's place behind the token that is known, [R]; -1 for that token's own slot.</param>
/// <param name="u">Numbers that pick each slot's own token, [R * numbers per token].</param>
/// <param name="before">Numbers that picked the token before each slot's own, [R * numbers per token].</param>
public readonly ref struct FlowSlots(
    Variable hidden, Variable logits, ReadOnlySpan<int> known, ReadOnlySpan<int> slotOf, ReadOnlySpan<float> u, ReadOnlySpan<float> before)
{
    /// <summary>Hidden states, [R, D].</summary>
    public Variable Hidden { get; } = hidden;

    /// <summary>Their own logits, [R, V].</summary>
    public Variable Logits { get; } = logits;

    /// <summary>The text's tokens before each slot's own, [History * R].</summary>
    public ReadOnlySpan<int> Known { get; } = known;

    /// <summary>Each row's place in its run, [R]: the token i places before is a slot's pick if i is at most this.</summary>
    public ReadOnlySpan<int> SlotOf { get; } = slotOf;

    /// <summary>Numbers that pick each slot's own token, [R * numbers per token].</summary>
    public ReadOnlySpan<float> U { get; } = u;

    /// <summary>Numbers that picked the token before each slot's own, [R * numbers per token].</summary>
    public ReadOnlySpan<float> Before { get; } = before;
}

/// <summary>Laws of slots given earlier u.</summary>
public interface ISlotLaws
{
    /// <summary>The network whose slots it bends.</summary>
    Transformer Network { get; }

    /// <summary>From logits to laws.</summary>
    SamplingOptions Sampling { get; }

    /// <summary>Tokens of the text that a slot reads.</summary>
    int History { get; }

    /// <summary>Computes the laws of all slots.</summary>
    void Read(Tape tape, FlowSlots slots);

    /// <summary>The law of a row of the last <see cref="Read"/>, [V]; valid until the next one is asked for.</summary>
    ReadOnlySpan<float> Law(int row);
}
