// The command line of Ptp.Bench: which measurement, how long, and where the result goes.
//   quick, full: the report;  check: the report at the smallest sizes;  device: checks and times of a GPU;  kernels: BenchmarkDotNet;
//   calls, replay, model: single questions
// Refuses: unknown words, sizes and groups, with what was expected; Debug builds, except for check, which promises no times.

using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;

namespace Ptp.Bench;

/// <summary>The program.</summary>
internal static class BenchCommand
{
    private const int Done = 0;
    private const int Failed = 1;
    private const int Refused = 2;

    private static string Help =>
        $"""
        dotnet run -c Release --project Ptp.Bench -- WHAT

          quick [GROUP...] [--json] [--no-peers]    a short form of every row, ours against peers and floors, in a few minutes
          full [GROUP...] [--output FOLDER] [--no-peers]
                                                    the same at length, written as Markdown; default benchmarks/<cpu>
          check [GROUP...] [--json] [--no-peers]    one call of everything at the smallest sizes: does it run?
          device [gpu|cuda|opencl|simulator] [--quick] [--cases N] [--seed N] [--no-peers] [--output FILE]
                                                    checks a GPU (same bits, same text), then times it; one page, device.md
          kernels [BenchmarkDotNet options]         ladders of kernels, losing rungs included; --filter '*' for all
          calls [SIZE]                              what a call costs against its rows
          replay SIZE [bf16] [CHANCE]               decoders on random weights with replayed guesses
          model SIZE FOLDER                         writes a model of random weights, to be exported and measured elsewhere

        Groups: {string.Join(", ", Report.Groups)}. Sizes: {string.Join(", ", Shapes.Names)}.
        Peers that are found are used: OpenBLAS (libopenblas), ONNX Runtime (fetched by NuGet), PyTorch (PTP_PYTHON, or python3),
        llama.cpp (PTP_LLAMA_BENCH names llama-bench). One that is missing leaves null in its rows.
        """;

