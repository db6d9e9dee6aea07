// The world outside a command: where it writes and reads, whether a person looks on, when to stop.
// Commands use nothing of System.Console, so that tests run them in their own process.
// Not here: what is written; see Output.

namespace Ptp.Reference.Commands;

/// <summary>The streams of a run of ptp.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">Progress, notes and errors.</param>
internal sealed record CliHost(TextWriter Out, TextWriter Error)
{
    /// <summary>Read by "--prompt -".</summary>
    public TextReader In { get; init; } = TextReader.Null;

    /// <summary>True if results go to a terminal: colour is welcome.</summary>
    public bool OutIsTerminal { get; init; }

    /// <summary>True if notes go to a terminal: progress bars are welcome.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>Set by Ctrl-C.</summary>
    public CancellationToken Cancellation { get; init; }
}
