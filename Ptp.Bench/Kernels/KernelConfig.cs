// How BenchmarkDotNet runs here: in this process (kernel paths are static, and a generated project would restore packages anew),
// a short job, one column of ratios. Its own options on the command line still apply.
// Refuses: nothing of its own.

using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;

namespace Ptp.Bench.Kernels;

/// <summary>The configuration.</summary>
internal sealed class KernelConfig : ManualConfig
{
    private KernelConfig()
    {
        Add(DefaultConfig.Instance);
        AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
    }

    /// <summary>Runs the ladders that the options choose.</summary>
    public static void Run(string[] options) => BenchmarkSwitcher.FromAssembly(typeof(KernelConfig).Assembly).Run(options, new KernelConfig());
}
