// The backend contract on ILGPU: checks shapes at the door, then launches the kernels of Kernels/.
// See IBackend for the equations and the row-independence rule; every op is here, in its simplest form.
// Refuses: tensors of other backends, and to choose ILGPU's CPU simulator by itself. One caller at a time.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using Ptp.Core;
using Ptp.Core.Tensors;
using Ptp.Gpu.Kernels;

namespace Ptp.Gpu;

/// <summary>IBackend on CUDA, OpenCL, or (by name only) ILGPU's CPU simulator.</summary>
public sealed partial class GpuBackend : IBackend
{
    /// <summary>Thread counts are added to element numbers, and their sum must stay an int.</summary>
    private const int MaxLength = int.MaxValue - (1 << 23);

    private readonly GpuScope _scope;

    /// <summary>Opens a device.</summary>
    /// <param name="kind">Null = CUDA if there is a device for it, else OpenCL; never the simulator.</param>
    /// <exception cref="PtpException">There is no such device.</exception>
    public GpuBackend(GpuDeviceKind? kind = null)
        : this(GpuScope.Open(kind))
    {
    }

    private GpuBackend(GpuScope scope) => (_scope, PicksOnDevice) = (scope, scope.IsCuda);

    /// <inheritdoc/>
    public string Name => _scope.Name;

    /// <summary>The simulator with groups wide enough for every kernel: a thread of the machine for each of theirs, so a launch takes milliseconds.</summary>
    internal static GpuBackend WithSimulatedGroups() => new(GpuScope.Open(GpuDeviceKind.Simulator, GpuScope.GroupThreads / 2));

    /// <inheritdoc/>
    public Tensor Allocate(int rows, int columns)
    {
        var length = (long)rows * columns;
        Guard.Require(rows >= 0 && columns >= 0 && length <= MaxLength, "Allocate a tensor",
            $"[{rows}, {columns}]", $"at most {MaxLength} floats", "Use a smaller batch, context or model.");
        return new Tensor(_scope.Allocate(length), 0, rows, columns);
    }

    /// <inheritdoc/>
    public void Upload(ReadOnlySpan<float> source, Tensor destination)
    {
        Same(source.Length, destination.Length);
        _scope.Upload(source, View(destination));
    }

    /// <inheritdoc/>
    public void Download(Tensor source, Span<float> destination)
    {
        Same(source.Length, destination.Length);
        _scope.Download(View(source), destination);
    }

    /// <inheritdoc/>
    public void Copy(Tensor source, Tensor destination)
    {
        Same(source, destination);
        if (source.Length > 0)
        {
            View(source).CopyTo(_scope.Stream, View(destination));
        }
    }

    /// <inheritdoc/>
    public void Fill(float value, Tensor destination) =>
        Run(destination.Length, new FillKernel { Y = View(destination), Value = value });

    /// <inheritdoc/>
    public void Embedding(Tensor table, ReadOnlySpan<int> ids, Tensor output)
    {
        Shape(output, ids.Length, table.Columns);
        Ids(ids, table);
        Run(output.Length, new EmbeddingKernel
        {
            Table = View(table),
            Output = View(output),
            Ids = _scope.Ints(ids),
            Columns = table.Columns,
        });
    }

    /// <inheritdoc/>
    public void EmbeddingBackward(Tensor dOutput, ReadOnlySpan<int> ids, Tensor dTable)
    {
        Shape(dOutput, ids.Length, dTable.Columns);
        Ids(ids, dTable);

        // Rows sorted by id, rows of the same id in their own order.
        var rows = Enumerable.Range(0, ids.Length).ToArray();
        var keys = ids.ToArray();
        Array.Sort([.. keys.Select((id, row) => ((long)id << 32) | (uint)row)], rows);
        var (distinct, offsets) = (new List<int>(), new List<int>());
        for (var i = 0; i < rows.Length; i++)
        {
            if (i == 0 || keys[rows[i]] != keys[rows[i - 1]])
            {
                distinct.Add(keys[rows[i]]);
                offsets.Add(i);
            }
        }

        offsets.Add(rows.Length);
        Run(distinct.Count * dTable.Columns, new EmbeddingBackwardKernel
        {
            DOutput = View(dOutput),
            DTable = View(dTable),
            Ids = _scope.Ints(CollectionsMarshal.AsSpan(distinct)),
            Offsets = _scope.Ints(CollectionsMarshal.AsSpan(offsets)),
            Rows = _scope.Ints(rows),
            Columns = dTable.Columns,
        });
    }

