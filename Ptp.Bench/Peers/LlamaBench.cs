// llama.cpp out of process, through the llama-bench that PTP_LLAMA_BENCH names, on the very weights that we decode, written as GGUF.
// With and without its flash attention, of which the better counts. Refuses: nothing; without the variable there is no peer.
// Its depth tests compute logits for the last row only, ours for all rows.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Ptp.Bench.Peers;

/// <summary>Runs of llama-bench.</summary>
internal sealed class LlamaBench
{
    private readonly string _path;
    private readonly int _threads;

    private LlamaBench(string path, int threads) => (_path, _threads) = (path, threads);

    /// <summary>The peer as rows print it.</summary>
    public static readonly Contestant Peer = new("llama.cpp", null, null);

    /// <summary>The program that the environment names, or null.</summary>
    public static LlamaBench? Find(int threads) => Environment.GetEnvironmentVariable("PTP_LLAMA_BENCH") is { Length: > 0 } path
        && File.Exists(path) ? new LlamaBench(path, threads) : null;

    /// <summary>Tokens per second by tokens of a test: prompts of so many rows, and one text, under the negative of its length.</summary>
    /// <param name="model">A GGUF file.</param>
    /// <param name="prompts">Rows of each prompt.</param>
    /// <param name="text">Tokens to decode, or 0.</param>
    /// <param name="depth">Tokens in the cache before.</param>
    /// <param name="repeats">Timed runs; their mean counts.</param>
    public IReadOnlyDictionary<int, double> TokensPerSecond(string model, int[] prompts, int text, int depth, int repeats)
    {
        string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
        try
        {
            using var process = Process.Start(new ProcessStartInfo(_path, [
                "-m", model, "-p", string.Join(',', prompts), "-n", Text(text), "-d", Text(depth), "-r", Text(repeats), "-t", Text(_threads),
                "-fa", "0,1", "-o", "json"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            process.ErrorDataReceived += (_, _) => { };
            process.BeginErrorReadLine();
            using var json = JsonDocument.Parse(process.StandardOutput.ReadToEnd());
            process.WaitForExit();
            return json.RootElement.EnumerateArray()
                .GroupBy(r => r.GetProperty("n_prompt").GetInt32() - r.GetProperty("n_gen").GetInt32())
                .ToDictionary(g => g.Key, g => g.Max(r => r.GetProperty("avg_ts").GetDouble()));
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException or JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return new Dictionary<int, double>();
        }
    }
}
