// The flow head: dependent tokens from independent slots, all in one pass. Slot k knows P_k, the law of its token alone; u_k is bent by a
// monotone map of [0, 1] with one knot per token, whose heights a small network reads off the slot and earlier u:
//   t_k = Pick(S_k(u_k), P_k),   P(t_k = j | u_<k) = S_k^-1(F_kj) - S_k^-1(F_k,j-1) = P_k(j) exp(a_j) / Z,   a = M z(h_k, u_<k)
// Other forms of S: knots for ranges of tokens (Clusters), a rational-quadratic spline (Bins, FlowSpline).
// u_j enters as the token it picks: from P_j in layer 1, from layer l - 1's law in layer l (an IAF of l layers, Jacobi's sweeps in one pass).
// z = 0 leaves the slots' logits as they are, to the bit. Refuses: no history, no layer.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>Sizes of a flow head.</summary>
/// <param name="Layers">How often the laws are bent; each layer lets a token depend on one more token before it.</param>
/// <param name="History">How many slots before its own a slot reads the picks of.</param>
/// <param name="Width">F, width of its network.</param>
/// <param name="Clusters">
/// C: tokens of a cluster share their a; clusters are equal ranges of an order of the vocabulary. 0 = none: a = head . z, so tokens with
/// similar output vectors move together.
/// </param>
/// <param name="Bins">K: S is a rational-quadratic spline of so many bins instead; 0 = piecewise linear, a knot per token or cluster.</param>
/// <param name="Tied">
/// True: all layers are one network, which learns from the text's own earlier tokens. Those are what drafts pick wherever they are right, and
/// sweep after sweep one more of them is.
/// </param>
public sealed record FlowHeadSize(int Layers = 2, int History = 2, int Width = 256, int Clusters = 0, int Bins = 0, bool Tied = false);

/// <summary>Slots behind a layer.</summary>
/// <param name="Logits">Logits of the law that is bent no further, or by <paramref name="Spline"/>, [R, V].</param>
/// <param name="Spline">The numbers of each slot's spline, [R, P]; null = none.</param>
public readonly record struct BentSlots(Variable Logits, Variable? Spline = null);

/// <summary>Laws of slots given the numbers of earlier slots.</summary>
public sealed class FlowHead
{
    private readonly Layer[] _layers;
    private readonly Parameter? _knots; // M, [V, C], frozen; null for splines

    /// <summary>A head of zero effect: Down is zero.</summary>
    /// <param name="network">Whose slots it bends; embeddings and output head are shared.</param>
    /// <param name="size">Sizes.</param>
    /// <param name="law">From bent logits to the law; temperature 1 for slots that were trained on tokens.</param>
    /// <param name="seed">Seed of its weights.</param>
    /// <param name="order">An order of the vocabulary, [V], for clusters and splines; null = by id.</param>
    public FlowHead(Transformer network, FlowHeadSize size, SamplingOptions law, ulong seed, int[]? order = null)
    {
        var vocabulary = network.Config.VocabularySize;
        Guard.Require(size is { Layers: > 0 and <= 8, History: > 0 and <= 8, Width: > 0 and <= 1 << 14 }
            && size.Clusters >= 0 && size.Clusters <= vocabulary && (size.Bins == 0 || (size.Bins is >= 2 and <= 256 && size.Clusters == 0)),
            "Make a flow head", $"{size}",
            $"1 to 8 layers and slots of history, a width of 1 to 16384, 0 to {vocabulary} clusters or 2 to 256 bins", "Correct the sizes.");
        order ??= [.. Enumerable.Range(0, vocabulary)];
        Guard.Require(order.Order().SequenceEqual(Enumerable.Range(0, vocabulary)), "Make a flow head", $"an order of {order.Length} tokens",
            $"each of the {vocabulary} ids once", "List the ids in the order in which clusters cut them.");
        (Network, Size, Law) = (network, size, law.Validated());
        Spline = size.Bins > 0 ? new FlowSpline(size.Bins, order) : null;
        _knots = Spline is not null ? null : size.Clusters == 0 ? network.Head : Membership(network, order, size.Clusters);
        var outputs = _knots?.Value.Columns ?? Spline!.Map.ParameterCount;
        _layers = [.. Enumerable.Range(0, size.Tied ? 1 : size.Layers).Select(l => new Layer(network, size, outputs, l, seed))];
    }

    /// <summary>A head of zero effect on slots whose law is the softmax of their logits: trained on tokens, or at temperature 1.</summary>
    /// <param name="ptp">The slots.</param>
    /// <param name="size">Sizes.</param>
    /// <param name="seed">Seed of its weights.</param>
    public static FlowHead On(SlotModel ptp, FlowHeadSize size, ulong seed)
    {
        Guard.Require(ptp.Reading == SlotReading.OneHot || ptp.Law is { Temperature: 1, TopK: 0, TopP: 1 }, "Put a flow head on slots",
            $"{ptp.Reading} slots at temperature {Guard.Text(ptp.Law.Temperature)}", "one-hot slots, or any at temperature 1, nothing cut off",
            "Distill slots with --reading one-hot --embedding constant.");
        return new FlowHead(ptp.Network, size, new SamplingOptions { Temperature = 1 }, seed);
    }

