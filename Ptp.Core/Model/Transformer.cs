// The LLaMA-style decoder: embeddings, L blocks (TransformerBlock), final norm, head.
//   x_0 = E[ids];  x_l = block_l(x_{l-1});  logits = Head n(x_L)
// R rows in, R rows out; what a row sees is its visibility. Refuses: batches of another shape, dropout, biases.

using Ptp.Core.Autograd;
using Ptp.Core.Formats;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Model;

/// <summary>Rows of one call beside their vectors; lives as long as the call, so its memory may be anyone's scratch.</summary>
/// <param name="positions">RoPE position of each row, [R].</param>
/// <param name="visibility">What each row sees; of a recorded call it must not change before the tape runs backwards.</param>
/// <param name="cache">Earlier keys and values, or null.</param>
/// <param name="cacheSlots">Where each row is stored in the cache, [R]; negative = nowhere; empty = no row is.</param>
/// <param name="gateStart">First gated row; gated rows run to the end of the call.</param>
public readonly ref struct CallRows(
    ReadOnlySpan<int> positions, Visibility visibility, KvCache? cache = null, ReadOnlySpan<int> cacheSlots = default,
    int gateStart = int.MaxValue)
{
    /// <summary>RoPE position of each row, [R].</summary>
    public ReadOnlySpan<int> Positions { get; } = positions;

    /// <summary>What each row sees.</summary>
    public Visibility Visibility { get; } = visibility;

    /// <summary>Earlier keys and values, or null.</summary>
    public KvCache? Cache { get; } = cache;

    /// <summary>Where each row is stored in the cache, [R]; negative = nowhere; empty = no row is.</summary>
    public ReadOnlySpan<int> CacheSlots { get; } = cacheSlots;

    /// <summary>First gated row; gated rows run to the end of the call.</summary>
    public int GateStart { get; } = gateStart;
}

/// <summary>A decoder-only transformer.</summary>
public sealed class Transformer
{
    private readonly TransformerBlock[] _blocks;

    /// <summary>A model with random weights.</summary>
    public Transformer(IBackend backend, TransformerConfig config, ulong seed)
        : this(backend, config)
    {
        var random = new RandomStream(seed, "weights");
        Initialise.Gaussian(Embeddings, random, 0.02);
        foreach (var block in _blocks)
        {
            block.Randomise(random, Config.Layers);
        }

        if (Head != Embeddings)
        {
            Initialise.Gaussian(Head, random, 0.02);
        }
    }

    /// <summary>A model whose matrices are zero, to be filled from files; gains are one.</summary>
    internal Transformer(IBackend backend, TransformerConfig config)
    {
        Config = config.Validated();
        Backend = backend;
        Embeddings = new Parameter(backend, "model.embed_tokens.weight", Config.VocabularySize, Config.HiddenSize);
        Rope = MakeRope(backend, Config);
        _blocks = [.. Enumerable.Range(0, Config.Layers)
            .Select(layer => new TransformerBlock(backend, Config, Rope, $"model.layers.{layer}."))];
        FinalNorm = new Parameter(backend, "model.norm.weight", 1, Config.HiddenSize, isVector: true);
        Initialise.Constant(FinalNorm, 1f);
        if (!Config.TieEmbeddings)
        {
            Head = new Parameter(backend, "lm_head.weight", Config.VocabularySize, Config.HiddenSize);
        }
        else
        {
            Head = Embeddings;
        }
    }

    private Transformer(Transformer of, WeightFormat format)
    {
        (Original, Config, Backend, Rope, FinalNorm) = (of, of.Config, of.Backend, of.Rope, of.FinalNorm);
        _blocks = [.. of._blocks.Select(block => block.Twin(format))];
        Embeddings = of.Embeddings.Twin(format);
        Head = of.Head == of.Embeddings ? Embeddings : of.Head.Twin(format);
    }

    /// <summary>Of a twin, the model whose numbers it shares; else null.</summary>
    public Transformer? Original { get; }

