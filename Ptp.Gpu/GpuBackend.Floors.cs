// The two floors of a device, measured: fused multiply-adds per second in registers, and bytes per second of a copy; and what was launched.
//   floor of an op = the larger of operations / peak and bytes / bandwidth
// Refuses: data sheets.

using System.Diagnostics;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

public sealed partial class GpuBackend
{
    /// <summary>Kernels launched so far.</summary>
    public long Launches => _scope.Kernels.Launches;

    /// <summary>Arrays of integers copied to the device so far: ids, positions, slots, ranges.</summary>
    public long Copies => _scope.Copies;

    /// <summary>How often the host has waited for the device: for numbers that it read or sent, or because the ring of arguments was full.</summary>
    public long Waits => _scope.Waits;

    /// <summary>Cores of the device, as its driver counts them: multiprocessors or compute units.</summary>
    public int Multiprocessors => _scope.Accelerator.NumMultiprocessors;

    /// <summary>Device memory in bytes.</summary>
    public long MemoryBytes => _scope.Accelerator.MemorySize;

    /// <summary>Waits until everything launched so far is done.</summary>
    public void Synchronize() => _scope.Stream.Synchronize();

    /// <summary>Seconds per call of a body that launches on this device: as many calls as fill <paramref name="seconds"/>, one wait at their end.</summary>
    public double Time(Action body, double seconds)
    {
        body(); // compiles
        Synchronize();
        for (var calls = 1; ; calls *= 2)
        {
            var start = Stopwatch.GetTimestamp();
            for (var i = 0; i < calls; i++)
            {
                body();
            }

            Synchronize();
            var elapsed = (double)(Stopwatch.GetTimestamp() - start) / Stopwatch.Frequency;
            if (elapsed >= seconds)
            {
                return elapsed / calls;
            }
        }
    }

    /// <summary>The peak of fused multiply-adds, in GFLOP/s (two operations each).</summary>
    public double PeakGigaflops(double seconds)
    {
        var threads = 2048 * Multiprocessors;
        var y = Allocate(1, threads);
        var rounds = _scope.HasGroups ? 4096 : 4;
        return 2e-9 * threads * rounds * PeakKernel.Chains / Time(() => Run(threads, new PeakKernel { Y = View(y), Rounds = rounds }), seconds);
    }

    /// <summary>Bytes read and written per second by copying so many floats, in GB/s.</summary>
    public double CopyGigabytes(int floats, double seconds)
    {
        var (x, y) = (Allocate(1, floats), Allocate(1, floats));
        return 8e-9 * floats / Time(() => Copy(x, y), seconds);
    }
}
