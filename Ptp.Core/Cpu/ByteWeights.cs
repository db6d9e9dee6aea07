// Weights as bytes with a scale for 64 of them: w[j, k] ~ scale[j, k / 64] * q[j, k], q = round(w / scale), scale = max |w| / 127; rows
// of the left side likewise, as they come. Weights are stored as q + 128, which the sums take off again (ByteRows.Starts).
//   block of a half panel: 16 quads of k x 16 outputs x 4 bytes, then 16 floats of scales; one instruction takes a quad for 8 outputs
// Relative error of a product of normal numbers: 8.4e-3, of which weights alone make 5.9e-3.
// Refuses: rounding unasked; a model says WeightFormat.Int8 and is then another model.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Ptp.Core.Cpu;

internal static unsafe class ByteWeights
{
    /// <summary>Numbers that share a scale.</summary>
    public const int Block = 64;

    /// <summary>Outputs of a half panel.</summary>
    public const int Columns = Panel / 2;

    /// <summary>Bytes of a block of a half panel: weights, then scales.</summary>
    public const int BlockBytes = WeightBytes + Columns * sizeof(float);

    /// <summary>Bytes of a block's weights.</summary>
    public const int WeightBytes = Block * Columns;

    /// <summary>What is added to a weight.</summary>
    public const byte Zero = 128;

    private const int Panel = MatMulKernels.Panel;
    private const float Largest = 127f;
    private const float LeastNormal = 1.17549435e-38f;

    /// <summary>Blocks of a sum over <paramref name="inner"/>; the last one is filled up with zeros.</summary>
    public static int Blocks(int inner) => (inner + Block - 1) / Block;

    /// <summary>Bytes of a half panel.</summary>
    public static int HalfPanelBytes(int inner) => Blocks(inner) * BlockBytes;

    /// <summary>A panel of floats [inner][32] to two half panels of bytes, one behind the other.</summary>
    public static void Compress(float* panel, int inner, byte* to)
    {
        for (var half = panel; half < panel + Panel; half += Columns)
        {
            for (var k = 0; k < inner; k += Block, to += BlockBytes)
            {
                CompressBlock(half + k * Panel, Math.Min(Block, inner - k), to);
            }
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void CompressBlock(float* panel, int depth, byte* to)
    {
        new Span<byte>(to, WeightBytes).Fill(Zero);
        var scales = (float*)(to + WeightBytes);
        var rounded = stackalloc int[8];
        for (var column = 0; column < Columns; column += 8)
        {
            var largest = Vector256<float>.Zero;
            for (var k = 0; k < depth; k++)
            {
                largest = Vector256.Max(largest, Vector256.Abs(Vector256.Load(panel + k * Panel + column)));
            }

            var scale = largest / Largest;
            scale.Store(scales + column);
            // A scale that is no normal number would divide to infinity: such weights are zeros.
            var used = Vector256.GreaterThanOrEqual(scale, Vector256.Create(LeastNormal));
            for (var k = 0; k < depth; k++)
            {
                var whole = Vector256.Round(Vector256.Load(panel + k * Panel + column) / scale);
                Vector256.ConvertToInt32(Vector256.ConditionalSelect(used, whole, Vector256<float>.Zero)).Store(rounded);
                var quads = to + k / 4 * 4 * Columns + 4 * column + k % 4;
                for (var i = 0; i < 8; i++)
                {
                    quads[4 * i] = (byte)(rounded[i] + Zero);
                }
            }
        }
    }

    /// <summary>A row to signed bytes, stored as its way wants them: x[k] ~ scale[k / 64] * q[k].</summary>
    /// <param name="x">[inner].</param>
    /// <param name="inner">Numbers.</param>
    /// <param name="to">The rows of its tile.</param>
    /// <param name="row">Its place among them.</param>
    /// <param name="rows">Their number.</param>
    [MethodImpl(Kernel.Whole)]
    public static void Quantise(float* x, int inner, in ByteRows to, int row, int rows)
    {
        var rest = stackalloc float[Block];
        var bytes = stackalloc sbyte[Block];
        for (var (k, at) = (0, row); k < inner; k += Block, at += rows)
        {
            var from = x + k;
            if (inner - k < Block)
            {
                new Span<float>(rest, Block).Clear();
                new Span<float>(from, inner - k).CopyTo(new Span<float>(rest, Block));
                from = rest;
            }

            var numbers = to.Numbers + (nint)at * (Block * to.Way.NumberBytes());
            switch (to.Way)
            {
                case ByteWay.Words256:
                    to.Scales[at] = QuantiseBlock(from, bytes, out to.Starts[at]);
                    Split(bytes, (short*)numbers);
                    break;
                case ByteWay.Portable:
                    to.Scales[at] = QuantiseBlock(from, bytes, out to.Starts[at]);
                    PortableBytes.Place(bytes, (float*)to.Numbers + (nint)(at - row) * Block + row, rows);
                    break;
                default:
                    to.Scales[at] = QuantiseBlock(from, numbers, out to.Starts[at]);
                    break;
            }
        }
    }

    /// <summary>Bytes of even k as words, then those of odd k: what a mask and a shift make of weights.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split(sbyte* bytes, short* to)
    {
        var (x, y) = (Vector256.Load((short*)bytes), Vector256.Load((short*)bytes + 16));
        Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(x, 8), 8).Store(to);
        Vector256.ShiftRightArithmetic(Vector256.ShiftLeft(y, 8), 8).Store(to + 16);
        Vector256.ShiftRightArithmetic(x, 8).Store(to + 32);
        Vector256.ShiftRightArithmetic(y, 8).Store(to + 48);
    }

    /// <summary>64 numbers to bytes, their scale, and -128 times the sum of the bytes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float QuantiseBlock(float* x, sbyte* q, out int start)
    {
        // As whole numbers, magnitudes have the order of the floats, with infinity and then NaN above them.
        var eight = Vector512.IsHardwareAccelerated ? Largest512((int*)x) : Largest256((int*)x);
        var four = Vector128.Max(eight.GetLower(), eight.GetUpper());
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        four = Vector128.Max(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2)));
        var largest = BitConverter.Int32BitsToSingle(four.ToScalar());
        var scale = largest / Largest;
        if (!(scale >= LeastNormal) || !float.IsFinite(scale))
        {
            // NaN and infinity must not look like numbers: they become the scale and so the whole row of the product.
            new Span<sbyte>(q, Block).Clear();
            start = 0;
            return float.IsFinite(scale) ? 0f : float.NaN;
        }

