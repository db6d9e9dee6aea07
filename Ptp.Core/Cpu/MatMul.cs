// The matrix product C = A P over a packed right side: panels [ceil(N / 32)][K][32], zero-padded at the edge.
// Blocked as 96 rows x 512 inner x 32 columns (A block in L2, A strip and tile in L1); split over rows and columns only.
// Refuses: an unpacked right side. The instruction set is chosen in one place, below, and never changes a bit.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe class MatMul
{
    private const int InnerBlock = 512;
    private const int RowBlock = 96;
    private const int Panel = MatMulKernels.Panel;
    private const int MaxRows = MatMulKernels.MaxRows;

    /// <summary>Chosen once: AVX-512 where the runtime has it; PTP_SIMD=256 forces the 256-bit tiles.</summary>
    public static bool Use512 { get; set; } =
        Vector512.IsHardwareAccelerated && Environment.GetEnvironmentVariable("PTP_SIMD") != "256";

    /// <summary>Floats that the panels of a [columns, inner] right side take.</summary>
    public static int PackedLength(int columns, int inner) => (columns + Panel - 1) / Panel * Panel * inner;

    /// <summary>Packs W [N, K], K inner: panel[k][j] = W[j, k].</summary>
    public static void Pack(float* w, int n, int k, float* panels, CpuPool pool)
    {
        var job = new PackJob { Source = w, Columns = n, Inner = k, Panels = panels };
        pool.Run((n + Panel - 1) / Panel, &PackPanel, &job);
    }

    /// <summary>Packs a row-major [inner, columns] matrix: panel[i][j] = M[i, j].</summary>
    public static void PackRows(float* m, int inner, int columns, float* panels, CpuPool pool)
    {
        var job = new PackJob { Source = m, Columns = columns, Inner = inner, Panels = panels };
        pool.Run((columns + Panel - 1) / Panel, &PackRowsPanel, &job);
    }

    /// <summary>C[i, j] (+)= sum over k of A[i * rowStride + k * innerStride] * panels[j / 32][k][j % 32].</summary>
    public static void Multiply(
        float* a, nint rowStride, nint innerStride, int rows, int inner, float* panels, int columns, float* c,
        bool accumulate, CpuPool pool)
    {
        if (rows == 0 || columns == 0)
        {
            return;
        }

        var panelCount = (columns + Panel - 1) / Panel;
        var rowTasks = (rows + RowBlock - 1) / RowBlock;
        // Enough tasks to keep every thread busy when one of them loses its core for a while.
        var wanted = 4 * pool.Threads;
        var columnTasks = Math.Clamp((wanted + rowTasks - 1) / rowTasks, 1, (panelCount + 3) / 4);
        var job = new Job
        {
            A = a,
            RowStride = rowStride,
            InnerStride = innerStride,
            Rows = rows,
            Inner = inner,
            Panels = panels,
            Columns = columns,
            C = c,
            Accumulate = accumulate,
            RowTasks = rowTasks,
            PanelsPerTask = ((panelCount + columnTasks - 1) / columnTasks + 3) / 4 * 4,
        };
        columnTasks = (panelCount + job.PanelsPerTask - 1) / job.PanelsPerTask;
        // Below about 100k multiply-adds, some two microseconds, a second thread costs more than it brings.
        if ((long)rows * inner * columns < 100_000)
        {
            for (var task = 0; task < rowTasks * columnTasks; task++)
            {
                RunTask(&job, task);
            }

            return;
        }

        pool.Run(rowTasks * columnTasks, &RunTask, &job);
    }

    private static void PackPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var k = job->Inner;
        var to = job->Panels + (nint)panel * k * Panel;
        var columns = Math.Min(Panel, job->Columns - panel * Panel);
        new Span<float>(to, columns < Panel ? k * Panel : 0).Clear();
        Transpose(job->Source + (nint)panel * Panel * k, k, columns, k, to, Panel);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackRowsPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var to = job->Panels + (nint)panel * job->Inner * Panel;
        var from = job->Source + panel * Panel;
        var columns = Math.Min(Panel, job->Columns - panel * Panel);
        for (var i = 0; i < job->Inner; i++, to += Panel, from += job->Columns)
        {
            if (columns == Panel)
            {
                Vector256.Load(from).Store(to);
                Vector256.Load(from + 8).Store(to + 8);
                Vector256.Load(from + 16).Store(to + 16);
                Vector256.Load(from + 24).Store(to + 24);
                continue;
            }

            var target = new Span<float>(to, Panel);
            new Span<float>(from, columns).CopyTo(target);
            target[columns..].Clear();
        }
    }

    private static void RunTask(void* context, int task)
    {
        var job = (Job*)context;
        var rowStart = task % job->RowTasks * RowBlock;
        var rows = Math.Min(RowBlock, job->Rows - rowStart);
        var panelCount = (job->Columns + Panel - 1) / Panel;
        var panelStart = task / job->RowTasks * job->PanelsPerTask;
        var panelEnd = Math.Min(panelCount, panelStart + job->PanelsPerTask);
        var packed = Scratch.First(RowBlock * InnerBlock);
        var tile = Scratch.Second(MaxRows * Panel);
        for (var inner = 0; inner < job->Inner; inner += InnerBlock)
        {
            var depth = Math.Min(InnerBlock, job->Inner - inner);
            var accumulate = job->Accumulate || inner > 0;
            var block = job->A + rowStart * job->RowStride + inner * job->InnerStride;
            if (rows == 1 && job->InnerStride == 1 && Use512)
            {
                OneRow(job, block, rowStart, panelStart, panelEnd, inner, depth, accumulate, tile);
                continue;
            }

            PackStrips(block, job->RowStride, job->InnerStride, rows, depth, packed);
            var done = rows <= NarrowKernels.MaxRows && Use512
                ? FewRows(job, packed, rowStart, rows, panelStart, panelEnd, inner, depth, accumulate)
                : panelStart;
            for (var panel = done; panel < panelEnd; panel++)
            {
                var b = job->Panels + ((nint)panel * job->Inner + inner) * Panel;
                var columns = Math.Min(Panel, job->Columns - panel * Panel);
                for (var row = 0; row < rows; row += MaxRows)
                {
                    var count = Math.Min(MaxRows, rows - row);
                    var c = job->C + (nint)(rowStart + row) * job->Columns + panel * Panel;
                    Edge(packed + (nint)row * depth, b, c, job->Columns, count, columns, depth, accumulate, tile);
                }
            }
        }
    }

    /// <summary>Up to six rows go two full panels at a time; returns the first panel that is left over.</summary>
    private static int FewRows(
        Job* job, float* packed, int rowStart, int rows, int panelStart, int panelEnd, int inner, int depth, bool accumulate)
    {
        var stride = (nint)job->Inner * Panel;
        var ldc = (nint)job->Columns;
        var panel = panelStart;
        for (; panel + 2 <= panelEnd && (panel + 2) * Panel <= job->Columns; panel += 2)
        {
            var b = job->Panels + panel * stride + (nint)inner * Panel;
            var c = job->C + rowStart * ldc + panel * Panel;
            switch (rows)
            {
                case 2: NarrowKernels.TwoPanels<MatMulKernels.R2>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 3: NarrowKernels.TwoPanels<MatMulKernels.R3>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 4: NarrowKernels.TwoPanels<MatMulKernels.R4>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 5: NarrowKernels.TwoPanels<MatMulKernels.R5>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 6: NarrowKernels.TwoPanels<MatMulKernels.R6>(packed, b, stride, c, ldc, depth, accumulate); break;
                default: return panel;
            }
        }

        return panel;
    }

    /// <summary>A single row needs no packing: four panels at a time, the last ones one by one.</summary>
    private static void OneRow(
        Job* job, float* a, int row, int panelStart, int panelEnd, int inner, int depth, bool accumulate, float* tile)
    {
        var panel = panelStart;
        var stride = (nint)job->Inner * Panel;
        var c = job->C + (nint)row * job->Columns;
        for (; panel + 4 <= panelEnd && (panel + 4) * Panel <= job->Columns; panel += 4)
        {
            var b = job->Panels + panel * stride + (nint)inner * Panel;
            MatMulKernels.Row4(a, b, stride, c + panel * Panel, depth, accumulate);
        }

        for (; panel < panelEnd; panel++)
        {
            var b = job->Panels + panel * stride + (nint)inner * Panel;
            var columns = Math.Min(Panel, job->Columns - panel * Panel);
            Edge(a, b, c + panel * Panel, job->Columns, 1, columns, depth, accumulate, tile);
        }
    }

    /// <summary>Copies rows into strips of 12 (the last one lower): strip[k][row].</summary>
    private static void PackStrips(
        float* a, nint rowStride, nint innerStride, int rows, int depth, float* packed)
    {
        for (var start = 0; start < rows; start += MaxRows)
        {
            var height = Math.Min(MaxRows, rows - start);
            var strip = packed + (nint)start * depth;
            var source = a + start * rowStride;
            if (innerStride == 1)
            {
                PackRowsOfStrip(source, rowStride, height, depth, strip);
            }
            else
            {
                PackColumnsOfStrip(source, rowStride, innerStride, height, depth, strip);
            }
        }
    }

    /// <summary>Rows are contiguous: strip[k][row].</summary>
    internal static void PackRowsOfStrip(float* a, nint rowStride, int height, int depth, float* strip) =>
        Transpose(a, rowStride, height, depth, strip, height);

    /// <summary>to[k * stride + row] = a[row][k]: 4 x 4 blocks are transposed in registers, the rest goes one by one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Transpose(float* a, nint rowStride, int height, int depth, float* to, int stride)
    {
        var blocked = Sse.IsSupported ? height / 4 * 4 : 0;
        var whole = depth / 4 * 4;
        for (var row = 0; row < blocked; row += 4)
        {
            var r0 = a + row * rowStride;
            var r1 = r0 + rowStride;
            var r2 = r1 + rowStride;
            var r3 = r2 + rowStride;
            var target = to + row;
            for (var k = 0; k < whole; k += 4, target += 4 * stride)
            {
                var (x0, x1) = (Vector128.Load(r0 + k), Vector128.Load(r1 + k));
                var (x2, x3) = (Vector128.Load(r2 + k), Vector128.Load(r3 + k));
                var (low01, high01) = (Sse.UnpackLow(x0, x1), Sse.UnpackHigh(x0, x1));
                var (low23, high23) = (Sse.UnpackLow(x2, x3), Sse.UnpackHigh(x2, x3));
                Sse.MoveLowToHigh(low01, low23).Store(target);
                Sse.MoveHighToLow(low23, low01).Store(target + stride);
                Sse.MoveLowToHigh(high01, high23).Store(target + 2 * stride);
                Sse.MoveHighToLow(high23, high01).Store(target + 3 * stride);
            }
        }

        for (var row = 0; row < height; row++)
        {
            var source = a + row * rowStride;
            for (var k = row < blocked ? whole : 0; k < depth; k++)
            {
                to[k * stride + row] = source[k];
            }
        }
    }

    /// <summary>Columns are contiguous (a transposed left side): 12 floats are copied at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void PackColumnsOfStrip(
        float* a, nint rowStride, nint innerStride, int height, int depth, float* strip)
    {
        for (var k = 0; k < depth; k++)
        {
            var source = a + k * innerStride;
            var to = strip + (nint)k * height;
            if (height == MaxRows && rowStride == 1)
            {
                Vector256.Load(source).Store(to);
                Vector128.Load(source + 8).Store(to + 8);
                continue;
            }

            for (var row = 0; row < height; row++)
            {
                to[row] = source[row * rowStride];
            }
        }
    }

    /// <summary>A tile; where the last panel is narrower than 32 columns it is computed aside and copied.</summary>
    private static void Edge(
        float* a, float* b, float* c, int ldc, int rows, int columns, int depth, bool accumulate, float* tile)
    {
        if (columns == Panel)
        {
            Tile(a, b, c, ldc, rows, depth, accumulate);
            return;
        }

        if (accumulate)
        {
            for (var row = 0; row < rows; row++)
            {
                new Span<float>(c + (nint)row * ldc, columns).CopyTo(new Span<float>(tile + row * Panel, Panel));
            }
        }

        Tile(a, b, tile, Panel, rows, depth, accumulate);
        for (var row = 0; row < rows; row++)
        {
            new Span<float>(tile + row * Panel, columns).CopyTo(new Span<float>(c + (nint)row * ldc, columns));
        }
    }

    /// <summary>A tile of up to 12 rows and one panel, with the instruction set chosen above.</summary>
    internal static void Tile(float* a, float* b, float* c, nint ldc, int rows, int k, bool accumulate)
    {
        if (!Use512)
        {
            MatMulKernels.Tile256(a, rows, b, c, ldc, rows, k, accumulate);
            return;
        }

        switch (rows)
        {
            case 1: MatMulKernels.Tile512<MatMulKernels.R1>(a, b, c, ldc, k, accumulate); break;
            case 2: MatMulKernels.Tile512<MatMulKernels.R2>(a, b, c, ldc, k, accumulate); break;
            case 3: MatMulKernels.Tile512<MatMulKernels.R3>(a, b, c, ldc, k, accumulate); break;
            case 4: MatMulKernels.Tile512<MatMulKernels.R4>(a, b, c, ldc, k, accumulate); break;
            case 5: MatMulKernels.Tile512<MatMulKernels.R5>(a, b, c, ldc, k, accumulate); break;
            case 6: MatMulKernels.Tile512<MatMulKernels.R6>(a, b, c, ldc, k, accumulate); break;
            case 7: MatMulKernels.Tile512<MatMulKernels.R7>(a, b, c, ldc, k, accumulate); break;
            case 8: MatMulKernels.Tile512<MatMulKernels.R8>(a, b, c, ldc, k, accumulate); break;
            case 9: MatMulKernels.Tile512<MatMulKernels.R9>(a, b, c, ldc, k, accumulate); break;
            case 10: MatMulKernels.Tile512<MatMulKernels.R10>(a, b, c, ldc, k, accumulate); break;
            case 11: MatMulKernels.Tile512<MatMulKernels.R11>(a, b, c, ldc, k, accumulate); break;
            default: MatMulKernels.Tile512<MatMulKernels.R12>(a, b, c, ldc, k, accumulate); break;
        }
    }

    private struct PackJob
    {
        public float* Source;
        public float* Panels;
        public int Columns;
        public int Inner;
    }

    private struct Job
    {
        public float* A;
        public nint RowStride;
        public nint InnerStride;
        public float* Panels;
        public float* C;
        public int Rows;
        public int Inner;
        public int Columns;
        public int RowTasks;
        public int PanelsPerTask;
        public bool Accumulate;
    }
}
