// Runs a flow head over the slots of one or more drafts: laws layer by layer, and between layers the tokens that u picks from them.
//   layer 0: picks of P_k;   layer l: picks of the law behind layer l;   a slot reads picks of slots before its own, and before those the text
// Used by drafting (one draft) and training (many runs). Refuses: other networks than the head's.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Core.Heads;

/// <summary>Memory for one head's picks.</summary>
public sealed class FlowPicks : ISlotLaws
{
    private readonly FlowHead _head;
    private readonly PickRule _rule;
    private readonly LogitsTransform _transform;
    private readonly float[] _law;
    private int[] _earlier = [];
    private int[] _picks = [];
    private readonly float[] _numbers; // of a spline
    private BentSlots _read;

    /// <summary>Prepares for a head.</summary>
    /// <param name="head">The head.</param>
    /// <param name="rule">How u picks.</param>
    public FlowPicks(FlowHead head, PickRule rule)
    {
        (_head, _rule) = (head, rule);
        _law = new float[head.Network.Config.VocabularySize];
        _numbers = new float[head.Spline?.Map.ParameterCount ?? 0];
        _transform = new LogitsTransform(head.Law, _law.Length);
    }

    /// <inheritdoc/>
    public Transformer Network => _head.Network;

    /// <inheritdoc/>
    public SamplingOptions Sampling => _head.Law;

    /// <inheritdoc/>
    public int History => _head.Size.History;

    /// <inheritdoc/>
    public void Read(Tape tape, FlowSlots slots) => _read = Run(tape, slots);

    /// <inheritdoc/>
    public ReadOnlySpan<float> Law(int row) => Law(_read, row);

    /// <summary>The law of a slot, [V]; valid until the next one is asked for. A row that is not finite gives the first token.</summary>
    public ReadOnlySpan<float> Law(BentSlots slots, int row)
    {
        _head.Network.Backend.Download(slots.Logits.Value.Slice(row, 1), _law);
        if (slots.Spline is { } spline)
        {
            _head.Network.Backend.Download(spline.Value.Slice(row, 1), _numbers);
        }

        if (TensorPrimitives.IsFiniteAll<float>(_law) && (slots.Spline is null || TensorPrimitives.IsFiniteAll<float>(_numbers)))
        {
            _transform.ToLaw(_law, _law);
            if (slots.Spline is not null)
            {
                _head.Spline!.Bend(_numbers, _law);
            }
        }
        else
        {
            // Weights can be anything; such a slot just drafts badly.
            _law.AsSpan().Clear();
            _law[0] = 1;
        }

        return _law;
    }

    /// <summary>The weighted sum of - log P of the slots' tokens; its gradient is recorded.</summary>
    /// <param name="tape">The pass, recording.</param>
    /// <param name="slots">Slots behind a layer.</param>
    /// <param name="targets">Tokens, [R].</param>
    /// <param name="weights">[R], or empty for ones. A token without a cell adds nothing under a spline.</param>
    public double Loss(Tape tape, BentSlots slots, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights)
    {
        if (slots.Spline is not { } spline)
        {
            // The loss turns logits into their gradient, but the next layer's picks need them: it works on a copy.
            var copy = tape.Empty(slots.Logits.Value.Rows, slots.Logits.Value.Columns);
            tape.Backend.Copy(slots.Logits.Value, copy.Value);
            var sum = tape.CrossEntropy(copy, targets, weights);
            tape.Seed(slots.Logits, copy.Value);
            return sum;
        }

        var (loss, gradient) = (0.0, new float[spline.Value.Length]);
        for (var row = 0; row < targets.Length; row++)
        {
            var weight = weights.IsEmpty ? 1 : weights[row];
            if (weight > 0)
            {
                var law = Law(slots with { Spline = null }, row);
                tape.Backend.Download(spline.Value.Slice(row, 1), _numbers);
                var log = _head.Spline!.LogProbability(targets[row], _numbers, law, -weight, gradient.AsSpan(row * _numbers.Length, _numbers.Length));
                loss -= double.IsFinite(log) ? weight * log : 0;
            }
        }

        tape.Seed(spline, gradient);
        return loss;
    }

