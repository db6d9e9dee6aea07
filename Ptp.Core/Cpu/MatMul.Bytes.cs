// The matrix product over half panels of bytes: rows are first made bytes with scales of their own, then multiplied five or six at a time.
// See ByteWeights for the storage and ByteKernels for the arithmetic; split over rows and half panels only.
// Refuses: a transposed left side, which only training needs, in floats.

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    private const int ByteStrips = 16; // strips a task takes: 80 or 96 rows
    private const int NearBytes = 1 << 18; // of weights that strips meet in turn: they stay in the second cache

    /// <summary>How C [rows, columns] (+)= A [rows, inner] P over panels of bytes is split into tasks.</summary>
    public static ByteJob Plan(
        float* a, int rows, int inner, byte* panels, int columns, float* c, bool accumulate, int threads)
    {
        if (rows == 0 || columns == 0)
        {
            return default;
        }

        var way = ByteWays.Best;
        var strips = (rows + way.Rows() - 1) / way.Rows();
        var rowTasks = (strips + ByteStrips - 1) / ByteStrips;
        var panelCount = (columns + ByteWeights.Columns - 1) / ByteWeights.Columns;
        var columnTasks = Math.Clamp((4 * threads + rowTasks - 1) / rowTasks, 1, panelCount);
        var panelsPerTask = (panelCount + columnTasks - 1) / columnTasks;
        return new ByteJob
        {
            A = a,
            Panels = panels,
            C = c,
            Rows = rows,
            Inner = inner,
            Columns = columns,
            Accumulate = accumulate,
            Left = new ByteRows { Way = way },
            Strips = strips,
            RowTasks = rowTasks,
            PanelsPerTask = panelsPerTask,
            Tasks = rowTasks * ((panelCount + panelsPerTask - 1) / panelsPerTask),
        };
    }

    /// <summary>The left side as bytes, once for all products that read it.</summary>
    private static void QuantiseLeft(ByteJob* jobs, int count, CpuPool pool)
    {
        var (rows, blocks, way) = (jobs->Rows, ByteWeights.Blocks(jobs->Inner), jobs->Left.Way);
        var words = rows * blocks * (ByteWeights.Block * way.NumberBytes() / sizeof(float));
        var buffer = Scratch.Fourth(words + 2 * rows * blocks);
        jobs->Left = new ByteRows
        {
            Numbers = (sbyte*)buffer,
            Scales = buffer + words,
            Starts = (int*)buffer + words + rows * blocks,
            Way = way,
        };
        if (jobs->Strips <= 2)
        {
            for (var strip = 0; strip < jobs->Strips; strip++)
            {
                QuantiseStrip(jobs, strip);
            }
        }
        else
        {
            pool.Run(jobs->Strips, &QuantiseStrip, jobs);
        }

        for (var job = jobs + 1; job < jobs + count; job++)
        {
            job->Left = jobs->Left;
        }
    }

    private static void QuantiseStrip(void* context, int strip)
    {
        var job = (ByteJob*)context;
        var first = job->FirstRow(strip);
        var rows = job->FirstRow(strip + 1) - first;
        var left = job->LeftOf(first);
        for (var row = 0; row < rows; row++)
        {
            ByteWeights.Quantise(job->A + (nint)(first + row) * job->Inner, job->Inner, left, row, rows);
        }
    }

    private static void RunTask(ByteJob* job, int task)
    {
        var blocks = ByteWeights.Blocks(job->Inner);
        var stripStart = job->Strips * (task % job->RowTasks) / job->RowTasks;
        var stripEnd = job->Strips * (task % job->RowTasks + 1) / job->RowTasks;
        var panelStart = task / job->RowTasks * job->PanelsPerTask;
        var panelEnd = Math.Min((job->Columns + ByteWeights.Columns - 1) / ByteWeights.Columns, panelStart + job->PanelsPerTask);
        var tile = Scratch.Second(ByteKernels.MaxRows * ByteWeights.Columns);
        var panelBytes = (nint)ByteWeights.HalfPanelBytes(job->Inner);
        var most = stripEnd - stripStart == 1 ? int.MaxValue : Math.Max(1, NearBytes / (int)panelBytes);
        for (int panel = panelStart, count; panel < panelEnd; panel += count)
        {
            // A last half panel of fewer outputs goes alone.
            var whole = Math.Min(panelEnd, job->Columns / ByteWeights.Columns) - panel;
            count = Math.Clamp(whole, 1, most);
            var b = job->Panels + panel * panelBytes;
            for (var strip = stripStart; strip < stripEnd; strip++)
            {
                var row = job->FirstRow(strip);
                var rows = job->FirstRow(strip + 1) - row;
                var left = job->LeftOf(row);
                var c = job->C + (nint)row * job->Columns + panel * ByteWeights.Columns;
                if (whole > 0)
                {
                    ByteKernels.Tile(left, b, blocks, count, c, job->Columns, rows, job->Accumulate);
                    continue;
                }

                var columns = job->Columns - panel * ByteWeights.Columns;
                if (job->Accumulate)
                {
                    CopyRows(c, job->Columns, tile, ByteWeights.Columns, rows, columns);
                }

                ByteKernels.Tile(left, b, blocks, 1, tile, ByteWeights.Columns, rows, job->Accumulate);
                CopyRows(tile, ByteWeights.Columns, c, job->Columns, rows, columns);
            }
        }
    }

    /// <summary>A planned product over panels of bytes.</summary>
    internal struct ByteJob
    {
        public float* A;
        public byte* Panels;
        public float* C;
        public ByteRows Left; // strip after strip
        public int Rows;
        public int Inner;
        public int Columns;
        public int Strips;
        public int RowTasks;
        public int PanelsPerTask;
        public int Tasks;
        public bool Accumulate;

        /// <summary>Rows are dealt out evenly: strips of one or two rows are bound by reading.</summary>
        public readonly int FirstRow(int strip) => (int)((long)Rows * strip / Strips);

        public readonly ByteRows LeftOf(int row)
        {
            var at = (nint)row * ByteWeights.Blocks(Inner);
            return new ByteRows
            {
                Numbers = Left.Numbers + at * (ByteWeights.Block * Left.Way.NumberBytes()),
                Scales = Left.Scales + at,
                Starts = Left.Starts + at,
                Way = Left.Way,
            };
        }
    }
}
