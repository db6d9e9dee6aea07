// Arithmetic that must mean the same on every device: fused multiply-add, and exp from it.
// ILGPU 1.5 compiles MathF.FusedMultiplyAdd to a call of a function that does not exist, so both back ends are told
// which instruction it is. Exp is FastMath.Exp term by term. Refuses: the devices' approximate exp.

using ILGPU;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.IR;
using ILGPU.IR.Intrinsics;

namespace Ptp.Gpu;

internal static class DeviceMath
{
    /// <summary>a * b + c, rounded once.</summary>
    [IntrinsicImplementation]
    public static float Fma(float a, float b, float c) => MathF.FusedMultiplyAdd(a, b, c);

    /// <summary>exp(x) = 2^n p(r), r = x - n ln 2; the same bits as FastMath.Exp on the CPU.</summary>
    public static float Exp(float x)
    {
        const float Magic = 12582912f; // 1.5 * 2^23: adding it rounds to a whole number
        var t = Fma(x, 1.4426950216293335f, Magic);
        var n = t - Magic;
        var r = Fma(n, -0.6931471824645996f, x);
        r = Fma(n, 1.9046542121259336e-09f, r);
        var q = Fma(0.0013814540579915047f, r, 0.00836874544620514f);
        q = Fma(q, r, 0.04166838899254799f);
        q = Fma(q, r, 0.1666652113199234f);
        q = Fma(q, r, 0.4999999403953552f);
        var p = Fma(r * r, q, r) + 1f;
        var result = Interop.IntAsFloat(Interop.FloatAsInt(p) + (Interop.FloatAsInt(t) << 23));
        result = x <= 88.72283f ? result : x * float.PositiveInfinity; // also carries NaN through
        return x < -87.33654f ? 0f : result;
    }

    /// <summary>log(1 + e) for e in [0, 1]: 2 artanh s, s = e / (2 + e) at most a third, eight odd powers leave 1e-8.</summary>
    public static float Log1p(float e)
    {
        var s = e / (2f + e);
        var square = s * s;
        var series = Fma(square, 1f / 15f, 1f / 13f);
        series = Fma(square, series, 1f / 11f);
        series = Fma(square, series, 1f / 9f);
        series = Fma(square, series, 1f / 7f);
        series = Fma(square, series, 1f / 5f);
        series = Fma(square, series, 1f / 3f);
        return 2f * s * Fma(square, series, 1f);
    }

    /// <summary>log(x) of a normal number: x = 2^n m with m in [0.71, 1.42), log x = n ln 2 + 2 artanh((m - 1) / (m + 1)).</summary>
    public static float Log(float x)
    {
        var bits = (int)Interop.FloatAsInt(x);
        var n = (bits - 0x3f3504f3) >> 23; // the exponent, counted from the root of one half
        var m = Interop.IntAsFloat((uint)(bits - (n << 23)));
        var s = (m - 1f) / (m + 1f);
        var square = s * s;
        var series = Fma(square, 1f / 9f, 1f / 7f);
        series = Fma(square, series, 1f / 5f);
        series = Fma(square, series, 1f / 3f);
        var log = Fma(n, 0.6931471824645996f, 2f * s * Fma(square, series, 1f));
        log = Fma(n, -1.9046542121259336e-09f, log);
        return x > 0f ? log : x < 0f ? float.NaN : float.NegativeInfinity;
    }

    /// <summary>A factor of a product in the precision that is asked for.</summary>
    /// <param name="x">The factor.</param>
    /// <param name="precision">A <see cref="ProductPrecision"/>, as kernels know it.</param>
    public static float Round(float x, int precision) =>
        precision == (int)ProductPrecision.Single ? x : precision == (int)ProductPrecision.BFloat16 ? RoundToBf16(x) : RoundToTf32(x);

    /// <summary>The nearest BF16 (ties to even), as the float that it is.</summary>
    public static float RoundToBf16(float x) => Interop.IntAsFloat(Rounded(x) & 0xffff0000u);

    /// <summary>The nearest float of ten bits behind the point (ties away from zero, as cvt.rna.tf32.f32 has it).</summary>
    public static float RoundToTf32(float x)
    {
        var bits = Interop.FloatAsInt(x);
        return Interop.IntAsFloat((!float.IsNaN(x) ? bits + 0x1000u : bits | 0x400000u) & 0xffffe000u);
    }

    /// <summary>Two BF16, the first in the lower half.</summary>
    public static uint Pair(float low, float high) => (Rounded(low) >> 16) | (Rounded(high) & 0xffff0000u);

    private static uint Rounded(float x)
    {
        var bits = Interop.FloatAsInt(x);
        return !float.IsNaN(x) ? bits + 0x7fffu + ((bits >> 16) & 1u) : bits | 0x400000u; // what is not a number stays none
    }

    /// <summary>Names the instruction behind <see cref="Fma"/> to both compilers.</summary>
    public static void Register(Context.Builder builder)
    {
        var manager = builder.GetIntrinsicManager();
        var fma = typeof(DeviceMath).GetMethod(nameof(Fma))!;
        manager.RegisterMethod(
            fma, new PTXIntrinsic(typeof(DeviceMath), nameof(EmitPtx), IntrinsicImplementationMode.GenerateCode));
        manager.RegisterMethod(
            fma, new CLIntrinsic(typeof(DeviceMath), nameof(EmitOpenCL), IntrinsicImplementationMode.GenerateCode));
    }

    public static void EmitPtx(PTXBackend backend, PTXCodeGenerator code, Value call)
    {
        var a = code.LoadPrimitive(call[0]);
        var b = code.LoadPrimitive(call[1]);
        var c = code.LoadPrimitive(call[2]);
        var result = code.AllocateHardware(call);
        using var command = code.BeginCommand("fma.rn.f32");
        command.AppendArgument(result);
        command.AppendArgument(a);
        command.AppendArgument(b);
        command.AppendArgument(c);
    }

    public static void EmitOpenCL(CLBackend backend, CLCodeGenerator code, Value call)
    {
        var a = code.Load(call[0]);
        var b = code.Load(call[1]);
        var c = code.Load(call[2]);
        var result = code.Allocate(call);
        using var statement = code.BeginStatement(result);
        statement.AppendCommand("fma");
        statement.BeginArguments();
        statement.AppendArgument(a);
        statement.AppendArgument(b);
        statement.AppendArgument(c);
        statement.EndArguments();
    }
}
