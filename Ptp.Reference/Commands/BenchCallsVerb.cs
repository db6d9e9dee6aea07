// ptp bench calls: what a call costs on this machine, against its rows and the tokens behind it.
// The same measurement chooses the length of drafts in demo and generate; --save keeps it beside model and adapter (calls.json).
// Refuses: rows and context that do not fit the model.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Training;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Measures calls.</summary>
internal sealed class BenchCallsVerb : Verb
{
    private static readonly int[] s_rows = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128];
    private readonly Option<string?> _model = Values.Text("--model", "Model folder. Default: models/base.", "FOLDER");
    private readonly Option<string?> _tokenizer = Values.Text("--tokenizer", "Its tokenizer, where its folder has none.", "FILE");
    private readonly Option<int> _rows = Values.Whole("--max-rows", "Most rows of a call.", 128, 1, 4096);
    private readonly Option<int> _context = Values.Whole("--context", "Tokens in the cache, beside none.", 256, 1);
    private readonly Option<int> _rounds = Values.Whole("--rounds", "Timed rounds of each call; the median counts.", 9, 1, 1000);
    private readonly Option<string?> _weights = WeightsOption.New();
    private readonly Option<string?> _adapter = Values.Text(
        "--adapter", "Measure the drafting calls of this adapter too, or 'none'. Default: models/ptp, with the default model only.", "FOLDER|none");

    private readonly Option<bool> _save = Values.Switch(
        "--save", "Keep the times beside model and adapter, as calls.json: demo and generate then start without measuring.");

    public BenchCallsVerb()
        : base(
            "calls",
            "Measure milliseconds per call against its rows (tokens or slots) and the tokens in the cache. Where a call of eight rows "
            + "costs little more than one of a single row, drafts are nearly free; where rows cost what they are, only short drafts pay.",
            "ptp bench calls",
            "ptp bench calls --save",
            "ptp bench calls --model runs/base --max-rows 32 --weights int8 --json")
    {
        foreach (var option in (Option[])[_model, _tokenizer, _rows, _context, _rounds, _weights, _adapter, _save])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend, call.Get(_weights)!);
        var config = model.Model.Config;
        int[] rows = [.. s_rows.Where(r => r < call.Get(_rows)), call.Get(_rows)];
        var context = call.Get(_context);
        Guard.Require(rows[^1] + context <= config.MaxContext, "Measure calls", $"{rows[^1]} rows behind {context} tokens",
            $"at most the context of {config.MaxContext} in all", "Lower --max-rows or --context.");
        call.Out.Note($"{backend.Name}; {model.Folder}; {Invariant($"{config.Parameters / 1e6:0.0}")} M parameters");
        var costs = CallCosts.Measure(model.Model, rows, [0, context], call.Get(_rounds), 0.01);
        var adapter = ModelChoice.Shelf(call.Get(_adapter), ModelChoice.Ptp, call.Get(_model) is null);
        var drafts = adapter is null ? null : Drafts(model, adapter, [.. rows.Where(r => r > 1)], context, call.Get(_rounds));
        if (call.Get(_save))
        {
            CallCostsFile.Save(model.Folder, model.Machine, costs);
            if (drafts is not null)
            {
                CallCostsFile.Save(adapter!, model.Machine, drafts);
            }
        }

        call.Out.Line(Invariant($"| rows | ms, no context | factor to one row | ms, {context} tokens | factor | tokens/s | ms, draft of rows - 1 |"));
        call.Out.Line("|---|---|---|---|---|---|---|");
        var points = new JsonArray();
        foreach (var row in rows)
        {
            var (empty, full) = (costs.Milliseconds(row, 0), costs.Milliseconds(row, context));
            call.Out.Line(
                Invariant($"| {row} | {empty:0.000} | {empty / costs.Milliseconds(1, 0):0.00} | {full:0.000} | ")
                + Invariant($"{full / costs.Milliseconds(1, context):0.00} | {1000 * row / full:0} | ")
                + (drafts is null || row < 2 ? "- |" : Invariant($"{drafts.Milliseconds(row, context):0.000} |")));
            foreach (var (behind, milliseconds) in ((int, double)[])[(0, empty), (context, full)])
            {
                points.Add(new JsonObject
                {
                    ["rows"] = row,
                    ["context"] = behind,
                    ["ms"] = Output.Number(milliseconds),
                    ["factor"] = Output.Number(milliseconds / costs.Milliseconds(1, behind)),
                    ["draft_ms"] = drafts is null || row < 2 ? null : Output.Number(drafts.Milliseconds(row, behind)),
                });
            }
        }

        call.Out.Result(new JsonObject
        {
            ["model"] = model.Folder,
            ["device"] = backend.Name,
            ["weights"] = model.Weights,
            ["adapter"] = adapter,
            ["parameters"] = config.Parameters,
            ["calls"] = points,
        });
        return ErrorOutput.Done;
    }

    /// <summary>Drafting calls; null for a student of its own, whose calls are plain ones of another model.</summary>
    private static CallCosts? Drafts(ModelChoice model, string folder, int[] rows, int context, int rounds)
    {
        AdapterFolder.ReadManifest(folder).CheckBase(model.Fingerprint);
        var adapter = PtpAdapter.Load(folder, model.Model, model.Fingerprint);
        int[] lengths = [.. rows.Where(r => r <= adapter.Slots + 1)];
        return adapter.SharesBase && lengths.Length > 0 ? CallCosts.MeasureDrafts(adapter, lengths, [0, context], rounds, 0.01) : null;
    }
}
