// Measured costs of calls beside the model or the adapter they belong to: calls.json, so that later starts need not measure again.
// Holds the machine it was measured on (device, vectors, threads, storage of weights) and the points of CallCosts.
// Refuses: damaged files. A file of another machine is no error, and is not used.

using System.Text.Json;
using Ptp.Core.Formats;

namespace Ptp.Core.Decoding;

/// <summary>Reads and writes calls.json.</summary>
public static class CallCostsFile
{
    /// <summary>The file's name.</summary>
    public const string Name = "calls.json";

    private const int Version = 1;

    /// <summary>Writes the file; an older one is replaced.</summary>
    /// <param name="folder">Of the model, or of the adapter whose drafts were measured.</param>
    /// <param name="machine">What the times hold for.</param>
    /// <param name="costs">The measurements.</param>
    public static void Save(string folder, string machine, CallCosts costs)
    {
        ArgumentNullException.ThrowIfNull(costs);
        AtomicFile.Write(Path.Combine(folder, Name), stream =>
        {
            using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
            json.WriteStartObject();
            json.WriteNumber("format_version", Version);
            json.WriteString("machine", machine);
            json.WriteStartArray("calls");
            foreach (var point in costs.Points)
            {
                json.WriteStartObject();
                json.WriteNumber("rows", point.Rows);
                json.WriteNumber("context", point.Context);
                json.WriteNumber("ms", point.Milliseconds);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        });
    }

    /// <summary>The costs that were measured on this machine, or null.</summary>
    /// <param name="folder">Where the file would be.</param>
    /// <param name="machine">As it was saved.</param>
    /// <exception cref="PtpException">The file is damaged.</exception>
    public static CallCosts? Find(string folder, string machine)
    {
        var path = Path.Combine(folder, Name);
        if (!File.Exists(path))
        {
            return null;
        }

        using var json = JsonFile.Open(path);
        if (json.Int("format_version") != Version || json.String("machine") != machine)
        {
            return null;
        }

        const string expected = "an array of calls, each with whole rows and context and ms above 0";
        var calls = json.Find("calls") is { ValueKind: JsonValueKind.Array } array ? array : throw json.Bad("no calls", expected);
        var points = new List<CallCost>();
        foreach (var call in calls.EnumerateArray())
        {
            points.Add(call.ValueKind == JsonValueKind.Object
                && call.TryGetProperty("rows", out var rows) && rows.ValueKind == JsonValueKind.Number && rows.TryGetInt32(out var r)
                && call.TryGetProperty("context", out var context) && context.ValueKind == JsonValueKind.Number
                && context.TryGetInt32(out var c) && c >= 0
                && call.TryGetProperty("ms", out var ms) && JsonFile.Finite(ms) is { } time
                    ? new CallCost(r, c, time)
                    : throw json.Wrong("calls", call, expected));
        }

        try
        {
            return new CallCosts(points);
        }
        catch (PtpException e)
        {
            throw json.Bad(e.Received, e.Expected, "Measure again with 'ptp bench calls --save', or delete the file.");
        }
    }
}
