// PyTorch out of process: a script that is asked for one timing at a time, so that its threads sleep while others are measured.
// Each line asks "what sizes... seconds" and is answered by seconds per call. Python: PTP_PYTHON, else /usr/bin/python3, else python3.
// Refuses: nothing; where Python or torch is missing there is no peer, and a script that fails or hangs is not asked again.

using System.Diagnostics;
using System.Globalization;

namespace Ptp.Bench.Peers;

/// <summary>A running script.</summary>
internal sealed class Torch : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly Process _process;

    private Torch(Process process, string version) => (_process, Version) = (process, version);

    /// <summary>As the script says.</summary>
    public string Version { get; }

    /// <summary>Starts the script, or null.</summary>
    public static Torch? Find(int threads, string device = "cpu")
    {
        var script = Path.Combine(AppContext.BaseDirectory, "Peers", "torch_peer.py");
        var python = Environment.GetEnvironmentVariable("PTP_PYTHON") ?? (File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3");
        try
        {
            var start = new ProcessStartInfo(python, [script, threads.ToString(CultureInfo.InvariantCulture), device])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            if (OpenBlas.Core is { } core)
            {
                start.Environment[OpenBlas.CoreVariable] = core; // Debian's torch multiplies by OpenBLAS where that is installed
            }

            var process = Process.Start(start)!;
            process.ErrorDataReceived += (_, _) => { }; // read, so that a talkative library never waits for us
            process.BeginErrorReadLine();
            var torch = new Torch(process, "");
            if (torch.Answer() is { Length: > 0 } version)
            {
                return new Torch(process, version);
            }

            torch.Dispose();
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            // No such program.
        }

        return null;
    }

    /// <summary>Seconds per call of what is named, measured for at least so many; NaN if it cannot be had.</summary>
    public double Seconds(string what, double seconds)
    {
        try
        {
            _process.StandardInput.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what} {seconds}"));
            _process.StandardInput.Flush();
            return double.TryParse(Answer(), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) ? value : double.NaN;
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return double.NaN;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _process.Kill();
            _process.WaitForExit();
        }
        catch (InvalidOperationException)
        {
            // It has ended by itself.
        }

        _process.Dispose();
    }

    private string? Answer()
    {
        var line = _process.StandardOutput.ReadLineAsync();
        if (line.Wait(s_patience))
        {
            return line.Result;
        }

        _process.Kill();
        return null;
    }
}
