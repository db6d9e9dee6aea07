// Draft a tree with any drafter, verify it in one call, keep a path by any rule:
//   at a node with law p behind it, its children are tried in turn; the first that stands is followed, else the rule names the token
// Exact rule: v_r = Pick(u_{g+r}, p), plain decoding bit for bit. Ratio: recursive rejection, plain decoding's law. Rules without a
// promise may let several siblings stand: the longest path wins, as in Medusa. Refuses: rules that ask an adapter ('self:').

using System.Runtime.InteropServices;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>Draft a tree, verify, keep a path.</summary>
public sealed class TreeDecoding : IDecoder
{
    private readonly ModelSession _session;
    private readonly ITreeDrafter _drafter;
    private readonly VerificationRule _rule;
    private readonly NodeTest _test;
    private readonly ulong _seed;
    private readonly ITreeBudget _budget;
    private readonly DraftTree _plain = DraftTree.Plain(0);
    private readonly List<int> _path = []; // nodes that stand
    private readonly List<int> _tokens = []; // theirs but for a committed root, and one more
    private bool[] _stands = [];

    /// <summary>A decoder.</summary>
    /// <param name="model">The verifier.</param>
    /// <param name="drafter">Proposes trees.</param>
    /// <param name="law">The sampling law.</param>
    /// <param name="pick">How u picks a token.</param>
    /// <param name="nodes">Rows of a verifying call.</param>
    /// <param name="rule">When a draft token stands; null = exact.</param>
    /// <param name="seed">With the seed of u, of the text's dice: a text is a function of prompt, u and this.</param>
    /// <param name="budget">How many of the nodes to use in a round; null = all.</param>
    public TreeDecoding(
        Transformer model, ITreeDrafter drafter, SamplingOptions law, PickRule pick, int nodes = 16, VerificationRule? rule = null,
        ulong seed = 0, ITreeBudget? budget = null)
    {
        _rule = rule ?? ExactRule.Instance;
        Guard.Require(!_rule.ReadsOwnLaw, $"Verify trees by '{_rule.Name}'", "a rule on an adapter's own laws", "a rule on the model's",
            "Leave out 'self:', or verify chains by it.");
        Guard.Require(nodes >= 1, "Decode with draft trees", $"{nodes} nodes", "at least 1, the root", "Correct the number of nodes.");
        _rule.Check(pick);
        (_drafter, _seed, _budget) = (drafter, seed, budget ?? new AllNodes(nodes));
        _session = new ModelSession(model, law, pick);
        _test = new NodeTest(_rule, _session);
    }

    /// <inheritdoc/>
    public string Name => _rule is PathExactRule ? "tree" : "tree by " + _rule.Name;

    /// <summary>What the rule promises.</summary>
    public Guarantee Guarantee => _rule.Guarantee;

