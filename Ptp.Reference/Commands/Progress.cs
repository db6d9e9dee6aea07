// How far a long piece of work has come, on standard error: a bar with ETA on a terminal, else a line every ten seconds.
// Nothing is shown in the first two seconds, so short work stays silent.
// Refuses: standard output, which belongs to the result.

using System.Diagnostics;
using System.Globalization;

namespace Ptp.Reference.Commands;

/// <summary>Shows progress; dispose it to clear the bar.</summary>
/// <param name="host">Where to write.</param>
/// <param name="what">What is being done, in a word or two.</param>
/// <param name="clock">Seconds since the start; tests give their own.</param>
internal sealed class Progress(CliHost host, string what, Func<double>? clock = null) : IDisposable
{
    private const double Patience = 2;
    private const double LineEvery = 10;
    private const double BarEvery = 0.1;
    private const int BarWidth = 30;
    private readonly long _start = Stopwatch.GetTimestamp();
    private double _shown = double.NegativeInfinity;
    private double _first = double.NaN;
    private int _width;

    /// <summary>Tells how much is done.</summary>
    /// <param name="done">Units done.</param>
    /// <param name="total">Units in all; 0 if unknown.</param>
    /// <param name="detail">What else a person wants to see.</param>
    public void Report(double done, double total, string detail = "")
    {
        var now = clock?.Invoke() ?? Stopwatch.GetElapsedTime(_start).TotalSeconds;
        if (double.IsNaN(_first))
        {
            _first = done; // a resumed run starts in the middle; its rate counts only what this run did
        }

        var wait = host.ErrorIsTerminal ? BarEvery : LineEvery;
        if (now < Patience || now - _shown < wait)
        {
            return;
        }

        _shown = now;
        var eta = total > 0 && done > _first ? "  ETA " + Span((total - done) * now / (done - _first)) : "";
        var share = total > 0 ? Math.Clamp(done / total, 0, 1) : 0;
        var percent = total > 0 ? string.Create(CultureInfo.InvariantCulture, $"{100 * share,3:0} %") : "";
        if (!host.ErrorIsTerminal)
        {
            host.Error.WriteLine($"{what} {percent}  {detail}{eta}".Trim());
            return;
        }

        var filled = (int)(share * BarWidth);
        var bar = total > 0 ? new string('█', filled) + new string('░', BarWidth - filled) : "";
        var line = $"{what} {bar} {percent}  {detail}{eta}";
        host.Error.Write("\r" + line.PadRight(_width));
        host.Error.Flush();
        _width = line.Length;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_width > 0)
        {
            host.Error.Write("\r" + new string(' ', _width) + "\r");
            host.Error.Flush();
            _width = 0;
        }
    }

    /// <summary>Seconds as h:mm:ss or m:ss.</summary>
    public static string Span(double seconds)
    {
        var span = TimeSpan.FromSeconds(Math.Clamp(seconds, 0, 1e7));
        return span.TotalHours >= 1
            ? string.Create(CultureInfo.InvariantCulture, $"{(int)span.TotalHours}:{span.Minutes:00}:{span.Seconds:00}")
            : string.Create(CultureInfo.InvariantCulture, $"{span.Minutes}:{span.Seconds:00}");
    }
}