    /// <summary>Sizes.</summary>
    public TransformerConfig Config { get; }

    /// <summary>Device.</summary>
    public IBackend Backend { get; }

    /// <summary>Token table, [V, D].</summary>
    public Parameter Embeddings { get; }

    /// <summary>Output head, [V, D]; the token table itself if tied.</summary>
    public Parameter Head { get; }

    /// <summary>Gain of the norm before the head, [1, D].</summary>
    public Parameter FinalNorm { get; }

    /// <summary>Cosines and sines of all positions.</summary>
    internal RopeTable Rope { get; }

    /// <summary>Every parameter once, in the order of Hugging Face files.</summary>
    public IEnumerable<Parameter> Parameters
    {
        get
        {
            yield return Embeddings;
            foreach (var parameter in _blocks.SelectMany(block => block.Parameters))
            {
                yield return parameter;
            }

            yield return FinalNorm;
            if (Head != Embeddings)
            {
                yield return Head;
            }
        }
    }

    /// <summary>The matrices of all blocks, and the head.</summary>
    private IEnumerable<Parameter> Matrices => _blocks.SelectMany(block => block.Matrices).Append(Head);

    /// <summary>Starts or stops training of all weights.</summary>
    public void SetTrainable(bool trainable)
    {
        foreach (var parameter in Parameters)
        {
            parameter.SetTrainable(trainable);
        }
    }

    /// <summary>
    /// Stores the matrices of all blocks and the head otherwise for products: with Int8 it is a slightly different model, to which
    /// every decoder is exact in turn.
    /// </summary>
    public void StoreWeights(WeightFormat format)
    {
        foreach (var weight in Matrices)
        {
            weight.Store(format);
        }
    }

    /// <summary>
    /// The same numbers in the same memory, whose products read a second, smaller form of the matrices: for drafts, which need to be right
    /// often and not always. With Int8 it takes a quarter of the memory again. Make it once the weights are final.
    /// </summary>
    public Transformer Twin(WeightFormat format) => new(Original ?? this, format);

    /// <summary>Rounds the same matrices to the nearest BF16 numbers: products then read half the bytes.</summary>
    public void RoundToBFloat16()
    {
        foreach (var weight in Matrices)
        {
            var values = new float[weight.Value.Length];
            Backend.Download(weight.Value, values);
            NumberFormats.RoundToBFloat16(values);
            Initialise.Set(weight, values);
        }
    }

    /// <summary>Blocks in order: vectors [R, D] to hidden states [R, D] before the final norm.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="x">Token vectors, or hidden states behind the block before the first of <paramref name="layers"/>.</param>
    /// <param name="rows">Positions, visibility, cache.</param>
    /// <param name="lora">Added in gated rows.</param>
    /// <param name="layers">Which blocks; null = all.</param>
    public Variable Blocks(Tape tape, Variable x, CallRows rows, GatedLora? lora = null, Range? layers = null)
    {
        var (first, count) = (layers ?? Range.All).GetOffsetAndLength(Config.Layers);
        for (var layer = first; layer < first + count; layer++)
        {
            x = _blocks[layer].Run(tape, x, rows, layer, lora);
            if (!rows.CacheSlots.IsEmpty && rows.Cache!.States(layer) is { } states)
            {
                Backend.Scatter(x.Value, rows.CacheSlots, states);
            }
        }

        return x;
    }

    /// <summary>What <see cref="Blocks"/> leaves in the cache, to the bit, for rows whose output nobody reads: the last block stops at its keys and values.</summary>
    /// <param name="tape">The pass; it is not taught.</param>
    /// <param name="x">Token vectors, [R, D].</param>
    /// <param name="rows">Positions, visibility, cache and slots.</param>
    public void Remember(Tape tape, Variable x, CallRows rows)
    {
        var last = Config.Layers - 1;
        if (rows.Cache!.States(last) is not null)
        {
            Blocks(tape, x, rows); // its output is asked for after all
            return;
        }

        _blocks[last].Remember(tape, Blocks(tape, x, rows, layers: ..last), rows, last);
    }

