// What ptp compare found: JSON, a table that fits a terminal, Markdown off one (documentation can take it as it is), a chart.
//   figures are pooled over texts (DecodeStats); speed-up: median over texts (PairedRatios), 1 for plain decoding, whose interval is a control
// Refuses: nothing to draw.

using System.Text.Json.Nodes;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Formats;
using Ptp.Reference.Studies;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Reports runs.</summary>
/// <param name="runs">Systems at each temperature; plain decoding is among them.</param>
/// <param name="how">Machine, prompts, lengths.</param>
internal sealed class ComparedFigures(IReadOnlyList<ComparedSystem> runs, string how)
{
    private static readonly string[] s_head =
        ["system", "T", "correct", "accepted", "of tasks", "tokens/call", "calls/round", "rows/call", "ms/token", "speed-up", "95 %", "promise", "kept"];

    /// <summary>Best promise first.</summary>
    private static readonly Guarantee[] s_promises = [Guarantee.Path, Guarantee.Law, Guarantee.Greedy, Guarantee.None];

    /// <summary>Prints the result, and writes the files that are wanted.</summary>
    /// <param name="output">Where to print.</param>
    /// <param name="markdown">A file for the table, or null.</param>
    /// <param name="svg">A file for the chart, or null.</param>
    public void Write(Output output, string? markdown, string? svg)
    {
        output.Result(Json());
        if (output.Host.OutIsTerminal)
        {
            var table = new Table().AddColumns(s_head);
            Rows().ForEach(row => table.AddRow(row));
            output.Console.Write(table);
        }
        else
        {
            output.Write(Markdown());
        }

        if (markdown is not null)
        {
            AtomicFile.WriteText(markdown, Markdown());
        }

        if (svg is not null && runs.Count > 0)
        {
            AtomicFile.WriteText(svg, Svg());
        }
    }

    /// <summary>An object per row.</summary>
    public JsonArray Json() => new([.. runs.Select(run => new JsonObject
    {
        ["name"] = run.System.Name,
        ["temperature"] = run.Law.Temperature,
        ["correct_per_round"] = Output.Number(run.Stats.CorrectPerRound),
        ["accepted_per_round"] = Output.Number(run.Stats.AcceptedPerRound),
        ["accepted_per_round_mean_of_tasks"] = Output.Number(run.MeanOfTasks),
        ["tokens_per_call"] = Output.Number(run.Stats.TokensPerCall),
        ["calls_per_round"] = Output.Number(CallsPerRound(run)),
        ["rows_per_call"] = Output.Number(run.Stats.RowsPerCall),
        ["ms_per_token"] = Output.Number(run.Stats.MillisecondsPerToken),
        ["speedup"] = Output.Number(Speedup(run)),
        ["speedup_low"] = run.Speedups.Interval is (var low, _) ? Output.Number(low) : null,
        ["speedup_high"] = run.Speedups.Interval is (_, var high) ? Output.Number(high) : null,
        ["guarantee"] = Promise(run.System.Guarantee),
        ["guarantee_holds"] = run.Holds,
        ["tokens"] = run.Stats.Tokens,
    })]);

    /// <summary>The table, with a heading.</summary>
    public string Markdown()
    {
        var table = new StudyTable("The family compared", how, s_head);
        Rows().ForEach(row => table.Row(row[0], row[1..]));
        return table.ToString();
    }

    /// <summary>Accepted tokens per round: a panel per temperature, the best of the first above.</summary>
    public string Svg()
    {
        double[] temperatures = [.. runs.Select(r => r.Law.Temperature).Distinct()];
        var bars = runs.GroupBy(r => r.System).Select(of => new SvgBar(of.Key.Name, Promise(of.Key.Guarantee),
            [.. temperatures.Select(t => of.FirstOrDefault(r => r.Law.Temperature == t)?.Stats.AcceptedPerRound ?? double.NaN)]));
        return SvgBars.Draw(
            "Accepted tokens per round, by what a system promises", [.. temperatures.Select(t => Invariant($"temperature {t}"))],
            [.. s_promises.Select(Promise)], [.. bars.OrderByDescending(b => b.Values[0])]);
    }

    private List<string[]> Rows() => [.. runs.Select(run => (string[])
    [
        run.System.Name, Invariant($"{run.Law.Temperature}"),
        .. ((double[])[
            run.Stats.CorrectPerRound, run.Stats.AcceptedPerRound, run.MeanOfTasks, run.Stats.TokensPerCall, CallsPerRound(run),
            run.Stats.RowsPerCall, run.Stats.MillisecondsPerToken, Speedup(run)]).Select(value => Invariant($"{value:0.00}")),
        run.Speedups.Interval is (var low, var high) ? Invariant($"{low:0.00} to {high:0.00}") : "-",
        Promise(run.System.Guarantee), run.Holds switch { true => "yes", false => "NO", null => "-" },
    ])];

    private static double Speedup(ComparedSystem run) => run.System.Name == FamilySystem.Plain ? 1 : run.Speedups.Count == 0 ? double.NaN : run.Speedups.Median;

    private static double CallsPerRound(ComparedSystem run) => (double)(run.Stats.Calls + run.Stats.DrafterCalls) / run.Stats.Rounds;

    private static string Promise(Guarantee guarantee) => Invariant($"{guarantee}").ToLowerInvariant();
}
