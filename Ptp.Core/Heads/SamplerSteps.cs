// The sampler head while decoding: one slot at a time, each told the tokens picked before it.
// A slot's own share is computed for all slots at once, a token's share once per token and then looked up, so a step is two
// small products: Down and the vocabulary head. Refuses: steps before Start. The head's weights must not change meanwhile.

using Ptp.Core.Autograd;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Walks a draft from slot to slot.</summary>
public sealed class SamplerSteps(SamplerHead head)
{
    private readonly Dictionary<int, Tensor> _shares = []; // token -> [2 History, F]: gate and up, 1, 2, ... places before
    private readonly int[] _earlier = new int[head.History]; // the latest first
    private Variable? _slots;
    private (Variable Gate, Variable Up) _own;

    /// <summary>Starts a draft.</summary>
    /// <param name="tape">The call's tape.</param>
    /// <param name="slots">Hidden states of the slots, [R, D].</param>
    /// <param name="tokens">Tokens known so far, at least one; slot 0 follows the last.</param>
    public void Start(Tape tape, Variable slots, IReadOnlyList<int> tokens)
    {
        _slots = slots;
        _own = head.OfSlots(tape, slots);
        for (var i = 0; i < _earlier.Length; i++)
        {
            _earlier[i] = tokens[Math.Max(0, tokens.Count - 1 - i)];
        }
    }

    /// <summary>Logits of a slot, [1, V], given the tokens so far.</summary>
    public Tensor Next(Tape tape, int slot)
    {
        var (gate, up) = (_own.Gate.Slice(slot, 1), _own.Up.Slice(slot, 1));
        for (var i = 0; i < _earlier.Length; i++)
        {
            var share = Share(tape, _earlier[i]);
            head.Network.Backend.AddScaled(share.Slice(2 * i, 1), 1f, gate.Value);
            head.Network.Backend.AddScaled(share.Slice(2 * i + 1, 1), 1f, up.Value);
        }

        return head.Finish(tape, _slots!.Slice(slot, 1), gate, up).Value;
    }

    /// <summary>The token picked from the last slot's law, or one that became known before the first.</summary>
    public void Picked(int token)
    {
        _earlier.AsSpan(0, _earlier.Length - 1).CopyTo(_earlier.AsSpan(1));
        _earlier[0] = token;
    }

    private Tensor Share(Tape tape, int token)
    {
        if (!_shares.TryGetValue(token, out var share))
        {
            var backend = head.Network.Backend;
            share = _shares[token] = backend.Allocate(2 * head.History, head.Width);
            for (var i = 0; i < head.History; i++)
            {
                var (gate, up) = head.OfToken(tape, token, i + 1);
                backend.Copy(gate.Value, share.Slice(2 * i, 1));
                backend.Copy(up.Value, share.Slice(2 * i + 1, 1));
            }
        }

        return share;
    }
}
