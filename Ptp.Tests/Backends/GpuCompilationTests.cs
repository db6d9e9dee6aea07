// Every kernel compiles to PTX for sm_80 and to OpenCL C on a machine that has neither device.
// A call in the result would be a function that no device has, which is how an unknown intrinsic shows.
// Not here: assembling or running the code, which needs a driver.

using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Ptp.Gpu;
using Ptp.Gpu.Kernels;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuCompilationTests
{
    private static readonly Type[] s_kernels = [.. typeof(GpuBackend).Assembly.GetTypes()
        .Where(type => type.IsValueType && typeof(IElementKernel).IsAssignableFrom(type))];

    [Fact]
    public void Every_kernel_compiles_to_ptx()
    {
        using var context = GpuDevices.TryOpen(GpuDeviceKind.Simulator)!;
        using var backend = new PTXBackend(
            context, new CudaCapabilityContext(CudaArchitecture.SM_80), CudaArchitecture.SM_80,
            CudaInstructionSet.ISA_80, null!);
        Assert.True(s_kernels.Length >= 20);
        foreach (var kernel in s_kernels)
        {
            var ptx = ((PTXCompiledKernel)backend.Compile(Entry(kernel), default)).PTXAssembly;
            Assert.Contains(".target sm_80", ptx, StringComparison.Ordinal);
            Assert.DoesNotContain("call.uni", ptx, StringComparison.Ordinal);
            Assert.DoesNotContain(".extern", ptx, StringComparison.Ordinal);
            if (kernel == typeof(MatMulKernel))
            {
                Assert.Contains("fma.rn.f32", ptx, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Every_kernel_compiles_to_opencl()
    {
        using var context = GpuDevices.TryOpen(GpuDeviceKind.Simulator)!;
        using var backend = new CLBackend(
            context, new CLCapabilityContext(false, false, false, false, false), CLDeviceVendor.Other,
            CLBackend.MinimumVersion);
        foreach (var kernel in s_kernels)
        {
            var source = ((CLCompiledKernel)backend.Compile(Entry(kernel), default)).Source;
            Assert.Contains("kernel void", source, StringComparison.Ordinal);
            Assert.DoesNotContain("FusedMultiplyAdd", source, StringComparison.Ordinal);
            if (kernel == typeof(MatMulKernel))
            {
                Assert.Contains("fma(", source.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
            }
        }
    }

    private static EntryPointDescription Entry(Type kernel) =>
        EntryPointDescription.FromImplicitlyGroupedKernel(KernelCache.EntryPoint(kernel));
}
