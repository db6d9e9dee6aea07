// The sampler head while decoding: one slot at a time, each told the tokens picked before it.
// A slot's own share is computed for all slots at once, a token's share once per token and then looked up; with a depth the
// latest token runs through the network's first blocks, behind the cache. Refuses: steps before Start. Weights must not change.

using System.Runtime.InteropServices;
using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Walks a draft from slot to slot.</summary>
public sealed class SamplerSteps(SamplerHead head)
{
    private const int MostShares = 2048;
    private readonly int _first = head.Depth > 0 ? 1 : 0; // places before it are not read as vectors
    private readonly int _shareCount = Math.Min(head.Network.Config.VocabularySize, MostShares);
    private readonly int[] _earlier = new int[head.History]; // the latest first
    private readonly int[] _known = new int[head.History]; // as they were at the start
    private readonly Visibility _visibility = new();
    private int[]? _shareOf; // whose share a place holds, 1 + token
    private Tensor? _shares; // [places * 2 (History - first), F]: gate and up, from the first place on; a token's place is its id mod places
    private KvCache? _cache;
    private Variable? _slots;
    private (Variable Gate, Variable Up) _own;
    private int _position;

    /// <summary>Starts a draft behind a session's text, whose cache holds all tokens but the latest.</summary>
    /// <param name="session">The text; its tape is the call's.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="last">The latest token if the session's text does not hold it yet, else null.</param>
    public void Start(ModelSession session, Variable slots, int? last) =>
        Start(session.Tape, slots, CollectionsMarshal.AsSpan(session.Tokens), last, session.Cache);

    /// <summary>Starts a draft.</summary>
    /// <param name="tape">The call's tape.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="tokens">Tokens known so far, at least one.</param>
    /// <param name="last">One more token behind them, or null; slot 0 follows the last of all.</param>
    /// <param name="cache">With a depth: keys and values of all tokens but the last. Entries behind its length are overwritten.</param>
    public void Start(Tape tape, Variable slots, ReadOnlySpan<int> tokens, int? last, KvCache? cache)
    {
        _slots = slots;
        _own = head.OfSlots(tape, slots);
        (_cache, _position) = (cache, cache?.Length ?? 0);
        var count = tokens.Length + (last is null ? 0 : 1);
        for (var i = 0; i < _earlier.Length; i++)
        {
            var place = Math.Max(0, count - 1 - i);
            _earlier[i] = place < tokens.Length ? tokens[place] : last!.Value;
        }

        _earlier.CopyTo(_known, 0);
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
            var (gateShare, upShare) = Share(tape, earlier[i], i - _first);
            backend.AddScaled(gateShare, 1f, gate.Value);
            backend.AddScaled(upShare, 1f, up.Value);
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
        Span<int> ids = stackalloc int[1 + picks.Length];
        Span<int> positions = stackalloc int[ids.Length];
        ids[0] = _known[0];
        picks.CopyTo(ids[1..]);
        for (var i = 0; i < ids.Length; i++)
        {
            positions[i] = start + i;
        }

        var x = tape.Empty(ids.Length, network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(network.Embeddings, ids, x);
        _visibility.Clear();
        _visibility.AddCausal(0, start, ids.Length);
        return network.Blocks(tape, x, new CallRows(positions, _visibility, _cache), layers: ..head.Depth).Slice(ids.Length - 1, 1);
    }

    /// <summary>A token's share of gate and up, [1, F] each, at one of the places read as vectors.</summary>
    private (Tensor Gate, Tensor Up) Share(Tape tape, int token, int place)
    {
        var backend = head.Network.Backend;
        var places = 2 * (head.History - _first);
        _shareOf ??= new int[_shareCount];
        _shares ??= backend.Allocate(_shareCount * places, head.Width);
        var (index, row) = (token % _shareCount, token % _shareCount * places);
        for (var i = 0; _shareOf[index] != 1 + token && 2 * i < places; i++)
        {
            var (gate, up) = head.OfToken(tape, token, _first + i + 1);
            backend.Copy(gate.Value, tape.View(_shares, row + 2 * i, 1));
            backend.Copy(up.Value, tape.View(_shares, row + 2 * i + 1, 1));
        }

        _shareOf[index] = 1 + token;
        return (tape.View(_shares, row + 2 * place, 1), tape.View(_shares, row + 2 * place + 1, 1));
    }
}
