// Any head as a drafter: a chain of what u picks from its laws, or a tree of the likeliest alternatives, for any exact decoder.
// Trees are static (the shape calibrated beforehand: Medusa, EAGLE-1) or dynamic (grown from the head's own chances: EAGLE-2).
// Refuses: nothing; logits that are not finite draft badly, and verification decides.

using System.Numerics.Tensors;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Tensor = Ptp.Core.Tensors.Tensor;

namespace Ptp.Core.Heads;

/// <summary>Which tokens a law proposes, the best first.</summary>
internal sealed class HeadGuesses(DraftHead head, PickRule rule, double softness)
{
    private readonly float[] _law = new float[head.Network.Config.VocabularySize];
    private readonly LogitsTransform _plain = new(new SamplingOptions(), head.Network.Config.VocabularySize);
    private readonly float[] _u = new float[rule.NumbersPerToken(head.Network.Config.VocabularySize)];

    /// <summary>The token that u probably picks, and the chance that it is right.</summary>
    public int Token(ModelSession session, Auxiliaries u, long g, Tensor logits, out float chance)
    {
        chance = 0;
        if (!Law(session, logits))
        {
            return 0;
        }

        u.Fill(g, _u);
        return rule.Guess(_u, _law, softness, out chance);
    }

    /// <summary>The tokens that u most probably picks, with their chances; at temperature 0, where the law holds one, the likeliest tokens.</summary>
    public int Tokens(ModelSession session, Auxiliaries u, long g, Tensor logits, Span<int> tokens, Span<float> chances)
    {
        var best = new BestGuesses(tokens, chances);
        if (!Law(session, logits))
        {
            return 0;
        }

        if (TensorPrimitives.Max<float>(_law) < 1f)
        {
            u.Fill(g, _u);
            rule.Guess(_u, _law, softness, ref best);
            return best.Count;
        }

        head.Network.Backend.Download(logits, _law);
        _plain.ToLaw(_law, _law);
        for (var token = 0; token < _law.Length; token++)
        {
            best.Add(token, _law[token]);
        }

        return best.Count;
    }

    private bool Law(ModelSession session, Tensor logits)
    {
        head.Network.Backend.Download(logits, _law);
        if (!TensorPrimitives.IsFiniteAll<float>(_law))
        {
            return false;
        }

        session.ToLaw(_law, _law);
        return true;
    }
}

/// <summary>Chains.</summary>
/// <param name="head">The head.</param>
/// <param name="rule">How u picks a token.</param>
/// <param name="softness">How far the cells of its laws may be off, see <see cref="PickGuess"/>.</param>
public sealed class HeadChainDrafter(DraftHead head, PickRule rule, double softness = 0.1) : IDrafter
{
    private readonly HeadSteps _steps = head.NewSteps();
    private readonly HeadGuesses _guesses = new(head, rule, softness);

    /// <inheritdoc/>
    public int Slots => _steps.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        // What the steps remember belongs to the tokens they were made from, whichever text those are in.
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        if (session.Cache.Length == 0)
        {
            return new Draft([], [], false); // nothing has been computed that a head could read
        }

        session.KeepStates(head.Layers);
        var exact = _steps.Begin(session, u, g, count);
        var nodes = new DraftNodes(exact ?? session.Tokens[^1]);
        var tokens = new List<int>(count);
        var confidences = new List<float>(count);
        if (exact is { } first)
        {
            tokens.Add(first);
            confidences.Add(1f);
        }

        for (var node = 0; tokens.Count < count; node++)
        {
            tokens.Add(_guesses.Token(session, u, g + tokens.Count, _steps.Laws(nodes, [node]), out var chance));
            confidences.Add(chance);
            nodes.Add(node, tokens[^1], chance);
        }

        return new Draft([.. tokens], [.. confidences], exact is not null);
    }
}

/// <summary>Trees.</summary>
/// <param name="head">The head.</param>
/// <param name="rule">How u picks a token.</param>
/// <param name="shape">A static shape, or null to grow one.</param>
/// <param name="beam">Of a grown tree: nodes that are expanded per depth, and children that each gets.</param>
/// <param name="softness">How far its laws are doubted, see <see cref="PickGuess"/>; trees want more of it than chains.</param>
public sealed class HeadTreeDrafter(DraftHead head, PickRule rule, StaticTree? shape = null, int beam = 4, double softness = 0.6)
    : ITreeDrafter
{
    private readonly HeadSteps _steps = head.NewSteps();
    private readonly HeadGuesses _guesses = new(head, rule, softness);

    /// <inheritdoc/>
    public int Slots => _steps.Slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        if (session.Cache.Length == 0 || depth < 1)
        {
            return new DraftTree([session.Tokens[^1]], [-1], [0]);
        }

        session.KeepStates(head.Layers);
        var exact = _steps.Begin(session, u, g, depth);
        var draft = new DraftNodes(exact ?? session.Tokens[^1]);
        var (first, deepest) = exact is null ? (g, depth) : (g + 1, depth - 1);
        if (shape is not null)
        {
            Fill(session, u, first, draft, shape, Math.Min(nodes, shape.Count), deepest);
        }
        else
        {
            Grow(session, u, first, draft, nodes, deepest);
        }

        return draft.Best(nodes);
    }

    /// <summary>The static shape: child i of a node is its i-th best token.</summary>
    private void Fill(ModelSession session, Auxiliaries u, long g, DraftNodes draft, StaticTree tree, int nodes, int deepest)
    {
        var places = new int[nodes]; // of the shape's nodes in the draft; -1 = the law has no such token
        Span<int> tokens = stackalloc int[StaticTree.MostChildren];
        Span<float> chances = stackalloc float[StaticTree.MostChildren];
        for (var depth = 0; depth < deepest; depth++)
        {
            int[] parents = [.. Enumerable.Range(0, nodes).Where(n => tree.Depth(n) == depth && places[n] >= 0 && tree.HasChildren(n, nodes))];
            if (parents.Length == 0)
            {
                return;
            }

            var laws = _steps.Laws(draft, [.. parents.Select(n => places[n])]);
            for (var row = 0; row < parents.Length; row++)
            {
                var found = _guesses.Tokens(session, u, g + depth, laws.Slice(row, 1), tokens, chances);
                foreach (var child in tree.Children(parents[row], nodes))
                {
                    var rank = tree.Rank(child);
                    places[child] = rank < found ? draft.Add(places[parents[row]], tokens[rank], chances[rank]) : -1;
                }
            }
        }
    }

    /// <summary>EAGLE-2: at each depth the likeliest paths get children; the likeliest nodes of all are kept afterwards.</summary>
    private void Grow(ModelSession session, Auxiliaries u, long g, DraftNodes draft, int nodes, int deepest)
    {
        Span<int> tokens = stackalloc int[beam];
        Span<float> chances = stackalloc float[beam];
        int[] frontier = [0];
        for (var depth = 0; depth < deepest && nodes > 1; depth++)
        {
            var laws = _steps.Laws(draft, frontier);
            var from = draft.Count;
            for (var row = 0; row < frontier.Length; row++)
            {
                var found = _guesses.Tokens(session, u, g + depth, laws.Slice(row, 1), tokens, chances);
                for (var i = 0; i < found; i++)
                {
                    draft.Add(frontier[row], tokens[i], chances[i]);
                }
            }

            frontier = [.. Enumerable.Range(from, draft.Count - from).OrderByDescending(draft.Chance).ThenBy(n => n).Take(beam).Order()];
            if (frontier.Length == 0)
            {
                return;
            }
        }
    }
}
