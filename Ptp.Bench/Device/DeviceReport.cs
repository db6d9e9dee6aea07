// One program for a machine with a GPU and without an SDK: checks first, then times, then one page with both.
//   device [gpu|cuda|opencl|simulator] [--quick] [--cases N] [--seed N] [--no-peers] [--output FILE]
// Refuses: to time a device that fails a check; the page then holds the failures, and the exit code says so.

using System.Diagnostics;
using System.Globalization;
using System.Text;
using Ptp.Core;
using Ptp.Gpu;

namespace Ptp.Bench.Device;

/// <summary>The device report.</summary>
internal static class DeviceReport
{
    /// <summary>Runs it; false if a check failed.</summary>
    public static bool Run(string[] args, TextWriter output, TextWriter error)
    {
        var words = args.ToList();
        var (isQuick, isTiny, hasPeers) = (words.Remove("--quick"), words.Remove("--tiny"), !words.Remove("--no-peers"));
        var file = Take(words, "--output") ?? "device.md";
        var plan = isTiny ? Plan.Tiny : isQuick ? Plan.Quick : Plan.Full;
        var cases = (int)Number(words, "--cases", plan.Of(1, 2_000, 100_000));
        var seed = (ulong)Number(words, "--seed", 1);
        var kind = words.Count == 0 ? "gpu" : words[0];
        Guard.Require(words.Count <= 1 && GpuDevices.Words.ContainsKey(kind), "Measure a device", $"'{string.Join(' ', words)}'",
            $"one of {string.Join(", ", GpuDevices.Words.Keys)}, --quick, --cases N, --seed N, --no-peers, --output FILE", "Name one device, or none for the first there is.");
        using var gpu = new GpuBackend(GpuDevices.Words[kind]);
        var clock = Stopwatch.StartNew();
        void Watch(string text) => error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed.TotalSeconds,6:F1} s  {text}"));
        Watch(gpu.Name);
        var page = new StringBuilder(string.Create(CultureInfo.InvariantCulture,
            $"# {gpu.Name}\n\n{gpu.Multiprocessors} multiprocessors, {gpu.MemoryBytes / 1e9:F0} GB; host {Machine.Describe()}; "))
            .Append(CultureInfo.InvariantCulture, $"commit {Report.Commit()}, {DateTime.UtcNow:yyyy-MM-dd}, `device {string.Join(' ', args)}`.\n\n")
            .Append("| check | cases | failures |\n|---|---|---|\n");
        var failures = new List<string>();
        foreach (var check in DeviceChecks.Run(gpu, cases, seed))
        {
            Watch($"{check.Name}: {check.Cases} cases, {check.Failures.Count} failures");
            page.Append(CultureInfo.InvariantCulture, $"| {check.Name} | {check.Cases} | {check.Failures.Count} |\n");
            failures.AddRange(check.Failures);
        }

        page.Append('\n');
        if (failures.Count > 0)
        {
            page.AppendJoin('\n', failures.Select(f => $"- {f}")).Append('\n');
        }
        else
        {
            using var torch = hasPeers && kind != "simulator" ? Peers.Torch.Find(Environment.ProcessorCount, "cuda") : null;
            var rows = new List<Row>();
            foreach (var row in new DeviceRows(gpu, plan, torch).All())
            {
                rows.Add(row);
                Watch(row.ToString());
            }

            page.Append(Row.Markdown(rows));
        }

        page.Append(CultureInfo.InvariantCulture, $"{clock.Elapsed.TotalMinutes:F1} minutes in all.\n");
        var temporary = file + ".tmp";
        File.WriteAllText(temporary, page.ToString());
        File.Move(temporary, file, overwrite: true);
        output.WriteLine($"Wrote {file}.");
        return failures.Count == 0;
    }

    private static string? Take(List<string> words, string option)
    {
        var at = words.IndexOf(option);
        if (at < 0)
        {
            return null;
        }

        Guard.Require(at + 1 < words.Count, "Measure a device", $"{option} without a value", $"{option} VALUE", "Give one.");
        var value = words[at + 1];
        words.RemoveRange(at, 2);
        return value;
    }

    private static long Number(List<string> words, string option, long byDefault)
    {
        if (Take(words, option) is not { } text)
        {
            return byDefault;
        }

        Guard.Require(long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value is > 0 and <= int.MaxValue,
            "Measure a device", $"{option} {text}", "a whole number of at least 1", "Give another.");
        return value;
    }
}
