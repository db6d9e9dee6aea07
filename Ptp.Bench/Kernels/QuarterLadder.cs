// The rungs of QuarterRungs under BenchmarkDotNet: `-- kernels --filter '*Quarter*'`.
// Times are per product of 96 rows by 512 columns on one thread; GFLOP/s = 2 R K N / ns. Refuses: nothing of its own.
// Four k per round pay most where another thread of the host shares the core's issue slots, see docs/05-kernels.md.

using BenchmarkDotNet.Attributes;

namespace Ptp.Bench.Kernels;

/// <summary>One benchmark per rung.</summary>
public class QuarterLadder : IDisposable
{
    private const int Strips = 8;
    private const int Panels = 16;
    private QuarterRungs? _rungs;

    /// <summary>K: a pair of quarters fills half the first cache, and twice of it.</summary>
    [Params(256, 1024)]
    public int Inner { get; set; }

    [GlobalSetup]
    public void Setup() => _rungs = new QuarterRungs(Strips, Inner, Panels);

    [GlobalCleanup]
    public void Dispose()
    {
        _rungs?.Dispose();
        GC.SuppressFinalize(this);
    }

    [Benchmark]
    public void ThreeByPanel() => _rungs!.ThreeByPanel();

    [Benchmark]
    public void OneStepPerRound() => _rungs!.OneStepPerRound();

    [Benchmark]
    public void FourStepsPerRound() => _rungs!.FourStepsPerRound();

    [Benchmark(Baseline = true)]
    public void Library() => _rungs!.Library();
}
