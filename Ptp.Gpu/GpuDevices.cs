// The devices that ILGPU can reach on this machine: CUDA first, OpenCL second.
// A machine without drivers has none, which is an answer and not an error.
// Not in the list: ILGPU's CPU simulator. It checks kernels and must be asked for by name.

using System.Runtime.InteropServices;
using System.Runtime.Loader;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace Ptp.Gpu;

/// <summary>What a kernel is compiled for.</summary>
public enum GpuDeviceKind
{
    /// <summary>An NVIDIA device, through PTX.</summary>
    Cuda,

    /// <summary>A device with an OpenCL 2.0 driver.</summary>
    OpenCL,

    /// <summary>ILGPU's simulator on CPU threads: correct, slow, never chosen unless named.</summary>
    Simulator,
}

/// <summary>Finds devices.</summary>
public static class GpuDevices
{
    /// <summary>Machines that only run programs have a driver's library under its number alone; ILGPU asks without.</summary>
    private static readonly Dictionary<string, string> s_numbered = new() { ["cuda"] = "libcuda.so.1", ["OpenCL"] = "libOpenCL.so.1" };

    static GpuDevices()
    {
        AssemblyLoadContext.GetLoadContext(typeof(Context).Assembly)!.ResolvingUnmanagedDll += (_, name) =>
            s_numbered.TryGetValue(name, out var file) && NativeLibrary.TryLoad(file, out var library) ? library : 0;
    }

    /// <summary>How the simulator is named in reports.</summary>
    public const string SimulatorName = "ILGPU CPU simulator (checks kernels, not a GPU)";

    /// <summary>Names of all CUDA and OpenCL devices, CUDA first; empty without drivers, never an exception.</summary>
    public static IReadOnlyList<string> List()
    {
        var names = new List<string>();
        foreach (var kind in (ReadOnlySpan<GpuDeviceKind>)[GpuDeviceKind.Cuda, GpuDeviceKind.OpenCL])
        {
            using var context = TryOpen(kind);
            for (var i = 0; i < (context?.Devices.Length ?? 0); i++)
            {
                if (IsOf(kind, context!.Devices[i]))
                {
                    names.Add(NameOf(kind, context.Devices[i]));
                }
            }
        }

        return names;
    }

    /// <summary>What a kind is called on command lines; gpu = CUDA if it is there, else OpenCL.</summary>
    public static readonly IReadOnlyDictionary<string, GpuDeviceKind?> Words = new Dictionary<string, GpuDeviceKind?>
    {
        ["gpu"] = null,
        ["cuda"] = GpuDeviceKind.Cuda,
        ["opencl"] = GpuDeviceKind.OpenCL,
        ["simulator"] = GpuDeviceKind.Simulator,
    };

    internal static string NameOf(GpuDeviceKind kind, Device device) => kind switch
    {
        GpuDeviceKind.Cuda => $"CUDA, {device.Name}",
        GpuDeviceKind.OpenCL => $"OpenCL, {device.Name}",
        _ => SimulatorName,
    };

    /// <summary>ILGPU adds its simulator to every context, so a device counts only if its kind is right.</summary>
    internal static bool IsOf(GpuDeviceKind kind, Device device) => device.AcceleratorType == kind switch
    {
        GpuDeviceKind.Cuda => AcceleratorType.Cuda,
        GpuDeviceKind.OpenCL => AcceleratorType.OpenCL,
        _ => AcceleratorType.CPU,
    };

    /// <summary>A context with the devices of one kind, or null where the driver fails.</summary>
    /// <param name="kind">What to look for.</param>
    /// <param name="warps">Warps of two threads in the simulator's one group: one is fastest, kernels of groups need more.</param>
    internal static Context? TryOpen(GpuDeviceKind kind, int warps = 1)
    {
        try
        {
            return Context.Create(builder =>
            {
                DeviceMath.Register(builder.Optimize(OptimizationLevel.O2));
                _ = kind switch
                {
                    GpuDeviceKind.Cuda => builder.Cuda(),
                    GpuDeviceKind.OpenCL => builder.OpenCL(),
                    // Two threads are the least that ILGPU accepts: element kernels stride over the rest.
                    _ => builder.CPU(new CPUDevice(2, warps, 1)),
                };
            });
        }
        catch (Exception) when (kind != GpuDeviceKind.Simulator)
        {
            // A missing library, an old driver, a device in use: whatever it is, there is no device to offer.
            return null;
        }
    }
}
