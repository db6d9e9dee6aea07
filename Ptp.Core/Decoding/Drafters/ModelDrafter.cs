// A small autoregressive model drafts for a large one (Leviathan et al. 2023, Chen et al. 2023): n calls of the small one per round.
//   by u:    d_l = Pick(u_{g+l}, q_l): the same u as the verifier's, a point mass given u;   for accept-if-equal
//   by dice: d_l ~ q_l, carried with its law; with widths above 1 siblings are drawn without replacement, as in SpecInfer and EAGLE
// q is filtered as p is (temperature, top-k, top-p). Refuses: another vocabulary; texts beyond its context are left to plain calls.

using System.Runtime.InteropServices;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Drafters;

/// <summary>Drafts with a language model of its own.</summary>
public sealed class ModelDrafter : ITreeDrafter
{
    private readonly ModelSession _own;
    private readonly int[] _widths;
    private readonly bool _draws;
    private readonly List<int> _cached = []; // what stands in the small model's cache
    private readonly int[] _children;

    /// <summary>A drafter.</summary>
    /// <param name="small">The small model.</param>
    /// <param name="vocabularySize">V of the verifier.</param>
    /// <param name="law">The sampling law, the verifier's.</param>
    /// <param name="pick">How u picks a token.</param>
    /// <param name="widths">Children per node at each depth, at most; their number is that of the slots. All 1 = a chain.</param>
    /// <param name="draws">True to draw tokens with dice; false to pick them by u, which takes chains.</param>
    public ModelDrafter(Transformer small, int vocabularySize, SamplingOptions law, PickRule pick, int[] widths, bool draws)
    {
        Guard.Require(small.Config.VocabularySize == vocabularySize, "Draft with a small model",
            $"a vocabulary of {small.Config.VocabularySize}", $"the verifier's {vocabularySize}", "Train the small model with the same tokenizer.");
        Guard.Require(widths.Length > 0 && widths.All(w => w >= 1) && (draws || widths.All(w => w == 1)), "Draft with a small model",
            $"widths {string.Join(',', widths)}", draws ? "at least 1 each" : "1 each, as u picks one token", "Correct the widths.");
        _own = new ModelSession(small, law, pick);
        (_widths, _draws, _children) = (widths, draws, new int[widths.Max()]);
    }

    /// <inheritdoc/>
    public int Slots => _widths.Length;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        _cached.Clear();
        _own.Cache.Crop(0);
        if (prompt.Count < _own.Model.Config.MaxContext)
        {
            _own.Start(prompt);
            _cached.AddRange(prompt.SkipLast(1));
        }
    }

    /// <inheritdoc/>
    public DraftTree Propose(ModelSession session, Auxiliaries u, long g, int nodes, int depth)
    {
        var last = session.Tokens[^1];
        depth = Math.Min(_widths.Length, Math.Min(depth, nodes - 1));
        if (depth < 1 || session.Tokens.Count + nodes > _own.Model.Config.MaxContext)
        {
            return DraftTree.Plain(last);
        }

        CatchUp(session);
        return _widths.AsSpan(0, depth).IndexOfAnyExcept(1) < 0 ? Chain(session, u, g, depth) : Sampled(session, nodes, depth);
    }

    /// <summary>Keeps of the cache what the text confirmed, and runs what else the text has, its last token left out.</summary>
    private void CatchUp(ModelSession session)
    {
        var text = CollectionsMarshal.AsSpan(session.Tokens);
        var common = Math.Min(text.CommonPrefixLength(CollectionsMarshal.AsSpan(_cached)), text.Length - 1);
        _own.Cache.Crop(common);
        _cached.RemoveRange(common, _cached.Count - common);
        if (common < text.Length - 1)
        {
            Run(session, text[common..^1].ToArray());
        }
    }

    /// <summary>One call of the small model that stays in its cache.</summary>
    private void Run(ModelSession session, int[] ids)
    {
        _own.Verify(ids);
        _cached.AddRange(ids);
        session.Stats.AddCall(ids.Length, ofDrafter: true);
    }

    private DraftTree Chain(ModelSession session, Auxiliaries u, long g, int count)
    {
        var (tokens, confidences) = (new List<int>(), new List<float>());
        var laws = new List<float[]>();
        for (var l = 0; l < count; l++)
        {
            Run(session, [l == 0 ? session.Tokens[^1] : tokens[^1]]);
            var q = _own.Law(0);
            if (_draws)
            {
                laws.Add(q.ToArray());
                session.Dice.DrawDistinct(q, _children.AsSpan(0, 1));
            }

            tokens.Add(_draws ? _children[0] : _own.Pick(0, u, g + l));
            confidences.Add(q[tokens[^1]]);
        }

        return ChainTree.Of(session.Tokens[^1], [.. tokens], [.. confidences], _draws ? [.. laws] : null);
    }

    /// <summary>Depth by depth: one call runs the tree so far, then every node of the last depth draws its children.</summary>
    private DraftTree Sampled(ModelSession session, int nodes, int depth)
    {
        var (tokens, parents, depths) = (new List<int> { session.Tokens[^1] }, new List<int> { -1 }, new List<int> { 0 });
        var (laws, confidences) = (new List<float[]?> { null }, new List<float> { 1 });
        var cached = _own.Cache.Length;
        for (var (level, first) = (0, 0); level < depth && first < tokens.Count && tokens.Count < nodes; level++)
        {
            _own.Verify(new DraftTree([.. tokens], [.. parents], [.. depths]));
            session.Stats.AddCall(tokens.Count, ofDrafter: true);
            _own.Cache.Crop(cached);
            var end = tokens.Count;
            for (var node = first; node < end && tokens.Count < nodes; node++)
            {
                var q = _own.Law(node);
                laws[node] = q.ToArray();
                var drawn = session.Dice.DrawDistinct(q, _children.AsSpan(0, Math.Min(_widths[level], nodes - tokens.Count)));
                foreach (var child in _children.AsSpan(0, drawn))
                {
                    tokens.Add(child);
                    parents.Add(node);
                    depths.Add(level + 1);
                    laws.Add(null);
                    confidences.Add(q[child]);
                }
            }

            first = end;
        }

        return new DraftTree([.. tokens], [.. parents], [.. depths])
        {
            RootIsCommitted = true,
            Laws = [.. laws],
            Confidences = [.. confidences],
        };
    }
}
