// Perplexity of each token behind a split of held-out text, of the base and of categorical slots (PTP section 3.5; see PositionLoss).
// Split behind the prompt's tokens; documents that end before the last slot's token are left out.
// Refuses: adapters whose laws depend on more than earlier u, laws that cut tokens off, text without a document that is long enough.

using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Paper;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Perplexities by position.</summary>
/// <param name="Texts">Texts that were split.</param>
/// <param name="Base">Mean loss of the base, in nats, [N].</param>
/// <param name="Slots">Mean loss of the slots at u inferred from themselves, in nats, [N].</param>
internal sealed record PositionPerplexity(int Texts, double[] Base, double[] Slots)
{
    private const ulong Noise = 77; // seed of the places in the cells
    private const int Batch = 32; // texts that are inverted at once

    /// <summary>Measures.</summary>
    /// <param name="call">The run.</param>
    /// <param name="decoding">Base, adapter and law.</param>
    /// <param name="documents">Held-out documents as tokens.</param>
    /// <param name="split">Tokens before the split.</param>
    public static PositionPerplexity Of(Call call, Decoding decoding, IReadOnlyList<int[]> documents, int split)
    {
        const string Asked = "Measure perplexity by position";
        Guard.Require(decoding.Adapter is { } adapter && Inversion.CanRead(adapter), Asked,
            decoding.Adapter is null ? "no adapter" : decoding.Adapter.Sampler is null ? "slots that are not categorical"
            : "a sampler head that runs tokens through blocks", "categorical slots, alone or with a sampler head that reads tokens",
            "Train some with 'ptp iat', or 'ptp distill --reading categorical --sampler-depth 0'.");
        var (ptp, begin) = (decoding.Adapter!, decoding.Model.BeginToken);
        Guard.Require(ptp.Law is { TopK: 0, TopP: 1, Temperature: > 0 }, Asked,
            Invariant($"an adapter of temperature {ptp.Law.Temperature}, top-k {ptp.Law.TopK}, top-p {ptp.Law.TopP}"),
            "a law under which every token is possible", "Distill an adapter with --top-p 1; what a law cuts off has no perplexity.");
        int[][] pieces = [.. documents.Where(d => d.Length >= split + ptp.Slots)
            .Select(d => begin is { } first ? (int[])[first, .. d[..(split + ptp.Slots)]] : d[..(split + ptp.Slots)])];
        Guard.Require(pieces.Length > 0, Asked, $"no document of {split + ptp.Slots} tokens", "longer held-out documents", "Lower --prompt-tokens.");
        var start = split + (begin is null ? 0 : 1);
        var result = new PositionPerplexity(pieces.Length, new double[ptp.Slots], new double[ptp.Slots]);
        using var bar = new Progress(call.Out.Host, "by position");
        foreach (var (index, batch) in pieces.Chunk(Batch).Index())
        {
            call.Cancellation.ThrowIfCancellationRequested();
            var texts = new SplitTexts(batch, [.. batch.Select(_ => start)]);
            var share = batch.Length / (double)pieces.Length;
            var (own, plain) = (PositionLoss.OfSlots(ptp, texts, Noise + (ulong)index), PositionLoss.OfNextToken(decoding.Model.Model, texts, ptp.Law));
            for (var k = 0; k < ptp.Slots; k++)
            {
                result.Slots[k] += share * own[k];
                result.Base[k] += share * plain[k];
            }

            bar.Report(Math.Min(pieces.Length, (index + 1) * Batch), pieces.Length, Invariant($"{pieces.Length} texts"));
        }

        return result;
    }

    /// <summary>For --json.</summary>
    public JsonObject Json() => new()
    {
        ["texts"] = Texts,
        ["base"] = Output.Numbers(Base.Select(Math.Exp)),
        ["slots"] = Output.Numbers(Slots.Select(Math.Exp)),
        ["base_all"] = Output.Number(Math.Exp(Base.Average())),
        ["slots_all"] = Output.Number(Math.Exp(Slots.Average())),
        ["ratio"] = Output.Number(Math.Exp(Slots.Average() - Base.Average())),
    };

    /// <summary>As a table.</summary>
    public void Print(Output output)
    {
        var table = new Table().Title(Invariant($"perplexity behind a split, {Texts} texts")).AddColumns("token", "base", "slots", "ratio");
        for (var k = 0; k < Base.Length; k++)
        {
            Add(Invariant($"{k + 1}"), Base[k], Slots[k]);
        }

        Add("all", Base.Average(), Slots.Average());
        output.Console.Write(table);

        void Add(string name, double plain, double own) => table.AddRow(
            name, Invariant($"{Math.Exp(plain):0.00}"), Invariant($"{Math.Exp(own):0.00}"), Invariant($"{Math.Exp(own - plain):0.000}"));
    }
}
