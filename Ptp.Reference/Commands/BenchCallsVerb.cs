// ptp bench calls: what a call costs on this machine, against its rows and the tokens behind it.
// The same measurement chooses the length of drafts in demo and generate; weights read once are the floor of every call.
// Refuses: rows and context that do not fit the model.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Decoding;
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

    public BenchCallsVerb()
        : base(
            "calls",
            "Measure milliseconds per call against its rows (tokens or slots) and the tokens in the cache. Where a call of eight rows "
            + "costs little more than one of a single row, drafts are nearly free; where rows cost what they are, only short drafts pay.",
            "ptp bench calls",
            "ptp bench calls --model runs/base --max-rows 32 --json")
    {
        foreach (var option in (Option[])[_model, _tokenizer, _rows, _context, _rounds])
        {
            Add(option);
        }
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        var model = ModelChoice.Load(call.Get(_model), call.Get(_tokenizer), backend);
        var config = model.Model.Config;
        int[] rows = [.. s_rows.Where(r => r < call.Get(_rows)), call.Get(_rows)];
        var context = call.Get(_context);
        Guard.Require(rows[^1] + context <= config.MaxContext, "Measure calls", $"{rows[^1]} rows behind {context} tokens",
            $"at most the context of {config.MaxContext} in all", "Lower --max-rows or --context.");
        call.Out.Note($"{backend.Name}; {model.Folder}; {Invariant($"{config.Parameters / 1e6:0.0}")} M parameters");
        var costs = CallCosts.Measure(model.Model, rows, [0, context], call.Get(_rounds), 0.01);

        call.Out.Line(Invariant($"| rows | ms, no context | factor to one row | ms, {context} tokens | factor | tokens/s |"));
        call.Out.Line("|---|---|---|---|---|---|");
        var points = new JsonArray();
        foreach (var row in rows)
        {
            var (empty, full) = (costs.Milliseconds(row, 0), costs.Milliseconds(row, context));
            call.Out.Line(
                Invariant($"| {row} | {empty:0.000} | {empty / costs.Milliseconds(1, 0):0.00} | {full:0.000} | ")
                + Invariant($"{full / costs.Milliseconds(1, context):0.00} | {1000 * row / full:0} |"));
            foreach (var (behind, milliseconds) in ((int, double)[])[(0, empty), (context, full)])
            {
                points.Add(new JsonObject
                {
                    ["rows"] = row,
                    ["context"] = behind,
                    ["ms"] = Output.Number(milliseconds),
                    ["factor"] = Output.Number(milliseconds / costs.Milliseconds(1, behind)),
                });
            }
        }

        call.Out.Result(new JsonObject
        {
            ["model"] = model.Folder,
            ["device"] = backend.Name,
            ["parameters"] = config.Parameters,
            ["calls"] = points,
        });
        return ErrorOutput.Done;
    }
}
