// Every kernel compiles to PTX for sm_80 and sm_90 and to OpenCL C on a machine that has neither device, and ptxas, where one is found
// (PTXAS, or on the path), assembles it without spilling a register. A call in the PTX would be a function that no device has, which
// is how an unknown intrinsic shows. Control: a damaged kernel is refused by ptxas. Not here: running the code, which needs a driver.

using System.Text.RegularExpressions;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Ptp.Gpu;
using Ptp.Gpu.Kernels;
using Xunit;
using Xunit.Abstractions;

namespace Ptp.Tests.Backends;

public sealed partial class GpuCompilationTests(ITestOutputHelper output)
{
    private static readonly Type[] s_kernels = [.. typeof(GpuBackend).Assembly.GetTypes()
        .Where(type => type.IsValueType && (typeof(IElementKernel).IsAssignableFrom(type) || typeof(IGroupKernel).IsAssignableFrom(type)))
        .SelectMany(Closed)];

    [Theory]
    [InlineData("sm_80")]
    [InlineData("sm_90")]
    public void Every_kernel_compiles_to_ptx(string target)
    {
        Assert.True(s_kernels.Length >= 30);
        foreach (var (kernel, ptx) in Ptx(target))
        {
            Assert.Contains($".target {target}", ptx, StringComparison.Ordinal);
            Assert.DoesNotContain("call.uni", ptx, StringComparison.Ordinal);
            Assert.DoesNotContain(".extern", ptx, StringComparison.Ordinal);
            var first = kernel.GenericTypeArguments.FirstOrDefault();
            var instruction = first == typeof(PtxBf16) ? "mma.sync.aligned.m16n8k16.row.col.f32.bf16"
                : first == typeof(PtxTf32) ? "mma.sync.aligned.m16n8k8.row.col.f32.tf32" : null;
            if (instruction is null) // inline assembly takes its operands from memory that ptxas makes registers of
            {
                Assert.DoesNotContain(".local", ptx, StringComparison.Ordinal); // sums that fell out of the registers
            }

            if (kernel.Name.Contains("Product", StringComparison.Ordinal) || kernel == typeof(MatMulKernel<FullWeights>))
            {
                Assert.Contains(instruction ?? "fma.rn.f32", ptx, StringComparison.Ordinal);
                Assert.Equal(first == typeof(PtxTf32), ptx.Contains("cvt.rna.tf32.f32", StringComparison.Ordinal));
            }

            if (kernel.Name.Contains("Product", StringComparison.Ordinal) || kernel.Name.StartsWith("Rope", StringComparison.Ordinal))
            {
                Assert.False(MayFuse(ptx), $"{kernel}"); // together and apart must round alike
            }
            else if (kernel == typeof(AdamWKernel))
            {
                Assert.True(MayFuse(ptx)); // control: nothing there has to be the same to the bit in two kernels
            }

            if (kernel == typeof(PickKernel))
            {
                Assert.Contains("div.rn.f64", ptx, StringComparison.Ordinal); // the law's factor must be rounded as the host rounds it
                Assert.Contains("cvt.rn.f32.f64", ptx, StringComparison.Ordinal);
                Assert.Contains("shr.u32", ptx, StringComparison.Ordinal); // half of the distance of two keys; by a signed shift the search has no end
            }

            if (kernel.Name.StartsWith("TiledProduct", StringComparison.Ordinal))
            {
                Assert.Contains("ld.global.v4", ptx, StringComparison.Ordinal);
                Assert.Contains("ld.shared.v4", ptx, StringComparison.Ordinal);
            }
        }
    }

    [PtxasTheory]
    [InlineData("sm_80")]
    [InlineData("sm_90")]
    public void Ptxas_assembles_every_kernel_without_spills(string target)
    {
        foreach (var (kernel, ptx) in Ptx(target))
        {
            var (code, report) = Ptxas.Assemble(ptx, target);
            Assert.True(code == 0, $"{kernel}: {report}");
            output.WriteLine($"{kernel.Name}{string.Concat(kernel.GenericTypeArguments.Select(t => $" {t}"))}: {Ptxas.Use(report)}");
            Assert.Contains("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", report, StringComparison.Ordinal);
        }

        Assert.NotEqual(0, Ptxas.Assemble(Ptx(target).First().Code.Replace("ret;", "return;", StringComparison.Ordinal), target).Code);
    }

