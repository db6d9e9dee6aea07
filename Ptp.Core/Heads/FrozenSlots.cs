// Slots whose weights stand still, as flow heads are trained on them: batches of runs, and one pass without gradient per batch.
// Source: the layout of DistillationBatch.   Refuses: slots that see u or earlier tokens, no texts.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;

namespace Ptp.Core.Heads;

/// <summary>Independent slots on texts.</summary>
internal sealed class FrozenSlots
{
    private const int SureSlots = 2;
    private readonly SlotModel _ptp;
    private readonly IReadOnlyList<Completion> _texts;
    private readonly DistillationOptions _options;
    private readonly Tape _tape;
    private readonly KvCache? _cache;

    public FrozenSlots(SlotModel ptp, IReadOnlyList<Completion> texts, DistillationOptions options)
    {
        Guard.Require(ptp is { Embedding: ConstantEmbedding, Sampler: null }, "Train a flow head", $"{ptp.Embedding.Name} slots",
            "slots that see no u and no earlier token", "Distill slots with --embedding constant first.");
        Guard.Require(texts.Count > 0, "Train a flow head", "no texts", "at least one", "Make completions first.");
        (_ptp, _texts, _options) = (ptp, texts, options);
        Batch = new DistillationBatch(ptp.NumbersPerToken, options.Gamma, ptp.Shift);
        _tape = new Tape(ptp.Network.Backend);
        _cache = ptp.SharesBase ? new KvCache(ptp.Network.Backend, ptp.Network.Config, options.ContextTokens) : null;
    }

    /// <summary>The batch of the step.</summary>
    public DistillationBatch Batch { get; }

    /// <summary>Draws the batch of a step.</summary>
    public void Draw(RandomStream random) => Batch.Draw(_texts, _ptp.Slots, _options, random, SureSlots + 1 - _ptp.Shift);

    /// <summary>The stream of a step.</summary>
    public RandomStream Stream(long step) => new(_options.Seed, $"starts of step {step}");

    /// <summary>Each row's place in its run, [R].</summary>
    public static int[] Places(DistillationBatch batch)
    {
        var places = new List<int>();
        foreach (var run in batch.Runs)
        {
            places.AddRange(Enumerable.Range(0, run.Count));
        }

        return [.. places];
    }

    /// <summary>
    /// Each row's place behind the token that a draft knows, [R]: categorical runs begin behind it; one-hot runs begin with it, at -1, and
    /// the weight of that row is taken away.
    /// </summary>
    public int[] PlacesBehindKnown(DistillationBatch batch)
    {
        var places = Places(batch);
        for (var row = 0; row < places.Length && _ptp.Shift == 0; row++)
        {
            batch.Weights[row] = --places[row] < 0 ? 0 : batch.Weights[row];
        }

        return places;
    }

    /// <summary>Hidden states [R, D] and logits [R, V] of all slots of a batch.</summary>
    public (Variable Hidden, Variable Logits) States(DistillationBatch batch)
    {
        var (network, context, slots) = (_ptp.Network, batch.Ids.Length, batch.Targets.Length);
        _tape.Reset();
        var x = _tape.Empty(context + slots, network.Config.HiddenSize);
        _tape.Embedding(network.Embeddings, batch.Ids, x.Slice(0, context));
        var own = x.Slice(context, slots);
        _ptp.Embed(_tape, batch.U, batch.LastTokens, own);
        Variable hidden;
        if (_cache is null)
        {
            int[] positions = [.. batch.Positions, .. batch.SlotPositions];
            hidden = network.Blocks(_tape, x, new CallRows(positions, batch.SlotVisibility(cached: false))).Slice(context, slots);
        }
        else
        {
            int[] places = [.. Enumerable.Range(0, context)];
            network.Remember(_tape, x.Slice(0, context), new CallRows(batch.Positions, batch.ContextVisibility(), _cache, places));
            hidden = network.Blocks(
                _tape, own, new CallRows(batch.SlotPositions, batch.SlotVisibility(cached: true), _cache, gateStart: 0), _ptp.Lora);
        }

        return (hidden, network.Logits(_tape, hidden));
    }
}
