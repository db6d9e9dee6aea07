// DeepSeek-V3's multi-token prediction (arXiv 2412.19437, section 2.2): K modules one after the other, a complete causal chain each.
//   h'_i = M [n_h(h^{k-1}_i); n_e(E[t_{i+k}])],  h^k = block_k(h'),  law of t_{i+k+1} = Head n(h^k_i),  L = lambda / K sum_k L_k
// h^0 is the base's last state before its final norm; table and output head are the base's. Refuses: training the base along.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>DeepSeek's modules, each with its own weights.</summary>
public class SequentialMtp : DraftHead
{
    /// <summary>The architecture's name.</summary>
    public const string Architecture = "deepseek-mtp";

    private readonly Module[] _modules;

    /// <summary>Modules that pass the state on, with small random blocks.</summary>
    public SequentialMtp(Transformer network, HeadOptions options)
        : this(network, options, options.Slots)
    {
    }

    private protected SequentialMtp(Transformer network, HeadOptions options, int modules)
        : base(network, options) => _modules = [.. Enumerable.Range(0, modules).Select(NewModule)];

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [.. _modules.SelectMany(m => m.Parameters)];

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new MtpSteps(this);

    /// <summary>States of module <paramref name="k"/>, [R, D].</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="states">States of the module before, or of the base, [R, D].</param>
    /// <param name="tokens">Token k + 1 places behind each row, [R].</param>
    /// <param name="k">Counted from 0.</param>
    /// <param name="rows">Positions, visibility, and a cache of the module's own.</param>
    public Variable Run(Tape tape, Variable states, int[] tokens, int k, CallRows rows)
    {
        var module = _modules[Math.Min(k, _modules.Length - 1)];
        var x = tape.MatMul(Normed(tape, states, module.StateNorm), module.OfState);
        tape.MatMul(Normed(tape, Vectors(tape, tokens), module.TokenNorm), module.OfToken, x, accumulate: true);
        return module.Block.Run(tape, x, rows, layer: 0);
    }

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (loss, weight, states) = (0.0, 0.0, batch.States(Layers[0]));
        for (var k = 0; k < TrainedDepth; k++)
        {
            states = Run(tape, states, batch.Tokens(k + 1), k, new CallRows(batch.Positions, batch.Visibility));
            var (own, count) = Judge(tape, Network.Logits(tape, states), batch, k + 2);
            (loss, weight) = (loss + own, weight + count);
        }

        return (loss, weight);
    }

    /// <summary>Modules in a row while training.</summary>
    private protected virtual int TrainedDepth => Slots;

    private Module NewModule(int k)
    {
        var width = Network.Config.HiddenSize;
        var ofState = Matrix($"{k}.projection.state", width, width, gain: 0.1);
        var values = new float[width * width];
        Network.Backend.Download(ofState.Value, values);
        for (var i = 0; i < width; i++)
        {
            values[i * width + i] += 1; // begins as the state itself, which the output head already understands
        }

        Initialise.Set(ofState, values);
        return new Module(
            Gain($"{k}.state_norm"), Gain($"{k}.token_norm"), ofState, Matrix($"{k}.projection.token", width, width, gain: 0.5), Block($"{k}"));
    }

    private sealed record Module(Parameter StateNorm, Parameter TokenNorm, Parameter OfState, Parameter OfToken, TransformerBlock Block)
    {
        public IEnumerable<Parameter> Parameters => [StateNorm, TokenNorm, OfState, OfToken, .. Block.Parameters];
    }
}

/// <summary>
/// The chain while decoding, exactly as trained: module k's row i reads token i + k, so it lags k - 1 rows behind the text, and a draft
/// token gives every module one row more along its path.
/// </summary>
internal sealed class MtpSteps : HeadSteps
{
    private readonly SequentialMtp _head;
    private readonly KvCache[] _caches; // per module, keys and values of rows whose tokens are committed
    private readonly Tensor[] _states; // per module, [capacity, D]
    private readonly SeenTokens _seen = new();
    private readonly List<Tensor?[]> _nodes = []; // node -> states of modules that have a row for its token, [1, D] each
    private ModelSession? _session;
    private Tape? _tape;
    private int _rows; // n: rows that the base has run
    private int _modules; // as many as the round drafts tokens

