// One text in the making on one model: committed tokens, the cache behind them, and laws read from base rows.
// Invariant: outside a round the cache holds every committed token but the last; draft and slot rows are gone.
// Refuses: an empty prompt, tokens beyond the context.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Decoding;

/// <summary>State of a text on a model; decoders and drafters share it.</summary>
public sealed class ModelSession
{
    private const int PrefillRows = 256;
    private readonly LogitsTransform _transform;
    private readonly PickRule _rule;
    private readonly float[] _u;
    private readonly float[] _law;
    private float[] _logits = [];
    private int _rows;
    private int _lawOf = -1;

    /// <summary>A session; the cache holds the model's whole context.</summary>
    /// <param name="model">The model that verifies.</param>
    /// <param name="law">Temperature, top-k, top-p.</param>
    /// <param name="rule">How u picks a token.</param>
    public ModelSession(Transformer model, SamplingOptions law, PickRule rule)
    {
        Model = model;
        _rule = rule;
        _u = new float[rule.NumbersPerToken(model.Config.VocabularySize)];
        _transform = new LogitsTransform(law, model.Config.VocabularySize);
        _law = new float[model.Config.VocabularySize];
        Cache = new KvCache(model.Backend, model.Config, model.Config.MaxContext);
        Tape = new Tape(model.Backend);
    }

    /// <summary>The model.</summary>
    public Transformer Model { get; }

    /// <summary>Its cache.</summary>
    public KvCache Cache { get; }

    /// <summary>Memory of one call.</summary>
    public Tape Tape { get; }

    /// <summary>Prompt and committed tokens.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>Fresh randomness of the text, for drafters that draw and rules that test; a decoder sets it per text.</summary>
    public Dice Dice { get; set; } = Dice.From(new RandomStream(0, "verification"));

    /// <summary>Counts of the text.</summary>
    public DecodeStats Stats { get; private set; } = new();

    /// <summary>Tokens that still fit the context.</summary>
    public int Room => Model.Config.MaxContext - Tokens.Count;

    /// <summary>Starts a text: the prompt's tokens but the last go into the cache.</summary>
    public void Start(IReadOnlyList<int> prompt)
    {
        Guard.Require(prompt.Count > 0, "Decode", "an empty prompt", "at least one token",
            "Start from the model's beginning-of-text token.");
        Guard.Require(prompt.Count < Model.Config.MaxContext, "Decode", $"a prompt of {prompt.Count} tokens",
            $"fewer than the context of {Model.Config.MaxContext}", "Shorten the prompt.");
        Stats = new DecodeStats();
        Tokens.Clear();
        Tokens.AddRange(prompt);
        Prefill(prompt.Count - 1);
    }

    /// <summary>Keeps hidden states behind these blocks, [capacity, D] in the cache; what is cached without them is run again, once.</summary>
    public void KeepStates(IReadOnlyList<int> layers)
    {
        if (layers.All(layer => Cache.States(layer) is not null))
        {
            return;
        }

        foreach (var layer in layers)
        {
            Cache.KeepStates(layer);
        }

        Prefill(Cache.Length);
    }

    /// <summary>Runs the first tokens of the text into the cache, in calls that no figure counts.</summary>
    private void Prefill(int tokens)
    {
        Cache.Crop(0);
        for (var start = 0; start < tokens; start += PrefillRows)
        {
            var count = Math.Min(PrefillRows, tokens - start);
            int[] ids = [.. Tokens.Skip(start).Take(count)];
            Tape.Reset();
            var x = Tape.Empty(count, Model.Config.HiddenSize);
            Tape.Embedding(Model.Embeddings, ids, x);
            Model.Blocks(Tape, x, BaseRows(count, Visibility.Causal(Cache.Length, count)));
            Cache.Append(count);
        }
    }

    /// <summary>Positions and cache slots of <paramref name="count"/> base rows that follow the cache.</summary>
    /// <param name="count">Base rows, first in the call.</param>
    /// <param name="visibility">Of all rows of the call.</param>
    /// <param name="auxiliaryPositions">Positions of gated rows behind the base rows.</param>
    public CallRows BaseRows(int count, Visibility visibility, ReadOnlySpan<int> auxiliaryPositions = default)
    {
        var positions = new int[count + auxiliaryPositions.Length];
        var slots = new int[positions.Length];
        for (var i = 0; i < count; i++)
        {
            positions[i] = slots[i] = Cache.Length + i;
        }

        auxiliaryPositions.CopyTo(positions.AsSpan(count));
        slots.AsSpan(count).Fill(-1);
        return new CallRows(positions, visibility, Cache, slots, auxiliaryPositions.IsEmpty ? int.MaxValue : count);
    }

