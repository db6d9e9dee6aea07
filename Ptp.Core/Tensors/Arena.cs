// Memory of one pass: tensors handed out one after another, all taken back at once by Reset.
// The next pass gets the same memory and the same tensor objects, pointed elsewhere, so nothing is allocated once passes have
// reached their size. Refuses: freeing single tensors. A tensor of the arena, and every slice of it, is dead after Reset.

namespace Ptp.Core.Tensors;

/// <summary>A bump allocator over blocks of a backend's memory.</summary>
public sealed class Arena(IBackend backend)
{
    private const int Granule = 16; // floats in a cache line: every tensor starts on one
    private const int SmallestBlock = 1 << 12; // small models are made by the thousand, and zeroing more would take longer than their calls
    private readonly List<Tensor> _blocks = [];
    private readonly List<Tensor> _tensors = []; // of this pass and of longer ones before
    private int _block;
    private int _used;
    private int _handedOut;

    /// <summary>Floats held in all blocks.</summary>
    public long Capacity { get; private set; }

    /// <summary>A tensor [rows, columns] with undefined content.</summary>
    public Tensor Rent(int rows, int columns)
    {
        var length = checked(rows * columns);
        var padded = checked((length + Granule - 1) / Granule * Granule);
        while (_block < _blocks.Count && _used + padded > _blocks[_block].Length)
        {
            _block++;
            _used = 0;
        }

        if (_block == _blocks.Count)
        {
            // Doubling keeps the number of blocks logarithmic while shapes still grow.
            var size = (int)Math.Min(Math.Max(Math.Max(padded, SmallestBlock), Capacity), 1 << 26);
            _blocks.Add(backend.Allocate(1, Math.Max(size, padded)));
            Capacity += Math.Max(size, padded);
        }

        var block = _blocks[_block];
        var offset = block.Offset + _used;
        _used += padded;
        return HandOut(block.Storage, offset, rows, columns);
    }

    /// <summary>A tensor [rows, columns] of zeros.</summary>
    public Tensor RentZeroed(int rows, int columns)
    {
        var tensor = Rent(rows, columns);
        backend.Fill(0f, tensor);
        return tensor;
    }

    /// <summary>A view of any tensor's memory that lives as long as the arena's own tensors.</summary>
    public Tensor View(Tensor tensor, int start, int count) => tensor.Slice(start, count, this);

    /// <summary>How often every tensor was taken back.</summary>
    internal long Pass { get; private set; }

    /// <summary>Takes every tensor back.</summary>
    public void Reset() => (_block, _used, _handedOut, Pass) = (0, 0, 0, Pass + 1);

    internal Tensor HandOut(TensorStorage storage, int offset, int rows, int columns)
    {
        if (_handedOut == _tensors.Count)
        {
            _tensors.Add(new Tensor(storage, offset, rows, columns, this));
            return _tensors[_handedOut++];
        }

        return _tensors[_handedOut++].Point(storage, offset, rows, columns);
    }
}
