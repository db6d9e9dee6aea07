// The CPU backend under the backend contract: as it comes, with one thread, and with other vectors forced.
// Source: MatMul.Width chooses the tiles; whatever it says, the bits must be the same.
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
public sealed class Cpu256Tests : ForcedVectorsContract
{
    public Cpu256Tests()
        : base(Vector256.IsHardwareAccelerated ? VectorWidth.V256 : VectorWidth.Portable)
    {
    }
}

[Collection(ForcedVectors.Name)]
public sealed class CpuPortableTests : ForcedVectorsContract
{
    public CpuPortableTests()
        : base(VectorWidth.Portable)
    {
    }

    protected override int CaseCount => 40;
}

/// <summary>The contract with other vectors than this machine's best.</summary>
public abstract class ForcedVectorsContract : BackendContract
{
    private readonly VectorWidth _before = MatMul.Width;
    private readonly VectorWidth _forced;

    private protected ForcedVectorsContract(VectorWidth forced)
    {
        _forced = forced;
        MatMul.Width = forced;
    }

    // 60 rounds of every op: equal bits from vectors of either width, also where the last panel is not full.
    [Fact]
    public void Its_vectors_give_the_bits_of_the_best_ones() => Cases.Run(60, random =>
    {
        using var backend = Create();
        foreach (var op in RowOps(random))
        {
            MatMul.Width = VectorWidths.Here.Last();
            var wide = op.Run(backend, 0, op.Rows);
            MatMul.Width = _forced;
            var narrow = op.Run(backend, 0, op.Rows);
            Assert.True(wide.AsSpan().SequenceEqual(narrow), op.Name);
        }
    });

    protected override IBackend Create() => new CpuBackend(1);

    protected override void Dispose(bool disposing)
    {
        MatMul.Width = _before;
        base.Dispose(disposing);
    }
}
