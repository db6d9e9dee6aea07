// What a command says: results to standard output, notes to standard error, or JSON instead of the results.
// Colour only where a terminal shows it and NO_COLOR is unset. Numbers are written the same in every culture.
// Refuses: results in two forms at once; with --json nothing but the JSON reaches standard output.

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using Spectre.Console;

namespace Ptp.Reference.Commands;

/// <summary>Writes for one command.</summary>
internal sealed class Output
{
    public const string Green = "32";
    public const string Dim = "2";
    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public Output(CliHost host, bool json)
    {
        Host = host;
        Json = json;
        Colour = !json && host.OutIsTerminal && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));
        Console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = Colour ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = Colour ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(json ? TextWriter.Null : host.Out),
        });
        if (!host.OutIsTerminal)
        {
            Console.Profile.Width = 120; // a file has no width, and 80 columns would wrap the tables
        }
    }

    public CliHost Host { get; }

    /// <summary>True if the result is JSON.</summary>
    public bool Json { get; }

    /// <summary>True if text may be coloured.</summary>
    public bool Colour { get; }

    /// <summary>Tables and charts on standard output; writes nothing with --json.</summary>
    public IAnsiConsole Console { get; }

    /// <summary>A line of the result, unless it is JSON.</summary>
    public void Line(string text = "") => Write(text + "\n");

    /// <summary>A part of the result, unless it is JSON.</summary>
    public void Write(string text)
    {
        if (!Json)
        {
            Host.Out.Write(text);
            Host.Out.Flush();
        }
    }

    /// <summary>Generated text: accepted draft tokens are green.</summary>
    public void WriteToken(string text, bool accepted) => WriteStyled(text, accepted ? Green : "");

    /// <summary>Text that is context rather than result.</summary>
    public void WriteDim(string text) => WriteStyled(text, Dim);

    /// <summary>Text in a style, where a terminal shows it.</summary>
    /// <param name="text">The text.</param>
    /// <param name="style">Numbers of a terminal's "select graphic rendition", such as 32; empty for none.</param>
    public void WriteStyled(string text, string style) =>
        Write(Colour && style.Length > 0 ? $"\u001b[{style}m{text}\u001b[0m" : text);

    /// <summary>A line for the person who looks on; never part of the result.</summary>
    public void Note(string text) => Host.Error.WriteLine(text);

    /// <summary>The result as JSON, an object or an array of objects; does nothing without --json.</summary>
    public void Result(JsonNode result)
    {
        if (Json)
        {
            Host.Out.WriteLine(Text(result));
        }
    }

    /// <summary>JSON on one line.</summary>
    public static string Text(JsonNode json) => json.ToJsonString(Relaxed);

    /// <summary>A plain JSON number; null where there is none.</summary>
    public static JsonNode? Number(double value) => double.IsFinite(value) ? JsonValue.Create(value) : null;

    /// <summary>A JSON array of numbers.</summary>
    public static JsonArray Numbers(IEnumerable<double> values) => new([.. values.Select(Number)]);
}
