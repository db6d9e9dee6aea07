// The report: every group of rows in turn, told to whoever watches as they come, printed as JSON or kept as Markdown.
// `quick` measures a short form of every row, `full` writes benchmarks/<cpu>/results.md with machine, commit and command.
// Refuses: unknown groups.

using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Ptp.Bench.Rows;

namespace Ptp.Bench;

/// <summary>All rows.</summary>
internal static partial class Report
{
    private static readonly (string Name, Func<Bench, IEnumerable<Row>> Rows)[] s_groups =
    [
        ("gemm", ProductRows.Square),
        ("shapes", ProductRows.Training),
        ("narrow", ProductRows.FewRows),
        ("row", ProductRows.OneRow),
        ("elementary", ElementwiseRows.All),
        ("attention", AttentionRows.All),
        ("training", TrainingRows.Steps),
        ("models", ModelRows.All),
        ("drafts", DraftRows.All),
        ("allocation", bench => [ModelRows.Allocation(bench), TrainingRows.Allocation(bench)]),
    ];

    /// <summary>Names of the groups.</summary>
    public static IEnumerable<string> Groups => s_groups.Select(g => g.Name);

    /// <summary>Measures.</summary>
    /// <param name="plan">How long.</param>
    /// <param name="peers">False to leave all peers out.</param>
    /// <param name="only">Groups; empty = all.</param>
    /// <param name="watch">Told of each row, and of peers that are not there.</param>
    public static IReadOnlyList<Row> Measure(Plan plan, bool peers, IReadOnlyCollection<string> only, Action<string> watch)
    {
        using var bench = new Bench(plan, peers);
        foreach (var missing in bench.Missing)
        {
            watch(missing);
        }

        var rows = new List<Row>();
        foreach (var (name, measure) in s_groups.Where(g => only.Count == 0 || only.Contains(g.Name)))
        {
            foreach (var row in measure(bench))
            {
                rows.Add(row);
                watch(row.ToString());
            }

            // Models of one group are gone before the next one starts.
            GC.Collect();
        }

        return rows;
    }

    /// <summary>A page with what a reader needs to repeat it.</summary>
    public static string Page(IReadOnlyList<Row> rows, string command, TimeSpan time) =>
        $"""
        # Measured on {Machine.Describe()}

        Commit {Commit()}, {DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture)}, {time.TotalMinutes:F1} minutes; `{command}`.
        Values are medians of interleaved rounds; a ratio above 1 means that ours is better; floors are measured in the same rounds. A dash is what
        was not there.


        """ + Row.Markdown(rows);

    /// <summary>The folder of this machine under benchmarks.</summary>
    public static string FolderName() => NotPlain().Replace(
        Machine.Describe().Split(", .NET", 2)[0].Replace("(R)", "", StringComparison.Ordinal).ToLowerInvariant(), "-").Trim('-');

    /// <summary>The commit that this was built from, as far as git tells.</summary>
    public static string Commit()
    {
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["rev-parse", "--short", "HEAD"]) { RedirectStandardOutput = true })!;
            var text = git.StandardOutput.ReadToEnd().Trim();
            git.WaitForExit();
            return text.Length > 0 ? text : "unknown";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "unknown";
        }
    }

    [GeneratedRegex("[^a-z0-9]+")]
    private static partial Regex NotPlain();
}