    /// <summary>One call of base rows; stores them in the cache and keeps the logits behind each.</summary>
    /// <param name="ids">The tokens, the first being the one after the cache.</param>
    public void Verify(int[] ids)
    {
        Tape.Reset();
        var logits = Model.Forward(Tape, ids, BaseRows(ids.Length, Visibility.Causal(Cache.Length, ids.Length)));
        Stats.AddCall(ids.Length);
        Cache.Append(ids.Length);
        KeepLogits(logits.Value);
    }

    /// <summary>One call of a draft tree's nodes; each sees the text and its own ancestors. All are stored behind the cache, in order.</summary>
    public void Verify(DraftTree tree)
    {
        Tape.Reset();
        var (visibility, cached) = (new Visibility(), Cache.Length);
        var (positions, slots) = (new int[tree.Tokens.Length], new int[tree.Tokens.Length]);
        var path = new Stack<int>();
        for (var node = 0; node < positions.Length; node++)
        {
            var parent = tree.Parents[node];
            Guard.Require(parent < node && (parent < 0 ? node == 0 && tree.Depths[0] == 0 : tree.Depths[node] == tree.Depths[parent] + 1),
                "Verify a draft tree", $"node {node} at depth {tree.Depths[node]} under node {parent}",
                "one root, parents before their children and one token above them", "Build the tree from its root on.");
            (positions[node], slots[node]) = (cached + tree.Depths[node], cached + node);
            for (var ancestor = node; ancestor >= 0; ancestor = tree.Parents[ancestor])
            {
                path.Push(ancestor);
            }

            // Ancestors in the order of their positions, neighbours as one range: keys are then summed as in plain decoding.
            visibility.AddRow(0, cached);
            while (path.TryPop(out var first))
            {
                var end = first + 1;
                while (path.TryPeek(out var next) && next == end)
                {
                    path.Pop();
                    end++;
                }

                visibility.AddRange(first, end);
            }
        }

        var logits = Model.Forward(Tape, tree.Tokens, new CallRows(positions, visibility, Cache, slots));
        Stats.AddCall(positions.Length);
        Cache.Append(positions.Length);
        KeepLogits(logits.Value);
    }

    /// <summary>Keeps logits [R, V] of base rows, from which <see cref="Law"/> makes the laws that are asked for.</summary>
    public void KeepLogits(Tensor logits)
    {
        if (_logits.Length < logits.Length)
        {
            _logits = new float[logits.Length];
        }

        Model.Backend.Download(logits, _logits.AsSpan(0, logits.Length));
        (_rows, _lawOf) = (logits.Rows, -1);
    }

    /// <summary>The logits behind <paramref name="row"/> of the last call, [V]; valid until the next call.</summary>
    public ReadOnlySpan<float> Logits(int row)
    {
        System.Diagnostics.Debug.Assert(row < _rows, "Only rows of the last call have logits.");
        return _logits.AsSpan(row * _law.Length, _law.Length);
    }

    /// <summary>The law behind <paramref name="row"/> of the last call, [V]; valid until another row is asked for.</summary>
    public ReadOnlySpan<float> Law(int row)
    {
        if (_lawOf != row)
        {
            // One row at a time: verification stops at the first mismatch and never needs the laws behind it.
            _transform.ToLaw(Logits(row), _law);
            _lawOf = row;
        }

        return _law;
    }

    /// <summary>The session's law of other logits, such as a drafter's, both [V].</summary>
    public void ToLaw(ReadOnlySpan<float> logits, Span<float> law) => _transform.ToLaw(logits, law);

    /// <summary>The token that u_g picks from the law of <paramref name="row"/>.</summary>
    public int Pick(int row, Auxiliaries u, long g)
    {
        u.Fill(g, _u);
        return _rule.Pick(_u, Law(row));
    }
}
