// One simulator and one CPU backend for all GPU tests, and a call that runs an op on both and compares what it wrote.
// Operands are drawn from the seed of the case, so a failing seed is the whole case.
// Refuses: a real device. These tests say the same on every machine.

using Ptp.Core.Cpu;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuFixture : IDisposable
{
    public GpuBackend Gpu { get; } = new(GpuDeviceKind.Simulator);

    public CpuBackend Cpu { get; } = new(threads: 1);

    /// <summary>Runs a case on both backends; every tensor that it returns must agree.</summary>
    public void Agree(int seed, Func<Case, Tensor[]> run, double tolerance = 1e-4)
    {
        var onCpu = new Case(Cpu, seed);
        var onGpu = new Case(Gpu, seed);
        var expected = run(onCpu);
        var actual = run(onGpu);
        for (var i = 0; i < expected.Length; i++)
        {
            var (want, got) = (onCpu.Read(expected[i]), onGpu.Read(actual[i]));
            for (var j = 0; j < want.Length; j++)
            {
                Assert.True(
                    Math.Abs(want[j] - got[j]) <= tolerance * Math.Max(1, Math.Abs(want[j])),
                    $"seed {seed}, tensor {i} {expected[i]}, element {j}: CPU {want[j]}, GPU {got[j]}");
            }
        }
    }

    public void Dispose()
    {
        Gpu.Dispose();
        Cpu.Dispose();
    }
}

/// <summary>One generated case on one backend: the same draws in the same order on each.</summary>
public sealed class Case(IBackend backend, int seed)
{
    private readonly RandomStream _random = new((ulong)seed, "gpu test");

    public IBackend Backend => backend;

    /// <summary>A size in [1, most].</summary>
    public int Size(int most) => 1 + _random.NextInt(most);

    public int[] Ids(int count, int bound) => [.. Enumerable.Range(0, count).Select(_ => _random.NextInt(bound))];

    public float[] Floats(int count) => [.. Enumerable.Range(0, count).Select(_ => (float)_random.NextGaussian())];

    /// <summary>A random tensor that does not start where its storage starts.</summary>
    public Tensor Tensor(int rows, int columns)
    {
        var tensor = backend.Allocate(rows + 1, columns).Slice(1, rows);
        backend.Upload(Floats(rows * columns), tensor);
        return tensor;
    }

    public float[] Read(Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }
}