    /// <inheritdoc/>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        // Another name, another stream: it is independent of u although both may follow from one seed.
        _session.Dice = Dice.From(new RandomStream(_seed ^ (u.Seed ?? 0), "verification"));
        return Decode(prompt, u, _session.Dice, limits, committed, cancellation);
    }

    /// <summary>Decodes with given dice.</summary>
    /// <param name="prompt">At least one token.</param>
    /// <param name="u">u_g for generated token g = 0, 1, ...</param>
    /// <param name="dice">What drafters draw with and the rule decides by.</param>
    /// <param name="limits">When to stop.</param>
    /// <param name="committed">Told of each round; false stops the text there.</param>
    /// <param name="cancellation">Stops between rounds.</param>
    public Decoded Decode(
        IReadOnlyList<int> prompt, Auxiliaries u, Dice dice, DecodeLimits limits, Func<Commitment, bool>? committed = null,
        CancellationToken cancellation = default)
    {
        _session.Dice = dice;
        return Rounds.Run(
            _session, prompt, limits, () => _drafter.Start(prompt), output => Round(u, output, limits, committed), cancellation);
    }

    private StopReason? Round(Auxiliaries u, List<int> output, DecodeLimits limits, Func<Commitment, bool>? committed)
    {
        var g = output.Count;
        // Nodes wait behind the cache until one path is kept; the last token of a text is the verifier's own.
        var most = Math.Min(_drafter.Slots, Math.Min(limits.MaxNewTokens - g, _session.Room) - 1);
        var context = _session.Cache.Length;
        var nodes = most > 0 ? _budget.Nodes(context, _session.Cache.Capacity - context - 1) : 1;
        var tree = nodes > 1 ? _drafter.Propose(_session, u, g, nodes, most) : _plain.Restart(_session.Tokens[^1]);
        var start = _session.Cache.Length;
        Verify(tree);
        _path.Clear();
        _tokens.Clear();
        if (!tree.RootIsCommitted)
        {
            _tokens.Add(tree.Tokens[0]);
        }

        if (_rule.Guarantee == Guarantee.None)
        {
            Longest(tree, u, g);
        }
        else
        {
            FirstThatStands(tree, u, g);
        }

        _drafter.Observe(_session, tree, _path);
        _session.Cache.Keep(start, _path);
        _budget.Observe(tree, _path);
        var verified = CollectionsMarshal.AsSpan(_tokens);
        return Rounds.Commit(
            verified, verified[..^1], tree.RootIsCommitted ? tree.Count - 1 : tree.Count, verified.Length - 1, output, limits, _session,
            committed, tree: tree);
    }

    private void Verify(DraftTree tree)
    {
        if (tree.Count == 1)
        {
            _session.Verify(tree.Tokens); // the call of plain decoding
            return;
        }

        _session.Verify(tree);
    }

    /// <summary>From the root on, always to the first child that stands; the last token is the rule's.</summary>
    private void FirstThatStands(DraftTree tree, Auxiliaries u, long g)
    {
        for (var node = 0; node >= 0;)
        {
            _path.Add(node);
            if (_rule is PathExactRule)
            {
                var picked = _session.Pick(node, u, g + _tokens.Count);
                _tokens.Add(picked);
                node = tree.Child(node, picked);
                continue;
            }

            _test.Start(node, _tokens.Count, u, g, tree.Laws?[node]);
            var next = tree.NextChild(node, node);
            while (next >= 0 && !_test.Accepts(tree.Tokens[next], tree.Confidences?[next] ?? 1))
            {
                next = tree.NextChild(node, next);
            }

            _tokens.Add(next >= 0 ? tree.Tokens[next] : _test.Replacement());
            node = next;
        }
    }

    /// <summary>Of all paths whose nodes stand, the deepest; of equally deep ones, the first drafted.</summary>
    private void Longest(DraftTree tree, Auxiliaries u, long g)
    {
        var known = _tokens.Count;
        if (_stands.Length < tree.Count)
        {
            _stands = new bool[2 * tree.Count];
        }

        var stands = _stands.AsSpan(0, tree.Count);
        stands.Clear();
        stands[0] = true;
        var deepest = 0;
        for (var node = 0; node < stands.Length; node++)
        {
            if (!stands[node])
            {
                continue;
            }

            deepest = tree.Depths[node] > tree.Depths[deepest] ? node : deepest;
            var place = known + tree.Depths[node];
            _test.Start(node, place, u, g, tree.Laws?[node]);
            for (var child = tree.NextChild(node, node); child >= 0; child = tree.NextChild(node, child))
            {
                stands[child] = _test.Accepts(tree.Tokens[child], tree.Confidences?[child] ?? 1);
            }
        }

        for (var node = deepest; node >= 0; node = tree.Parents[node])
        {
            _path.Add(node);
        }

        _path.Reverse();
        for (var i = 1; i < _path.Count; i++)
        {
            _tokens.Add(tree.Tokens[_path[i]]);
        }

        var last = _tokens.Count;
        _test.Start(deepest, last, u, g, default);
        _tokens.Add(_test.Replacement());
    }
}
