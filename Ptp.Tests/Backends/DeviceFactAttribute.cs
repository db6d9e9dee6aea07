// A test that needs a CUDA or OpenCL device, and is skipped with that reason where there is none.
// Source: GpuDevices.List.
// Refuses: the simulator, which proves the same on every machine but is no device.

using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

[AttributeUsage(AttributeTargets.Method)]
public sealed class DeviceFactAttribute : FactAttribute
{
    private static readonly IReadOnlyList<string> s_found = GpuDevices.List();

    public DeviceFactAttribute()
    {
        if (s_found.Count == 0)
        {
            Skip = "no CUDA or OpenCL device; Ptp.Gpu/pocl.sh makes one of CPU threads";
        }
    }

    /// <summary>True for what needs CUDA.</summary>
    public bool Cuda
    {
        get => Skip?.Contains("CUDA device", StringComparison.Ordinal) ?? false;
        set => Skip = !value || s_found.Any(name => name.StartsWith("CUDA", StringComparison.Ordinal)) ? Skip : "no CUDA device";
    }
}
