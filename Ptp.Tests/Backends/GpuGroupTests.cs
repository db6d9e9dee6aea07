// What a group of 256 threads does in more than one turn: attention over more keys and rows than that, forward and backward, rows and
// tensors longer than that, against the CPU on generated numbers; and a row's bits where only the cached part of what it sees differs.
// Control: a key that one call sees and the other does not must change the bits. Not here: small shapes, which are the contract's.

using Ptp.Core.Cpu;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuGroupTests
{
    private const int Keys = 300;
    private static readonly HeadShape s_heads = new(2, 1, 4);

    [Fact]
    public void Attention_over_more_keys_than_a_group_has_threads()
    {
        const int rows = 8;
        using var gpu = Open();
        Agree(gpu, c =>
        {
            var (keys, values) = (c.Tensor(Keys, s_heads.HeadSize), c.Tensor(Keys, s_heads.HeadSize));
            var (q, o) = (c.Tensor(rows, s_heads.Heads * s_heads.HeadSize), c.Tensor(rows, s_heads.Heads * s_heads.HeadSize));
            var (cached, own) = (Keys - rows, Visibility.Causal(Keys - rows, rows));
            var cache = new CachedKeys(keys.Slice(0, cached), values.Slice(0, cached));
            c.Backend.Attention(q, keys.Slice(cached, rows), values.Slice(cached, rows), cache, own, s_heads, o);
            return [o];
        });
    }

    [DeviceFact] // 1,500 groups of 256 simulated threads take two minutes
    public void Attention_backward_over_more_rows_than_a_group_has_threads()
    {
        using var gpu = Open();
        Agree(gpu, c =>
        {
            Tensor Q() => c.Tensor(Keys, s_heads.Heads * s_heads.HeadSize);
            Tensor K() => c.Tensor(Keys, s_heads.HeadSize);
            var (q, k, v, o, dO, dQ, dK, dV) = (Q(), K(), K(), Q(), Q(), Q(), K(), K());
            var sees = Visibility.Causal(0, Keys);
            c.Backend.Attention(q, k, v, default, sees, s_heads, o);
            c.Backend.AttentionBackward(q, k, v, default, sees, s_heads, dO, dQ, dK, dV);
            return [o, dQ, dK, dV];
        });
    }

    [Fact]
    public void Rows_and_tensors_longer_than_a_group()
    {
        using var gpu = Open();
        var sums = new List<double>();
        Agree(gpu, c =>
        {
            const int columns = 600;
            var (x, gain, dX, dGain, y) = (c.Tensor(2, columns), c.Tensor(1, columns), c.Tensor(2, columns), c.Tensor(1, columns), c.Tensor(2, columns));
            c.Backend.RmsNorm(x, gain, 1e-5f, y);
            c.Backend.RmsNormBackward(x, gain, 1e-5f, y, dX, dGain);
            var (softmax, entropy, divergence) = (c.Tensor(2, columns), c.Tensor(2, columns), c.Tensor(2, columns));
            c.Backend.Softmax(x, softmax);
            sums.Add(c.Backend.CrossEntropy(entropy, [columns - 1, 3], [], gradient: true));
            sums.Add(c.Backend.Divergence(divergence, c.Tensor(2, columns), 1.3f, [], gradient: true));
            sums.Add(c.Backend.SumOfSquares(c.Tensor(20, 900))); // beyond one run of 8,192 floats
            return [y, dX, dGain, softmax, entropy, divergence];
        });
        Assert.All(sums.Take(3).Zip(sums.Skip(3)), pair => Assert.Equal(pair.First, pair.Second, 1e-4 * Math.Abs(pair.First)));
    }

    [Fact]
    public void A_row_beyond_the_first_tile_does_not_know_what_is_cached()
    {
        using var gpu = Open();
        var c = new Case(gpu, 3);
        var (keys, values, query) = (c.Tensor(Keys, s_heads.HeadSize), c.Tensor(Keys, s_heads.HeadSize), c.Tensor(1, s_heads.Heads * s_heads.HeadSize));
        float[] LastRow(int cached, int hidden)
        {
            var rows = Keys - cached;
            var (q, o) = (c.Tensor(rows, query.Columns), c.Tensor(rows, query.Columns));
            gpu.Copy(query, q.Slice(rows - 1, 1));
            var sees = new Visibility();
            for (var row = 0; row < rows; row++)
            {
                sees.AddRow(hidden, cached).AddRange(0, row + 1);
            }

            var cache = new CachedKeys(keys.Slice(0, cached), values.Slice(0, cached));
            gpu.Attention(q, keys.Slice(cached, rows), values.Slice(cached, rows), cache, sees, s_heads, o);
            return c.Read(o.Slice(rows - 1, 1));
        }

        var expected = LastRow(cached: Keys - 1, hidden: 0);
        Assert.Equal(expected, LastRow(cached: 250, hidden: 0));
        Assert.Equal(expected, LastRow(cached: 290, hidden: 0));
        Assert.NotEqual(expected, LastRow(cached: 290, hidden: 1));
    }

    private static GpuBackend Open() => GpuDevices.List().Count > 0 ? new GpuBackend() : GpuBackend.WithSimulatedGroups();

    private static void Agree(GpuBackend gpu, Func<Case, Tensor[]> run)
    {
        using var cpu = new CpuBackend(1);
        var (onCpu, onGpu) = (new Case(cpu, 7), new Case(gpu, 7));
        foreach (var (expected, actual) in run(onCpu).Zip(run(onGpu)))
        {
            var (want, got) = (onCpu.Read(expected), onGpu.Read(actual));
            var bound = 1e-4 * Math.Max(1, want.Max(Math.Abs)); // sums of hundreds of floats in another order
            Assert.All(want.Zip(got), pair => Assert.True(Math.Abs(pair.First - pair.Second) <= bound, $"{expected}: {pair}"));
        }
    }
}
