// One step's texts as the frozen base sees them: hidden states [S, D] behind chosen blocks, logits [S, V], keys and values.
//   row i of a text holds t_i; the law of its token "ahead" places on, under the base, stands behind row i + ahead - 1
// Source: PackedTexts' rows. Refuses: nothing of its own.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>S rows of whole texts after a pass of the base.</summary>
public sealed class HeadBatch
{
    private readonly Tape _tape;
    private readonly PackedTexts _texts;
    private readonly Tensor _logits;

    /// <summary>Runs the base over texts, packed and isolated from each other.</summary>
    /// <param name="network">The base.</param>
    /// <param name="tape">Holds what the pass leaves; reset here, and not to be reset while the batch is in use.</param>
    /// <param name="cache">Receives keys and values at entry i of row i; hidden states of the layers that it keeps.</param>
    /// <param name="texts">Texts; tokens from each prompt's end on are targets.</param>
    /// <param name="random">For whatever a head draws at random in its step.</param>
    public HeadBatch(Transformer network, Tape tape, KvCache cache, PackedTexts texts, RandomStream random)
    {
        (Network, _tape, _texts, Cache, Random) = (network, tape, texts, cache, random);
        tape.Reset();
        var x = tape.Empty(Ids.Length, network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(network.Embeddings, Ids, x);
        int[] slots = [.. Enumerable.Range(0, Ids.Length)];
        var hidden = network.Blocks(tape, x, new CallRows(Positions, Visibility, cache, slots));
        _logits = network.Logits(tape, hidden).Value;
    }

    /// <summary>The base.</summary>
    public Transformer Network { get; }

    /// <summary>The texts.</summary>
    public IReadOnlyList<Completion> Texts => _texts.Texts;

    /// <summary>First row of each text.</summary>
    public IReadOnlyList<int> Starts => _texts.Starts;

    /// <summary>Tokens of all rows, [S].</summary>
    public int[] Ids => _texts.Ids;

    /// <summary>Positions within the texts, [S].</summary>
    public int[] Positions => _texts.Positions;

    /// <summary>Causal within each text.</summary>
    public Visibility Visibility => _texts.Visibility;

    /// <summary>Keys and values, entry i of row i.</summary>
    public KvCache Cache { get; }

    /// <summary>The step's own stream.</summary>
    public RandomStream Random { get; }

    /// <summary>S.</summary>
    public int Rows => Ids.Length;

    /// <summary>Hidden states behind a block of the base, a constant, [S, D].</summary>
    public Variable States(int layer) => new(Cache.States(layer)!.Slice(0, Rows), null);

    /// <inheritdoc cref="PackedTexts.Places"/>
    public int[] Places(int ahead) => _texts.Places(ahead);

    /// <inheritdoc cref="PackedTexts.TokensAt"/>
    public int[] TokensAt(int[] places) => _texts.TokensAt(places);

    /// <inheritdoc cref="PackedTexts.Tokens"/>
    public int[] Tokens(int ahead) => _texts.Tokens(ahead);

    /// <inheritdoc cref="PackedTexts.Weights"/>
    public float[] Weights(int ahead, double weight = 1) => _texts.Weights(ahead, weight);

    /// <summary>Logits of the base for the tokens at given places, [R, V]; rows at a text's start have none and weigh nothing.</summary>
    public Tensor Teacher(int[] places)
    {
        var rows = _tape.Empty(places.Length, _logits.Columns, needsGradient: false);
        _tape.Backend.Embedding(_logits, [.. places.Select(place => Math.Max(0, place - 1))], rows.Value);
        return rows.Value;
    }

    /// <summary>Constant rows of a tensor [S, D], by index, [R, D].</summary>
    public Variable Gather(Tensor source, int[] rows)
    {
        var gathered = _tape.Empty(rows.Length, source.Columns, needsGradient: false);
        _tape.Backend.Embedding(source, rows, gathered.Value);
        return gathered;
    }
}
