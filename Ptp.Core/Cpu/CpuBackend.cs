// The backend contract on the CPU: checks shapes at the door, then hands pointers to the kernels of this folder.
// See IBackend for the equations and the row-independence rule.
// Refuses: tensors of other backends. Nothing here allocates per call except Allocate and a first Pack.

using System.Runtime.CompilerServices;
using Ptp.Core.Tensors;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Ptp.Core.Cpu;

/// <summary>IBackend on CPU vectors and threads.</summary>
public sealed unsafe partial class CpuBackend : IBackend
{
    private const int MostTogether = 6;
    private long _read; // bytes of weights that products have read
    private readonly CpuPool _pool;
    private readonly Lock _scratchGate = new();
    private PanelMemory? _panels;

    /// <summary>A backend with <paramref name="threads"/> threads; 0 = all cores, or PTP_THREADS.</summary>
    public CpuBackend(int threads = 0)
    {
        if (threads == 0)
        {
            threads = int.TryParse(Environment.GetEnvironmentVariable("PTP_THREADS"), out var wanted) && wanted > 0
                ? wanted
                : Environment.ProcessorCount;
        }

        _pool = new CpuPool(threads);
        Name = $"CPU, {Cpu.MatMul.Width.Describe()}, {threads} thread{(threads == 1 ? "" : "s")}";
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>Threads that share a kernel.</summary>
    public int Threads => _pool.Threads;

    /// <inheritdoc/>
    public Tensor Allocate(int rows, int columns)
    {
        var length = (long)rows * columns;
        Guard.Require(rows >= 0 && columns >= 0 && length <= int.MaxValue - 64, "Allocate a tensor",
            $"[{rows}, {columns}]", "less than 2^31 floats", "Use a smaller batch, context or model.");
        return new Tensor(new CpuStorage((int)length), 0, rows, columns);
    }

    /// <inheritdoc/>
    public void Upload(ReadOnlySpan<float> source, Tensor destination)
    {
        Same(source.Length, destination.Length);
        source.CopyTo(destination.Span);
    }

    /// <inheritdoc/>
    public void Download(Tensor source, Span<float> destination)
    {
        Same(source.Length, destination.Length);
        source.Span.CopyTo(destination);
    }

    /// <inheritdoc/>
    public void Copy(Tensor source, Tensor destination)
    {
        Same(source, destination);
        Elementwise.Run(Elementwise.Op.Copy, source, null, 1f, destination, _pool);
    }

    /// <inheritdoc/>
    public void Fill(float value, Tensor destination) =>
        Elementwise.Run(Elementwise.Op.Fill, null, null, value, destination, _pool);

    /// <inheritdoc/>
    public void Embedding(Tensor table, ReadOnlySpan<int> ids, Tensor output)
    {
        Shape(output, ids.Length, table.Columns);
        for (var row = 0; row < ids.Length; row++)
        {
            Guard.Require((uint)ids[row] < (uint)table.Rows, "Look up a token", $"id {ids[row]}",
                $"an id below {table.Rows}", "Encode the text with this model's tokenizer.");
            table.Row(ids[row]).CopyTo(output.Row(row));
        }
    }

    /// <inheritdoc/>
    public void EmbeddingBackward(Tensor dOutput, ReadOnlySpan<int> ids, Tensor dTable)
    {
        Shape(dOutput, ids.Length, dTable.Columns);
        for (var row = 0; row < ids.Length; row++)
        {
            var to = dTable.Row(ids[row]);
            TensorPrimitives.Add(to, dOutput.Row(row), to);
        }
    }

    /// <inheritdoc/>
    public bool Stores(WeightFormat format) => true;

    /// <inheritdoc/>
    public PackedMatrix Pack(Tensor weight, bool transposed, PackedMatrix? reuse, WeightFormat format = WeightFormat.Exact)
    {
        var (outputs, inputs) = transposed ? (weight.Columns, weight.Rows) : (weight.Rows, weight.Columns);
        var packed = reuse as CpuPackedMatrix;
        if (packed is null || packed.Outputs != outputs || packed.Inputs != inputs || packed.Transposed != transposed
            || packed.Format != format)
        {
            packed = new CpuPackedMatrix(outputs, inputs, transposed, format);
        }

        packed.Fill(weight, _pool);
        return packed;
    }

    /// <inheritdoc/>
    public void MatMul(Tensor x, PackedMatrix weight, bool accumulate, Tensor y)
    {
        var w = (CpuPackedMatrix)weight;
        Shape(x, y.Rows, w.Inputs);
        Shape(y, x.Rows, w.Outputs);
        var panels = w.Panels(x.Rows, _pool, out var form);
        var isFar = w.IsFar(Interlocked.Add(ref _read, panels.Bytes));
        if (form == PanelForm.Bytes)
        {
            var job = Cpu.MatMul.Plan(x.Pointer, x.Rows, w.Inputs, panels.Start, w.Outputs, y.Pointer, accumulate, _pool.Threads);
            Cpu.MatMul.Run(null, 0, _pool, &job, 1);
        }
        else
        {
            Cpu.MatMul.Multiply(
                x.Pointer, w.Inputs, 1, x.Rows, w.Inputs, panels.Start, w.Outputs, y.Pointer, accumulate, _pool, form == PanelForm.Half, isFar);
        }

        GC.KeepAlive(weight); // its memory is not the collector's
    }

    /// <inheritdoc/>
    public void MatMul(ReadOnlySpan<Product> products)
    {
        if (products.Length is < 2 or > MostTogether || !ReadAlike(products))
        {
            foreach (var product in products)
            {
                product.Run(this);
            }

            return;
        }

        var jobs = stackalloc MatMul.Job[MostTogether];
        var byteJobs = stackalloc MatMul.ByteJob[MostTogether];
        var (count, byteCount) = (0, 0);
        foreach (var product in products)
        {
            var (x, w, y) = (product.X, (CpuPackedMatrix)product.Weight, product.Y);
            Shape(x, y.Rows, w.Inputs);
            Shape(y, x.Rows, w.Outputs);
            var panels = w.Panels(x.Rows, _pool, out var form);
            var isFar = w.IsFar(Interlocked.Add(ref _read, panels.Bytes));
            if (form == PanelForm.Bytes)
            {
                byteJobs[byteCount++] = Cpu.MatMul.Plan(
                    x.Pointer, x.Rows, w.Inputs, panels.Start, w.Outputs, y.Pointer, product.Accumulate, _pool.Threads);
            }
            else
            {
                jobs[count++] = Cpu.MatMul.Plan(x.Pointer, w.Inputs, 1, x.Rows, w.Inputs, panels.Start, w.Outputs, y.Pointer,
                    product.Accumulate, _pool.Threads, form == PanelForm.Half, isFar);
            }
        }

        Cpu.MatMul.Run(jobs, count, _pool, byteJobs, byteCount);
        foreach (var product in products)
        {
            product.Finish(this);
            GC.KeepAlive(product.Weight);
        }
    }

    /// <inheritdoc/>
    public void MatMulBackwardInput(Tensor dY, PackedMatrix transposedWeight, bool accumulate, Tensor dX) =>
        MatMul(dY, transposedWeight, accumulate, dX);

    /// <inheritdoc/>
    public void MatMulBackwardWeight(Tensor dY, Tensor x, Tensor dW)
    {
        Shape(dW, dY.Columns, x.Columns);
        Same(dY.Rows, x.Rows);
        lock (_scratchGate)
        {
            var bytes = Cpu.MatMul.PanelBytes(PanelForm.Full, x.Columns, x.Rows);
            if (_panels is null || _panels.Bytes < bytes)
            {
                _panels = PanelMemory.Take(bytes);
            }

            Cpu.MatMul.PackRows(x.Pointer, x.Rows, x.Columns, (float*)_panels.Start, _pool);
            Cpu.MatMul.Multiply(
                dY.Pointer, 1, dY.Columns, dY.Columns, dY.Rows, _panels.Start, x.Columns, dW.Pointer, true, _pool);
        }
    }

    /// <inheritdoc/>
    public void Scatter(Tensor source, ReadOnlySpan<int> slots, Tensor destination)
    {
        Shape(source, slots.Length, destination.Columns);
        for (var row = 0; row < slots.Length; row++)
        {
            if (slots[row] >= 0)
            {
                source.Row(row).CopyTo(destination.Row(slots[row]));
            }
        }
    }

    /// <inheritdoc/>
    public void Add(Tensor a, Tensor b, Tensor y)
    {
        Same(a, b);
        Same(a, y);
        Elementwise.Run(Elementwise.Op.Add, a, b, 1f, y, _pool);
    }

    /// <inheritdoc/>
    public void AddScaled(Tensor x, float scale, Tensor y)
    {
        Same(x, y);
        Elementwise.Run(Elementwise.Op.AddScaled, x, null, scale, y, _pool);
    }

    /// <inheritdoc/>
    public void Scale(float scale, Tensor x) => Elementwise.Run(Elementwise.Op.Scale, null, null, scale, x, _pool);

    /// <inheritdoc/>
    public double Sum(Tensor x)
    {
        var sum = 0.0;
        for (var row = 0; row < x.Rows; row++)
        {
            sum += TensorPrimitives.Sum<float>(x.Row(row));
        }

        return sum;
    }

    /// <inheritdoc/>
    public double SumOfSquares(Tensor x)
    {
        var sum = 0.0;
        for (var row = 0; row < x.Rows; row++)
        {
            sum += TensorPrimitives.SumOfSquares<float>(x.Row(row));
        }

        return sum;
    }

    /// <inheritdoc/>
    public void Dispose() => _pool.Dispose();

    /// <summary>True if one packed left side serves all: the same rows of x, against panels of floats or of BF16.</summary>
    private static bool ReadAlike(ReadOnlySpan<Product> products)
    {
        var x = products[0].X;
        foreach (var product in products)
        {
            if (product.X != x)
            {
                return false;
            }
        }

        return true;
    }

    private static void Same(Tensor a, Tensor b) => Shape(a, b.Rows, b.Columns);

    private static void Same(int a, int b, [CallerMemberName] string op = "") =>
        Guard.Require(a == b, op, $"sizes {a} and {b}", "equal sizes", "Check the shapes of the operands.");

    private static void Shape(Tensor x, int rows, int columns, [CallerMemberName] string op = "")
    {
        if (x.Rows != rows || x.Columns != columns)
        {
            throw new PtpException(op, $"{x}", $"[{rows}, {columns}]", "Check the shapes of the operands.");
        }
    }
}
