// The entry of ptp: wires the real console, Ctrl-C and SIGTERM to Cli.Run.
// The first Ctrl-C asks for a clean stop, the second one ends the process at once.
// Not here: anything a test should see; tests call Cli.Run with their own writers.

using System.Runtime.InteropServices;
using System.Text;
using Ptp.Reference.Commands;

using var stop = new CancellationTokenSource();
Console.OutputEncoding = new UTF8Encoding(false);
Console.CancelKeyPress += (_, e) =>
{
    if (!stop.IsCancellationRequested)
    {
        e.Cancel = true;
        stop.Cancel();
    }
};
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal =>
{
    signal.Cancel = true;
    stop.Cancel();
});
return Cli.Run(args, new CliHost(Console.Out, Console.Error)
{
    In = Console.In,
    OutIsTerminal = !Console.IsOutputRedirected,
    ErrorIsTerminal = !Console.IsErrorRedirected,
    Cancellation = stop.Token,
});
