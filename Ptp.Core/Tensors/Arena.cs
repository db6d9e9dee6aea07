// Memory of one pass: tensors handed out one after another, all taken back at once by Reset.
// A training step of the same shape gets the same addresses again, so nothing is allocated after the first.
// Refuses: freeing single tensors. A tensor of the arena is dead after Reset.

namespace Ptp.Core.Tensors;

/// <summary>A bump allocator over blocks of a backend's memory.</summary>
public sealed class Arena(IBackend backend)
{
    private const int Granule = 16; // floats in a cache line: every tensor starts on one
    private const int SmallestBlock = 1 << 16;
    private readonly List<Tensor> _blocks = [];
    private int _block;
    private int _used;

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
        var tensor = new Tensor(block.Storage, block.Offset + _used, rows, columns);
        _used += padded;
        return tensor;
    }

    /// <summary>A tensor [rows, columns] of zeros.</summary>
    public Tensor RentZeroed(int rows, int columns)
    {
        var tensor = Rent(rows, columns);
        backend.Fill(0f, tensor);
        return tensor;
    }

    /// <summary>Takes every tensor back.</summary>
    public void Reset() => (_block, _used) = (0, 0);
}