    /// <inheritdoc/>
    public bool Stores(WeightFormat format) => format == WeightFormat.Exact;

    /// <inheritdoc/>
    public PackedMatrix Pack(Tensor weight, bool transposed, PackedMatrix? reuse, WeightFormat format = WeightFormat.Exact)
    {
        Guard.Require(Stores(format), "Store weights on a device", $"{format}", "exact weights",
            "Use --weights bf16, or run on the CPU for weights of bytes.");
        var (outputs, inputs) = transposed ? (weight.Columns, weight.Rows) : (weight.Rows, weight.Columns);
        var packed = reuse as GpuPackedMatrix;
        packed = packed is not null && packed.Outputs == outputs && packed.Inputs == inputs && Owns(packed.Weight) ? packed : null;

        // Weights in training are no BF16 from their first step on; what was packed as floats stays so, and nobody waits to ask again.
        var half = !transposed && packed?.IsHalf != false && AreHalf(weight);
        if (packed is null || packed.IsHalf != half)
        {
            packed = new GpuPackedMatrix(outputs, inputs, Allocate(half ? (inputs + 1) / 2 : inputs, outputs), half);
        }

        // Packed is [inputs, outputs]: a weight [N, K] used backwards already is.
        if (half)
        {
            Run(packed.Weight.Length, new HalvePairsKernel
            {
                X = View(weight),
                Y = Words(packed.Weight),
                Rows = weight.Rows,
                Columns = weight.Columns,
            });
        }
        else if (transposed)
        {
            Copy(weight, packed.Weight);
        }
        else
        {
            Run(weight.Length, new TransposeKernel
            {
                X = View(weight),
                Y = View(packed.Weight),
                Rows = weight.Rows,
                Columns = weight.Columns,
            });
        }

        return packed;
    }

    /// <inheritdoc/>
    public void MatMul(Tensor x, PackedMatrix weight, bool accumulate, Tensor y) => MatMul([new Product(x, weight, y, accumulate)]);

    /// <inheritdoc/>
    public void MatMulBackwardInput(Tensor dY, PackedMatrix transposedWeight, bool accumulate, Tensor dX) =>
        MatMul(dY, transposedWeight, accumulate, dX);

    /// <inheritdoc/>
    public void MatMulBackwardWeight(Tensor dY, Tensor x, Tensor dW)
    {
        Shape(dW, dY.Columns, x.Columns);
        Same(dY.Rows, x.Rows);
        MultiplyGradient(dY, x, dW);
    }

    /// <inheritdoc/>
    public void Scatter(Tensor source, ReadOnlySpan<int> slots, Tensor destination)
    {
        Shape(source, slots.Length, destination.Columns);
        CheckSlots(slots, destination);
        Run(source.Length, new ScatterKernel
        {
            Source = View(source),
            Destination = View(destination),
            Slots = _scope.Ints(LastOfEach(slots)),
            Columns = destination.Columns,
        });
    }

    /// <inheritdoc/>
    public void Add(Tensor a, Tensor b, Tensor y)
    {
        Same(a, b);
        Same(a, y);
        Run(y.Length, new AddKernel { A = View(a), B = View(b), Y = View(y) });
    }

    /// <inheritdoc/>
    public void AddScaled(Tensor x, float scale, Tensor y)
    {
        Same(x, y);
        Run(y.Length, new AddScaledKernel { X = View(x), Y = View(y), Factor = scale });
    }

    /// <inheritdoc/>
    public void Scale(float scale, Tensor x) => Run(x.Length, new ScaleKernel { X = View(x), Factor = scale });

