// A tree of C-PTP drafts: where Pick under a slot's law is unsure, the runners-up are drafted too. Best first: the node with the
// likeliest path is taken next, and its slot's law, given that path, is asked for children; after n nodes the tree is the n likeliest.
// Costs the same slots and as many steps of the head as a chain of n. Refuses: other models than the adapter's base.

using Ptp.Core.Decoding;

namespace Ptp.Core.Paper;

/// <summary>Drafts trees through the verifier's own weights and cache.</summary>
public sealed class CategoricalTreeDrafter : ITreeDrafter
{
    private const int Children = 4;
    private readonly SlotModel _ptp;
    private readonly CategoricalReader _reader;
    private readonly DraftTree _tree = new();
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
        var count = Math.Min(depth, nodes);
        var (first, hidden) = _reader.Call(session, u, g, count);
        var tree = _tree.Restart(first);
        if (count <= 1)
        {
            return tree;
        }

        if (_path.Length < count)
        {
            _path = new int[count];
        }

        _open.Clear();
        _reader.Start(session, hidden.Slice(1, count - 1), first);
        Span<int> children = stackalloc int[Children];
        Span<float> chances = stackalloc float[Children];
        for (var (node, chance) = (0, 1f); ;)
        {
            var picked = tree.Depths[node];
            if (picked + 1 < count)
            {
                for (var (place, ancestor) = (picked, node); ancestor > 0; ancestor = tree.Parents[ancestor])
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
                return tree;
            }

            (node, chance) = (tree.Add(next.Token, next.Parent), next.Chance);
        }
    }
}
