// The rungs of ProductRungs under BenchmarkDotNet: `-- kernels --filter '*Product*'`.
// Times are per product; GFLOP/s = 2 R K N / ns. Refuses: nothing of its own.

using BenchmarkDotNet.Attributes;

namespace Ptp.Bench.Kernels;

/// <summary>One benchmark per rung.</summary>
public class ProductLadder : IDisposable
{
    private ProductRungs? _rungs;

    /// <summary>R: a call of one token, of a few, and of a training batch.</summary>
    [Params(1, 8, 256)]
    public int Rows { get; set; }

    /// <summary>K = N.</summary>
    [Params(512)]
    public int Width { get; set; }

    [GlobalSetup]
    public void Setup() => _rungs = new ProductRungs(Rows, Width, Width);

    [GlobalCleanup]
    public void Dispose()
    {
        _rungs?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public void ThreeLoops() => _rungs!.ThreeLoops();

    [Benchmark]
    public void RowsInside() => _rungs!.RowsInside();

    [Benchmark]
    public void Dots() => _rungs!.Dots();

    [Benchmark]
    public void MultiplyAdds() => _rungs!.MultiplyAdds();

    [Benchmark]
    public void PackedOnTheFly() => _rungs!.PackedOnTheFly();

    [Benchmark]
    public void PackedPortable() => _rungs!.PackedPortable();

    [Benchmark]
    public void Packed256() => _rungs!.Packed256();

    [Benchmark(Baseline = true)]
    public void PackedWidest() => _rungs!.PackedWidest();
}
