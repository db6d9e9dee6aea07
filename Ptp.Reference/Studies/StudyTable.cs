// The table that a study writes: a title, how it was measured, rows of figures, what it is compared with; Markdown.
// Source: GitHub's tables. Numbers are written the same in every culture.
// Refuses: rows of another length than the head.

using System.Globalization;
using System.Text;
using Ptp.Core;

namespace Ptp.Reference.Studies;

/// <summary>A Markdown table under construction.</summary>
/// <param name="title">Heading.</param>
/// <param name="how">Effort, cases, law.</param>
/// <param name="head">Names of the columns.</param>
internal sealed class StudyTable(string title, string how, params string[] head)
{
    private readonly StringBuilder _rows = new();
    private string _last = "";

    /// <summary>Adds a row.</summary>
    public StudyTable Row(string name, params IEnumerable<string> cells)
    {
        string[] all = [name, .. cells];
        Guard.Require(all.Length == head.Length, "Write a table", $"{all.Length} cells", $"{head.Length}", "Give each column a cell.");
        _rows.Append("| ").AppendJoin(" | ", all).Append(" |\n");
        return this;
    }

    /// <summary>Adds a row of numbers with two decimals, or as the format says.</summary>
    public StudyTable Row(string name, IEnumerable<double> values, string format = "0.00") =>
        Row(name, values.Select(v => double.IsFinite(v) ? v.ToString(format, CultureInfo.InvariantCulture) : ""));

    /// <summary>Says something below the table.</summary>
    public StudyTable Note(string text)
    {
        _last += "\n" + text + "\n";
        return this;
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"# {title}\n\n{how}\n\n| {string.Join(" | ", head)} |\n|{string.Concat(head.Select(_ => "---|"))}\n{_rows}{_last}";
}
