// Weights as signed bytes with a scale for 64 of them: w[j, k] ~ scale[j, k / 64] * q[j, k], q = round(w / scale), scale = max |w| / 127.
//   block of a panel: 32 pairs of k x 32 outputs x 2 bytes, then 32 floats of scales; one multiply-add takes a pair for 16 outputs
// Relative error of a product about 4e-3. Refuses: rounding unasked; a model says WeightFormat.Int8 and is then another model.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class ByteWeights
{
    /// <summary>Weights of one output that share a scale.</summary>
    public const int Block = 64;

    /// <summary>Bytes of a block of a panel: weights, then scales.</summary>
    public const int BlockBytes = WeightBytes + Panel * sizeof(float);

    /// <summary>Bytes of a block's weights.</summary>
    public const int WeightBytes = Block * Panel;

    private const int Panel = MatMulKernels.Panel;
    private const float Largest = 127f;

    /// <summary>Blocks of a sum over <paramref name="inner"/>; the last one is filled up with zeros.</summary>
    public static int Blocks(int inner) => (inner + Block - 1) / Block;

    /// <summary>Bytes of a panel.</summary>
    public static int PanelBytes(int inner) => Blocks(inner) * BlockBytes;

    /// <summary>A panel of floats [inner][32] to bytes.</summary>
    public static void Compress(float* panel, int inner, byte* to)
    {
        for (var k = 0; k < inner; k += Block, panel += Block * Panel, to += BlockBytes)
        {
            CompressBlock(panel, Math.Min(Block, inner - k), to);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CompressBlock(float* panel, int depth, byte* to)
    {
        new Span<byte>(to, WeightBytes).Clear();
        var scales = (float*)(to + WeightBytes);
        var rounded = stackalloc int[8];
        for (var column = 0; column < Panel; column += 8)
        {
            var largest = Vector256<float>.Zero;
            for (var k = 0; k < depth; k++)
            {
                largest = Vector256.Max(largest, Vector256.Abs(Vector256.Load(panel + k * Panel + column)));
            }

            var scale = largest / Largest;
            scale.Store(scales + column);
            // A scale that is no normal number would divide to infinity: such weights are zeros.
            var used = Vector256.GreaterThanOrEqual(scale, Vector256.Create(1.17549435e-38f));
            for (var k = 0; k < depth; k++)
            {
                var whole = Vector256.Round(Vector256.Load(panel + k * Panel + column) / scale);
                Vector256.ConvertToInt32(Vector256.ConditionalSelect(used, whole, Vector256<float>.Zero)).Store(rounded);
                var pair = (sbyte*)to + k / 2 * 2 * Panel + 2 * column + k % 2;
                for (var i = 0; i < 8; i++)
                {
                    pair[2 * i] = (sbyte)rounded[i];
                }
            }
        }
    }

    /// <summary>A row to whole numbers of 16 bits: x[k] ~ scale * q[k], q at most 32,767; returns the scale.</summary>
    /// <param name="x">[inner].</param>
    /// <param name="inner">Numbers.</param>
    /// <param name="q">[blocks * 64]; zeros behind the last.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Quantise(float* x, int inner, short* q)
    {
        const float range = 32767f;
        var i = 0;
        var largest = Vector256<float>.Zero;
        for (; i + 8 <= inner; i += 8)
        {
            largest = Vector256.Max(largest, Vector256.Abs(Vector256.Load(x + i)));
        }

        var most = 0f;
        for (var lane = 0; lane < 8; lane++)
        {
            most = MathF.Max(most, largest.GetElement(lane));
        }

        for (; i < inner; i++)
        {
            most = MathF.Max(most, MathF.Abs(x[i]));
        }

        // NaN and infinity must not look like numbers: they become the scale and so the whole row of the product.
        var scale = most / range;
        new Span<short>(q, Blocks(inner) * Block).Clear();
        if (!(scale >= 1.17549435e-38f) || !float.IsFinite(scale))
        {
            return float.IsFinite(scale) ? 0f : float.NaN;
        }

        var inverse = Vector256.Create(1f / scale);
        var (lowest, highest) = (Vector256.Create(-range), Vector256.Create(range));
        for (i = 0; i + 16 <= inner; i += 16)
        {
            var low = Vector256.Min(Vector256.Max(Vector256.Round(Vector256.Load(x + i) * inverse), lowest), highest);
            var high = Vector256.Min(Vector256.Max(Vector256.Round(Vector256.Load(x + i + 8) * inverse), lowest), highest);
            Vector256.Narrow(Vector256.ConvertToInt32(low), Vector256.ConvertToInt32(high)).Store(q + i);
        }

        for (; i < inner; i++)
        {
            q[i] = (short)Math.Clamp(MathF.Round(x[i] * (1f / scale)), -range, range);
        }

        return scale;
    }
}
