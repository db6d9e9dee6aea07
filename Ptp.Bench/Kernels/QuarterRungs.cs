// Rungs of the 256-bit product that lost, and the one that won beside them, all on one thread so that only tiles differ:
//   three rows by a whole panel [K][32]; six rows by a pair of quarters, one k per round of the loop; what the library runs
// Refuses: edges; rows come in strips of 12 and columns in panels of 32. The bits of all are those of the library.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;

namespace Ptp.Bench.Kernels;

/// <summary>One product by tiles of 256 bits.</summary>
internal sealed unsafe class QuarterRungs : IDisposable
{
    private const int Panel = MatMulKernels.Panel;
    private const int Strip = MatMulKernels.MaxRows;
    private const int Pair = 2 * QuarterPanels.Columns;
    private readonly CpuBackend _backend = new(1);
    private readonly Tensor _x;
    private readonly PackedMatrix _packed;
    private readonly Tensor _strips; // [R / 12][K][12]
    private readonly Tensor _rows; // [N / 32][K][32]
    private readonly Tensor _quarters; // [N / 8][K][8]

    /// <summary>Packs random operands x [R, K] and w [N, K] in every way.</summary>
    public QuarterRungs(int strips, int inner, int panels)
    {
        using var bench = new Bench(Plan.Tiny, peers: false);
        var (rows, columns) = (strips * Strip, panels * Panel);
        var w = bench.Random(columns, inner, "w");
        (_x, Y) = (bench.Random(rows, inner, "x"), _backend.Allocate(rows, columns));
        (_strips, _rows, _quarters) = (_backend.Allocate(rows, inner), _backend.Allocate(columns, inner), _backend.Allocate(columns, inner));
        _packed = _backend.Pack(w, false, null);
        for (var row = 0; row < rows; row += Strip)
        {
            MatMul.PackRowsOfStrip(_x.Pointer + (nint)row * inner, inner, Strip, inner, _strips.Pointer + (nint)row * inner);
        }

        for (var column = 0; column < columns; column += Panel)
        {
            var at = (nint)column * inner;
            var from = w.Pointer + at;
            MatMul.Transpose(from, inner, Panel, inner, _rows.Pointer + at, Panel);
            QuarterPanels.Fill(from, inner, Panel, _quarters.Pointer + at);
        }
    }

    /// <summary>The result of the last rung, [R, N].</summary>
    public Tensor Y { get; }

    /// <summary>Name and body of each rung.</summary>
    public (string Name, Action Body)[] All =>
    [
        ("3 x 32 over rows of 32", ThreeByPanel),
        ("6 x 16, one k per round", OneStepPerRound),
        ("6 x 16, four k per round", FourStepsPerRound),
        ("the library, packing included", Library),
    ];

    /// <summary>Seven loads for twelve multiply-adds, but a panel of K = 256 is the whole first cache.</summary>
    public void ThreeByPanel()
    {
        for (var column = 0; column < Y.Columns; column += Panel)
        {
            var b = (byte*)(_rows.Pointer + (nint)column * _x.Columns);
            for (var row = 0; row < _x.Rows; row += Strip)
            {
                QuarterKernels.Rows(
                    _strips.Pointer + (nint)row * _x.Columns, Strip, b, Y.Pointer + (nint)row * Y.Columns + column, Y.Columns, Strip, _x.Columns, false);
            }
        }
    }

    /// <summary>The winning shape with a loop that takes one k per round: 25 instructions for 12 multiply-adds instead of 21.</summary>
    public void OneStepPerRound() => SixByPair(isOneStep: true);

    /// <summary>The library's tile on the same operands.</summary>
    public void FourStepsPerRound() => SixByPair(isOneStep: false);

    /// <summary>What the library runs, with its own way to the left side.</summary>
    public void Library() => _backend.MatMul(_x, _packed, false, Y);

    /// <inheritdoc/>
    public void Dispose() => _backend.Dispose();

    private void SixByPair(bool isOneStep)
    {
        var (inner, stream) = (_x.Columns, (nint)_x.Columns * QuarterPanels.RowBytes);
        for (var column = 0; column < Y.Columns; column += Pair)
        {
            var b = (byte*)(_quarters.Pointer + (nint)column * inner);
            for (var row = 0; row < _x.Rows; row += QuarterKernels.PairRows)
            {
                var a = _strips.Pointer + (nint)(row / Strip * Strip) * inner + row % Strip;
                var c = Y.Pointer + (nint)row * Y.Columns + column;
                if (isOneStep)
                {
                    Tile(a, b, stream, c, Y.Columns, inner);
                }
                else
                {
                    QuarterKernels.Pair<PackedLeft, FullQuarters<NothingAhead>>(a, Strip, b, stream, c, Y.Columns, QuarterKernels.PairRows, inner, false);
                }
            }
        }
    }

    [MethodImpl(Kernel.Whole)]
    private static void Tile(float* a, byte* b, nint stream, float* c, nint ldc, int k)
    {
        Vector256<float> p0, p1, p2, p3, p4, p5, q0, q1, q2, q3, q4, q5;
        p0 = p1 = p2 = p3 = p4 = p5 = q0 = q1 = q2 = q3 = q4 = q5 = Vector256<float>.Zero;
        for (; k > 0; k--, a += Strip, b += QuarterPanels.RowBytes)
        {
            var (x, y) = (Vector256.Load((float*)b), Vector256.Load((float*)(b + stream)));
            Step(a[0], x, y, ref p0, ref q0);
            Step(a[1], x, y, ref p1, ref q1);
            Step(a[2], x, y, ref p2, ref q2);
            Step(a[3], x, y, ref p3, ref q3);
            Step(a[4], x, y, ref p4, ref q4);
            Step(a[5], x, y, ref p5, ref q5);
        }

        Store(p0, q0, c);
        Store(p1, q1, c + ldc);
        Store(p2, q2, c + 2 * ldc);
        Store(p3, q3, c + 3 * ldc);
        Store(p4, q4, c + 4 * ldc);
        Store(p5, q5, c + 5 * ldc);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(float a, Vector256<float> x, Vector256<float> y, ref Vector256<float> p, ref Vector256<float> q)
    {
        var broadcast = Vector256.Create(a);
        p = Vector256.FusedMultiplyAdd(broadcast, x, p);
        q = Vector256.FusedMultiplyAdd(broadcast, y, q);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(Vector256<float> p, Vector256<float> q, float* c)
    {
        p.Store(c);
        q.Store(c + QuarterPanels.Columns);
    }
}