    /// <inheritdoc/>
    public double Sum(Tensor x) => PartialSums(x, squares: false);

    /// <inheritdoc/>
    public double SumOfSquares(Tensor x) => PartialSums(x, squares: true);

    /// <inheritdoc/>
    public void Dispose() => _scope.Dispose();

    private double PartialSums(Tensor x, bool squares)
    {
        var length = _scope.HasGroups ? PartialSumGroupKernel.Length : PartialSumKernel.Run;
        var runs = (int)(((long)x.Length + length - 1) / length);
        var partial = _scope.Floats(0, runs);
        var call = new PartialSumKernel
        {
            X = View(x),
            Partial = partial,
            Length = x.Length,
            Squares = squares ? 1 : 0,
        };
        RunRows(runs, new PartialSumGroupKernel { Call = call }, call);

        var onHost = new float[runs];
        _scope.Download(partial, onHost);
        var sum = 0.0;
        foreach (var value in onHost)
        {
            sum += value;
        }

        return sum;
    }

    private static void CheckSlots(ReadOnlySpan<int> slots, Tensor destination)
    {
        foreach (var slot in slots)
        {
            Guard.Require(slot < destination.Rows, "Scatter", $"slot {slot}", $"a slot below {destination.Rows}",
                "Use a larger destination.");
        }
    }

    /// <summary>Slots with all but the last row of each dropped: threads write in any order.</summary>
    private static int[] LastOfEach(ReadOnlySpan<int> slots)
    {
        var kept = slots.ToArray();
        var seen = new HashSet<int>();
        for (var row = kept.Length - 1; row >= 0; row--)
        {
            kept[row] = kept[row] >= 0 && seen.Add(kept[row]) ? kept[row] : -1;
        }

        return kept;
    }

    /// <summary>True if every weight is a BF16; waits for the device.</summary>
    private bool AreHalf(Tensor weight)
    {
        const int Threads = 1 << 14;
        var found = new float[Math.Min(weight.Length, Threads)];
        var onDevice = _scope.Floats(0, found.Length);
        Run(found.Length, new FindLongKernel { X = View(weight), Found = onDevice, Length = weight.Length, Stride = found.Length });
        _scope.Download(onDevice, found);
        return !found.AsSpan().Contains(1f);
    }

    private void Run<T>(int count, T kernel)
        where T : struct, IElementKernel => _scope.Kernels.Run(_scope.Stream, count, kernel);

    private bool Owns(Tensor tensor) => tensor.Storage is GpuStorage storage && storage.Scope == _scope;

    private ArrayView<float> View(Tensor tensor)
    {
        Guard.Require(Owns(tensor), $"Use a tensor on {Name}", $"{tensor} in {tensor.Storage.GetType().Name} elsewhere",
            "a tensor that this backend allocated", "Allocate one here and copy the floats with Upload.");
        return ((GpuStorage)tensor.Storage).View(tensor.Offset, tensor.Length);
    }

    private ArrayView<uint> Words(Tensor tensor) => View(tensor).Cast<uint>();

    private static void Ids(ReadOnlySpan<int> ids, Tensor table)
    {
        foreach (var id in ids)
        {
            Guard.Require((uint)id < (uint)table.Rows, "Look up a token", $"id {id}", $"an id below {table.Rows}",
                "Encode the text with this model's tokenizer.");
        }
    }

    private static void Same(Tensor a, Tensor b, [CallerMemberName] string op = "") =>
        Shape(a, b.Rows, b.Columns, op);

    private static void Same(int a, int b, [CallerMemberName] string op = "") =>
        Guard.Require(a == b, op, $"sizes {a} and {b}", "equal sizes", "Check the shapes of the operands.");

    private static void Shape(Tensor x, int rows, int columns, [CallerMemberName] string op = "") =>
        Guard.Require(x.Rows == rows && x.Columns == columns, op, $"{x}", $"[{rows}, {columns}]",
            "Check the shapes of the operands.");
}