    /// <summary>Runs it.</summary>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        try
        {
            var what = args.Length == 0 ? "--help" : args[0];
            Guard.Require(what is "check" or "--help" or "-h" || !IsDebug(), "Measure", "a Debug build", "Release", "Run with -c Release.");
            switch (what)
            {
                case "--help" or "-h":
                    output.WriteLine(Help);
                    break;
                case "quick" or "full" or "check":
                    RunReport(args, output, error);
                    break;
                case "device":
                    return Device.DeviceReport.Run(args[1..], output, error) ? Done : Failed;
                case "kernels":
                    RunKernels(args[1..]);
                    break;
                case "calls":
                    Calls(Size(args, "4.2M"), output);
                    break;
                case "replay":
                    RunReplay(args, output);
                    break;
                case "model":
                    Guard.Require(args.Length == 3, "Write a model", $"{args.Length - 1} words", "a size and a folder", "Name both.");
                    using (var backend = new CpuBackend())
                    {
                        Shapes.Write(backend, Size(args, ""), args[2]);
                    }

                    break;
                default:
                    throw new PtpException("Measure", $"'{what}'", "quick, full, check, device, kernels, calls, replay or model", "See --help.");
            }

            return Done;
        }
        catch (PtpException e)
        {
            error.WriteLine(e.Message);
            return Refused;
        }
    }

    private static void RunReport(string[] args, TextWriter output, TextWriter error)
    {
        var plan = args[0] switch { "quick" => Plan.Quick, "full" => Plan.Full, _ => Plan.Tiny };
        var words = args[1..].ToList();
        var (isJson, hasPeers) = (words.Remove("--json"), !words.Remove("--no-peers"));
        var at = words.IndexOf("--output");
        Guard.Require(at < 0 || at + 1 < words.Count, "Write the report", "--output without a folder", "--output FOLDER", "Name a folder.");
        var folder = at < 0 ? Path.Combine("benchmarks", Report.FolderName()) : words[at + 1];
        if (at >= 0)
        {
            words.RemoveRange(at, 2);
        }

        var unknown = words.FirstOrDefault(w => !Report.Groups.Contains(w));
        Guard.Require(unknown is null, "Measure", $"'{unknown}'", $"one of {string.Join(", ", Report.Groups)}, --json, --no-peers, --output FOLDER",
            "Name groups, or none for all.");
        error.WriteLine(Machine.Describe());
        var clock = Stopwatch.StartNew();
        var rows = Report.Measure(plan, hasPeers, words, text =>
            error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{clock.Elapsed.TotalSeconds,6:F1} s  {text}")));
        if (isJson)
        {
            output.WriteLine(Row.Json(rows));
            return;
        }

        var page = Report.Page(rows, $"dotnet run -c Release --project Ptp.Bench -- {string.Join(' ', args)}", clock.Elapsed);
        if (plan != Plan.Full)
        {
            output.WriteLine(page);
            return;
        }

        Directory.CreateDirectory(folder);
        var file = Path.Combine(folder, "results.md");
        File.WriteAllText(file, page);
        output.WriteLine($"Wrote {file}.");
    }

    /// <summary>By itself, because the program that is published for a GPU machine comes without BenchmarkDotNet.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RunKernels(string[] args) => Kernels.KernelConfig.Run(args);

    private static void Calls(string size, TextWriter output)
    {
        const int context = 128;
        using var backend = new CpuBackend();
        var config = Shapes.Named(size);
        int[] counts = [1, 2, 4, 8, 16, 32, 64, 128];
        var weights = Shapes.ReadWeights(config);
        var bandwidth = Machine.ReadGigabytes(backend.Threads, 4 * weights);
        var peak = Machine.PeakGigaflops(backend.Threads, 0.2);
        var costs = CallCosts.Measure(new Transformer(backend, config, 1), counts, [context], 15, 0.02);
        output.WriteLine($"{Machine.Describe()}; {backend.Name}\n\n| rows of a call | ms | factor to one row | floor, ms | share of floor |");
        output.WriteLine("|---|---|---|---|---|");
        foreach (var rows in counts)
        {
            var milliseconds = costs.Milliseconds(rows, context);
            // Floor: all weights read once, or all operations done at the peak, whichever takes longer.
            var floor = Math.Max(4e-6 * weights / bandwidth, 2e-6 * weights * rows / peak);
            output.WriteLine($"| {rows} | {milliseconds:F3} | {milliseconds / costs.Milliseconds(1, context):F2} | {floor:F3} | {floor / milliseconds:P0} |");
        }

        output.WriteLine($"\n{size} model, float32 weights, {context} tokens of context; read bandwidth {bandwidth:F0} GB/s over the weights' size.");
    }

    private static void RunReplay(string[] args, TextWriter output)
    {
        var chance = args.Skip(2).Select(a => double.TryParse(a, CultureInfo.InvariantCulture, out var x) ? x : -1).Append(-1).Max();
        Guard.Require(chance <= 1, "Replay guesses", $"a chance of {chance}", "a number from 0 to 1", "Name another.");
        using var backend = new CpuBackend();
        output.WriteLine($"{Machine.Describe()}; {backend.Name}\n");
        Replay.Run(backend, Size(args, "34M"), args.Contains("bf16"), chance < 0 ? Rows.DraftRows.Chance : chance, output);
    }

    private static string Size(string[] args, string byDefault)
    {
        var size = args.Length > 1 ? args[1] : byDefault;
        Guard.Require(Shapes.Names.Contains(size), "Choose a model", $"'{size}'", $"one of {string.Join(", ", Shapes.Names)}", "Name one of these.");
        return size;
    }

    private static bool IsDebug() =>
        typeof(Machine).Assembly.GetCustomAttribute<DebuggableAttribute>()?.IsJITOptimizerDisabled == true;
}
