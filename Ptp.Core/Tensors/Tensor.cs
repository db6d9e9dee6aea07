// A matrix of floats, [R, C], stored row after row on one backend; a vector is [1, C].
// Dimension letters of the whole repository: B batch, T tokens, D model width, H heads, K key width, V vocabulary,
// N auxiliary slots, L layers, R rows of a call.
// Refuses: strides, broadcasting, operators. Ops live on IBackend, gradients on Tape.

using System.Runtime.CompilerServices;

namespace Ptp.Core.Tensors;

/// <summary>Memory that a backend owns; views share it.</summary>
public abstract class TensorStorage
{
    /// <summary>Number of floats.</summary>
    public abstract long Length { get; }
}

/// <summary>Managed memory, aligned to a cache line so that no vector load crosses one.</summary>
public sealed unsafe class CpuStorage : TensorStorage
{
    private const int Alignment = 64;
    private readonly float[] _array;
    private readonly int _start;

    /// <summary>Zeroed memory for <paramref name="length"/> floats.</summary>
    public CpuStorage(int length)
    {
        // Pinned, so that the address (and with it the alignment) never changes; the collector still frees it.
        _array = GC.AllocateArray<float>(length + Alignment / sizeof(float), pinned: true);
        var address = (nuint)Unsafe.AsPointer(ref _array[0]);
        _start = (int)((Alignment - (address & (Alignment - 1))) & (Alignment - 1)) / sizeof(float);
        Length = length;
    }

    /// <inheritdoc/>
    public override long Length { get; }

    internal float* Pointer => (float*)Unsafe.AsPointer(ref _array[_start]);

    internal Span<float> Span(int offset, int length) => _array.AsSpan(_start + offset, length);
}

/// <summary>A matrix [Rows, Columns] of floats on a backend; possibly a view of another's storage.</summary>
/// <remarks>One that an <see cref="Arena"/> made is the arena's: after its Reset the same object stands for another matrix.</remarks>
public sealed class Tensor
{
    private readonly Arena? _arena;

    /// <summary>A view of <paramref name="storage"/> from <paramref name="offset"/> on.</summary>
    public Tensor(TensorStorage storage, int offset, int rows, int columns)
        : this(storage, offset, rows, columns, null)
    {
    }

    internal Tensor(TensorStorage storage, int offset, int rows, int columns, Arena? arena)
    {
        _arena = arena;
        Point(storage, offset, rows, columns);
    }

    /// <summary>The memory behind this view.</summary>
    public TensorStorage Storage { get; private set; }

    /// <summary>First float of this view within <see cref="Storage"/>.</summary>
    public int Offset { get; private set; }

    /// <summary>R.</summary>
    public int Rows { get; private set; }

    /// <summary>Width of one row.</summary>
    public int Columns { get; private set; }

    /// <summary>Rows * Columns.</summary>
    public int Length => Rows * Columns;

    /// <summary>The floats of a tensor in CPU memory, row after row.</summary>
    /// <exception cref="PtpException">The tensor lives on a device.</exception>
    public Span<float> Span => Cpu.Span(Offset, Length);

    /// <summary>Tells an arena's tensor of one pass from that of the next, which may be the same object.</summary>
    internal long Pass => _arena?.Pass ?? 0;

    internal unsafe float* Pointer => Cpu.Pointer + Offset;

    private CpuStorage Cpu => Storage as CpuStorage ?? throw new PtpException(
        "Read a tensor as a span", $"a tensor in {Storage.GetType().Name}", "a tensor in CPU memory",
        "Download it through its backend first.");

    /// <summary>Row <paramref name="row"/>, [C], of a tensor in CPU memory.</summary>
    public Span<float> Row(int row) => Cpu.Span(Offset + row * Columns, Columns);

    /// <summary>A view of <paramref name="count"/> rows from <paramref name="start"/> on; of an arena's tensor, the arena's as well.</summary>
    public Tensor Slice(int start, int count) =>
        start == 0 && count == Rows ? this : Slice(start, count, _arena);

    /// <summary>The shape, as printed in errors.</summary>
    public override string ToString() => $"[{Rows}, {Columns}]";

    internal Tensor Slice(int start, int count, Arena? owner)
    {
        Guard.Require(
            start >= 0 && count >= 0 && start + count <= Rows, "Take rows of a tensor",
            $"rows {start} to {start + count}", $"rows within {this}", "Check the row range.");
        var offset = Offset + start * Columns;
        return owner?.HandOut(Storage, offset, count, Columns) ?? new Tensor(Storage, offset, count, Columns);
    }

    [System.Diagnostics.CodeAnalysis.MemberNotNull(nameof(Storage))]
    internal Tensor Point(TensorStorage storage, int offset, int rows, int columns)
    {
        Guard.Require(
            rows >= 0 && columns >= 0 && offset >= 0 && offset + (long)rows * columns <= storage.Length,
            "View a tensor", $"[{rows}, {columns}] at {offset}", $"a part of {storage.Length} floats",
            "Check the shape against the storage.");
        (Storage, Offset, Rows, Columns) = (storage, offset, rows, columns);
        return this;
    }
}
