// A tree of C-PTP drafts: where Pick under a slot's law is unsure, the runners-up are drafted too. Best first: the node with the
// likeliest path is taken next, and its slot's law, given that path, is asked for children; after n nodes the tree is the n likeliest.
// Costs the same slots and as many steps of the head as a chain of n. Refuses: other models than the adapter's base.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;

namespace Ptp.Core.Paper;

/// <summary>Drafts trees through the verifier's own weights and cache.</summary>
public sealed class CategoricalTreeDrafter : ITreeDrafter
{
    private const int Children = 4;
    private readonly SlotModel _ptp;
    private readonly CategoricalReader _reader;
    private readonly DraftTree _tree = new();
    private readonly DraftTree _guessed = new() { RootIsCommitted = true }; // where drafting does not make token g known
    private readonly PriorityQueue<(int Token, int Parent, float Chance), float> _open = new();
    private int[] _path = [];

    /// <summary>A drafter of a gated model with categorical slots.</summary>
    /// <param name="ptp">The model.</param>
    public CategoricalTreeDrafter(SlotModel ptp) => (_ptp, _reader) = (ptp, new CategoricalReader(ptp));

    /// <inheritdoc/>
    public int Slots => _ptp.Slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        var (cached, isGuess) = (session.Cache.Length, _ptp.RunsOnTwin(session));
        var count = Math.Min(depth, isGuess ? nodes - 1 : nodes);
        if (count < 1)
        {
            return _guessed.Restart(session.Tokens[^1]);
        }

        var (first, hidden) = _reader.Call(session, u, g, count);
        var tree = isGuess ? _guessed.Restart(session.Tokens[^1]) : _tree.Restart(first);
        var root = isGuess ? tree.Add(first, 0) : 0;
        if (count > 1)
        {
            Grow(tree, root, session, u, g, nodes, count, hidden.Slice(1, count - 1));
        }

        if (isGuess)
        {
            session.Cache.Crop(cached); // the verifier has yet to run the last token itself
        }

        return tree;
    }

    /// <summary>Adds nodes behind token g, which stands at <paramref name="root"/>, the likeliest paths first.</summary>
    private void Grow(DraftTree tree, int root, ModelSession session, Auxiliaries u, long g, int nodes, int count, Variable slots)
    {
        if (_path.Length < count)
        {
            _path = new int[count];
        }

        _open.Clear();
        _reader.Start(session, slots, tree.Tokens[root]);
        Span<int> children = stackalloc int[Children];
        Span<float> chances = stackalloc float[Children];
        for (var (node, chance) = (root, 1f); ;)
        {
            var picked = tree.Depths[node] - tree.Depths[root];
            if (picked + 1 < count)
            {
                for (var (place, ancestor) = (picked, node); ancestor > root; ancestor = tree.Parents[ancestor])
                {
                    _path[--place] = tree.Tokens[ancestor];
                }

                var best = new BestGuesses(children, chances);
                _reader.Guess(session, u, g + 1 + picked, picked, _path.AsSpan(0, picked), _ptp.Doubt, ref best);
                for (var i = 0; i < best.Count; i++)
                {
                    var own = chance * (_ptp.TreeConfidence is { } map ? (float)map[chances[i]] : chances[i]);
                    _open.Enqueue((children[i], node, own), -own);
                }
            }

            if (tree.Count >= nodes || !_open.TryDequeue(out var next, out _))
            {
                return;
            }

            (node, chance) = (tree.Add(next.Token, next.Parent), next.Chance);
        }
    }
}
