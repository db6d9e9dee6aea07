// ptp curve: draws the logs of one or more training runs as one SVG.
// Source: the log.jsonl that training and distillation write into their folders.
// Refuses: folders without a log.

using System.CommandLine;
using System.Text.Json.Nodes;
using Ptp.Core;

namespace Ptp.Reference.Commands;

/// <summary>Draws training curves.</summary>
internal sealed class CurveVerb : Verb
{
    private readonly Option<string[]> _runs = Values.Texts("--run", "Folder of a run; give several to compare them.", "FOLDER");
    private readonly Option<string?> _output = Values.Text("--output", "The picture.", "FILE.svg");
    private readonly Option<string?> _title = Values.Text("--title", "Its title. Default: the runs' names.", "TEXT");

    public CurveVerb()
        : base(
            "curve",
            "Draw the losses of training runs, smoothed, with held-out losses where they were measured.",
            "ptp curve --run runs/base --output base.svg",
            "ptp curve --run runs/ptp --run runs/independent --output adapters.svg")
    {
        _runs.Required = true;
        _output.Required = true;
        Add(_runs);
        Add(_output);
        Add(_title);
    }

    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        var runs = call.Get(_runs)!;
        var lines = new List<SvgLine>();
        foreach (var run in runs)
        {
            var log = Path.Combine(run, "log.jsonl");
            Guard.Require(File.Exists(log), "Draw a curve", $"'{run}', which holds no log.jsonl",
                "a folder that 'ptp train' or 'ptp distill' wrote", "Name the output folder of a run.");
            var name = Path.GetFileName(Path.GetFullPath(run));
            lines.AddRange(TrainingInput.Curves(log).Select(
                line => runs.Length == 1 ? line : line with { Name = $"{name} {line.Name}" }));
        }

        var title = call.Get(_title) ?? string.Join(", ", runs.Select(r => Path.GetFileName(Path.GetFullPath(r))));
        var output = call.Get(_output)!;
        SvgPlot.Save(output, title, "step", "loss (nats)", lines);
        call.Out.Line($"Wrote {output}.");
        call.Out.Result(new JsonObject { ["output"] = output, ["lines"] = lines.Count });
        return ErrorOutput.Done;
    }
}
