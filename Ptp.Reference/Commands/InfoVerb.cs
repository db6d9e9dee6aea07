// ptp info: the machine as .NET sees it, what would be used and why, and which models are found.
// Source: the runtime's own feature flags; nothing is measured here.
// Refuses: nothing; what is absent is said to be absent.

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using System.Text.Json.Nodes;
using Ptp.Core.Formats;
using Ptp.Gpu;
using Spectre.Console;
using static System.FormattableString;

namespace Ptp.Reference.Commands;

/// <summary>Describes the machine.</summary>
internal sealed class InfoVerb() : Verb(
    "info",
    "Show what this machine offers and what ptp would use: CPU features, vector width, threads, memory, devices, models.",
    "ptp info                       # a table",
    "ptp info --json                # the same for scripts",
    "PTP_SIMD=256 ptp info          # 256-bit vectors even where 512 are offered")
{
    /// <inheritdoc/>
    protected override int Execute(Call call)
    {
        using var backend = call.Backend();
        using var cpu = call.Cpu();
        var features = Features();
        var why = VectorReason();
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        var gpus = GpuDevices.List();
        var models = new JsonObject();
        foreach (var name in (string[])[ModelChoice.Base, ModelChoice.Ptp, ModelChoice.OneHot, ModelChoice.Independent])
        {
            models[name] = Describe(name);
        }

        var result = new JsonObject
        {
            ["version"] = Version(),
            ["runtime"] = RuntimeInformation.FrameworkDescription,
            ["system"] = RuntimeInformation.OSDescription,
            ["architecture"] = RuntimeInformation.ProcessArchitecture.ToString(),
            ["cpu_features"] = new JsonArray([.. features.Select(f => (JsonNode)f)]),
            ["device"] = backend.Name,
            ["vector_bits"] = VectorBits(),
            ["vector_reason"] = why,
            ["cores"] = Environment.ProcessorCount,
            ["threads"] = cpu.Threads,
            ["memory_gb"] = Math.Round(memory / 1e9, 2),
            ["gpus"] = new JsonArray([.. gpus.Select(gpu => (JsonNode)gpu)]),
            ["models"] = models,
        };
        call.Out.Result(result);

        var table = new Table().Border(TableBorder.None).HideHeaders().AddColumns("", "");
        table.AddRow("ptp", Markup.Escape(Version()));
        table.AddRow("runtime", Markup.Escape(RuntimeInformation.FrameworkDescription));
        table.AddRow("system", Markup.Escape($"{RuntimeInformation.OSDescription}, {RuntimeInformation.ProcessArchitecture}"));
        table.AddRow("CPU features", Markup.Escape(string.Join(" ", features)));
        table.AddRow("vectors", Markup.Escape(Invariant($"{VectorBits()} bits: {why}")));
        table.AddRow("threads", Invariant($"{cpu.Threads} of {Environment.ProcessorCount} cores (--threads, PTP_THREADS)"));
        table.AddRow("memory", Invariant($"{memory / 1e9:0.0} GB for this process"));
        var gpuText = gpus.Count > 0 ? string.Join("; ", gpus) : "none with a CUDA or OpenCL driver";
        table.AddRow("GPUs", Markup.Escape(gpuText));
        table.AddRow("used", Markup.Escape(backend.Name));
        foreach (var (name, model) in models)
        {
            table.AddRow("model " + name, Markup.Escape(model is null ? "not found" : (string)model["summary"]!));
        }

        call.Out.Console.Write(table);
        return ErrorOutput.Done;
    }

    /// <summary>The version of this program.</summary>
    public static string Version() => typeof(InfoVerb).Assembly.GetName().Version?.ToString(3) ?? "unknown";

    private static int VectorBits() => Vector512.IsHardwareAccelerated
        && Environment.GetEnvironmentVariable("PTP_SIMD") != "256" ? 512 : 256;

    private static string VectorReason() => !Vector512.IsHardwareAccelerated
        ? "the runtime does not accelerate 512-bit vectors here"
        : VectorBits() == 512 ? "the runtime accelerates them" : "PTP_SIMD=256 asks for them";

    private static List<string> Features()
    {
        (string Name, bool Has)[] all =
        [
            ("SSE4.2", Sse42.IsSupported), ("AVX", Avx.IsSupported), ("AVX2", Avx2.IsSupported), ("FMA", Fma.IsSupported),
            ("AVX-512F", Avx512F.IsSupported), ("AVX-512BW", Avx512BW.IsSupported), ("AVX-512DQ", Avx512DQ.IsSupported),
            ("AVX-VNNI", AvxVnni.IsSupported), ("AdvSimd", AdvSimd.IsSupported), ("AdvSimd.Dp", Dp.IsSupported),
        ];
        return [.. all.Where(f => f.Has).Select(f => f.Name)];
    }

    private static JsonObject? Describe(string name)
    {
        if (ModelChoice.Default(name) is not { } folder)
        {
            return null;
        }

        if (AdapterFolder.Exists(folder))
        {
            var adapter = AdapterFolder.ReadManifest(folder);
            return new JsonObject
            {
                ["folder"] = folder,
                ["slots"] = adapter.Slots,
                ["embedding"] = adapter.Embedding,
                ["base"] = adapter.BaseFingerprint,
                ["summary"] = Invariant($"{folder}: {adapter.Kind}, {adapter.Slots} slots, embedding {adapter.Embedding}"),
            };
        }

        if (!File.Exists(Path.Combine(folder, HuggingFaceConfig.FileName)))
        {
            return null;
        }

        var config = HuggingFaceConfig.Read(Path.Combine(folder, HuggingFaceConfig.FileName));
        return new JsonObject
        {
            ["folder"] = folder,
            ["parameters"] = config.Parameters,
            ["vocabulary"] = config.VocabularySize,
            ["context"] = config.MaxContext,
            ["summary"] = Invariant($"{folder}: {config.Parameters / 1e6:0.00} M parameters, vocabulary {config.VocabularySize}"),
        };
    }
}
