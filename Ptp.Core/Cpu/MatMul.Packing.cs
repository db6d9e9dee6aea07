// Packing for the matrix product: the right side into panels [ceil(N / 32)][K][32], once per weight, and rows of the left side
// into strips [K][12], once per call, so that a tile reads both from front to back.
// Refuses: nothing; shapes are checked by CpuBackend. Packing moves floats and changes none.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    private const int RowChunk = 128; // rows of a right side that a task packs
    private const int PanelGroup = 4; // into so many panels
    private const int ColumnsAhead = 16;
    private const int TransposeBlock = 64; // columns at a time: source and target stay in the first cache

    /// <summary>Bytes that the panels of a [columns, inner] right side take.</summary>
    public static long PanelBytes(PanelForm form, int columns, int inner) => (columns + Panel - 1) / Panel * (form switch
    {
        PanelForm.Bytes => 2L * ByteWeights.HalfPanelBytes(inner),
        PanelForm.Half => (long)HalfWeights.RowBytes * inner,
        _ => (long)FullWeights.RowBytes * inner,
    });

    /// <summary>Packs W [N, K], K inner: panel[k][j] = W[j, k].</summary>
    public static void Pack(float* w, int n, int k, float* panels, CpuPool pool)
    {
        var job = new PackJob { Source = w, Columns = n, Inner = k, Panels = panels };
        pool.Run((n + Panel - 1) / Panel, &PackPanel, &job);
    }

    /// <summary>The same as BF16, in half the memory; every weight must be one, see <see cref="HalfWeights.Hold"/>.</summary>
    public static void PackHalf(float* w, int n, int k, byte* panels, CpuPool pool)
    {
        var job = new PackJob { Source = w, Columns = n, Inner = k, Panels = (float*)panels };
        pool.Run((n + Panel - 1) / Panel, &PackHalfPanel, &job);
    }

    /// <summary>The same as bytes and scales, rounded: see <see cref="ByteWeights"/>.</summary>
    public static void PackBytes(float* w, int n, int k, byte* panels, CpuPool pool)
    {
        var job = new PackJob { Source = w, Columns = n, Inner = k, Panels = (float*)panels };
        pool.Run((n + Panel - 1) / Panel, &PackBytesPanel, &job);
    }

    /// <summary>Packs a row-major [inner, columns] matrix: panel[i][j] = M[i, j].</summary>
    public static void PackRows(float* m, int inner, int columns, float* panels, CpuPool pool)
    {
        var job = new PackJob { Source = m, Columns = columns, Inner = inner, Panels = panels };
        var groups = (columns + PanelGroup * Panel - 1) / (PanelGroup * Panel);
        pool.Run(groups * ((inner + RowChunk - 1) / RowChunk), &PackRowsTask, &job);
    }

    private static void PackPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        FillPanel(job, panel, job->Panels + (nint)panel * job->Inner * Panel, InQuarters);
    }

    private static void PackHalfPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var floats = Scratch.First(job->Inner * Panel);
        var to = (byte*)job->Panels + (nint)panel * job->Inner * HalfWeights.RowBytes;
        FillPanel(job, panel, floats, InQuarters);
        if (InQuarters)
        {
            QuarterPanels.Compress(floats, job->Inner, to);
        }
        else
        {
            HalfWeights.Compress(floats, job->Inner, to);
        }
    }

    private static void PackBytesPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var floats = Scratch.First(job->Inner * Panel);
        FillPanel(job, panel, floats, inQuarters: false);
        ByteWeights.Compress(floats, job->Inner, (byte*)job->Panels + 2 * (nint)panel * ByteWeights.HalfPanelBytes(job->Inner));
    }

    private static void FillPanel(PackJob* job, int panel, float* to, bool inQuarters)
    {
        var k = job->Inner;
        var columns = Math.Min(Panel, job->Columns - panel * Panel);
        if (inQuarters)
        {
            QuarterPanels.Fill(job->Source + (nint)panel * Panel * k, k, columns, to);
            return;
        }

        new Span<float>(to, columns < Panel ? k * Panel : 0).Clear();
        Transpose(job->Source + (nint)panel * Panel * k, k, columns, k, to, Panel);
    }

    /// <summary>A group of panels over a chunk of rows, so that a row's page is found once and not once per panel.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void PackRowsTask(void* context, int task)
    {
        var job = (PackJob*)context;
        var chunks = (job->Inner + RowChunk - 1) / RowChunk;
        var start = task % chunks * RowChunk;
        var end = Math.Min(job->Inner, start + RowChunk);
        var first = task / chunks * PanelGroup;
        var last = Math.Min((job->Columns + Panel - 1) / Panel, first + PanelGroup);
        var inQuarters = InQuarters;
        for (var i = start; i < end; i++)
        {
            for (var panel = first; panel < last; panel++)
            {
                var from = job->Source + (nint)i * job->Columns + panel * Panel;
                if (inQuarters)
                {
                    QuarterPanels.FillRow(from, job->Columns - panel * Panel, job->Panels + (nint)panel * job->Inner * Panel, job->Inner, i);
                    continue;
                }

                var to = job->Panels + ((nint)panel * job->Inner + i) * Panel;
                var columns = Math.Min(Panel, job->Columns - panel * Panel);
                if (columns == Panel)
                {
                    Vector512.Load(from).Store(to);
                    Vector512.Load(from + 16).Store(to + 16);
                    continue;
                }

                var target = new Span<float>(to, Panel);
                new Span<float>(from, columns).CopyTo(target);
                target[columns..].Clear();
            }
        }
    }

    /// <summary>
    /// The whole left side in strips, once for all tasks: [rows / 12][k][12]. Where several tasks share rows, packing for themselves
    /// took up to a quarter of their time.
    /// </summary>
    private static void PackLeft(Job* job, CpuPool pool)
    {
        job->Packed = Scratch.Third(job->Rows * job->Inner);
        if (job->StripCount == 1)
        {
            PackStrip(job, 0);
        }
        else
        {
            pool.Run(job->StripCount, &PackStrip, job);
        }
    }

    private static void PackStrip(void* context, int strip)
    {
        var job = (Job*)context;
        var row = strip * MaxRows;
        PackStrips(job, row, Math.Min(MaxRows, job->Rows - row), 0, job->Inner, job->Packed + (nint)row * job->Inner, job->Inner);
    }

    /// <summary>Some rows over some of K to [rows / 12][k][12], strips <paramref name="stripDepth"/> apart.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void PackStrips(Job* job, int rowStart, int rows, int inner, int depth, float* to, int stripDepth)
    {
        var source = job->A + rowStart * job->RowStride + inner * job->InnerStride;
        if (job->InnerStride == 1)
        {
            for (var row = 0; row < rows; row += MaxRows)
            {
                var strip = to + (nint)row * stripDepth;
                PackRowsOfStrip(source + row * job->RowStride, job->RowStride, Math.Min(MaxRows, rows - row), depth, strip);
            }

            return;
        }

        // A transposed left side has contiguous columns, and each k lies on a page of its own: all strips take from it at once.
        var whole = job->RowStride == 1 ? rows / MaxRows * MaxRows : 0;
        for (var k = 0; k < depth; k++, source += job->InnerStride)
        {
            for (var row = 0; Sse.IsSupported && row < whole; row += 16)
            {
                Sse.Prefetch0(source + row + ColumnsAhead * job->InnerStride); // a step of this size no hardware foresees
            }

            for (var row = 0; row < whole; row += MaxRows)
            {
                var strip = to + (nint)row * stripDepth + k * MaxRows;
                Vector256.Load(source + row).Store(strip);
                Vector128.Load(source + row + 8).Store(strip + 8);
            }

            for (var row = whole; row < rows; row++)
            {
                var first = row / MaxRows * MaxRows;
                to[(nint)first * stripDepth + k * Math.Min(MaxRows, rows - first) + row - first] = source[row * job->RowStride];
            }
        }
    }

    /// <summary>Rows are contiguous: strip[k][row].</summary>
    internal static void PackRowsOfStrip(float* a, nint rowStride, int height, int depth, float* strip) =>
        Transpose(a, rowStride, height, depth, strip, height);

    /// <summary>to[k * stride + row] = a[row][k], some columns at a time.</summary>
    internal static void Transpose(float* a, nint rowStride, int height, int depth, float* to, int stride)
    {
        for (var k = 0; k < depth; k += TransposeBlock)
        {
            TransposeColumns(a + k, rowStride, height, Math.Min(TransposeBlock, depth - k), to + (nint)k * stride, stride);
        }
    }

    /// <summary>4 x 4 blocks are transposed in registers, the rest goes one by one.</summary>
    [MethodImpl(Kernel.Whole)]
    private static void TransposeColumns(float* a, nint rowStride, int height, int depth, float* to, int stride)
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

    private struct PackJob
    {
        public float* Source;
        public float* Panels;
        public int Columns;
        public int Inner;
    }
}
