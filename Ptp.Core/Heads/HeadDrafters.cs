// Any head as a drafter: a chain of its best tokens, or a tree of alternatives, for every decoder and rule.
// Trees are static (a shape calibrated beforehand: Medusa, EAGLE-1) or grown from the head's own chances (EAGLE-2, -3).
// Refuses: grown trees of drawn tokens, as which of them are kept would no longer be chance alone.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>Chains.</summary>
public sealed class HeadChainDrafter : IDrafter
{
    private const double Softness = 0.1;
    private readonly DraftHead _head;
    private readonly HeadSteps _steps;
    private readonly HeadGuesses _guesses;
    private readonly int[] _tokens;
    private readonly float[] _confidences;

    /// <summary>A drafter.</summary>
    /// <param name="head">The head.</param>
    /// <param name="rule">How u picks a token.</param>
    /// <param name="proposals">How tokens come from its laws.</param>
    public HeadChainDrafter(DraftHead head, PickRule rule, HeadProposals proposals = HeadProposals.SharedU)
    {
        (_head, _steps, _guesses) = (head, head.NewSteps(), new HeadGuesses(head, rule, proposals, Softness));
        (_tokens, _confidences) = (new int[_steps.Slots], new float[_steps.Slots]);
    }

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

        session.KeepStates(_head.Layers);
        var exact = _steps.Begin(session, u, g, count);
        var nodes = new DraftNodes(exact ?? session.Tokens[^1]);
        float[][]? laws = null;
        var drafted = 0;
        if (exact is { } first)
        {
            (_tokens[0], _confidences[0], drafted) = (first, 1f, 1);
        }

        for (var node = 0; drafted < count; node++, drafted++)
        {
            var token = _tokens.AsSpan(drafted, 1);
            var chance = _confidences.AsSpan(drafted, 1);
            if (_guesses.Find(session, u, g + drafted, _steps.Laws(nodes, [node]), token, chance, out var law) == 0)
            {
                break;
            }

            if (law is not null)
            {
                // The first token of a known law is exact, so no rule will ask what it was drawn from.
                laws ??= new float[count][];
                laws[0] ??= law;
                laws[drafted] = law;
            }

            nodes.Add(node, token[0], chance[0]);
        }

        return new Draft(_tokens.AsSpan(0, drafted), _confidences.AsSpan(0, drafted), exact is not null) { Laws = laws?[..drafted] };
    }
}

/// <summary>Trees.</summary>
public sealed class HeadTreeDrafter : ITreeDrafter
{
    private const double Doubt = 0.6; // trees weigh alternatives, so their laws are trusted less than a chain's
    private readonly DraftHead _head;
    private readonly TreeShape? _shape;
    private readonly int _beam;
    private readonly HeadSteps _steps;
    private readonly HeadGuesses _guesses;

    /// <summary>A drafter.</summary>
    /// <param name="head">The head.</param>
    /// <param name="rule">How u picks a token.</param>
    /// <param name="shape">A static shape, or null to grow trees.</param>
    /// <param name="beam">Of grown trees: nodes that are expanded per depth, and children that each of them gets.</param>
    /// <param name="proposals">How tokens come from its laws.</param>
    public HeadTreeDrafter(
        DraftHead head, PickRule rule, TreeShape? shape = null, int beam = 4, HeadProposals proposals = HeadProposals.SharedU)
    {
        Guard.Require(beam is >= 1 and <= HeadGuesses.Most && (shape is not null || proposals != HeadProposals.Drawn), "Draft trees with a head",
            $"a beam of {beam}, {(shape is null ? "grown" : "static")} trees, {proposals} tokens",
            $"a beam of 1 to {HeadGuesses.Most}, and a static shape for drawn tokens", "Correct the options.");
        (_head, _shape, _beam) = (head, shape, beam);
        (_steps, _guesses) = (head.NewSteps(), new HeadGuesses(head, rule, proposals, Doubt));
    }

    /// <inheritdoc/>
    public int Slots => _steps.Slots;

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        if (session.Cache.Length == 0)
        {
            return DraftTree.Plain(session.Tokens[^1]);
        }

        session.KeepStates(_head.Layers);
        var exact = _steps.Begin(session, u, g, depth);
        var draft = new DraftNodes(exact ?? session.Tokens[^1]);
        var (first, deepest) = exact is null ? (g, depth) : (g + 1, depth - 1);
        if (_shape is { } shape)
        {
            Fill(session, u, first, draft, shape, Math.Min(nodes - 1, shape.Parents.Length), deepest);
        }
        else
        {
            Grow(session, u, first, draft, nodes, deepest);
        }

        return draft.Best(nodes, rootIsCommitted: exact is null);
    }

    /// <summary>The first nodes of a static shape: rank i of a node is its i-th token.</summary>
    private void Fill(ModelSession session, Auxiliaries u, long g, DraftNodes draft, TreeShape shape, int nodes, int deepest)
    {
        Span<int> tokens = stackalloc int[HeadGuesses.Most];
        Span<float> chances = stackalloc float[HeadGuesses.Most];
        var places = new int[nodes]; // of the shape's nodes in the draft; 0 = the law has no such token
        for (var depth = 0; depth < deepest; depth++)
        {
            int[] children = [.. Enumerable.Range(0, nodes).Where(n => shape.Depths[n] == depth && (depth == 0 || places[shape.Parents[n]] > 0)
                && shape.Ranks[n] < HeadGuesses.Most)];
            int[] parents = [.. children.Select(n => depth == 0 ? 0 : places[shape.Parents[n]]).Distinct()];
            if (parents.Length == 0)
            {
                return;
            }

            var laws = _steps.Laws(draft, parents);
            for (var row = 0; row < parents.Length; row++)
            {
                int[] own = [.. children.Where(n => (depth == 0 ? 0 : places[shape.Parents[n]]) == parents[row]).OrderBy(n => shape.Ranks[n])];
                var asked = shape.Ranks[own[^1]] + 1;
                var found = _guesses.Find(session, u, g + depth, laws.Slice(row, 1), tokens[..asked], chances[..asked], out var law);
                foreach (var child in own.Where(n => shape.Ranks[n] < found))
                {
                    places[child] = draft.Add(parents[row], tokens[shape.Ranks[child]], chances[shape.Ranks[child]]);
                }

                draft.DrawnFrom(parents[row], law);
            }
        }
    }

    /// <summary>EAGLE-2: at each depth the likeliest paths get children; the likeliest nodes of all are kept afterwards.</summary>
    private void Grow(ModelSession session, Auxiliaries u, long g, DraftNodes draft, int nodes, int deepest)
    {
        Span<int> tokens = stackalloc int[_beam];
        Span<float> chances = stackalloc float[_beam];
        int[] frontier = [0];
        for (var depth = 0; depth < deepest && nodes > 1 && frontier.Length > 0; depth++)
        {
            var laws = _steps.Laws(draft, frontier);
            var from = draft.Count;
            for (var row = 0; row < frontier.Length; row++)
            {
                var found = _guesses.Find(session, u, g + depth, laws.Slice(row, 1), tokens, chances, out _);
                for (var i = 0; i < found; i++)
                {
                    draft.Add(frontier[row], tokens[i], chances[i]);
                }
            }

            frontier = [.. Enumerable.Range(from, draft.Count - from).OrderByDescending(draft.Chance).ThenBy(n => n).Take(_beam).Order()];
        }
    }
}
