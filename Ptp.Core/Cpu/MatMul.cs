// The matrix product C = A P over a packed right side: panels [ceil(N / 32)][K][32], or in quarters (QuarterPanels), zero-padded at the edge.
// Panels hold floats or, without a change of bits, BF16 (Weights.cs). A task takes up to 96 rows (48 in quarters) over as much of K as keeps their
// strips in the second cache, so that panels are read from front to back; tall products pack strips there, task by task.
// Work is split over rows and columns only.
// Refuses: an unpacked right side. The instruction set is chosen in one place, below, and never changes a bit.

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    private const int LeftFloats = 96 * 1024; // of the left side at a time: 384 KiB

    /// <summary>Most rows for which panels of BF16 beat panels of floats: beyond, arithmetic costs more than reading.</summary>
    public const int HalfRows = 8;

    private const int Panel = MatMulKernels.Panel;
    private const int MaxRows = MatMulKernels.MaxRows;

    /// <summary>The vectors of all products, chosen once; PTP_SIMD = 512, 256 or portable asks for others.</summary>
    public static VectorWidth Width { get; set; } = VectorWidths.Choose(Environment.GetEnvironmentVariable("PTP_SIMD"));

    /// <summary>Strips of a task at most: 96 rows for 512 bits; 48 for others, whose panels fill less of the first cache and come again for less.</summary>
    private static int StripsPerTask => InQuarters ? 4 : 8;

    /// <summary>C[i, j] (+)= sum over k of A[i * rowStride + k * innerStride] * panels[j / 32][k][j % 32].</summary>
    public static void Multiply(
        float* a, nint rowStride, nint innerStride, int rows, int inner, byte* panels, int columns, float* c,
        bool accumulate, CpuPool pool, bool half = false, bool far = false)
    {
        var job = Plan(a, rowStride, innerStride, rows, inner, panels, columns, c, accumulate, pool.Threads, half, far);
        Run(&job, 1, pool);
    }

    /// <summary>How a product is split into tasks: enough to keep every thread busy when one of them loses its core for a while.</summary>
    public static Job Plan(
        float* a, nint rowStride, nint innerStride, int rows, int inner, byte* panels, int columns, float* c,
        bool accumulate, int threads, bool half, bool far)
    {
        if (rows == 0 || columns == 0)
        {
            return default;
        }

        var panelCount = (columns + Panel - 1) / Panel;
        var strips = (rows + MaxRows - 1) / MaxRows;
        var wanted = 4 * threads;
        var isTall = strips >= 2 * wanted;
        var rowTasks = (strips + StripsPerTask - 1) / StripsPerTask;
        rowTasks = isTall ? (Math.Max(rowTasks, wanted) + threads - 1) / threads * threads : rowTasks;
        var columnTasks = isTall ? 1 : Math.Clamp((wanted + rowTasks - 1) / rowTasks, 1, (panelCount + 3) / 4);
        var readsLying = ReadsLying(rows, rowStride, innerStride);
        var panelsPerTask = ((panelCount + columnTasks - 1) / columnTasks + 3) / 4 * 4;
        return new Job
        {
            A = a,
            RowStride = rowStride,
            InnerStride = innerStride,
            Rows = rows,
            Inner = inner,
            Panels = panels,
            Half = half,
            Far = far,
            Depth = Depth(rows, inner),
            Columns = columns,
            C = c,
            Accumulate = accumulate,
            StripCount = strips,
            RowTasks = rowTasks,
            PanelsPerTask = panelsPerTask,
            Tasks = rowTasks * ((panelCount + panelsPerTask - 1) / panelsPerTask),
            ReadsLying = readsLying,
            PacksLeft = !isTall && !readsLying && (rows > 1 || innerStride != 1),
        };
    }

    /// <summary>Products of one left side, over panels of floats and of bytes: it is packed once for each kind, and threads are woken once.</summary>
    public static void Run(Job* jobs, int count, CpuPool pool, ByteJob* byteJobs = null, int byteCount = 0)
    {
        var batch = new Batch { Jobs = jobs, ByteJobs = byteJobs };
        var (arithmetic, reading) = (0L, 0L);
        for (var job = jobs; job < jobs + count; job++)
        {
            batch.Tasks += job->Tasks;
            arithmetic += (long)job->Rows * job->Inner * job->Columns;
            reading += (long)job->Inner * job->Columns;
        }

        var tasks = batch.Tasks;
        for (var job = byteJobs; job < byteJobs + byteCount; job++)
        {
            tasks += job->Tasks;
            arithmetic += (long)job->Rows * job->Inner * job->Columns;
            reading += (long)job->Inner * job->Columns / 3; // with its share of scales and of what rows cost
        }

        if (batch.Tasks > 0 && jobs->PacksLeft)
        {
            PackLeft(jobs, pool);
            for (var job = jobs + 1; job < jobs + count; job++)
            {
                job->Packed = jobs->Packed;
            }
        }

        if (tasks > batch.Tasks)
        {
            QuantiseLeft(byteJobs, byteCount, pool);
        }

        // A second thread costs a microsecond: not worth it below two of arithmetic, nor below three of reading weights.
        if (arithmetic < 100_000 && reading < 20_000)
        {
            for (var task = 0; task < tasks; task++)
            {
                RunTask(&batch, task);
            }

            return;
        }

        pool.Run(tasks, &RunTask, &batch);
    }

    private static void RunTask(void* context, int task)
    {
        var batch = (Batch*)context;
        if (task >= batch->Tasks)
        {
            task -= batch->Tasks;
            var bytes = batch->ByteJobs;
            for (; task >= bytes->Tasks; bytes++)
            {
                task -= bytes->Tasks;
            }

            RunTask(bytes, task);
            return;
        }

        var job = batch->Jobs;
        for (; task >= job->Tasks; job++)
        {
            task -= job->Tasks;
        }

        RunTask(job, task);
    }

    private static void RunTask(Job* job, int task)
    {
        switch (job->Half, job->Far)
        {
            case (false, false): RunTask<FullWeights>(job, task); break;
            case (false, true): RunTask<FarWeights<FullWeights>>(job, task); break;
            case (true, false): RunTask<HalfWeights>(job, task); break;
            default: RunTask<FarWeights<HalfWeights>>(job, task); break;
        }
    }

    /// <summary>Inner indices taken at a time: all, or equal parts; every cut makes streams of weights stop and start.</summary>
    private static int Depth(int rows, int inner)
    {
        var most = LeftFloats / Math.Min(rows, StripsPerTask * MaxRows);
        var parts = Math.Max(1, (inner + most - 1) / most);
        return (inner + parts - 1) / parts;
    }

    private static void RunTask<TWeights>(Job* job, int task)
        where TWeights : struct, IWeights
    {
        var rowTask = task % job->RowTasks;
        var rowStart = FirstRow(job, rowTask);
        var rows = Math.Min(job->Rows, FirstRow(job, rowTask + 1)) - rowStart;
        var panelCount = (job->Columns + Panel - 1) / Panel;
        var panelStart = task / job->RowTasks * job->PanelsPerTask;
        var panelEnd = Math.Min(panelCount, panelStart + job->PanelsPerTask);
        var tile = Scratch.Second(MaxRows * Panel);
        for (var inner = 0; inner < job->Inner; inner += job->Depth)
        {
            var depth = Math.Min(job->Depth, job->Inner - inner);
            var accumulate = job->Accumulate || inner > 0;
            if (rows == 1 && job->Packed is null && Width == VectorWidth.V512)
            {
                OneRow<TWeights>(job, job->A + inner, rowStart, panelStart, panelEnd, inner, depth, accumulate, tile);
                continue;
            }

            var strips = job->Packed is null && rows == 1 ? job->A : job->Packed; // a single row is its own strip
            var left = new LeftSide { Start = strips + (nint)rowStart * job->Inner, Depth = job->Inner, First = inner };
            if (job->ReadsLying)
            {
                left = new LeftSide { Start = job->A + rowStart * job->RowStride, Stride = job->RowStride, First = inner };
            }
            else if (strips is null)
            {
                left = new LeftSide { Start = Scratch.First(rows * depth), Depth = depth };
                PackStrips(job, rowStart, rows, inner, depth, left.Start, depth);
            }

            var done = rows <= NarrowKernels.MaxRows && Width == VectorWidth.V512
                ? FewRows<TWeights>(job, left.At(0, rows), rowStart, rows, panelStart, panelEnd, inner, depth, accumulate)
                : panelStart;
            for (var panel = done; panel < panelEnd; panel++)
            {
                if (InQuarters)
                {
                    Quarters(job, left, rowStart, rows, panel, inner, depth, accumulate, tile);
                    continue;
                }

                var b = job->Panels + ((nint)panel * job->Inner + inner) * TWeights.RowBytes;
                Rows<TWeights>(job, left, b, rowStart, rows, panel, depth, accumulate, tile);
            }
        }
    }

    /// <summary>Strips are dealt out evenly: a last task of a few rows would keep one thread waiting for another.</summary>
    private static int FirstRow(Job* job, int rowTask) => (int)((long)job->StripCount * rowTask / job->RowTasks) * MaxRows;

    /// <summary>All rows of a task against one panel, twelve at a time.</summary>
    private static void Rows<TWeights>(
        Job* job, in LeftSide left, byte* b, int rowStart, int rows, int panel, int depth, bool accumulate, float* tile)
        where TWeights : struct, IWeights
    {
        var columns = Math.Min(Panel, job->Columns - panel * Panel);
        for (var row = 0; row < rows; row += MaxRows)
        {
            var count = Math.Min(MaxRows, rows - row);
            var c = job->C + (nint)(rowStart + row) * job->Columns + panel * Panel;
            if (row == 0)
            {
                Edge<TWeights>(left.At(0, count), b, c, job->Columns, count, columns, depth, accumulate, tile);
            }
            else
            {
                // Further tiles exist for floats only, see HalfRows, and find the panel in the cache.
                System.Diagnostics.Debug.Assert(!job->Half, "BF16 panels serve one tile.");
                Edge<WarmWeights>(left.At(row, count), b, c, job->Columns, count, columns, depth, accumulate, tile);
            }
        }
    }

    /// <summary>Up to six rows go two full panels at a time; returns the first panel that is left over.</summary>
    private static int FewRows<TWeights>(
        Job* job, float* packed, int rowStart, int rows, int panelStart, int panelEnd, int inner, int depth, bool accumulate)
        where TWeights : struct, IWeights
    {
        var stride = (nint)job->Inner * TWeights.RowBytes;
        var ldc = (nint)job->Columns;
        var panel = panelStart;
        for (; panel + 2 <= panelEnd && (panel + 2) * Panel <= job->Columns; panel += 2)
        {
            var b = job->Panels + panel * stride + (nint)inner * TWeights.RowBytes;
            var c = job->C + rowStart * ldc + panel * Panel;
            switch (rows)
            {
                case 2: NarrowKernels.TwoPanels<MatMulKernels.R2, TWeights>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 3: NarrowKernels.TwoPanels<MatMulKernels.R3, TWeights>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 4: NarrowKernels.TwoPanels<MatMulKernels.R4, TWeights>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 5: NarrowKernels.TwoPanels<MatMulKernels.R5, TWeights>(packed, b, stride, c, ldc, depth, accumulate); break;
                case 6: NarrowKernels.TwoPanels<MatMulKernels.R6, TWeights>(packed, b, stride, c, ldc, depth, accumulate); break;
                default: return panel;
            }
        }

        return panel;
    }

    /// <summary>A single row needs no packing: four panels at a time, the last ones one by one.</summary>
    private static void OneRow<TWeights>(
        Job* job, float* a, int row, int panelStart, int panelEnd, int inner, int depth, bool accumulate, float* tile)
        where TWeights : struct, IWeights
    {
        var panel = panelStart;
        var stride = (nint)job->Inner * TWeights.RowBytes;
        var c = job->C + (nint)row * job->Columns;
        for (; panel + 4 <= panelEnd && (panel + 4) * Panel <= job->Columns; panel += 4)
        {
            var b = job->Panels + panel * stride + (nint)inner * TWeights.RowBytes;
            MatMulKernels.Row4<TWeights>(a, b, stride, c + panel * Panel, depth, accumulate);
        }

        for (; panel < panelEnd; panel++)
        {
            var b = job->Panels + panel * stride + (nint)inner * TWeights.RowBytes;
            var columns = Math.Min(Panel, job->Columns - panel * Panel);
            Edge<TWeights>(a, b, c + panel * Panel, job->Columns, 1, columns, depth, accumulate, tile);
        }
    }

    /// <summary>A tile; where the last panel is narrower than 32 columns it is computed aside and copied.</summary>
    private static void Edge<TWeights>(
        float* a, byte* b, float* c, int ldc, int rows, int columns, int depth, bool accumulate, float* tile)
        where TWeights : struct, IWeights
    {
        if (columns == Panel)
        {
            Tile<TWeights>(a, b, c, ldc, rows, depth, accumulate);
            return;
        }

        if (accumulate)
        {
            CopyRows(c, ldc, tile, Panel, rows, columns);
        }

        Tile<TWeights>(a, b, tile, Panel, rows, depth, accumulate);
        CopyRows(tile, Panel, c, ldc, rows, columns);
    }

    private static void CopyRows(float* from, nint fromStride, float* to, nint toStride, int rows, int columns)
    {
        for (var row = 0; row < rows; row++)
        {
            new Span<float>(from + row * fromStride, columns).CopyTo(new Span<float>(to + row * toStride, columns));
        }
    }

    /// <summary>A tile of up to 12 rows and one panel, with the instruction set chosen above.</summary>
    internal static void Tile<TWeights>(float* a, byte* b, float* c, nint ldc, int rows, int k, bool accumulate)
        where TWeights : struct, IWeights
    {
        if (Width == VectorWidth.V256)
        {
            QuarterKernels.Rows(a, rows, b, c, ldc, rows, k, accumulate);
            return;
        }

        if (Width == VectorWidth.Portable)
        {
            PortableTile.Run(a, rows, (float*)b, c, ldc, rows, k, accumulate);
            return;
        }

        switch (rows)
        {
            case 1: MatMulKernels.Tile512<MatMulKernels.R1, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 2: MatMulKernels.Tile512<MatMulKernels.R2, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 3: MatMulKernels.Tile512<MatMulKernels.R3, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 4: MatMulKernels.Tile512<MatMulKernels.R4, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 5: MatMulKernels.Tile512<MatMulKernels.R5, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 6: MatMulKernels.Tile512<MatMulKernels.R6, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 7: MatMulKernels.Tile512<MatMulKernels.R7, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 8: MatMulKernels.Tile512<MatMulKernels.R8, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 9: MatMulKernels.Tile512<MatMulKernels.R9, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 10: MatMulKernels.Tile512<MatMulKernels.R10, TWeights>(a, b, c, ldc, k, accumulate); break;
            case 11: MatMulKernels.Tile512<MatMulKernels.R11, TWeights>(a, b, c, ldc, k, accumulate); break;
            default: MatMulKernels.Tile512<MatMulKernels.R12, TWeights>(a, b, c, ldc, k, accumulate); break;
        }
    }

    /// <summary>A left side, of which a part of the inner indices is used: strips, [rows / 12][depth][12], or rows where they lie.</summary>
    private struct LeftSide
    {
        public float* Start;
        public int Depth; // of strips
        public nint Stride; // from a lying row to the next
        public int First; // inner index that comes first

        public readonly bool IsLying => Stride > 0;

        public readonly float* At(int row, int height) => Start + (nint)row * Depth + (nint)First * height;
    }

    /// <summary>Products that run together.</summary>
    private struct Batch
    {
        public Job* Jobs;
        public ByteJob* ByteJobs;
        public int Tasks; // of jobs; those of byteJobs follow
    }

    /// <summary>A planned product.</summary>
    internal struct Job
    {
        public float* A;
        public nint RowStride;
        public nint InnerStride;
        public byte* Panels;
        public float* Packed; // the left side in strips; null where tasks pack their own or read rows as they lie, and for a single row
        public float* C;
        public int Rows;
        public int Inner;
        public int Depth; // inner indices at a time
        public int Columns;
        public int StripCount;
        public int RowTasks;
        public int PanelsPerTask;
        public bool Accumulate;
        public bool Half;
        public bool Far;
        public int Tasks;
        public bool PacksLeft;
        public bool ReadsLying; // tiles read rows where they lie
    }
}