        // Two roundings up cannot carry the largest beyond 127, so nothing is clamped.
        var inverse = Largest / largest;
        start = -Zero * (Vector512.IsHardwareAccelerated
            ? Whole512(x, Vector512.Create(inverse), q)
            : Whole256(x, Vector256.Create(inverse), q) + Whole256(x + 32, Vector256.Create(inverse), q + 32));
        return scale;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Largest512(int* x)
    {
        var magnitude = Vector512.Create(int.MaxValue);
        var most = Vector512.Max(
            Vector512.Max(Vector512.Load(x) & magnitude, Vector512.Load(x + 16) & magnitude),
            Vector512.Max(Vector512.Load(x + 32) & magnitude, Vector512.Load(x + 48) & magnitude));
        return Vector256.Max(most.GetLower(), most.GetUpper());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Largest256(int* x)
    {
        var most = Vector256<int>.Zero;
        for (var k = 0; k < Block; k += 8)
        {
            most = Vector256.Max(most, Vector256.Load(x + k) & Vector256.Create(int.MaxValue));
        }

        return most;
    }

    /// <summary>64 numbers to the nearest whole ones, to the even one halfway; returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Whole512(float* x, Vector512<float> inverse, sbyte* q)
    {
        var w0 = Vector512.ConvertToInt32Native(Vector512.Round(Vector512.Load(x) * inverse));
        var w1 = Vector512.ConvertToInt32Native(Vector512.Round(Vector512.Load(x + 16) * inverse));
        var w2 = Vector512.ConvertToInt32Native(Vector512.Round(Vector512.Load(x + 32) * inverse));
        var w3 = Vector512.ConvertToInt32Native(Vector512.Round(Vector512.Load(x + 48) * inverse));
        Vector512.Narrow(Vector512.Narrow(w0, w1), Vector512.Narrow(w2, w3)).Store(q);
        return Vector512.Sum(w0 + w1 + (w2 + w3));
    }

    /// <summary>The same for 32 numbers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Whole256(float* x, Vector256<float> inverse, sbyte* q)
    {
        var w0 = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(x) * inverse));
        var w1 = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(x + 8) * inverse));
        var w2 = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(x + 16) * inverse));
        var w3 = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(x + 24) * inverse));
        Vector256.Narrow(Vector256.Narrow(w0, w1), Vector256.Narrow(w2, w3)).Store(q);
        return Vector256.Sum(w0 + w1 + (w2 + w3));
    }
}
