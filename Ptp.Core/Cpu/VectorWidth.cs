// Which vectors the products use: AVX-512, AVX2 with FMA (or what the runtime makes of 256 bits), or Vector<T> for any machine.
// The choice is made here, once, and changes no bit: every element of a product is the same chain of fused multiply-adds.
// Refuses: a width that the machine does not have.

using System.Numerics;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

/// <summary>Vectors of the products' kernels.</summary>
internal enum VectorWidth
{
    /// <summary>Vector&lt;float&gt;, whatever its width.</summary>
    Portable,

    /// <summary>256 bits.</summary>
    V256,

    /// <summary>512 bits.</summary>
    V512,
}

internal static class VectorWidths
{
    /// <summary>Every width that this machine has, the best last.</summary>
    public static IEnumerable<VectorWidth> Here
    {
        get
        {
            yield return VectorWidth.Portable;
            if (Vector256.IsHardwareAccelerated)
            {
                yield return VectorWidth.V256;
            }

            if (Vector512.IsHardwareAccelerated)
            {
                yield return VectorWidth.V512;
            }
        }
    }

    /// <summary>What is asked for, or the best there is.</summary>
    /// <param name="wanted">"512", "256", "portable", or null.</param>
    public static VectorWidth Choose(string? wanted)
    {
        if (string.IsNullOrEmpty(wanted))
        {
            return Here.Last();
        }

        var width = wanted switch
        {
            "512" => VectorWidth.V512,
            "256" => VectorWidth.V256,
            _ => VectorWidth.Portable,
        };
        Guard.Require(Here.Contains(width) && (width != VectorWidth.Portable || wanted == "portable"), "Choose vectors by PTP_SIMD",
            $"'{wanted}'", "portable, or 256 or 512 where the machine has them", "Unset PTP_SIMD to take the best.");
        return width;
    }

    /// <summary>As reports name it.</summary>
    public static string Describe(this VectorWidth width) => width switch
    {
        VectorWidth.V512 => "512-bit vectors",
        VectorWidth.V256 => "256-bit vectors",
        _ => $"portable vectors of {32 * Vector<float>.Count} bits",
    };
}