    /// <summary>What each layer sees and says.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="slots">What is bent.</param>
    /// <param name="layer">Told of the slots behind every layer, in order.</param>
    /// <returns>Slots behind the last layer.</returns>
    public BentSlots Run(Tape tape, FlowSlots slots, Action<BentSlots>? layer = null)
    {
        var (rows, history) = (slots.Hidden.Value.Rows, _head.Size.History);
        if (_picks.Length < rows)
        {
            (_picks, _earlier) = (new int[rows], new int[rows * history]);
        }

        var (bent, width) = (new BentSlots(slots.Logits), slots.U.Length / Math.Max(1, rows));
        for (var l = 0; l < _head.Size.Layers; l++)
        {
            for (var row = 0; row < rows; row++)
            {
                _picks[row] = _rule.Pick(slots.U.Slice(row * width, width), Law(bent, row));
            }

            var earlier = _earlier.AsSpan(0, rows * history);
            for (var i = 0; i < history; i++)
            {
                for (var row = 0; row < rows; row++)
                {
                    earlier[i * rows + row] = slots.SlotOf[row] > i ? _picks[row - 1 - i] : slots.Known[i * rows + row];
                }
            }

            bent = _head.Bend(tape, l, slots.Hidden, slots.Logits, earlier);
            layer?.Invoke(bent);
        }

        return bent;
    }

    /// <summary>
    /// Numbers that make the head write a text, slot by slot: a slot's law depends on slots before it alone, whose numbers, and with them
    /// their picks at every layer, are known by then. All runs advance together. A token without a cell of its own keeps u = 0.
    /// </summary>
    /// <param name="slots">What is bent; its own u are not read.</param>
    /// <param name="tokens">The text, [R].</param>
    /// <param name="noise">Where in the cells.</param>
    /// <returns>Numbers, [R * numbers per token], and which tokens have a cell, [R].</returns>
    public (float[] U, bool[] Possible) Invert(FlowSlots slots, ReadOnlySpan<int> tokens, RandomStream noise)
    {
        var (count, layers, places) = (tokens.Length, _head.Size.Layers, noise.NextBits());
        var width = slots.U.Length / Math.Max(1, count);
        var (u, possible, picks) = (new float[count * width], new bool[count], new int[layers * count]);
        var (tape, slotOf) = (new Tape(Network.Backend), slots.SlotOf.ToArray());
        foreach (var group in Enumerable.Range(0, count).GroupBy(row => slotOf[row]).OrderBy(group => group.Key))
        {
            int[] rows = [.. group];
            tape.Reset();
            var (hidden, own) = (Gather(tape, slots.Hidden, rows), Gather(tape, slots.Logits, rows));
            var laws = new BentSlots[layers + 1];
            laws[0] = new BentSlots(own);
            for (var l = 0; l < layers; l++)
            {
                laws[l + 1] = _head.Bend(tape, l, hidden, own, Earlier(slots, rows, picks.AsSpan(l * count, count)));
            }

            for (var i = 0; i < rows.Length; i++)
            {
                var row = rows[i];
                var cell = u.AsSpan(row * width, width);
                var place = new RandomStream(places + (ulong)row, "place in the cell");
                possible[row] = _rule.TryDraw(tokens[row], Law(laws[layers], i), place, 1, cell);
                if (!possible[row])
                {
                    cell.Clear();
                }

                for (var l = 0; l < layers; l++)
                {
                    picks[l * count + row] = _rule.Pick(cell, Law(laws[l], i));
                }
            }
        }

        return (u, possible);
    }

    /// <summary>What rows of one slot read: picks of the slots before, and before those the text, [History * rows].</summary>
    private int[] Earlier(FlowSlots slots, int[] rows, ReadOnlySpan<int> picks)
    {
        var earlier = new int[History * rows.Length];
        for (var i = 0; i < History; i++)
        {
            for (var r = 0; r < rows.Length; r++)
            {
                var row = rows[r];
                earlier[i * rows.Length + r] = slots.SlotOf[row] > i ? picks[row - 1 - i] : slots.Known[i * slots.SlotOf.Length + row];
            }
        }

        return earlier;
    }

    private static Variable Gather(Tape tape, Variable all, int[] rows)
    {
        var some = tape.Empty(rows.Length, all.Value.Columns, needsGradient: false);
        tape.Backend.Embedding(all.Value, rows, some.Value);
        return some;
    }
}
