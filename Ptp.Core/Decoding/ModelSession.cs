// One text in the making on one model: committed tokens, the cache behind them, and laws read from base rows.
// Invariant: outside a round the cache holds every committed token but the last (fewer where none verified them); draft and slot rows are gone.
// Owns the memory that rounds work in, so that a token costs no allocation. Refuses: an empty prompt, tokens beyond the context.

using System.Runtime.InteropServices;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Decoding;

/// <summary>State of a text on a model; decoders and drafters share it.</summary>
public sealed class ModelSession
{
    private const int PrefillRows = 512;
    private readonly LogitsTransform _transform;
    private readonly PickRule _rule;
    private readonly float[] _u;
    private readonly float[] _law;
    private readonly Visibility _visibility = new();
    private int[] _positions = []; // of the call being described, as are the slots
    private int[] _slots = [];
    private int[] _places = []; // positions of the rows whose logits are kept
    private int[] _path = []; // a tree's nodes from the root down
    private int[] _draft = [];
    private Memory<int> _committed; // of this text; the next one gets other memory, so that what a caller was told stays true
    private float[] _logits = [];
    private float[] _numbers = [];
    private (Tensor Logits, long Pass)? _kept; // of the last call
    private bool _here; // they are in host memory as well
    private int _lawOf = -1;
    private int[] _picked = []; // by the device, of the last call's rows
    private (Auxiliaries U, long First)? _pickedBy;

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

    /// <summary>How u picks a token.</summary>
    public PickRule Rule => _rule;

    /// <summary>Its cache.</summary>
    public KvCache Cache { get; }

    /// <summary>Memory of one call.</summary>
    public Tape Tape { get; }

