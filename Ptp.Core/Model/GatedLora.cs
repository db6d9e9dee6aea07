// Gated LoRA (PTP section 4, after Samragh et al. 2025): every row computes W x, gated rows add s * B (A x).
// It adds and never subtracts, so base rows are the base model to the bit and one cache serves both.
// Refuses: adapting embeddings, head or norms.

using Ptp.Core.Autograd;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>The linear maps of a block.</summary>
public enum BlockLinear
{
    /// <summary>Queries, [H * K, D].</summary>
    Query,

    /// <summary>Keys, [G * K, D].</summary>
    Key,

    /// <summary>Values, [G * K, D].</summary>
    Value,

    /// <summary>Attention output, [D, H * K].</summary>
    Output,

    /// <summary>Gate of the MLP, [F, D].</summary>
    Gate,

    /// <summary>Up projection, [F, D].</summary>
    Up,

    /// <summary>Down projection, [D, F].</summary>
    Down,
}

/// <summary>Low-rank additions to all linear maps of all blocks.</summary>
[Paper("Gated LoRA")]
public sealed class GatedLora
{
    private const int LinearsPerBlock = 7;
    private readonly Parameter[] _a;
    private readonly Parameter[] _b;

    /// <summary>An adapter of zero effect: A random, B zero.</summary>
    /// <param name="backend">Where it lives.</param>
    /// <param name="config">The base model's shape.</param>
    /// <param name="rank">r.</param>
    /// <param name="scale">s.</param>
    /// <param name="seed">Seed of A.</param>
    public GatedLora(IBackend backend, TransformerConfig config, int rank, double scale, ulong seed)
    {
        Guard.Require(rank is > 0 and <= 4096, "Make a LoRA adapter", $"rank {rank}", "1 to 4096",
            "The paper uses 128 to 256; a small model needs less.");
        (Rank, Scale) = (rank, scale);
        _a = new Parameter[config.Layers * LinearsPerBlock];
        _b = new Parameter[_a.Length];
        var random = new RandomStream(seed, "lora");
        for (var i = 0; i < _a.Length; i++)
        {
            var (layer, linear) = (i / LinearsPerBlock, (BlockLinear)(i % LinearsPerBlock));
            var (outputs, inputs) = Transformer.ShapeOf(config, linear);
            var name = Transformer.NameOf(layer, linear);
            _a[i] = new Parameter(backend, name + ".lora_A.weight", rank, inputs);
            _b[i] = new Parameter(backend, name + ".lora_B.weight", outputs, rank);
            Initialise.Gaussian(_a[i], random, 1.0 / Math.Sqrt(inputs));
        }
    }

    /// <summary>r.</summary>
    public int Rank { get; }

    /// <summary>s.</summary>
    public double Scale { get; }

    /// <summary>All A and B.</summary>
    public IEnumerable<Parameter> Parameters => _a.Concat(_b);

    /// <summary>y_i = W_i x, and s * B_i (A_i x) added from row <paramref name="start"/> on, for linear maps that follow each other.</summary>
    internal void Linear(
        Tape tape, int layer, BlockLinear first, Variable x, ReadOnlySpan<Parameter> weights, ReadOnlySpan<Variable> y, int start)
    {
        var i = layer * LinearsPerBlock + (int)first;
        tape.MatMulLowRank(x, weights, _a.AsSpan(i, y.Length), _b.AsSpan(i, y.Length), (float)Scale, y, start);
    }
}
