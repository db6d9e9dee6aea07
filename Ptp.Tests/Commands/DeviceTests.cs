// ptp on a device: the option names it, decoders keep the text there, a run that began on the CPU goes on there along the same curve,
// and the device report checks before it times. Runs on the simulator, which every machine has.
// Each check must have counted its cases: one that ran none proves nothing. Not here: speed, and a device that fails.

using System.Text.Json;
using Ptp.Bench;
using Ptp.Gpu;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class DeviceTests(TinyModels tiny)
{
    [Fact]
    public void A_device_keeps_the_text_and_is_named()
    {
        string[] common = ["generate", "--model", tiny.Base, "--prompt", "ab", "--device", "simulator"];
        var plain = CliRun.Result([.. common, "--max-new", "12", "--decoder", "ar"]);
        var drafted = CliRun.Result([.. common, "--max-new", "12", "--decoder", "ptp", "--adapter", tiny.Adapter, "--slots", "4"]);
        Assert.Equal(GpuDevices.SimulatorName, plain.GetProperty("device").GetString());
        Assert.Equal(Tokens(plain), Tokens(drafted));
        Assert.Equal(12, Tokens(plain).Length);
        foreach (var rounding in (string[][])[["--precision", "tf32"], ["--precision", "bf16", "--weights", "bf16"]])
        {
            Assert.Equal(
                Tokens(CliRun.Result([.. common, .. rounding, "--max-new", "4", "--decoder", "ar"])),
                Tokens(CliRun.Result([.. common, .. rounding, "--max-new", "4", "--decoder", "ptp", "--adapter", tiny.Adapter])));
        }

        Assert.True(CliRun.Result("soak", "--cases", "3", "--device", "simulator").GetProperty("cases").GetInt32() == 3);
    }

    [Fact]
    public void A_missing_device_is_an_error_with_a_way_out()
    {
        CliRun.Refuses("--weights", "generate", "--model", tiny.Base, "--prompt", "ab", "--precision", "tf32");
        CliRun.Refuses("cuda", "generate", "--model", tiny.Base, "--prompt", "ab", "--device", "tpu");
        if (GpuDevices.List().Count == 0)
        {
            CliRun.Refuses("driver", "generate", "--model", tiny.Base, "--prompt", "ab", "--device", "gpu");
        }
    }

    [Fact]
    public async Task Training_moves_between_devices_along_one_curve()
    {
        string[] Train(string folder, int steps, string device) =>
        [
            "train", "--corpus", tiny.Corpus, "--output", tiny.At(folder), "--size", "4k", "--vocab", "270", "--context", "32", "--rows", "32",
            "--steps", $"{steps}", "--warmup", "2", "--threads", "1", "--device", device,
        ];

        Assert.True(CliRun.Result(Train("trained-here", 20, "cpu")).GetProperty("complete").GetBoolean());
        Assert.True(CliRun.Result(Train("trained-there", 20, "simulator")).GetProperty("complete").GetBoolean());
        var (here, there) = (Losses("trained-here"), Losses("trained-there"));
        Assert.True(here.Length > 0 && here.Length == there.Length);
        Assert.All(here.Zip(there), pair => Assert.Equal(pair.First, pair.Second, 2e-3 * pair.First)); // sums in another order, 20 steps long

        // Stopped on the CPU, finished on the device: the same curve again.
        const int Steps = 4000;
        using var stop = new CancellationTokenSource();
        var log = Path.Combine(tiny.At("trained-both"), "log.jsonl");
        var first = Task.Run(() => CliRun.Of(new CliHost(TextWriter.Null, TextWriter.Null) { Cancellation = stop.Token }, Train("trained-both", Steps, "cpu")));
        while (!first.IsCompleted && !(File.Exists(log) && new FileInfo(log).Length > 200))
        {
            Thread.Sleep(1);
        }

        await stop.CancelAsync();
        Assert.Equal(130, (await first).Code);
        var before = Losses("trained-both");
        using var again = new CancellationTokenSource();
        again.CancelAfter(TimeSpan.FromSeconds(2));
        Assert.Equal(130, CliRun.Of(new CliHost(TextWriter.Null, TextWriter.Null) { Cancellation = again.Token }, Train("trained-both", Steps, "simulator")).Code);
        Assert.Equal(before, Losses("trained-both").Take(before.Length));
    }

    [Fact]
    public void The_device_report_checks_and_then_times()
    {
        var file = tiny.At("device.md");
        Assert.Equal((0, ""), Bench("device", "simulator", "--tiny", "--cases", "2", "--no-peers", "--output", file));
        var page = File.ReadAllText(file);
        foreach (var text in (string[])[GpuDevices.SimulatorName, "| same u, same tokens, every drafter of PTP | 2 | 0 |", "Matrix products", "Training step", "kernels launched"])
        {
            Assert.Contains(text, page, StringComparison.Ordinal);
        }

        Assert.Equal(2, Bench("device", "tpu").Code);
        Assert.Equal(2, Bench("device", "simulator", "--cases", "none").Code);
        Assert.Equal(2, Bench("device", "simulator", "--output").Code);
    }

    private static (int Code, string Error) Bench(params string[] args)
    {
        using var error = new StringWriter();
        var code = BenchCommand.Run(args, TextWriter.Null, error);
        return (code, code == 0 ? "" : error.ToString());
    }

    private static int[] Tokens(JsonElement json) => [.. json.GetProperty("token_ids").EnumerateArray().Select(t => t.GetInt32())];

    private double[] Losses(string folder) =>
    [
        .. File.ReadLines(Path.Combine(tiny.At(folder), "log.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
            .Where(e => e.TryGetProperty("loss", out _)).Select(e => e.GetProperty("loss").GetDouble()),
    ];
}
