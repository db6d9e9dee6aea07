// Answers in Spec-Bench's own schema, a JSON object per line: texts, rounds, tokens and seconds per turn, tokens per round.
// A file grows line by line, so that a stopped run keeps what it has; a last line without its end is dropped when the run goes on.
// Refuses: lines that are no answers, numbers that contradict each other.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Reference.Commands;

namespace Ptp.Reference.SpecBench;

/// <summary>An answer.</summary>
/// <param name="Id">question_id.</param>
/// <param name="Category">Of the question.</param>
/// <param name="System">model_id: who answered.</param>
/// <param name="Turns">Texts.</param>
/// <param name="Steps">Rounds per turn.</param>
/// <param name="NewTokens">Tokens per turn.</param>
/// <param name="WallTime">Seconds per turn, prompt included.</param>
/// <param name="AcceptLengths">Tokens of every round of all turns.</param>
internal sealed record SpecAnswer(
    int Id, string Category, string System, IReadOnlyList<string> Turns, IReadOnlyList<int> Steps, IReadOnlyList<int> NewTokens,
    IReadOnlyList<double> WallTime, IReadOnlyList<int> AcceptLengths)
{
    /// <summary>Tokens per second over all turns.</summary>
    public double Speed => NewTokens.Sum() / WallTime.Sum();

    /// <summary>The line.</summary>
    public string ToLine() => Output.Text(new JsonObject
    {
        ["question_id"] = Id,
        ["category"] = Category,
        ["answer_id"] = $"{System}-{Id}",
        ["model_id"] = System,
        ["choices"] = new JsonArray(new JsonObject
        {
            ["index"] = 0,
            ["turns"] = new JsonArray([.. Turns.Select(t => (JsonNode)t)]),
            ["decoding_steps"] = new JsonArray([.. Steps.Select(t => (JsonNode)t)]),
            ["new_tokens"] = new JsonArray([.. NewTokens.Select(t => (JsonNode)t)]),
            ["wall_time"] = new JsonArray([.. WallTime.Select(t => (JsonNode)t)]),
            ["accept_lengths"] = new JsonArray([.. AcceptLengths.Select(t => (JsonNode)t)]),
        }),
        ["tstamp"] = (DateTime.UtcNow - DateTime.UnixEpoch).TotalSeconds,
    });

    /// <summary>Adds a line to a file.</summary>
    public void AppendTo(string path)
    {
        try
        {
            File.AppendAllText(path, ToLine() + "\n", new UTF8Encoding(false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new PtpException($"Write {path}", e.Message.TrimEnd('.'), "a folder that can be written and has room",
                "The answers so far are kept; make room and run the command again.", e);
        }
    }

    /// <summary>Answers of a file that ends with a whole line; empty if there is none.</summary>
    /// <param name="path">The file.</param>
    /// <param name="mends">True to drop a last line that was cut short; else it is an error.</param>
    public static IReadOnlyList<SpecAnswer> Read(string path, bool mends = false)
    {
        if (!File.Exists(path))
        {
            return [];
        }

        var asked = $"Read answers from {path}";
        var text = File.ReadAllText(path);
        var whole = text[..(text.LastIndexOf('\n') + 1)];
        Guard.Require(mends || whole.Length == text.Length, asked, "a last line without its end", "whole lines",
            "Run the command again: it goes on where it was stopped.");
        if (whole.Length < text.Length)
        {
            Core.Formats.AtomicFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(whole)));
        }

        string[] lines = whole.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var ids = new HashSet<int>();
        return [.. lines.Select((line, i) => Parse(line) is { } answer && ids.Add(answer.Id) ? answer : throw new PtpException(asked,
            $"line {i + 1}", "an answer in Spec-Bench's schema, its numbers in agreement, one per question", "Remove the file and answer again."))];
    }

    private static SpecAnswer? Parse(string line)
    {
        try
        {
            using var json = JsonDocument.Parse(line);
            var root = json.RootElement;
            var choice = root.GetProperty("choices")[0];
            int[] Whole(string name) => [.. choice.GetProperty(name).EnumerateArray().Select(n => n.GetInt32())];
            var answer = new SpecAnswer(
                root.GetProperty("question_id").GetInt32(), root.GetProperty("category").GetString()!, root.GetProperty("model_id").GetString()!,
                [.. choice.GetProperty("turns").EnumerateArray().Select(t => t.GetString()!)], Whole("decoding_steps"), Whole("new_tokens"),
                [.. choice.GetProperty("wall_time").EnumerateArray().Select(n => n.GetDouble())], Whole("accept_lengths"));
            var turns = answer.Turns.Count;
            return turns > 0 && answer.Steps.Count == turns && answer.NewTokens.Count == turns && answer.WallTime.Count == turns
                && answer.WallTime.All(s => s > 0) && answer.AcceptLengths.Count == answer.Steps.Sum()
                && answer.AcceptLengths.Sum() == answer.NewTokens.Sum()
                ? answer
                : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException
            or IndexOutOfRangeException)
        {
            return null;
        }
    }
}
