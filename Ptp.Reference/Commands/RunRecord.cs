// What a resumable run was begun with, beside its results: run.json in its folder, completions.json beside shards.
// A run that goes on under other options would be neither the old run nor a new one, and nobody could make it again.
// Refuses: to go on with options that differ, naming each of them.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Formats;

namespace Ptp.Reference.Commands;

/// <summary>Options of a run, kept so that it can only go on as it began.</summary>
internal static class RunRecord
{
    /// <summary>Name of the record in the folder of a training run.</summary>
    public const string Name = "run.json";

    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Compares with the record, if there is one, or writes it.</summary>
    /// <param name="path">The record.</param>
    /// <param name="asked">The operation, for messages.</param>
    /// <param name="options">What the run is asked to do now; flat.</param>
    /// <param name="wayOut">What else the user can do.</param>
    public static void Keep(string path, string asked, JsonObject options, string wayOut)
    {
        if (!File.Exists(path))
        {
            var bytes = Encoding.UTF8.GetBytes(options.ToJsonString(s_indented));
            AtomicFile.Write(path, stream => stream.Write(bytes));
            return;
        }

        var begun = Read(path, asked);
        string[] differing = [.. options.Select(o => o.Key).Union(begun.Select(o => o.Key))
            .Where(key => Text(options, key) != Text(begun, key))];
        Guard.Require(differing.Length == 0, asked, $"{string.Join(", ", differing.Select(k => $"{k} = {Text(options, k)}"))}",
            $"{string.Join(", ", differing.Select(k => $"{k} = {Text(begun, k)}"))}, as in {path}", $"{wayOut}");
    }

    private static JsonObject Read(string path, string asked)
    {
        try
        {
            return JsonNode.Parse(File.ReadAllText(path)) as JsonObject ?? throw new JsonException("not an object");
        }
        catch (JsonException error)
        {
            throw new PtpException(asked, $"'{path}', which is damaged ({error.Message})", "the record of a run",
                "Delete it if you know that the options are the same, or start anew with --overwrite.");
        }
    }

    private static string Text(JsonObject record, string key) => record[key]?.ToJsonString() ?? "nothing";
}
