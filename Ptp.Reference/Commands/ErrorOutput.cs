// Errors as people and scripts read them: four parts on standard error, and with --json the same as an object.
// Exit codes: 0 done, 1 failed for no fault of the user, 2 what was asked cannot be done, 130 stopped by Ctrl-C.
// Refuses: stack traces, unless PTP_DEBUG=1 asks for them.

using System.Text.Json.Nodes;
using Ptp.Core;

namespace Ptp.Reference.Commands;

/// <summary>Writes errors.</summary>
internal static class ErrorOutput
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int BadInput = 2;
    public const int Stopped = 130;

    /// <summary>True if PTP_DEBUG=1: stack traces are shown.</summary>
    public static bool Debug => Environment.GetEnvironmentVariable("PTP_DEBUG") == "1";

    /// <summary>Writes any exception and returns the exit code it stands for.</summary>
    public static int Write(CliHost host, bool json, Exception exception)
    {
        if (Debug)
        {
            host.Error.WriteLine(exception);
        }

        switch (exception)
        {
            case PtpException known:
                WriteFourParts(host, json, known);
                return BadInput;
            case IOException or UnauthorizedAccessException:
                WriteFourParts(host, json, new PtpException(
                    "Read or write a file", exception.Message.TrimEnd('.'), "files that can be read, and a disk with room",
                    "Check the path, its permissions and the free space, then run the same command again.", exception));
                return BadInput;
            case OperationCanceledException:
                host.Error.WriteLine("Stopped.");
                return Stopped;
            default:
                host.Error.WriteLine(
                    $"ptp failed: {exception.GetType().Name}: {OneLine(exception.Message)} (PTP_DEBUG=1 shows where)");
                return Failed;
        }
    }

    private static void WriteFourParts(CliHost host, bool json, PtpException error)
    {
        host.Error.WriteLine($"asked:     {OneLine(error.Asked)}");
        host.Error.WriteLine($"received:  {OneLine(error.Received)}");
        host.Error.WriteLine($"expected:  {OneLine(error.Expected)}");
        host.Error.WriteLine($"way out:   {OneLine(error.WayOut)}");
        if (json)
        {
            host.Out.WriteLine(Output.Text(new JsonObject
            {
                ["error"] = new JsonObject
                {
                    ["asked"] = error.Asked,
                    ["received"] = error.Received,
                    ["expected"] = error.Expected,
                    ["way_out"] = error.WayOut,
                },
            }));
        }
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ");
}
