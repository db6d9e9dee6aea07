// Token Recycling (Luo et al. 2024, 2408.08696): for each token the k that a verifier last found likeliest behind it, whatever the
// context was; a draft is a fixed tree spelled out of that table. Every row of every call refreshes it, rejected ones too.
// The shape: 80 nodes on six levels, from made-up chances that fall with rank and depth. Refuses: nothing; unknown tokens have no children.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Trees out of a table of likeliest successors.</summary>
public sealed class TokenRecycling : ITreeDrafter
{
    private const int Ranks = 8;
    private const int Levels = 6;
    private readonly TreeShape _shape;
    private readonly int[] _next; // [V, Ranks], -1 unknown
    private readonly TreeBuilder _builder = new();
    private readonly int[] _at; // node of each place of the shape in the tree being built, -1 if it has none
    private readonly int[] _token;

    /// <summary>An empty table.</summary>
    /// <param name="vocabularySize">V.</param>
    /// <param name="nodes">Nodes of the tree, its root not counted.</param>
    public TokenRecycling(int vocabularySize, int nodes = 80)
    {
        _next = new int[vocabularySize * Ranks];
        Array.Fill(_next, -1);
        // Levels of 8, 21, 25, 15, 8 and 3 nodes in the original; these chances give nearly that.
        _shape = TreeShape.Best(
            [.. Enumerable.Range(0, Levels).Select(_ => Enumerable.Range(0, Ranks).Select(r => 0.45 / Math.Pow(1 + r, 1.1)).ToArray())],
            nodes);
        (_at, _token) = (new int[nodes], new int[nodes]);
    }

    /// <summary>The fixed shape.</summary>
    public TreeShape Shape => _shape;

    /// <inheritdoc/>
    public int Slots => Levels;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        var builder = _builder.Start(session.Tokens[^1], nodes, depth);
        var (at, tokens) = (_at, _token);
        for (var i = 0; i < _shape.Parents.Length && builder.Count < nodes; i++)
        {
            var above = _shape.Parents[i];
            var (parent, token) = above < 0 ? (0, session.Tokens[^1]) : (at[above], tokens[above]);
            tokens[i] = parent < 0 ? -1 : _next[token * Ranks + _shape.Ranks[i]];
            at[i] = tokens[i] < 0 ? -1 : builder.Add(parent, tokens[i]);
        }

        return builder.Tree;
    }

    /// <inheritdoc/>
    public void Observe(ModelSession session, DraftTree tree, IReadOnlyList<int> path)
    {
        for (var node = 0; node < tree.Count; node++)
        {
            Likeliest(session.Logits(node), _next.AsSpan(tree.Tokens[node] * Ranks, Ranks));
        }
    }

    /// <summary>Ids of the largest logits, the largest first.</summary>
    private static void Likeliest(ReadOnlySpan<float> logits, Span<int> ids)
    {
        Span<float> values = stackalloc float[Ranks];
        values.Fill(float.NegativeInfinity);
        ids.Fill(-1);
        for (var token = 0; token < logits.Length; token++)
        {
            if (!(logits[token] > values[^1]))
            {
                continue;
            }

            var place = Ranks - 1;
            for (; place > 0 && values[place - 1] < logits[token]; place--)
            {
                (values[place], ids[place]) = (values[place - 1], ids[place - 1]);
            }

            (values[place], ids[place]) = (logits[token], token);
        }
    }
}
