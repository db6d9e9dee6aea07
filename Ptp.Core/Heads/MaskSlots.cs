// Mask slots: rows of learned vectors behind the text, run through the base with gated LoRA, each predicting one token further ahead.
//   slot l at the end of a text t_{<=p}: vector m_l, sees the text and, unless streams are apart, slots < l; predicts t_{p+2+l}
// Samragh, DSpark and ProphetNet's streams differ in what slots see, where they stand and what reads them.
// Decoding takes a call of the last token and the slots, which also gives the exact next token. Refuses: u; slots do not know it.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Slots without u.</summary>
public abstract class MaskSlots : DraftHead
{
    private const int RunRows = 192; // slot rows per step of training
    private readonly Parameter _masks; // [slots, D]

    private protected MaskSlots(Transformer network, HeadOptions options, bool apart)
        : base(network, options)
    {
        Guard.Require(options.Slots > 1, "Make mask slots", $"{options.Slots} slot", "two or more, as the first token is exact", "Use more slots.");
        Apart = apart;
        Lora = new GatedLora(network.Backend, network.Config, options.Rank, 1, options.Seed);
        _masks = Matrix("masks", options.Slots - 1, network.Config.HiddenSize, gain: 0);
        Initialise.Gaussian(_masks, new RandomStream(options.Seed, "masks"), 0.02);
    }

    /// <summary>True if no slot sees another.</summary>
    public bool Apart { get; }

    /// <summary>Places between the last row and slot 0's own position: 1, or 2 where slots stand at the token they predict.</summary>
    private protected virtual int FirstPlace => 1;

    /// <summary>The gated adapter.</summary>
    public GatedLora Lora { get; }

    /// <inheritdoc/>
    public override IReadOnlyList<int> Layers => [];

    /// <inheritdoc/>
    public override IReadOnlyList<Parameter> Parameters => [_masks, .. Lora.Parameters];

    /// <inheritdoc/>
    public override HeadSteps NewSteps() => new MaskSteps(this);

    /// <summary>Logits of slots, [R, V], given the token before the one each predicts.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="hidden">States of the slots behind the last block, [R, D].</param>
    /// <param name="before">Token before the predicted one, [R].</param>
    public virtual Variable Logits(Tape tape, Variable hidden, int[] before) => Network.Logits(tape, hidden);

    /// <summary>What else slots are taught, from their states and where their targets stand; 0 for nothing.</summary>
    private protected virtual double OtherLoss(Tape tape, Variable hidden, HeadBatch batch, int[] places, float[] weights) => 0;

    /// <summary>Vectors of slots as rows of <paramref name="x"/>, [R, D].</summary>
    internal void Embed(Tape tape, int[] slots, Variable x) => tape.Embedding(_masks, slots, x);

    /// <summary>Adds slots as rows behind a text of which a range of the cache, and own rows [0, first), are visible.</summary>
    internal void See(Visibility visibility, int cacheStart, int cacheEnd, int ownRows, int first, int count)
    {
        for (var slot = 0; slot < count; slot++)
        {
            visibility.AddRow(cacheStart, cacheEnd).AddRange(0, ownRows).AddRange(Apart ? first + slot : first, first + slot + 1);
        }
    }

    /// <summary>Positions of slots behind a last row at <paramref name="last"/>.</summary>
    internal int[] PositionsBehind(int last, int count) => [.. Enumerable.Range(last + FirstPlace, count)];

    /// <inheritdoc/>
    public override (double Loss, double Weight) Loss(Tape tape, HeadBatch batch)
    {
        var (slots, places, positions, visibility) = (new List<int>(), new List<int>(), new List<int>(), new Visibility());
        while (slots.Count < RunRows)
        {
            var text = batch.Random.NextInt(batch.Texts.Count);
            var (start, length, prompt) = (batch.Starts[text], batch.Texts[text].Tokens.Length, batch.Texts[text].PromptLength);
            // The last known token stands at p; slot l predicts p + 2 + l. The first may lie just before the generated part.
            var p = Math.Max(0, prompt - 2) + batch.Random.NextInt(length - Math.Max(0, prompt - 2));
            var count = Math.Min(Slots - 1, length - p - 2);
            if (count <= 0)
            {
                if (length < 3)
                {
                    break; // the only text may be too short for a slot
                }

                continue;
            }

            See(visibility, start, start + p + 1, 0, slots.Count, count);
            positions.AddRange(PositionsBehind(p, count));
            slots.AddRange(Enumerable.Range(0, count));
            places.AddRange(Enumerable.Range(start + p + 2, count));
        }

        var x = tape.Empty(slots.Count, Network.Config.HiddenSize);
        Embed(tape, [.. slots], x);
        var hidden = Network.Blocks(tape, x, new CallRows([.. positions], visibility, batch.Cache, gateStart: 0), Lora);
        float[] weights = [.. slots.Select(_ => 1f)];
        int[] targets = [.. places];
        var loss = Judge(tape, Logits(tape, hidden, batch.TokensAt([.. places.Select(place => place - 1)])), batch, targets, weights);
        return (loss + OtherLoss(tape, hidden, batch, targets, weights), weights.Length);
    }
}

/// <summary>One call of the last token and the slots; then each slot's law is read along the path.</summary>
internal sealed class MaskSteps(MaskSlots head) : HeadSteps
{
    private Variable? _slots; // [count - 1, D]
    private Tape? _tape;

    /// <inheritdoc/>
    public override int Slots => head.Slots;

    /// <inheritdoc/>
    public override int? Begin(ModelSession session, Auxiliaries u, long g, int count)
    {
        var (model, cached, slots) = (session.Model, session.Cache.Length, count - 1);
        _tape = session.Tape;
        _tape.Reset();
        var x = _tape.Empty(1 + slots, model.Config.HiddenSize, needsGradient: false);
        _tape.Embedding(model.Embeddings, [session.Tokens[^1]], x.Slice(0, 1));
        if (slots > 0)
        {
            head.Embed(_tape, [.. Enumerable.Range(0, slots)], x.Slice(1, slots));
        }

        var visibility = new Visibility().AddCausal(0, cached, 1);
        head.See(visibility, 0, cached, 1, 1, slots);
        var hidden = model.Blocks(_tape, x, session.BaseRows(1, visibility, head.PositionsBehind(cached, slots)), head.Lora);
        session.Stats.AddCall(1 + slots);
        session.Cache.Append(1);
        session.KeepLogits(model.Logits(_tape, hidden.Slice(0, 1)).Value);
        _slots = hidden.Slice(1, slots);
        return session.Pick(0, u, g);
    }

    /// <inheritdoc/>
    public override Tensor Laws(DraftNodes nodes, int[] which)
    {
        var rows = _tape!.Empty(which.Length, _slots!.Value.Columns, needsGradient: false);
        _tape.Backend.Embedding(_slots.Value, [.. which.Select(nodes.Depth)], rows.Value);
        return head.Logits(_tape, rows, [.. which.Select(nodes.Token)]).Value;
    }
}