    /// <summary>Final norm and head: hidden [R, D] to logits [R, V].</summary>
    public Variable Logits(Tape tape, Variable hidden) => tape.MatMul(Normed(tape, hidden), Head);

    /// <summary>The final norm alone: hidden [R, D] to what the head reads, [R, D].</summary>
    public Variable Normed(Tape tape, Variable hidden) => tape.RmsNorm(hidden, FinalNorm, Config.NormEpsilon);

    /// <summary>Token ids to logits [R, V].</summary>
    public Variable Forward(Tape tape, ReadOnlySpan<int> ids, CallRows rows) => Logits(tape, Hidden(tape, ids, rows));

    /// <summary>Sum of -log P(target) over the rows that have one; logits of all rows never stand in memory together.</summary>
    /// <param name="tape">The pass; if it records, gradients of the head are taken already.</param>
    /// <param name="ids">Token ids, [R].</param>
    /// <param name="rows">Positions, visibility, cache.</param>
    /// <param name="targets">Ids, [R]; negative = none.</param>
    public double CrossEntropy(Tape tape, ReadOnlySpan<int> ids, CallRows rows, ReadOnlySpan<int> targets) =>
        tape.CrossEntropy(Normed(tape, Hidden(tape, ids, rows)), Head, targets, []);

    /// <summary>[outputs, inputs] of a linear map.</summary>
    public static (int Outputs, int Inputs) ShapeOf(TransformerConfig config, BlockLinear linear) => linear switch
    {
        BlockLinear.Query => (config.QueryWidth, config.HiddenSize),
        BlockLinear.Key or BlockLinear.Value => (config.KeyValueWidth, config.HiddenSize),
        BlockLinear.Output => (config.HiddenSize, config.QueryWidth),
        BlockLinear.Gate or BlockLinear.Up => (config.IntermediateSize, config.HiddenSize),
        _ => (config.HiddenSize, config.IntermediateSize),
    };

    /// <summary>Hugging Face name of a linear map, without ".weight".</summary>
    public static string NameOf(int layer, BlockLinear linear) => $"model.layers.{layer}.{NameOf(linear)}";

    /// <summary>Name of a linear map within its block, without ".weight".</summary>
    internal static string NameOf(BlockLinear linear) => linear switch
    {
        BlockLinear.Query => "self_attn.q_proj",
        BlockLinear.Key => "self_attn.k_proj",
        BlockLinear.Value => "self_attn.v_proj",
        BlockLinear.Output => "self_attn.o_proj",
        BlockLinear.Gate => "mlp.gate_proj",
        BlockLinear.Up => "mlp.up_proj",
        _ => "mlp.down_proj",
    };

    private Variable Hidden(Tape tape, ReadOnlySpan<int> ids, CallRows rows)
    {
        var x = tape.Empty(ids.Length, Config.HiddenSize);
        tape.Embedding(Embeddings, ids, x);
        return Blocks(tape, x, rows);
    }

    internal static RopeTable MakeRope(IBackend backend, TransformerConfig config)
    {
        var half = config.HeadSize / 2;
        var cosine = new float[config.MaxContext * half];
        var sine = new float[cosine.Length];
        for (var position = 0; position < config.MaxContext; position++)
        {
            for (var i = 0; i < half; i++)
            {
                var angle = position * Math.Pow(config.RopeTheta, -2.0 * i / config.HeadSize);
                (sine[position * half + i], cosine[position * half + i]) =
                    ((float)Math.Sin(angle), (float)Math.Cos(angle));
            }
        }

        var table = new RopeTable(
            backend.Allocate(config.MaxContext, half), backend.Allocate(config.MaxContext, half));
        backend.Upload(cosine, table.Cosine);
        backend.Upload(sine, table.Sine);
        return table;
    }
}
