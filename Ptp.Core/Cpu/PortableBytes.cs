// Tiles over half panels of bytes in Vector<float>: a block's weights become floats once, [64][16], then rows meet them in PortableTile.
// Whole numbers below 2^24 are exact in floats, and so are their sums in any order: the bits of ByteKernels.
// Refuses: nothing; for machines without 256-bit vectors, and there about as fast as a product of floats.

using System.Numerics;
using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

internal static unsafe class PortableBytes
{
    private const int Panel = MatMulKernels.Panel; // stride of weights and sums: the widest vectors reach beyond 16 columns
    private const int Columns = ByteWeights.Columns;
    private const int Block = ByteWeights.Block;
    private const int Quad = 4;

    /// <summary>As <see cref="ByteKernels.Tile"/>.</summary>
    [MethodImpl(Kernel.Whole)]
    public static void Tile(in ByteRows a, byte* b, int blocks, int panels, float* c, nint ldc, int rows, bool accumulate)
    {
        var weights = stackalloc float[Block * Panel];
        var sums = stackalloc float[ByteKernels.MaxRows * Panel];
        var results = stackalloc float[ByteKernels.MaxRows * Columns];
        for (var panel = 0; panel < panels; panel++, c += Columns)
        {
            new Span<float>(results, rows * Columns).Clear();
            for (var block = 0; block < blocks; block++, b += ByteWeights.BlockBytes)
            {
                var numbers = (float*)a.Numbers + (nint)block * rows * Block;
                if (rows == 1)
                {
                    OneRow(numbers, a.Starts[block], b, sums);
                }
                else
                {
                    Widen(b, weights);
                    PortableTile.Run(numbers, rows, weights, sums, Panel, rows, Block, false, Columns);
                }

                var scales = (float*)(b + ByteWeights.WeightBytes);
                for (var row = 0; row < rows; row++)
                {
                    AddBlock(sums + row * Panel, scales, a.Scales[block * rows + row], results + row * Columns);
                }
            }

            for (var row = 0; row < rows; row++)
            {
                var from = results + row * Columns;
                var to = c + row * ldc;
                for (var column = 0; column < Columns; column++)
                {
                    to[column] = accumulate ? from[column] + to[column] : from[column];
                }
            }
        }
    }

    /// <summary>Numbers of a row as floats, for all rows of a tile together.</summary>
    /// <param name="numbers">64 of them.</param>
    /// <param name="to">[64][rows], from the row's first.</param>
    /// <param name="rows">Rows.</param>
    public static void Place(sbyte* numbers, float* to, int rows)
    {
        for (var k = 0; k < Block; k++)
        {
            to[k * rows] = numbers[k];
        }
    }

    /// <summary>A single row meets weights where they become floats; their 128 is in the start, and sums stay below 2^22.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void OneRow(float* numbers, float start, byte* b, float* sums)
    {
        var low = Vector.Create((int)byte.MaxValue);
        for (var column = 0; column < Columns; column += Vector<int>.Count)
        {
            Vector<float> even = Vector.Create(start), odd = default;
            for (var k = 0; k < Block; k += Quad)
            {
                var quad = Vector.Load((int*)(b + k * Columns) + column);
                even = Vector.FusedMultiplyAdd(Vector.ConvertToSingle(quad & low), Vector.Create(numbers[k]), even);
                odd = Vector.FusedMultiplyAdd(Vector.ConvertToSingle((quad >>> 8) & low), Vector.Create(numbers[k + 1]), odd);
                even = Vector.FusedMultiplyAdd(Vector.ConvertToSingle((quad >>> 16) & low), Vector.Create(numbers[k + 2]), even);
                odd = Vector.FusedMultiplyAdd(Vector.ConvertToSingle(quad >>> 24), Vector.Create(numbers[k + 3]), odd);
            }

            (even + odd).Store(sums + column);
        }
    }

    // A lane of whole numbers holds the four k of an output.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Widen(byte* b, float* to)
    {
        var (zero, low) = (Vector.Create((float)ByteWeights.Zero), Vector.Create((int)byte.MaxValue));
        for (var k = 0; k < Block; k += Quad, to += Quad * Panel, b += Quad * Columns)
        {
            for (var column = 0; column < Columns; column += Vector<int>.Count)
            {
                var quad = Vector.Load((int*)b + column);
                (Vector.ConvertToSingle(quad & low) - zero).Store(to + column);
                (Vector.ConvertToSingle((quad >>> 8) & low) - zero).Store(to + Panel + column);
                (Vector.ConvertToSingle((quad >>> 16) & low) - zero).Store(to + 2 * Panel + column);
                (Vector.ConvertToSingle(quad >>> 24) - zero).Store(to + 3 * Panel + column);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddBlock(float* sums, float* scales, float rowScale, float* results)
    {
        var scale = Vector.Create(rowScale);
        for (var column = 0; column < Columns; column += Vector<float>.Count)
        {
            var at = results + column;
            Vector.FusedMultiplyAdd(Vector.Load(sums + column), Vector.Load(scales + column) * scale, Vector.Load(at)).Store(at);
        }
    }
}
