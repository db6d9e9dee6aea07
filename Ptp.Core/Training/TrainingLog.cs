// The record of a run: one JSON object per line with step, loss and whatever else a step reports.
// Appended as training goes, read back for curves and for the step at which a run goes on.
// Refuses: lines it did not write; damaged last lines of a killed run are dropped.

using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Ptp.Core.Training;

/// <summary>An append-only JSON-lines log.</summary>
public sealed class TrainingLog : IDisposable
{
    private readonly StreamWriter _writer;

    /// <summary>Opens or creates the log and forgets lines after <paramref name="lastStep"/>.</summary>
    public TrainingLog(string path, int lastStep)
    {
        var kept = File.Exists(path) ? Read(path).Where(l => l.GetValueOrDefault("step") <= lastStep).ToList() : [];
        File.WriteAllLines(path, kept.Select(Line));
        _writer = new StreamWriter(path, append: true, new UTF8Encoding(false));
    }

    /// <summary>Adds a line.</summary>
    public void Add(IReadOnlyDictionary<string, double> values)
    {
        _writer.WriteLine(Line(values));
        _writer.Flush();
    }

    /// <summary>All whole lines of a log.</summary>
    public static IReadOnlyList<Dictionary<string, double>> Read(string path)
    {
        var lines = new List<Dictionary<string, double>>();
        foreach (var line in File.ReadLines(path))
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                lines.Add(json.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetDouble()));
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
            {
                break; // the run was killed while it wrote this line
            }
        }

        return lines;
    }

    /// <inheritdoc/>
    public void Dispose() => _writer.Dispose();

    private static string Line(IReadOnlyDictionary<string, double> values) => "{" + string.Join(
        ",", values.Select(v => $"\"{v.Key}\":{v.Value.ToString("G9", CultureInfo.InvariantCulture)}")) + "}";
}