    /// <summary>The network whose slots it bends.</summary>
    public Transformer Network { get; }

    /// <summary>Sizes.</summary>
    public FlowHeadSize Size { get; }

    /// <summary>From bent logits to the law.</summary>
    public SamplingOptions Law { get; }

    /// <summary>S, if it is a spline.</summary>
    internal FlowSpline? Spline { get; }

    /// <summary>What is trained.</summary>
    public IEnumerable<Parameter> Parameters => _layers.SelectMany(l => l.Parameters);

    /// <summary>Slots behind a layer; their laws are <see cref="FlowPicks.Law(BentSlots, int)"/>.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="layer">From 0 on.</param>
    /// <param name="hidden">Hidden states of the slots, [R, D].</param>
    /// <param name="logits">Their own logits, [R, V]; a constant.</param>
    /// <param name="earlier">Tokens 1, 2, ... places before each slot's own as far as u tells in the layer before, [History * R].</param>
    public BentSlots Bend(Tape tape, int layer, Variable hidden, Variable logits, ReadOnlySpan<int> earlier)
    {
        var rows = hidden.Value.Rows;
        Guard.Require(earlier.Length == Size.History * rows, "Run a flow head", $"{earlier.Length} earlier tokens",
            $"{Size.History} for each of {rows} slots", "Give as many as the head reads.");
        var z = _layers[Size.Tied ? 0 : layer].Run(tape, this, hidden, earlier);
        if (_knots is null)
        {
            return new BentSlots(logits, z);
        }

        var bent = tape.Empty(rows, logits.Value.Columns);
        tape.Backend.Copy(logits.Value, bent.Value);
        tape.MatMul(z, _knots, bent, accumulate: true);
        return new BentSlots(bent);
    }

    /// <summary>One-hot rows [V, C]: which of C equal ranges of the order a token lies in.</summary>
    private static Parameter Membership(Transformer network, int[] order, int clusters)
    {
        var matrix = new Parameter(network.Backend, "flow_head.clusters", order.Length, clusters);
        var values = new float[order.Length * clusters];
        for (var place = 0; place < order.Length; place++)
        {
            values[order[place] * clusters + (int)((long)place * clusters / order.Length)] = 1;
        }

        Initialise.Set(matrix, values);
        return matrix;
    }

    /// <summary>z = Down (silu(G_0 n(h) + sum_i G_i n(v_i)) * (U_0 n(h) + sum_i U_i n(v_i))), v_i the vector of the pick i slots before.</summary>
    private sealed class Layer
    {
        private readonly Parameter _norm;
        private readonly Parameter _tokenNorm;
        private readonly Parameter[] _gates;
        private readonly Parameter[] _ups;
        private readonly Parameter _down;

        public Layer(Transformer network, FlowHeadSize size, int knots, int index, ulong seed)
        {
            var (model, name) = (network.Config.HiddenSize, $"flow_head.{index}.");
            var random = new RandomStream(seed, name);
            _norm = Gain("norm.weight");
            _tokenNorm = Gain("token_norm.weight");
            _gates = Matrices("gate");
            _ups = Matrices("up");
            _down = new Parameter(network.Backend, name + "down.weight", knots, size.Width);

            Parameter Gain(string part)
            {
                var gain = new Parameter(network.Backend, name + part, 1, model, isVector: true);
                Initialise.Constant(gain, 1f);
                return gain;
            }

            Parameter[] Matrices(string part) => [.. Enumerable.Range(0, size.History + 1).Select(i =>
            {
                var matrix = new Parameter(network.Backend, $"{name}{part}.{i}.weight", size.Width, model);
                Initialise.Gaussian(matrix, random, 1 / Math.Sqrt(model * (size.History + 1.0)));
                return matrix;
            })];
        }

        public IEnumerable<Parameter> Parameters => [_norm, _tokenNorm, .. _gates, .. _ups, _down];

        public Variable Run(Tape tape, FlowHead head, Variable hidden, ReadOnlySpan<int> earlier)
        {
            var (config, rows) = (head.Network.Config, hidden.Value.Rows);
            var normed = tape.RmsNorm(hidden, _norm, config.NormEpsilon);
            var (gate, up) = (tape.MatMul(normed, _gates[0]), tape.MatMul(normed, _ups[0]));
            for (var i = 0; i < head.Size.History; i++)
            {
                var vectors = tape.Empty(rows, config.HiddenSize, needsGradient: false);
                tape.Embedding(head.Network.Embeddings, earlier.Slice(i * rows, rows), vectors);
                var tokens = tape.RmsNorm(vectors, _tokenNorm, config.NormEpsilon);
                tape.MatMul(tokens, _gates[i + 1], gate, accumulate: true);
                tape.MatMul(tokens, _ups[i + 1], up, accumulate: true);
            }

            return tape.MatMul(tape.SwiGlu(gate, up), _down);
        }
    }
}
