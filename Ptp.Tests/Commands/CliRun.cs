// Runs ptp in this process and keeps what it wrote.
// Every run is checked for what holds for all: no stack trace, and with --json exactly one JSON object.
// Not here: a terminal; colour and bars have tests of their own.

using System.Text.Json;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

internal sealed record CliRun(int Code, string Out, string Error)
{
    private static readonly string[] Parts = ["asked:", "received:", "expected:", "way out:"];

    /// <summary>The JSON object that standard output holds.</summary>
    public JsonElement Json => JsonDocument.Parse(Out).RootElement;

    public static CliRun Of(params string[] args) => Of(null, args);

    public static CliRun Of(CliHost? host, params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        host = (host ?? new CliHost(output, error)) with { Out = output, Error = error };
        var run = new CliRun(Cli.Run(args, host), output.ToString(), error.ToString());
        Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
        if (args.Contains("--json") && run.Code is 0 or 2)
        {
            Assert.Equal(run.Code == 0 && args[0] == "compare" ? JsonValueKind.Array : JsonValueKind.Object, run.Json.ValueKind);
        }

        return run;
    }

    /// <summary>The JSON of a run that must succeed.</summary>
    public static JsonElement Result(params string[] args)
    {
        var run = Of([.. args, "--json"]);
        Assert.True(run.Code == 0, run.Error);
        return run.Json;
    }

    /// <summary>Checks that a run was refused with four readable parts, on both streams.</summary>
    public static void Refuses(string expectedText, params string[] args)
    {
        var plain = Of(args);
        Assert.True(plain.Code == 2, $"exit code {plain.Code} for {string.Join(' ', args)}: {plain.Error}");
        Assert.Empty(plain.Out);
        var lines = plain.Error.Split('\n').Where(l => Parts.Any(l.StartsWith)).ToList();
        Assert.Equal(Parts.Length, lines.Count);
        Assert.All(Parts.Zip(lines), p => Assert.True(p.Second.StartsWith(p.First, StringComparison.Ordinal)
            && p.Second.Length > p.First.Length + 2, p.Second));
        Assert.Contains(expectedText, plain.Error, StringComparison.OrdinalIgnoreCase);

        var json = Of([.. args, "--json"]);
        Assert.Equal(2, json.Code);
        var error = json.Json.GetProperty("error");
        foreach (var part in (string[])["asked", "received", "expected", "way_out"])
        {
            Assert.False(string.IsNullOrWhiteSpace(error.GetProperty(part).GetString()));
        }
    }
}