    /// <summary>Prompt and committed tokens.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>Committed tokens without the prompt: the list that rounds grow, the same for every text.</summary>
    internal List<int> Generated { get; } = [];

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
        Tokens.EnsureCapacity(Model.Config.MaxContext);
        Tokens.AddRange(prompt);
        Generated.Clear();
        _committed = new int[Room];
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
            var ids = CollectionsMarshal.AsSpan(Tokens).Slice(start, Math.Min(PrefillRows, tokens - start));
            Tape.Reset();
            var x = Tape.Empty(ids.Length, Model.Config.HiddenSize);
            Tape.Embedding(Model.Embeddings, ids, x);
            Model.Remember(Tape, x, CausalRows(ids.Length));
            Cache.Append(ids.Length);
        }
    }

    /// <summary>An empty visibility for the next call of this text; there is one, so the last call's is gone.</summary>
    public Visibility NewVisibility() => _visibility.Clear();

    /// <summary>Positions and cache slots of <paramref name="count"/> base rows that follow the cache.</summary>
    /// <param name="count">Base rows, first in the call.</param>
    /// <param name="visibility">Of all rows of the call.</param>
    /// <param name="auxiliaryPositions">Positions of gated rows behind the base rows.</param>
    /// <returns>The rows, in memory that the next call's will take.</returns>
    public CallRows BaseRows(int count, Visibility visibility, scoped ReadOnlySpan<int> auxiliaryPositions = default)
    {
        var rows = count + auxiliaryPositions.Length;
        var positions = Scratch(ref _positions, rows);
        var slots = Scratch(ref _slots, rows);
        for (var i = 0; i < count; i++)
        {
            positions[i] = slots[i] = Cache.Length + i;
        }

        auxiliaryPositions.CopyTo(positions[count..]);
        slots[count..].Fill(-1);
        return new CallRows(positions, visibility, Cache, slots, auxiliaryPositions.IsEmpty ? int.MaxValue : count);
    }

    /// <summary>One call of base rows; stores them in the cache and keeps the logits behind each.</summary>
    /// <param name="ids">The tokens, the first being the one after the cache.</param>
    public void Verify(ReadOnlySpan<int> ids)
    {
        Tape.Reset();
        var logits = Model.Forward(Tape, ids, CausalRows(ids.Length));
        Stats.AddCall(ids.Length);
        Cache.Append(ids.Length);
        KeepLogits(logits.Value);
    }

    /// <summary>One call of a draft tree's nodes; each sees the text and its own ancestors. All are stored behind the cache, in order.</summary>
    public void Verify(DraftTree tree)
    {
        Tape.Reset();
        var (visibility, cached, count) = (NewVisibility(), Cache.Length, tree.Count);
        var parents = tree.Parents;
        var depths = tree.Depths;
        var positions = Scratch(ref _positions, count);
        var slots = Scratch(ref _slots, count);
        for (var node = 0; node < count; node++)
        {
            var parent = parents[node];
            Guard.Require(parent < node && (parent < 0 ? node == 0 && depths[0] == 0 : depths[node] == depths[parent] + 1),
                "Verify a draft tree", $"node {node} at depth {depths[node]} under node {parent}",
                "one root, parents before their children and one token above them", "Build the tree from its root on.");
            (positions[node], slots[node]) = (cached + depths[node], cached + node);
            var path = Scratch(ref _path, depths[node] + 1);
            for (var (place, ancestor) = (depths[node], node); ancestor >= 0; place--, ancestor = parents[ancestor])
            {
                path[place] = ancestor;
            }

            // Ancestors in the order of their positions, neighbours as one range: keys are then summed as in plain decoding.
            visibility.AddRow(0, cached);
            for (var (first, end) = (0, 1); first < path.Length; first = end++)
            {
                while (end < path.Length && path[end] == path[end - 1] + 1)
                {
                    end++;
                }

                visibility.AddRange(path[first], path[end - 1] + 1);
            }
        }

        var logits = Model.Forward(Tape, tree.Tokens, new CallRows(positions, visibility, Cache, slots));
        Stats.AddCall(count);
        Cache.Append(count);
        KeepLogits(logits.Value);
    }

    /// <summary>
    /// Keeps logits [R, V] of base rows, from which <see cref="Law"/> makes the laws that are asked for. They stay on the device until one is.
    /// </summary>
    /// <param name="logits">Of rows of one call, which need not be all.</param>
    /// <param name="firstRow">Where they begin among the rows that were described last.</param>
    public void KeepLogits(Tensor logits, int firstRow = 0)
    {
        _positions.AsSpan(firstRow, logits.Rows).CopyTo(Scratch(ref _places, logits.Rows));
        (_kept, _here, _lawOf, _pickedBy) = ((logits, logits.Pass), false, -1, null);
    }

    /// <summary>The logits behind <paramref name="row"/> of the last call, [V]; valid until the next call.</summary>
    public ReadOnlySpan<float> Logits(int row)
    {
        if (!_here)
        {
            var logits = Kept();
            Model.Backend.Download(logits, Scratch(ref _logits, logits.Length));
            _here = true;
        }

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
        if (!_here && _rule is InverseCdf && u.Seed is not null && PickedOnDevice(row, u, g) is >= 0 and var token)
        {
            return token;
        }

        u.Fill(g, _u);
        return _rule.Pick(_u, Law(row));
    }

    /// <summary>The device picks for all rows of a call at once: one position further is one number further. -1 where the host must.</summary>
    private int PickedOnDevice(int row, Auxiliaries u, long g)
    {
        var first = g - _places[row];
        if (_pickedBy != (u, first))
        {
            var logits = Kept();
            var tokens = Scratch(ref _picked, logits.Rows);
            var numbers = Scratch(ref _numbers, logits.Rows);
            for (var i = 0; i < numbers.Length; i++)
            {
                numbers[i] = u.At(Math.Max(0, first + _places[i]), 0); // rows of the prompt have no number, nor does anybody ask
            }

            if (!Model.Backend.TryPick(logits, _transform, numbers, tokens))
            {
                tokens.Fill(-1);
            }

            _pickedBy = (u, first);
        }

        return _picked[row];
    }

    private Tensor Kept()
    {
        var (logits, pass) = _kept ?? throw new PtpException("Read logits", "a session without a call", "a verified row", "Call Verify first.");
        Guard.Require(logits.Pass == pass, "Read logits of a call", "memory that another call has taken", "logits of the session's last call",
            "Read laws and picks before the session's tape is reset.");
        return logits;
    }

    /// <summary>Tokens that the next call must run: the last one, and others only where drafts stand that no call has verified.</summary>
    internal ReadOnlySpan<int> Uncached => CollectionsMarshal.AsSpan(Tokens)[Cache.Length..];

    /// <summary>Commits tokens: the text grows, and the cache keeps at most all of it but the last.</summary>
    /// <param name="tokens">The tokens, in order.</param>
    /// <returns>The same tokens in memory that stays as it is.</returns>
    internal ReadOnlyMemory<int> Commit(ReadOnlySpan<int> tokens)
    {
        var told = _committed[..tokens.Length];
        _committed = _committed[tokens.Length..];
        tokens.CopyTo(told.Span);
        Tokens.AddRange(tokens);
        Cache.Crop(Math.Min(Cache.Length, Tokens.Count - 1));
        return told;
    }

    /// <summary>A draft in memory that stays as it is until the next round.</summary>
    internal ReadOnlyMemory<int> Keep(ReadOnlySpan<int> draft)
    {
        draft.CopyTo(Scratch(ref _draft, draft.Length));
        return _draft.AsMemory(0, draft.Length);
    }

    private CallRows CausalRows(int count) => BaseRows(count, NewVisibility().AddCausal(0, Cache.Length, count));

    /// <summary>The first floats or numbers of memory that grows by doubling; content undefined.</summary>
    private static Span<T> Scratch<T>(ref T[] memory, int length)
    {
        if (memory.Length < length)
        {
            memory = new T[Math.Max(length, 2 * memory.Length)];
        }

        return memory.AsSpan(0, length);
    }
}
