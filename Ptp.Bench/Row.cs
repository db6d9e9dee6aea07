// A measured figure beside its peer and its floor, and how rows are printed: one JSON object, or Markdown.
//   ratio > 1: ours is better, whichever way the unit counts;  share of floor: 1 = the machine allows no more
// Refuses: a peer's number that was not measured in the same run. What is missing is null, never an error.

using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Ptp.Bench;

/// <summary>What a figure counts.</summary>
/// <param name="Name">As printed.</param>
/// <param name="MoreIsBetter">True for rates, false for times, errors and bytes.</param>
internal sealed record Unit(string Name, bool MoreIsBetter)
{
    public static readonly Unit Gigaflops = new("GFLOP/s", true);
    public static readonly Unit Gigabytes = new("GB/s", true);
    public static readonly Unit TokensPerSecond = new("tokens/s", true);
    public static readonly Unit NanosecondsPerElement = new("ns/element", false);
    public static readonly Unit Factor = new("calls of one row", false);
    public static readonly Unit Ulp = new("ulp", false);
    public static readonly Unit Count = new("", false);
    public static readonly Unit Bytes = new("bytes", false);

    /// <summary>A value from seconds per call: amount per second, or seconds times amount.</summary>
    public double Of(double amount, double seconds) => MoreIsBetter ? amount / seconds : amount * seconds;

    /// <summary>How many times better a is than b.</summary>
    public double Better(double a, double b) => MoreIsBetter ? a / b : b / a;
}

/// <summary>A line of the report.</summary>
/// <param name="Group">Section of the report.</param>
/// <param name="Name">What was measured; unique in a report.</param>
/// <param name="Ours">Our value, or null where there is no such path.</param>
/// <param name="Unit">What it counts.</param>
/// <param name="Peer">Who else was measured, or null where nobody does the same.</param>
/// <param name="PeerValue">The peer's value, or null where it is not installed.</param>
/// <param name="Ratio">Above 1, ours is better.</param>
/// <param name="Floor">What the machine allows, in the same unit, measured in the same rounds.</param>
/// <param name="ShareOfFloor">1 = no more is possible.</param>
internal sealed record Row(
    string Group, string Name, double? Ours, Unit Unit, string? Peer = null, double? PeerValue = null, double? Ratio = null,
    double? Floor = null, double? ShareOfFloor = null)
{
    private static readonly JsonSerializerOptions s_plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The eight keys of a row.</summary>
    public JsonObject ToJson() => new()
    {
        ["name"] = Name,
        ["ours"] = Number(Ours),
        ["unit"] = Unit.Name,
        ["peer"] = Peer,
        ["peer_value"] = Number(PeerValue),
        ["ratio"] = Number(Ratio),
        ["floor"] = Number(Floor),
        ["share_of_floor"] = Number(ShareOfFloor),
    };

    /// <summary>One object with all rows.</summary>
    public static string Json(IEnumerable<Row> rows) =>
        new JsonObject { ["rows"] = new JsonArray([.. rows.Select(r => r.ToJson())]) }.ToJsonString(s_plain);

    /// <summary>A table per group.</summary>
    public static string Markdown(IEnumerable<Row> rows)
    {
        var text = new StringBuilder();
        foreach (var group in rows.GroupBy(r => r.Group))
        {
            text.Append(CultureInfo.InvariantCulture, $"## {group.Key}\n\n| what | ours | unit | peer | its value | ratio | floor | share of floor |\n");
            text.Append("|---|---|---|---|---|---|---|---|\n");
            foreach (var row in group)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {row.Name} | {Text(row.Ours)} | {row.Unit.Name} | {row.Peer ?? "-"} | {Text(row.PeerValue)} ")
                    .Append(CultureInfo.InvariantCulture, $"| {Text(row.Ratio)} | {Text(row.Floor)} | {row.ShareOfFloor:P0} |\n");
            }

            text.Append('\n');
        }

        return text.ToString();
    }

    /// <summary>For somebody who watches.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Name}: {Text(Ours)} {Unit.Name}; {Peer ?? "no peer"} {Text(PeerValue)}; ratio {Text(Ratio)}{(ShareOfFloor is { } share ? $"; {share:P0} of the floor" : "")}");

    private static string Text(double? value) => value switch
    {
        null => "-",
        0 => "0",
        >= 100 or <= -100 => value.Value.ToString("F0", CultureInfo.InvariantCulture),
        var some => some.Value.ToString("G3", CultureInfo.InvariantCulture),
    };

    private static JsonValue? Number(double? value) =>
        value is { } some && double.IsFinite(some) ? JsonValue.Create(Math.Round(some, 6)) : null;
}
