// A test that needs a CUDA or OpenCL device, and is skipped with that reason where there is none.
// Source: GpuDevices.List.
// Refuses: the simulator, which proves the same on every machine but is no device.

using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

[AttributeUsage(AttributeTargets.Method)]
public sealed class DeviceFactAttribute : FactAttribute
{
    private static readonly bool s_found = GpuDevices.List().Count > 0;

    public DeviceFactAttribute()
    {
        if (!s_found)
        {
            Skip = "no CUDA or OpenCL device; Ptp.Gpu/pocl.sh makes one of CPU threads";
        }
    }
}
