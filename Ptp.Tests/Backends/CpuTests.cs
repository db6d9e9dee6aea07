// The CPU backend under the backend contract: as it comes, with one thread, and with 256-bit tiles forced.
// Source: MatMul.Use512 chooses the tiles; whatever it says, the bits must be the same.
// Not here: the contract. These classes share a collection, because the choice is global.

using System.Runtime.Intrinsics;
using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Xunit;

namespace Ptp.Tests.Backends;

[Collection(nameof(CpuTests))]
public sealed class CpuTests : BackendContract
{
    protected override IBackend Create() => new CpuBackend(1);

    protected override IEnumerable<IBackend> CreateVariants() => [new CpuBackend(2), new CpuBackend(3)];

    // Every kernel of three threads waits for all of them, which takes long on a busy machine of two cores.
    protected override int CaseCount => 12;
}

[Collection(nameof(CpuTests))]
public sealed class CpuOneThreadTests : BackendContract
{
    protected override IBackend Create() => new CpuBackend(1);

    protected override int CaseCount => 40;
}

[Collection(nameof(CpuTests))]
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

    protected override void Dispose(bool disposing)
    {
        MatMul.Use512 = _before;
        base.Dispose(disposing);
    }
}
