// One optimiser step (forward, backward, clipping, AdamW) of the 4.2M and the 34M model against PyTorch's eager step of the same LLaMA.
// Documents fill the context of 512 tokens, so both attend over the same triangles. Operations: 6 per weight and row, matrix products
// only, though attention takes time too; floor: the FMA peak. Refuses: nothing.

using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Bench.Rows;

/// <summary>Rows about training.</summary>
internal static class TrainingRows
{
    private const string Group = "Training step";
    private const int Vocabulary = 2048;

    /// <summary>Speed of both models.</summary>
    public static IEnumerable<Row> Steps(Bench bench)
    {
        (string Size, int Rows)[] sizes = bench.Plan.Of<(string, int)[]>(
            [("66k", 16)], [("4.2M", 2048), ("34M", 1024)], [("4.2M", 2048), ("34M", 2048)]);
        foreach (var (size, rows) in sizes)
        {
            var (trainer, length) = Trainer(bench.Backend, size, rows);
            var giga = 6e-9 * Shapes.ReadWeights(trainer.Model.Config) * rows;
            foreach (var row in Contest.Run(bench.Plan, Group, $"training step, {size}, {rows} rows", Unit.Gigaflops, giga,
                s => Clock.Time(() => trainer.Step(), s), [bench.AskTorch($"train {size} {rows} {length}")], () => bench.Peak(), bench.Plan.LongRounds))
            {
                yield return row;
            }
        }
    }

    /// <summary>Bytes that a step allocates after some have been taken.</summary>
    public static Row Allocation(Bench bench)
    {
        var (size, rows) = bench.Plan.Of(("66k", 16), ("4.2M", 512), ("4.2M", 2048));
        var (trainer, _) = Trainer(bench.Backend, size, rows);
        return AllocationOf($"training step, {size}, {rows} rows", () => trainer.Step(), 2);
    }

    /// <summary>Bytes allocated by all threads, per call.</summary>
    public static Row AllocationOf(string name, Action body, int calls)
    {
        for (var i = 0; i < 3; i++)
        {
            body();
        }

        var before = GC.GetTotalAllocatedBytes(true);
        for (var i = 0; i < calls; i++)
        {
            body();
        }

        var bytes = GC.GetTotalAllocatedBytes(true) - before; // before the row's name, which is a string of its own
        return new Row("Allocation", $"bytes per {name}", bytes / (double)calls, Unit.Bytes, Floor: 0);
    }

    /// <summary>A trainer on random texts, and how long they are.</summary>
    public static (LanguageModelTrainer Trainer, int Length) Trainer(IBackend backend, string size, int rows)
    {
        var config = TransformerConfig.Named(size, Vocabulary);
        var length = Math.Min(rows, config.MaxContext);
        var random = new RandomStream(2, "bench");
        // A document is put between two boundary tokens, and a row's target is the next token: length - 1 tokens fill length rows.
        int[][] documents = [.. Enumerable.Range(0, 64).Select(_ =>
            Enumerable.Range(0, length - 1).Select(_ => random.NextInt(Vocabulary)).ToArray())];
        var batches = new PackedBatches([new WeightedDocuments("random", documents, 1)], 0, 1);
        return (new LanguageModelTrainer(
            new Transformer(backend, config, 1), batches, new AdamWOptions(), new LearningRate(), rows), length);
    }
}
