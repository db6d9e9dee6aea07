// O-PTP (PTP section 2.1): slots that carry u_i..u_k predict t_k itself, a point mass: t_k = argmax P(t_k | t_<i, u_i..u_k).
//   gated (section 4): one call [last token (base row) | N slots (gated rows)] on the verifier's cache; also yields P(t_g) exactly
//   student: the same rows on the student's own network and cache. Refuses: a gated drafter on another model's session.

using Ptp.Core.Decoding;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>Drafts through the verifier's own weights and cache.</summary>
[Paper("O-PTP")]
public sealed class OneHotDrafter(SlotModel ptp) : IDrafter
{
    /// <inheritdoc/>
    public int Slots => ptp.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt)
    {
        // The verifier's session keeps the only state.
    }

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        Guard.Require(ReferenceEquals(session.Model, ptp.Network), "Draft with a gated adapter",
            "a session on another model", "the adapter's own base", "Load the adapter on this model.");
        var tape = session.Tape;
        tape.Reset();
        var (x, rows) = ptp.Rows(tape, session, [session.Tokens[^1]], u, g, count);
        var hidden = session.Model.Blocks(tape, x, rows, ptp.Lora);
        session.Stats.AddCall(1 + count);
        session.Cache.Append(1);
        var logits = session.Model.Logits(tape, hidden).Value;
        session.KeepLogits(logits.Slice(0, 1));
        var (tokens, confidences) = Argmax(session.Model.Backend, logits.Slice(1, count));
        return new Draft(tokens, confidences, KnowsFirstLaw: true) { Chances = ptp.Chances(confidences) };
    }

    /// <summary>The likeliest token of each row and its softmax probability; logits [R, V].</summary>
    internal static (int[] Tokens, float[] Confidences) Argmax(IBackend backend, Tensor logits)
    {
        var host = new float[logits.Length];
        backend.Download(logits, host);
        var tokens = new int[logits.Rows];
        var confidences = new float[logits.Rows];
        for (var row = 0; row < logits.Rows; row++)
        {
            var line = host.AsSpan(row * logits.Columns, logits.Columns);
            tokens[row] = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<float>(line);
            confidences[row] = Cpu.Softmax.ProbabilityOf(line, tokens[row]);
        }

        return (tokens, confidences);
    }
}

/// <summary>Drafts with a small network of its own.</summary>
public sealed class StudentDrafter(SlotModel ptp) : IDrafter
{
    private readonly ModelSession _own = new(ptp.Network, SamplingOptions.Greedy, ptp.Rule);

    /// <inheritdoc/>
    public int Slots => ptp.Slots;

    /// <inheritdoc/>
    public void Start(IReadOnlyList<int> prompt) => _own.Start(prompt);

    /// <inheritdoc/>
    public Draft Propose(ModelSession session, Auxiliaries u, long g, int count)
    {
        // The student's cache lags by what the last round committed; those rows ride along in this call.
        var fresh = session.Tokens.GetRange(_own.Cache.Length, session.Tokens.Count - _own.Cache.Length);
        _own.Tape.Reset();
        var (x, rows) = ptp.Rows(_own.Tape, _own, [.. fresh], u, g, count);
        var hidden = ptp.Network.Blocks(_own.Tape, x, rows, ptp.Lora);
        session.Stats.AddCall(fresh.Count + count, ofDrafter: true);
        _own.Cache.Append(fresh.Count);
        var logits = ptp.Network.Logits(_own.Tape, hidden.Slice(fresh.Count, count)).Value;
        var (tokens, confidences) = OneHotDrafter.Argmax(ptp.Network.Backend, logits);
        return new Draft(tokens, confidences, KnowsFirstLaw: false) { Chances = ptp.Chances(confidences) };
    }
}