    [Fact]
    public void Every_kernel_compiles_to_opencl()
    {
        using var context = GpuDevices.TryOpen(GpuDeviceKind.Simulator)!;
        using var backend = new CLBackend(
            context, new CLCapabilityContext(false, true, false, false, false), CLDeviceVendor.Other,
            CLBackend.MinimumVersion);
        foreach (var kernel in s_kernels)
        {
            var source = ((CLCompiledKernel)backend.Compile(Entry(kernel), default)).Source;
            Assert.Contains("kernel void", source, StringComparison.Ordinal);
            Assert.DoesNotContain("FusedMultiplyAdd", source, StringComparison.Ordinal);
            if (kernel == typeof(MatMulKernel<FullWeights>))
            {
                Assert.Contains("fma(", source.Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
            }
        }
    }

    private static IEnumerable<(Type Kernel, string Code)> Ptx(string target)
    {
        using var context = GpuDevices.TryOpen(GpuDeviceKind.Simulator)!;
        var architecture = target == "sm_80" ? CudaArchitecture.SM_80 : CudaArchitecture.SM_90;
        using var backend = new PTXBackend(context, new CudaCapabilityContext(architecture), architecture, CudaInstructionSet.ISA_80, null!);
        foreach (var kernel in s_kernels)
        {
            // ILGPU names the lowest target that has what the kernel uses; drivers compile from there, and so may ptxas.
            var code = ((PTXCompiledKernel)backend.Compile(Entry(kernel), default)).PTXAssembly;
            yield return (kernel, code.Replace(".target sm_80", $".target {target}", StringComparison.Ordinal));
        }
    }

    private static IEnumerable<Type> Closed(Type kernel) => !kernel.IsGenericTypeDefinition ? [kernel]
        : from weights in (Type[])[typeof(FullWeights), typeof(HalfWeights)]
          from form in FormsOf(kernel)
          select kernel.MakeGenericType([.. form, weights]);

    private static Type[][] FormsOf(Type kernel) =>
        kernel == typeof(MatMulKernel<>) ? [[]]
        : kernel == typeof(TiledProductKernel<,>) ? [[typeof(Tile64)], [typeof(Tile128)]]
        : kernel == typeof(NarrowProductKernel<,>) ? [[typeof(RowSum)], [typeof(Twice<RowSum>)], [typeof(Twice<Twice<RowSum>>)], [typeof(Twice<Twice<Twice<RowSum>>>)]]
        : kernel == typeof(TensorProductKernel<,>) ? [[typeof(PtxBf16)], [typeof(PtxTf32)]]
        : throw new InvalidOperationException($"Name the forms of {kernel} here.");

    /// <summary>True if something multiplied is added to, other than by a fused multiply-add that the source names: ptxas may fuse it or not.</summary>
    private static bool MayFuse(string ptx)
    {
        var multiplied = Multiplications().Matches(ptx).Select(match => match.Groups[1].Value).ToHashSet();
        return Additions().Matches(ptx).Any(match => multiplied.Contains(match.Groups[1].Value) || multiplied.Contains(match.Groups[2].Value));
    }

    [GeneratedRegex(@"\bmul\.f32\s+(%f\d+),")]
    private static partial Regex Multiplications();

    [GeneratedRegex(@"\b(?:add|sub)\.f32\s+%f\d+, ([^,;]+), ([^,;]+);")]
    private static partial Regex Additions();

    private static EntryPointDescription Entry(Type kernel) => typeof(IGroupKernel).IsAssignableFrom(kernel)
        ? EntryPointDescription.FromExplicitlyGroupedKernel(KernelCache.EntryPoint(kernel))
        : EntryPointDescription.FromImplicitlyGroupedKernel(KernelCache.EntryPoint(kernel));
}
