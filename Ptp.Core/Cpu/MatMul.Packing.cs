// Packing for the matrix product: the right side into panels [ceil(N / 32)][K][32], once per weight, and rows of the left side
// into strips [K][12], once per call, so that a tile reads both from front to back.
// Refuses: nothing; shapes are checked by CpuBackend. Packing moves floats and changes none.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    /// <summary>Bytes that the panels of a [columns, inner] right side take.</summary>
    public static long PanelBytes(PanelForm form, int columns, int inner) => (columns + Panel - 1) / Panel * (form switch
    {
        PanelForm.Bytes => (long)ByteWeights.PanelBytes(inner),
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
        pool.Run((columns + Panel - 1) / Panel, &PackRowsPanel, &job);
    }

    private static void PackPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        FillPanel(job, panel, job->Panels + (nint)panel * job->Inner * Panel);
    }

    private static void PackHalfPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var floats = Scratch.First(job->Inner * Panel);
        FillPanel(job, panel, floats);
        HalfWeights.Compress(floats, job->Inner, (byte*)job->Panels + (nint)panel * job->Inner * HalfWeights.RowBytes);
    }

    private static void PackBytesPanel(void* context, int panel)
    {
        var job = (PackJob*)context;
        var floats = Scratch.First(job->Inner * Panel);
        FillPanel(job, panel, floats);
        ByteWeights.Compress(floats, job->Inner, (byte*)job->Panels + (nint)panel * ByteWeights.PanelBytes(job->Inner));
    }

    private static void FillPanel(PackJob* job, int panel, float* to)
    {
        var k = job->Inner;
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

    /// <summary>
    /// The whole left side in strips, once for all tasks: [rows / 96][K / 512][rows of the block / 12][k][12]. Tasks that packed for
    /// themselves spent up to a quarter of the time of 64 to 128 rows on it.
    /// </summary>
    private static void PackLeft(Job* job, CpuPool pool)
    {
        if (job->Rows == 1 && job->InnerStride == 1 && Width == VectorWidth.V512)
        {
            return;
        }

        job->Packed = Scratch.Third(job->Rows * job->Inner);
        var strips = (job->Rows + MaxRows - 1) / MaxRows;
        if (strips == 1)
        {
            PackStrip(job, 0);
        }
        else
        {
            pool.Run(strips, &PackStrip, job);
        }
    }

    /// <summary>Up to twelve rows, all of K.</summary>
    private static void PackStrip(void* context, int strip)
    {
        var job = (Job*)context;
        var row = strip * MaxRows;
        var rowStart = row / RowBlock * RowBlock;
        var rows = Math.Min(RowBlock, job->Rows - rowStart);
        var height = Math.Min(MaxRows, job->Rows - row);
        for (var inner = 0; inner < job->Inner; inner += InnerBlock)
        {
            var depth = Math.Min(InnerBlock, job->Inner - inner);
            var to = job->Packed + (nint)rowStart * job->Inner + (nint)inner * rows + (nint)(row - rowStart) * depth;
            var source = job->A + row * job->RowStride + inner * job->InnerStride;
            if (job->InnerStride == 1)
            {
                PackRowsOfStrip(source, job->RowStride, height, depth, to);
            }
            else
            {
                PackColumnsOfStrip(source, job->RowStride, job->InnerStride, height, depth, to);
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

    private struct PackJob
    {
        public float* Source;
        public float* Panels;
        public int Columns;
        public int Inner;
    }
}
