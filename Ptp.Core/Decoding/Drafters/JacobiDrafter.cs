// Jacobi decoding (Santilli et al. 2023): guess n tokens, let one call say what each should have been, take that as the next guess.
// With u the fixed point is the sampled text: guess l is Pick(u_{g+l}, law behind the guesses before it); at temperature 0 the argmax.
// Refuses: nothing; the first guess repeats the last token.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Refines a guess from call to call.</summary>
/// <param name="slots">n, tokens guessed.</param>
public sealed class JacobiDrafter(int slots = 8) : ITreeDrafter
{
    private readonly List<int> _guess = [];
    private Auxiliaries? _u;
    private long _g;

    /// <inheritdoc/>
    public int Slots => slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => _guess.Clear();

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        (_u, _g) = (u, g);
        var count = Math.Min(slots, Math.Min(nodes - 1, depth));
        while (_guess.Count < count)
        {
            _guess.Add(_guess.Count > 0 ? _guess[^1] : session.Tokens[^1]);
        }

        return ChainTree.Of(session.Tokens[^1], [.. _guess[..count]]);
    }

    /// <inheritdoc/>
    public void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path)
    {
        _guess.Clear();
        for (var row = path.Count; row < tree.Count && _u is not null; row++)
        {
            // Row r tells token g + r; those up to the path's end are committed by now.
            _guess.Add(session.Pick(row, _u, _g + row));
        }

        _u = null; // a tree of somebody else says nothing about these guesses
    }
}
