// Heads whose laws depend on the text alone: what independent heads have in common while decoding.
//   law of t_{g+k} = head_k(state of the last cached row): all K at once, whatever is drafted before them
// The state is of the row before the root, as the verifying call of the last round has left it. Refuses: nothing.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>A head of K independent laws per row.</summary>
public abstract class IndependentHeads : DraftHead
{
    private protected IndependentHeads(Transformer network, HeadOptions options)
        : base(network, options)
    {
    }

    /// <summary>Logits of head <paramref name="k"/>, [R, V]: for rows i, the law of t_{i+k+2}.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="states">Hidden states of the base behind <see cref="DraftHead.Layers"/>, [R, D].</param>
    /// <param name="k">0 to K - 1.</param>
    /// <param name="rows">Positions, visibility and cache of the rows, for heads that attend.</param>
    public abstract Variable Logits(Tape tape, Variable states, int k, CallRows rows);

    /// <summary>True if heads attend to earlier rows, and so keep keys and values of their own.</summary>
    public virtual bool Attends => false;

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new IndependentSteps(this);

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (loss, weight) = (0.0, 0.0);
        for (var k = 0; k < Slots; k++)
        {
            var (own, count) = LossOf(tape, batch, batch.States(Layers[0]), k);
            (loss, weight) = (loss + own, weight + count);
        }

        return (loss, weight);
    }

    /// <summary>Weight of head <paramref name="k"/> in the loss.</summary>
    internal virtual double WeightOf(int k) => 1;

    /// <summary>Loss of one head.</summary>
    private protected (double Loss, double Weight) LossOf(Tape tape, HeadBatch batch, Variable states, int k) =>
        Judge(tape, Logits(tape, states, k, new CallRows(batch.Positions, batch.Visibility)), batch, k + 2, WeightOf(k));
}

/// <summary>Laws of independent heads; those that attend keep a cache each.</summary>
internal sealed class IndependentSteps : HeadSteps
{
    private readonly IndependentHeads _head;
    private readonly KvCache[] _caches;
    private readonly SeenTokens _seen = new();
    private Tensor? _logits; // [K, V]

    public IndependentSteps(IndependentHeads head)
    {
        _head = head;
        var config = head.Network.Config with { Layers = 1 };
        _caches = [.. Enumerable.Range(0, head.Attends ? head.Slots : 0).Select(_ => new KvCache(head.Network.Backend, config, config.MaxContext))];
    }

    /// <inheritdoc/>
    public override int Slots => _head.Slots;

    /// <inheritdoc/>
    public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
    {
        var (tape, last) = (session.Tape, session.Cache.Length);
        tape.Reset();
        var states = session.Cache.States(_head.Layers[0])!;
        // Row i of an attending head depends on tokens 0..i; the last row is always run, as its output is asked for.
        var first = _head.Attends ? Math.Min(Math.Min(_seen.Common(session.Tokens), _caches[0].Length), last - 1) : last - 1;
        var rows = new Variable(states.Slice(first, last - first), null);
        _logits = tape.Empty(count, _head.Network.Config.VocabularySize, needsGradient: false).Value;
        for (var k = 0; k < (_head.Attends ? _head.Slots : count); k++)
        {
            _caches.ElementAtOrDefault(k)?.Crop(first);
            int[] places = [.. Enumerable.Range(first, last - first)];
            var call = _head.Attends
                ? new CallRows(places, Visibility.Causal(first, places.Length), _caches[k], places)
                : new CallRows(places, Visibility.Causal(0, places.Length));
            var logits = _head.Logits(tape, rows, k, call).Value;
            _caches.ElementAtOrDefault(k)?.Append(places.Length);
            if (k < count)
            {
                tape.Backend.Copy(logits.Slice(logits.Rows - 1, 1), _logits.Slice(k, 1));
            }
        }

        return null;
    }

    /// <inheritdoc/>
    public override Tensor Laws(DraftNodes nodes, int[] which)
    {
        if (which.Length == 1)
        {
            return _logits!.Slice(nodes.Depth(which[0]), 1);
        }

        var rows = _head.Network.Backend.Allocate(which.Length, _logits!.Columns);
        _head.Network.Backend.Embedding(_logits, [.. which.Select(nodes.Depth)], rows);
        return rows;
    }
}

/// <summary>Which tokens a drafter's own cache was made from: it stays good for every text that begins with them.</summary>
internal sealed class SeenTokens
{
    private readonly List<int> _seen = [];

    /// <summary>Leading tokens that are as they were at the last call; remembers all of them.</summary>
    public int Common(List<int> tokens)
    {
        var common = 0;
        while (common < Math.Min(_seen.Count, tokens.Count) && _seen[common] == tokens[common])
        {
            common++;
        }

        _seen.RemoveRange(common, _seen.Count - common);
        _seen.AddRange(tokens.Skip(common));
        return common;
    }
}
