// DeepSeek's chain while decoding, exactly as trained: one call of one module per drafted token.
//   module k's row i reads token i + k + 1, so it ends k rows before the text; a draft token at depth m is read by module k in row
//   n + m - k - 1, which exists (< n) for k >= m: the law behind depth m is module m's row n - 1
// A module's call runs the rows it lags behind the text and its rows of the drafted path. Refuses: depths out of turn.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

internal sealed class MtpSteps : HeadSteps
{
    private readonly SequentialMtp _head;
    private readonly IBackend _backend;
    private readonly KvCache[] _caches; // [K], keys and values of rows whose tokens are committed
    private readonly Tensor[] _states; // [K], outputs of those rows, [capacity, D]
    private readonly SeenTokens _seen = new();
    private readonly List<Tensor?[]> _nodes = []; // node -> [K] outputs of its rows, [1, D] each, null where there is none
    private ModelSession? _session;
    private int _rows; // n, rows that the base has run

    public MtpSteps(SequentialMtp head)
    {
        (_head, _backend) = (head, head.Network.Backend);
        var config = head.Network.Config with { Layers = 1 };
        _caches = [.. Enumerable.Range(0, head.Slots).Select(_ => new KvCache(_backend, config, config.MaxContext))];
        _states = [.. _caches.Select(_ => _backend.Allocate(config.MaxContext, config.HiddenSize))];
    }

    /// <inheritdoc/>
    public override int Slots => _head.Slots;

    /// <inheritdoc/>
    public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
    {
        (_session, _rows) = (session, session.Cache.Length);
        session.Tape.Reset();
        var common = _seen.Common(session.Tokens);
        for (var k = 0; k < _caches.Length; k++)
        {
            _caches[k].Crop(Math.Min(_caches[k].Length, Math.Max(0, Math.Min(common - k - 1, _rows - k))));
        }

        _nodes.Clear();
        return null;
    }

    /// <inheritdoc/>
    public override Tensor Laws(DraftNodes nodes, int[] which)
    {
        var module = nodes.Depth(which[0]);
        while (_nodes.Count < nodes.Count)
        {
            _nodes.Add(new Tensor?[_caches.Length]);
        }

        Run(nodes, which, module);
        var last = _session!.Tape.Empty(which.Length, _head.Network.Config.HiddenSize, needsGradient: false);
        for (var row = 0; row < which.Length; row++)
        {
            _backend.Copy(_nodes[which[row]][module]!, last.Value.Slice(row, 1));
        }

        return _head.Network.Logits(_session.Tape, last).Value;
    }

    private void Run(DraftNodes nodes, int[] which, int module)
    {
        var (tape, cache) = (_session!.Tape, _caches[module]);
        var (first, end) = (cache.Length, Math.Max(cache.Length, _rows - module));
        var late = end - first;
        // A path's row needs the module before to have one for the parent: not where the text is shorter than the chain.
        int[] drafted = module == 0 ? [] : [.. nodes.WithAncestors(which).Where(node => _nodes[nodes.Parent(node)][module - 1] is not null)];
        if (late + drafted.Length > 0)
        {
            var input = tape.Empty(late + drafted.Length, _head.Network.Config.HiddenSize, needsGradient: false);
            if (late > 0)
            {
                var below = module == 0 ? _session.Cache.States(_head.Layers[0])! : _states[module - 1];
                _backend.Copy(below.Slice(first, late), input.Value.Slice(0, late));
            }

            for (var row = 0; row < drafted.Length; row++)
            {
                _backend.Copy(_nodes[nodes.Parent(drafted[row])][module - 1]!, input.Value.Slice(late + row, 1));
            }

            int[] committed = [.. Enumerable.Range(first, late)];
            int[] tokens = [.. committed.Select(i => _session.Tokens[i + module + 1]), .. drafted.Select(nodes.Token)];
            int[] positions = [.. committed, .. drafted.Select(node => _rows + nodes.Depth(node) - module - 1)];
            var visibility = nodes.AddTo(Visibility.Causal(first, late), drafted, first);
            var call = new CallRows(positions, visibility, cache, [.. committed, .. drafted.Select(_ => -1)]);
            var output = _head.Run(tape, input, tokens, module, call).Value;
            _backend.Copy(output.Slice(0, late), _states[module].Slice(first, late));
            cache.Append(late);
            _session.Stats.AddCall(tokens.Length, ofDrafter: true);
            for (var row = 0; row < drafted.Length; row++)
            {
                _nodes[drafted[row]][module] = output.Slice(late + row, 1);
            }
        }

        _nodes[0][module] = end > 0 && _rows > module ? _states[module].Slice(end - 1, 1) : null;
    }
}
