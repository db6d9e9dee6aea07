// EAGLE's way of drafting: one block that turns the base's feature of a row and the NEXT token into the feature of the next row.
//   o_i = block(f_i, t_{i+1}) for the committed text, f from the base;   then f of a draft row is the output before it
// The shifted token resolves what sampling left open. EAGLE-1 and -3 say what f and the block are. Refuses: nothing of its own.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>An autoregressive drafter of features.</summary>
public abstract class FeatureDrafter : DraftHead
{
    private protected FeatureDrafter(Transformer network, HeadOptions options)
        : base(network, options)
    {
    }

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new FeatureSteps(this);

    /// <summary>Features of the base's rows, [R, D].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="states">Hidden states of the base, one [R, D] per entry of <see cref="DraftHead.Layers"/>.</param>
    public abstract Variable Features(Tape tape, IReadOnlyList<Variable> states);

    /// <summary>Outputs, [R, D], from features [R, D] and the tokens behind their rows, [R].</summary>
    public abstract Variable Run(Tape tape, Variable features, int[] tokens, CallRows rows);

    /// <summary>Laws behind outputs, logits [R, V].</summary>
    public abstract Variable Logits(Tape tape, Variable outputs);
}

/// <summary>
/// The committed text stands in a cache of the drafter's own, made from the base's features; draft nodes see it and their ancestors.
/// </summary>
internal sealed class FeatureSteps(FeatureDrafter head) : HeadSteps
{
    private readonly KvCache _cache = new(head.Network.Backend, head.Network.Config with { Layers = 1 }, head.Network.Config.MaxContext);
    private readonly SeenTokens _seen = new();
    private readonly List<Tensor?> _outputs = []; // node -> [1, D]
    private ModelSession? _session;
    private int _rows; // rows that the base has run

    /// <inheritdoc/>
    public override int Slots => head.Slots;

    /// <inheritdoc/>
    public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
    {
        (_session, _rows) = (session, session.Cache.Length);
        var tape = session.Tape;
        tape.Reset();
        // Row i reads token i + 1 too. The last row is run in any case: its output is the root's.
        var first = Math.Min(Math.Max(0, _seen.Common(session.Tokens) - 1), Math.Min(_cache.Length, _rows - 1));
        _cache.Crop(first);
        int[] places = [.. Enumerable.Range(first, _rows - first)];
        Variable[] states = [.. head.Layers.Select(layer => new Variable(session.Cache.States(layer)!.Slice(first, places.Length), null))];
        var call = new CallRows(places, Visibility.Causal(first, places.Length), _cache, places);
        var outputs = head.Run(tape, head.Features(tape, states), [.. places.Select(i => session.Tokens[i + 1])], call);
        _cache.Append(places.Length);
        session.Stats.AddCall(places.Length, ofDrafter: true);
        _outputs.Clear();
        _outputs.Add(outputs.Value.Slice(places.Length - 1, 1));
        return null;
    }

    /// <inheritdoc/>
    public override Tensor Laws(DraftNodes nodes, int[] which)
    {
        var (tape, backend) = (_session!.Tape, head.Network.Backend);
        while (_outputs.Count < nodes.Count)
        {
            _outputs.Add(null);
        }

        if (nodes.Depth(which[0]) > 0)
        {
            int[] rows = nodes.WithAncestors(which);
            var features = tape.Empty(rows.Length, head.Network.Config.HiddenSize, needsGradient: false);
            for (var row = 0; row < rows.Length; row++)
            {
                backend.Copy(_outputs[nodes.Parent(rows[row])]!, features.Value.Slice(row, 1));
            }

            int[] positions = [.. rows.Select(node => _rows - 1 + nodes.Depth(node))];
            var call = new CallRows(positions, nodes.AddTo(new Visibility(), rows, _rows), _cache);
            var run = head.Run(tape, features, [.. rows.Select(nodes.Token)], call);
            _session.Stats.AddCall(rows.Length, ofDrafter: true);
            for (var row = 0; row < rows.Length; row++)
            {
                _outputs[rows[row]] = run.Value.Slice(row, 1);
            }
        }

        var last = tape.Empty(which.Length, head.Network.Config.HiddenSize, needsGradient: false);
        for (var row = 0; row < which.Length; row++)
        {
            backend.Copy(_outputs[which[row]]!, last.Value.Slice(row, 1));
        }

        return head.Logits(tape, last).Value;
    }
}
