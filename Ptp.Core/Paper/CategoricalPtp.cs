// C-PTP (PTP section 2.1): a slot that carries u_{k-1} predicts the law of t_k; Pick(u_k, law) outside the network gives t_k.
//   last real row: P(t_i), exact;  slot of u_{k-1}, k > i: P(t_k | t_<i, u_i..u_{k-1}) at position k - 1;  t_k = Pick(u_k, P)
// With a sampler head the law is P(t_k | ..., t_{k-1}, t_{k-2}): what was picked is told, not guessed. On a twin of the verifier (its weights
// rounded to bytes, to be read four times as fast) t_i is a guess like the others. Refuses: a student.

using System.Numerics.Tensors;
using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;

namespace Ptp.Core.Paper;

/// <summary>Drafts through the verifier's own weights and cache; the first token of a draft is exact.</summary>
[Paper("C-PTP")]
public sealed class CategoricalDrafter : IDrafter
{
    private readonly SlotModel _ptp;
    private readonly CategoricalReader _reader;
    private int[] _tokens = [];
    private float[] _confidences = [];
    private double[] _chances = [];

    /// <summary>A drafter of a gated model with categorical slots.</summary>
    public CategoricalDrafter(SlotModel ptp) => (_ptp, _reader) = (ptp, new CategoricalReader(ptp));

    /// <inheritdoc/>
    public int Slots => _ptp.Slots;

    /// <inheritdoc/>
    public bool RunsUncached => true;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        // The verifier's session keeps the only state.
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        var cached = session.Cache.Length;
        var (first, hidden) = _reader.Call(session, u, g, count);
        if (_tokens.Length < count)
        {
            (_tokens, _confidences) = (new int[count], new float[count]);
        }

        var tokens = _tokens.AsSpan(0, count);
        var confidences = _confidences.AsSpan(0, count);
        (tokens[0], confidences[0]) = (first, 1f);
        if (count > 1)
        {
            _reader.Read(session, u, g + 1, hidden.Slice(1, count - 1), first, tokens[1..], confidences[1..]);
        }

        if (_reader.IsGuess)
        {
            session.Cache.Crop(cached); // the verifier has yet to run the last token itself
        }

        return new Draft(tokens, confidences, knowsFirstLaw: !_reader.IsGuess) { Chances = _ptp.Chances(confidences, ref _chances) };
    }
}

/// <summary>Reads tokens off categorical slots, each from its slot's law and, with a sampler head, the tokens before it.</summary>
internal sealed class CategoricalReader
{
    private readonly SlotModel _ptp;
    private readonly SamplerSteps? _steps;
    private Tensors.Tensor? _laws;
    private readonly float[] _law;
    private readonly float[] _u;

    public CategoricalReader(SlotModel ptp)
    {
        Guard.Require(ptp is { Reading: SlotReading.Categorical, SharesBase: true }, "Draft with C-PTP",
            "a model of another kind", "categorical slots on a gated base", "Use the drafter of the model's own kind.");
        _ptp = ptp;
        _steps = ptp.Sampler is null ? null : new SamplerSteps(ptp.Sampler);
        _law = new float[ptp.Network.Config.VocabularySize];
        _u = new float[ptp.NumbersPerToken];
    }

    /// <summary>True if the last call ran through a twin of the verifier: its first token is a guess, and what it left in the cache must go.</summary>
    public bool IsGuess { get; private set; }

    /// <summary>The drafting call: the last token's row (and those before it that the cache lacks), which gives token g, and the slots behind it.</summary>
    /// <returns>Token g, exact unless <see cref="IsGuess"/>, and hidden states of the call, [count, D], the slots from row 1 on.</returns>
    public (int First, Variable Hidden) Call(ModelSession session, Auxiliaries u, long g, int count)
    {
        IsGuess = _ptp.RunsOnTwin(session);
        var (tape, model) = (session.Tape, _ptp.Network);
        tape.Reset();
        var fresh = session.Uncached;
        var x = _ptp.Rows(tape, session, fresh, u, g, count - 1, out var rows);
        var hidden = model.Blocks(tape, x, rows, _ptp.Lora).Slice(fresh.Length - 1, count);
        session.Stats.AddCall(fresh.Length + count - 1);
        session.Cache.Append(fresh.Length);
        var logits = model.Logits(tape, hidden.Slice(0, 1)).Value;
        if (IsGuess)
        {
            model.Backend.Download(logits, _law);
            return (Pick(session, u, g), hidden);
        }

        session.KeepLogits(logits);
        return (session.Pick(0, u, g), hidden);
    }

    /// <summary>Prepares for guesses of a tree whose node 0 is <paramref name="first"/>.</summary>
    public void Start(ModelSession session, Variable slots, int first)
    {
        _steps?.Start(session, slots, first);
        _laws = _steps is null ? _ptp.Network.Logits(session.Tape, slots).Value : null;
    }

    /// <summary>The likeliest tokens of a slot, had <paramref name="picks"/> been picked behind node 0.</summary>
    public void Guess(
        ModelSession session, Auxiliaries u, long g, int slot, scoped ReadOnlySpan<int> picks, double softness, ref BestGuesses best)
    {
        var logits = _laws is { } laws ? laws.Slice(slot, 1) : _steps!.At(session.Tape, slot, picks);
        session.Model.Backend.Download(logits, _law);
        if (TensorPrimitives.IsFiniteAll<float>(_law))
        {
            session.ToLaw(_law, _law);
            u.Fill(g, _u);
            _ptp.Rule.Guess(_u, _law, softness, ref best);
        }
    }

    /// <summary>Tokens g, g + 1, ... of a draft.</summary>
    /// <param name="session">The text; its tape holds the slots' call.</param>
    /// <param name="u">Auxiliaries.</param>
    /// <param name="g">Index of the token that the first slot predicts.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="last">Token g - 1 if the session's text does not hold it yet, else null.</param>
    /// <param name="tokens">Receives the tokens, [R].</param>
    /// <param name="confidences">Receives the chance of each to be right if all before are, [R].</param>
    public void Read(
        ModelSession session, Auxiliaries u, long g, Variable slots, int? last, Span<int> tokens, Span<float> confidences)
    {
        var (tape, model) = (session.Tape, _ptp.Network);
        var laws = _steps is null ? model.Logits(tape, slots).Value : null;
        _steps?.Start(session, slots, last);
        for (var slot = 0; slot < tokens.Length; slot++)
        {
            var logits = laws is not null ? laws.Slice(slot, 1) : _steps!.Next(tape, slot);
            model.Backend.Download(logits, _law);
            tokens[slot] = Guess(session, u, g + slot, out confidences[slot]);
            _steps?.Picked(tokens[slot]);
        }
    }

    /// <summary>The token that u_g picks from the law of the logits in _law.</summary>
    private int Pick(ModelSession session, Auxiliaries u, long g)
    {
        session.ToLaw(_law, _law);
        u.Fill(g, _u);
        return _ptp.Rule.Pick(_u, _law);
    }

    /// <summary>The token of the logits in _law; adapter weights can be anything, so an overflowing slot just drafts badly.</summary>
    private int Guess(ModelSession session, Auxiliaries u, long g, out float confidence)
    {
        if (!TensorPrimitives.IsFiniteAll<float>(_law))
        {
            confidence = 0;
            return 0;
        }

        session.ToLaw(_law, _law);
        u.Fill(g, _u);
        return _ptp.Rule.Guess(_u, _law, _ptp.PickSoftness, out confidence);
    }
}
