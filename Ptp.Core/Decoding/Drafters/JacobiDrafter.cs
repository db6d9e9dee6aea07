// Jacobi decoding (Santilli et al. 2023): guess n tokens, let one call say what each should have been, take that as the next guess.
// With u the fixed point is the sampled text: guess l is Pick(u_{g+l}, law behind the guesses before it); at temperature 0 the argmax.
// Remembering laws (our addition, off by default): a guess whose predecessor has changed since its row was computed is picked from the
// law last seen behind the new predecessor, as n-gram pools do with tokens. Refuses: nothing; the first guess repeats the last token.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Refines a guess from call to call.</summary>
/// <param name="slots">n, tokens guessed.</param>
/// <param name="remembers">True to pick guesses from laws seen earlier behind the same token.</param>
public sealed class JacobiDrafter(int slots = 8, bool remembers = false) : ITreeDrafter
{
    private readonly List<int> _guess = [];
    private readonly Dictionary<int, float[]> _laws = []; // by the token they were last seen behind, [V] each
    private float[] _numbers = [];
    private Auxiliaries? _u;
    private long _g;

    /// <inheritdoc/>
    public int Slots => slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => _guess.Clear(); // laws are the model's and stay, whatever the text

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        (_u, _g) = (u, g);
        var count = Math.Min(slots, Math.Min(nodes - 1, depth));
        while (_guess.Count < count)
        {
            _guess.Add(_guess.Count > 0 ? _guess[^1] : session.Tokens[^1]);
        }

        var before = session.Tokens[^1];
        for (var l = 0; remembers && l < count; before = _guess[l++])
        {
            if (_laws.TryGetValue(before, out var law))
            {
                u.Fill(g + l, _numbers);
                _guess[l] = session.Rule.Pick(_numbers, law);
            }
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

        for (var row = 0; remembers && row < tree.Count; row++)
        {
            if (!_laws.TryGetValue(tree.Tokens[row], out var law))
            {
                _laws[tree.Tokens[row]] = law = new float[session.Model.Config.VocabularySize];
            }

            session.Law(row).CopyTo(law);
            _numbers = _numbers.Length > 0 ? _numbers : new float[session.Rule.NumbersPerToken(law.Length)];
        }

        _u = null; // a tree of somebody else says nothing about these guesses
    }
}
