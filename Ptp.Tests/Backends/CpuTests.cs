// The CPU backend under the backend contract: as it comes, with one thread, and with 256-bit tiles forced.
// Source: MatMul.Use512 chooses the tiles; whatever it says, the bits must be the same.
// Not here: the contract. The choice is global, so the class that forces it runs while no other test does.

using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class CpuTests : BackendContract
{
    protected override IBackend Create() => new CpuBackend(1);

    protected override IEnumerable<IBackend> CreateVariants() => [new CpuBackend(2), new CpuBackend(3)];

    // Every kernel of three threads waits for all of them, which takes long on a busy machine of two cores.
    protected override int CaseCount => 12;
}

public sealed class CpuOneThreadTests : BackendContract
{
    protected override IBackend Create() => new CpuBackend(1);

    protected override int CaseCount => 40;
}

[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ForcedVectors
{
    public const string Name = "forced vectors";
}

[Collection(ForcedVectors.Name)]
public sealed class Cpu256Tests : BackendContract
{
    private readonly bool _before = MatMul.Use512;

    public Cpu256Tests() => MatMul.Use512 = false;

    protected override IBackend Create() => new CpuBackend(1);

    // 60 products: equal bits from tiles of either width, also where the last panel is not full.
    [Fact]
    public void Narrow_tiles_give_the_bits_of_wide_ones() => Cases.Run(60, random =>
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return; // one width only on this machine
        }

        using var backend = Create();
        foreach (var op in RowOps(random))
        {
            MatMul.Use512 = true;
            var wide = op.Run(backend, 0, op.Rows);
            MatMul.Use512 = false;
            var narrow = op.Run(backend, 0, op.Rows);
            Assert.True(wide.AsSpan().SequenceEqual(narrow), op.Name);
        }
    });

    // 40 products of up to 20 rows: panels of BF16 give the bits of panels of floats.
    [Fact]
    public void Short_weights_give_the_bits_of_long_ones() => Cases.Run(40, random =>
    {
        MatMul.Use512 = Vector512.IsHardwareAccelerated;
        using var backend = Create();
        using var pool = new CpuPool(1);
        var (rows, inputs, outputs) = (1 + random.Next(20), 1 + random.Next(700), 1 + random.Next(300));
        var (x, w) = (Normal(random, rows * inputs), Short(Normal(random, outputs * inputs)));
        float[] Product(float[] weights)
        {
            var y = backend.Allocate(rows, outputs);
            var packed = backend.Pack(Put(backend, weights, outputs, inputs), false, null);
            backend.MatMul(Put(backend, x, rows, inputs), packed, false, y);
            ((CpuPackedMatrix)packed).Panels(1, pool, out var half);
            Assert.Equal(ReferenceEquals(weights, w) && MatMul.Use512, half);
            return Get(backend, y);
        }

        // One more column of weights that are no BF16 keeps the panels of the same columns in floats.
        float[] longer = [.. w, .. Enumerable.Repeat(1.1f, inputs)];
        var columns = outputs;
        var shortBits = Product(w);
        outputs++;
        var longBits = Product(longer);
        for (var row = 0; row < rows; row++)
        {
            Assert.True(shortBits.AsSpan(row * columns, columns).SequenceEqual(longBits.AsSpan(row * outputs, columns)));
        }

        MatMul.Use512 = false;
    });

    protected override void Dispose(bool disposing)
    {
        MatMul.Use512 = _before;
        base.Dispose(disposing);
    }
}
