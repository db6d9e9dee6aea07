// The sampler head while decoding: one slot at a time, each told the tokens picked before it.
// A slot's own share is computed for all slots at once, a token's share once per token and then looked up; with a depth the
// latest token runs through the network's first blocks, behind the cache. Refuses: steps before Start. Weights must not change.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Walks a draft from slot to slot.</summary>
public sealed class SamplerSteps(SamplerHead head)
{
    private readonly Dictionary<int, Tensor> _shares = []; // token -> [2 (History - first), F]: gate and up, from the first place on
    private readonly int[] _earlier = new int[head.History]; // the latest first
    private int[] _known = []; // as they were at the start
    private readonly int _first = head.Depth > 0 ? 1 : 0; // places before it are not read as vectors
    private readonly Visibility _visibility = new();
    private KvCache? _cache;
    private Variable? _slots;
    private (Variable Gate, Variable Up) _own;
    private int _position;

    /// <summary>Starts a draft behind a session's text, whose cache holds all tokens but the latest.</summary>
    /// <param name="session">The text; its tape is the call's.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="last">The latest token if the session's text does not hold it yet, else null.</param>
    public void Start(ModelSession session, Variable slots, int? last) =>
        Start(session.Tape, slots, last is { } token ? [.. session.Tokens.TakeLast(head.History), token] : session.Tokens, session.Cache);

    /// <summary>Starts a draft.</summary>
    /// <param name="tape">The call's tape.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="tokens">Tokens known so far, at least one; slot 0 follows the last.</param>
    /// <param name="cache">With a depth: keys and values of all tokens but the last. Entries behind its length are overwritten.</param>
    public void Start(Tape tape, Variable slots, IReadOnlyList<int> tokens, KvCache? cache)
    {
        _slots = slots;
        _own = head.OfSlots(tape, slots);
        (_cache, _position) = (cache, cache?.Length ?? 0);
        for (var i = 0; i < _earlier.Length; i++)
        {
            _earlier[i] = tokens[Math.Max(0, tokens.Count - 1 - i)];
        }

        _known = [.. _earlier];
    }

    /// <summary>Logits of a slot, [1, V], given the tokens so far.</summary>
    public Tensor Next(Tape tape, int slot) => Logits(tape, slot, _earlier, head.Depth > 0 ? Latest(tape) : null);

    /// <summary>Logits of a slot, [1, V], had these tokens been picked since the start: a step of a tree, which remembers nothing.</summary>
    public Tensor At(Tape tape, int slot, scoped ReadOnlySpan<int> picks)
    {
        Span<int> earlier = stackalloc int[_earlier.Length];
        for (var i = 0; i < earlier.Length; i++)
        {
            earlier[i] = i < picks.Length ? picks[^(i + 1)] : _known[i - picks.Length];
        }

        return Logits(tape, slot, earlier, head.Depth > 0 ? LatestOf(tape, picks) : null);
    }

    private Tensor Logits(Tape tape, int slot, ReadOnlySpan<int> earlier, Variable? latest)
    {
        var backend = head.Network.Backend;
        var (gate, up) = (tape.Empty(1, head.Width, needsGradient: false), tape.Empty(1, head.Width, needsGradient: false));
        backend.Copy(_own.Gate.Value.Slice(slot, 1), gate.Value);
        backend.Copy(_own.Up.Value.Slice(slot, 1), up.Value);
        if (latest is { } state)
        {
            var (latestGate, latestUp) = head.OfLatest(tape, state);
            backend.AddScaled(latestGate.Value, 1f, gate.Value);
            backend.AddScaled(latestUp.Value, 1f, up.Value);
        }

        for (var i = _first; i < earlier.Length; i++)
        {
            var share = Share(tape, earlier[i]);
            backend.AddScaled(share.Slice(2 * (i - _first), 1), 1f, gate.Value);
            backend.AddScaled(share.Slice(2 * (i - _first) + 1, 1), 1f, up.Value);
        }

        return head.Finish(tape, _slots!.Slice(slot, 1), gate, up).Value;
    }

    /// <summary>The token picked from the last slot's law.</summary>
    public void Picked(int token)
    {
        _earlier.AsSpan(0, _earlier.Length - 1).CopyTo(_earlier.AsSpan(1));
        _earlier[0] = token;
        _position++;
    }

    /// <summary>
    /// The latest token behind the first blocks, [1, D]. Its keys and values go where verification will write the same ones, by row
    /// independence to the bit, so that the next token sees it.
    /// </summary>
    private Variable Latest(Tape tape)
    {
        var network = head.Network;
        var x = tape.Empty(1, network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(network.Embeddings, [_earlier[0]], x);
        _visibility.Clear();
        _visibility.AddRow(0, _position).AddRange(0, 1);
        return network.Blocks(tape, x, new CallRows([_position], _visibility, _cache, [_position]), layers: ..head.Depth);
    }

    /// <summary>
    /// The last of some picks behind the first blocks, [1, D]; the picks before it run along, as other branches need the cache's places.
    /// </summary>
    private Variable LatestOf(Tape tape, ReadOnlySpan<int> picks)
    {
        var (network, start) = (head.Network, _cache!.Length);
        int[] ids = [_known[0], .. picks];
        var x = tape.Empty(ids.Length, network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(network.Embeddings, ids, x);
        _visibility.Clear();
        _visibility.AddCausal(0, start, ids.Length);
        int[] positions = [.. Enumerable.Range(start, ids.Length)];
        return network.Blocks(tape, x, new CallRows(positions, _visibility, _cache), layers: ..head.Depth).Slice(ids.Length - 1, 1);
    }

    private Tensor Share(Tape tape, int token)
    {
        if (!_shares.TryGetValue(token, out var share))
        {
            var backend = head.Network.Backend;
            share = _shares[token] = backend.Allocate(2 * (head.History - _first), head.Width);
            for (var i = _first; i < head.History; i++)
            {
                var (gate, up) = head.OfToken(tape, token, i + 1);
                backend.Copy(gate.Value, share.Slice(2 * (i - _first), 1));
                backend.Copy(up.Value, share.Slice(2 * (i - _first) + 1, 1));
            }
        }

        return share;
    }
}