    public MtpSteps(SequentialMtp head)
    {
        _head = head;
        var config = head.Network.Config with { Layers = 1 };
        _caches = [.. Enumerable.Range(0, head.Slots).Select(_ => new KvCache(head.Network.Backend, config, config.MaxContext))];
        _states = [.. _caches.Select(_ => head.Network.Backend.Allocate(config.MaxContext, config.HiddenSize))];
    }

    /// <inheritdoc/>
    public override int Slots => _head.Slots;

    /// <inheritdoc/>
    public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
    {
        (_session, _tape, _rows, _modules) = (session, session.Tape, session.Cache.Length, count);
        _tape.Reset();
        var common = _seen.Common(session.Tokens);
        var root = new Tensor?[_caches.Length];
        for (var k = 0; k < Math.Min(_caches.Length, _rows); k++)
        {
            // Row i needs tokens 0..i + k + 1: good from before if they are what they were, possible now up to the last token.
            var (first, end) = (Math.Min(Math.Max(0, common - k - 1), _caches[k].Length), _rows - k);
            _caches[k].Crop(Math.Min(first, end));
            if (first < end)
            {
                int[] places = [.. Enumerable.Range(first, end - first)];
                var below = k == 0 ? session.Cache.States(_head.Layers[0])! : _states[k - 1];
                var call = new CallRows(places, Visibility.Causal(first, places.Length), _caches[k], places);
                int[] tokens = [.. places.Select(i => session.Tokens[i + k + 1])];
                var run = _head.Run(_tape, new Variable(below.Slice(first, places.Length), null), tokens, k, call);
                _tape.Backend.Copy(run.Value, _states[k].Slice(first, places.Length));
                _caches[k].Append(places.Length);
                session.Stats.AddCall(places.Length, ofDrafter: true);
            }

            root[k] = _states[k].Slice(end - 1, 1);
        }

        _nodes.Clear();
        _nodes.Add(root);
        return null;
    }

    /// <inheritdoc/>
    public override Tensor Laws(DraftNodes nodes, int[] which)
    {
        var depth = nodes.Depth(which[0]);
        while (_nodes.Count < nodes.Count)
        {
            _nodes.Add(new Tensor?[_caches.Length]);
        }

        // A node of depth m holds token n + m, which module k reads in row n + m - k - 1 < n: so modules from m on have a row for it.
        for (var k = depth; depth > 0 && k < _modules; k++)
        {
            int[] rows = [.. nodes.WithAncestors(which).Where(node => _nodes[nodes.Parent(node)][k - 1] is not null)];
            if (rows.Length == 0)
            {
                break; // the text is shorter than the chain
            }

            var input = _tape!.Empty(rows.Length, _head.Network.Config.HiddenSize, needsGradient: false);
            for (var row = 0; row < rows.Length; row++)
            {
                _tape.Backend.Copy(_nodes[nodes.Parent(rows[row])][k - 1]!, input.Value.Slice(row, 1));
            }

            int[] positions = [.. rows.Select(node => _rows + nodes.Depth(node) - k - 1)];
            var call = new CallRows(positions, nodes.Visibility(rows, Math.Max(0, _rows - k)), _caches[k]);
            var run = _head.Run(_tape, input, [.. rows.Select(nodes.Token)], k, call);
            _session!.Stats.AddCall(rows.Length, ofDrafter: true);
            for (var row = 0; row < rows.Length; row++)
            {
                _nodes[rows[row]][k] = run.Value.Slice(row, 1);
            }
        }

        var last = _tape!.Empty(which.Length, _head.Network.Config.HiddenSize, needsGradient: false);
        for (var row = 0; row < which.Length; row++)
        {
            _tape.Backend.Copy(_nodes[which[row]][depth]!, last.Value.Slice(row, 1));
        }

        return _head.Network.Logits(_tape, last).Value;
    }
}
