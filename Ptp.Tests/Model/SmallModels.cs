// Small random models and one forward pass over them, for the tests of cache and adapter.
// Source: ExactnessCase draws the models.
// Not here: expectations.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;

namespace Ptp.Tests.Model;

internal static class SmallModels
{
    public static (Transformer Model, Random Random) Draw(IBackend backend, int seed)
    {
        var stream = new RandomStream((ulong)seed, "cache");
        return (ExactnessCase.RandomModel(backend, ExactnessCase.RandomConfig(stream), stream), new Random(seed));
    }

    public static int[] Ids(Random random, int count, Transformer model) =>
        [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabularySize))];

    /// <summary>Logits [R, V] of causal rows behind the cache; rows from the gate on are adapted. The caller appends.</summary>
    public static float[] Forward(
        Tape tape, Transformer model, int[] ids, KvCache? cache, int gate = int.MaxValue, GatedLora? lora = null)
    {
        var x = Call(tape, model, ids, cache, out var rows, gate);
        return model.Logits(tape, model.Blocks(tape, x, rows, lora)).Value.Span.ToArray();
    }

    /// <summary>Token vectors [R, D] and causal rows behind the cache.</summary>
    public static Variable Call(
        Tape tape, Transformer model, int[] ids, KvCache? cache, out CallRows rows, int gate = int.MaxValue)
    {
        tape.Reset();
        var cached = cache?.Length ?? 0;
        int[] slots = [.. Enumerable.Range(cached, ids.Length)];
        rows = new CallRows(
            slots, Visibility.Causal(cached, ids.Length), cache, cache is null ? null : slots, gate);
        var x = tape.Empty(ids.Length, model.Config.HiddenSize);
        tape.Embedding(model.Embeddings, ids, x);
        return x;
    }
}
