// O-PTP (PTP section 2.1): slots that carry u_i..u_k predict t_k itself, a point mass: t_k = argmax P(t_k | t_<i, u_i..u_k).
//   gated (section 4): one call [last token (base row) | N slots (gated rows)] on the verifier's cache; also yields P(t_g) exactly
//   student: the same rows on the student's own network and cache; twin: gated, but all in the verifier's weights rounded to bytes
// Refuses: a gated drafter on another model's session.

using System.Runtime.InteropServices;
using Ptp.Core.Decoding;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>Drafts through the verifier's own weights and cache.</summary>
[Paper("O-PTP")]
public sealed class OneHotDrafter(SlotModel ptp) : IDrafter
{
    private readonly Likeliest _likeliest = new();
    private double[] _chances = [];
    private float[] _law = [];
    private float[] _u = [];

    /// <inheritdoc/>
    public int Slots => ptp.Slots;

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
        var isGuess = ptp.RunsOnTwin(session);
        var (tape, model, cached) = (session.Tape, ptp.Network, session.Cache.Length);
        tape.Reset();
        var fresh = session.Uncached;
        var x = ptp.Rows(tape, session, fresh, u, g, count, out var rows);
        var hidden = model.Blocks(tape, x, rows, ptp.Lora).Slice(fresh.Length - 1, 1 + count);
        session.Stats.AddCall(fresh.Length + count);
        session.Cache.Append(fresh.Length);
        var logits = model.Logits(tape, hidden).Value;
        var likeliest = _likeliest.Draft(model.Backend, logits.Slice(1, count), knowsFirstLaw: !isGuess);
        if (isGuess)
        {
            session.Cache.Crop(cached); // the verifier has yet to run the last token itself
            _likeliest.Replace(0, PickOf(session, logits.Slice(0, 1), u, g));
        }
        else
        {
            session.KeepLogits(logits.Slice(0, 1));
        }

        return new Draft(likeliest.Tokens, likeliest.Confidences, likeliest.KnowsFirstLaw) { Chances = ptp.Chances(likeliest.Confidences, ref _chances) };
    }

    /// <summary>The twin's own next token, which is the model's but for rounding.</summary>
    private int PickOf(ModelSession session, Tensor logits, Auxiliaries u, long g)
    {
        if (_law.Length == 0)
        {
            (_law, _u) = (new float[logits.Columns], new float[ptp.NumbersPerToken]);
        }

        ptp.Network.Backend.Download(logits, _law);
        session.ToLaw(_law, _law);
        u.Fill(g, _u);
        return ptp.Rule.Pick(_u, _law);
    }
}

/// <summary>Reads one-hot slots by argmax, in memory of its own.</summary>
internal sealed class Likeliest
{
    private float[] _logits = [];
    private int[] _tokens = [];
    private float[] _confidences = [];

    /// <summary>The likeliest token of each row and its softmax probability; logits [R, V].</summary>
    public Draft Draft(IBackend backend, Tensor logits, bool knowsFirstLaw)
    {
        if (_logits.Length < logits.Length)
        {
            (_logits, _tokens, _confidences) = (new float[logits.Length], new int[logits.Rows], new float[logits.Rows]);
        }

        backend.Download(logits, _logits.AsSpan(0, logits.Length));
        for (var row = 0; row < logits.Rows; row++)
        {
            var line = _logits.AsSpan(row * logits.Columns, logits.Columns);
            _tokens[row] = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(line);
            _confidences[row] = Cpu.Softmax.ProbabilityOf(line, _tokens[row]);
        }

        return new Draft(_tokens.AsSpan(0, logits.Rows), _confidences.AsSpan(0, logits.Rows), knowsFirstLaw);
    }

    /// <summary>Puts a surer token into the last draft.</summary>
    public void Replace(int slot, int token) => (_tokens[slot], _confidences[slot]) = (token, 1f);
}

/// <summary>Drafts with a small network of its own.</summary>
public sealed class StudentDrafter(SlotModel ptp) : IDrafter
{
    private readonly ModelSession _own = new(ptp.Network, SamplingOptions.Greedy, ptp.Rule);
    private readonly Likeliest _likeliest = new();
    private double[] _chances = [];

    /// <inheritdoc/>
    public int Slots => ptp.Slots;

    /// <inheritdoc/>
    public bool RunsUncached => true;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => _own.Start(prompt);

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        // The student's cache lags by what the last round committed; those rows ride along in this call.
        var fresh = CollectionsMarshal.AsSpan(session.Tokens)[_own.Cache.Length..];
        _own.Tape.Reset();
        var x = ptp.Rows(_own.Tape, _own, fresh, u, g, count, out var rows);
        var hidden = ptp.Network.Blocks(_own.Tape, x, rows, ptp.Lora);
        session.Stats.AddCall(fresh.Length + count, ofDrafter: true);
        _own.Cache.Append(fresh.Length);
        var logits = ptp.Network.Logits(_own.Tape, hidden.Slice(fresh.Length, count)).Value;
        var likeliest = _likeliest.Draft(ptp.Network.Backend, logits, knowsFirstLaw: false);
        return new Draft(likeliest.Tokens, likeliest.Confidences, likeliest.KnowsFirstLaw) { Chances = ptp.Chances(likeliest.Confidences, ref _chances) };
    }
}
