// Mask slots with a low-rank Markov head (DSpark, arXiv 2607.05147): what was drafted just before moves a slot's logits.
//   logits_l = Head n(h_l) + B A[t_{l-1}],  A [V, r], B [V, r];   everything else is computed once per block
// The cheapest dependence between slots: two small tables. B is zero at first. Refuses: the confidence head and the RNN form.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>DSpark's slots.</summary>
public sealed class DSpark : MaskSlots
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "dspark";

    private readonly Parameter _before; // A, [V, r]
    private readonly Parameter _after; // B, [V, r]

    /// <summary>Slots with random vectors and a Markov head of zero effect, of rank <see cref="HeadOptions.Width"/>.</summary>
    public DSpark(Transformer network, HeadOptions options)
        : base(network, options, apart: false)
    {
        var vocabulary = network.Config.VocabularySize;
        _before = Matrix("markov.before", vocabulary, options.Width, gain: 0);
        Initialise.Gaussian(_before, new RandomStream(options.Seed, "markov"), 0.3);
        _after = Matrix("markov.after", vocabulary, options.Width, gain: 0);
    }

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. base.Parameters, _before, _after];

    /// <inheritdoc/>
    public override Variable Logits(Tape tape, Variable hidden, int[] before)
    {
        var logits = Network.Logits(tape, hidden);
        var vectors = tape.Empty(before.Length, _before.Value.Columns);
        tape.Embedding(_before, before, vectors);
        tape.MatMul(vectors, _after, logits, accumulate: true);
        return logits;
    }
}
