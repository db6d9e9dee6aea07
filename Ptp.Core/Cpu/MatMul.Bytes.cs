// The matrix product over panels of bytes: rows are first made whole numbers of 16 bits with a scale of their own, then multiplied.
// See ByteWeights for the storage and ByteKernels for the arithmetic; split over rows and panels only.
// Refuses: a transposed left side, which only training needs, in floats.

namespace Ptp.Core.Cpu;

internal static unsafe partial class MatMul
{
    private const int ByteRowBlock = 16 * ByteKernels.MaxRows;

    /// <summary>C [rows, columns] (+)= A [rows, inner] P over panels of bytes.</summary>
    public static void MultiplyBytes(
        float* a, int rows, int inner, byte* panels, int columns, float* c, bool accumulate, CpuPool pool)
    {
        if (rows == 0 || columns == 0)
        {
            return;
        }

        var padded = ByteWeights.Blocks(inner) * ByteWeights.Block;
        var strips = (rows + ByteKernels.MaxRows - 1) / ByteKernels.MaxRows;
        var buffer = Scratch.Third(strips * ByteKernels.MaxRows * (padded / 2 + 1));
        var job = new ByteJob
        {
            A = a,
            Panels = panels,
            C = c,
            Numbers = (int*)buffer,
            Scales = buffer + (nint)strips * ByteKernels.MaxRows * padded / 2,
            Rows = rows,
            Inner = inner,
            Columns = columns,
            Accumulate = accumulate,
        };
        if (rows <= 2 * ByteKernels.MaxRows)
        {
            for (var strip = 0; strip < strips; strip++)
            {
                QuantiseStrip(&job, strip);
            }
        }
        else
        {
            pool.Run(strips, &QuantiseStrip, &job);
        }

        var panelCount = (columns + Panel - 1) / Panel;
        job.RowTasks = (rows + ByteRowBlock - 1) / ByteRowBlock;
        var columnTasks = Math.Clamp((4 * pool.Threads + job.RowTasks - 1) / job.RowTasks, 1, panelCount);
        job.PanelsPerTask = (panelCount + columnTasks - 1) / columnTasks;
        columnTasks = (panelCount + job.PanelsPerTask - 1) / job.PanelsPerTask;
        if ((long)rows * inner * columns < 100_000 && (long)inner * columns < 60_000)
        {
            for (var task = 0; task < job.RowTasks * columnTasks; task++)
            {
                RunBytes(&job, task);
            }

            return;
        }

        pool.Run(job.RowTasks * columnTasks, &RunBytes, &job);
    }

    /// <summary>Up to six rows as pairs of 16-bit numbers, [padded / 2][rows], and their scales.</summary>
    private static void QuantiseStrip(void* context, int strip)
    {
        var job = (ByteJob*)context;
        var padded = ByteWeights.Blocks(job->Inner) * ByteWeights.Block;
        var first = strip * ByteKernels.MaxRows;
        var rows = Math.Min(ByteKernels.MaxRows, job->Rows - first);
        var row = (short*)Scratch.First(padded / 2);
        var to = job->Numbers + (nint)first * padded / 2;
        for (var i = 0; i < rows; i++)
        {
            var numbers = rows == 1 ? (short*)to : row;
            job->Scales[first + i] = ByteWeights.Quantise(job->A + (nint)(first + i) * job->Inner, job->Inner, numbers);
            for (var pair = 0; rows > 1 && pair < padded / 2; pair++)
            {
                to[pair * rows + i] = ((int*)row)[pair];
            }
        }
    }

    private static void RunBytes(void* context, int task)
    {
        var job = (ByteJob*)context;
        var blocks = ByteWeights.Blocks(job->Inner);
        var pairs = (nint)blocks * ByteWeights.Block / 2;
        var rowStart = task % job->RowTasks * ByteRowBlock;
        var rowEnd = Math.Min(job->Rows, rowStart + ByteRowBlock);
        var panelStart = task / job->RowTasks * job->PanelsPerTask;
        var panelEnd = Math.Min((job->Columns + Panel - 1) / Panel, panelStart + job->PanelsPerTask);
        var tile = Scratch.Second(MaxRows * Panel);
        for (var panel = panelStart; panel < panelEnd; panel++)
        {
            var b = job->Panels + (nint)panel * ByteWeights.PanelBytes(job->Inner);
            var columns = Math.Min(Panel, job->Columns - panel * Panel);
            for (var row = rowStart; row < rowEnd; row += ByteKernels.MaxRows)
            {
                var rows = Math.Min(ByteKernels.MaxRows, rowEnd - row);
                var c = job->C + (nint)row * job->Columns + panel * Panel;
                var numbers = job->Numbers + row * pairs;
                if (columns == Panel)
                {
                    ByteKernels.Tile(numbers, job->Scales + row, b, blocks, c, job->Columns, rows, job->Accumulate);
                    continue;
                }

                if (job->Accumulate)
                {
                    CopyRows(c, job->Columns, tile, Panel, rows, columns);
                }

                ByteKernels.Tile(numbers, job->Scales + row, b, blocks, tile, Panel, rows, job->Accumulate);
                CopyRows(tile, Panel, c, job->Columns, rows, columns);
            }
        }
    }

    private struct ByteJob
    {
        public float* A;
        public byte* Panels;
        public float* C;
        public int* Numbers;
        public float* Scales;
        public int Rows;
        public int Inner;
        public int Columns;
        public int RowTasks;
        public int PanelsPerTask;
        public bool Accumulate;
    }
}
