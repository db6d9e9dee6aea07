// The pool runs every task once and always comes back, however often its workers park and wake in between.
// Source: a shared semaphore once lost a wake-up here: a worker that parked again took the permit of one still asleep.
// Not here: which thread runs what; results must not depend on it.

using Ptp.Core.Cpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class CpuPoolTests
{
    // 4 x 600 runs with gaps around the time that a worker spins before it parks.
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(8)]
    public Task Every_task_runs_once_and_every_run_returns(int threads) => InTime(() =>
    {
        using var pool = new CpuPool(threads);
        var random = new Random(threads);
        for (var run = 0; run < 600; run++)
        {
            var tasks = random.Next(41);
            Assert.Equal(Enumerable.Repeat(1, tasks), Counts(pool, tasks));
            Thread.SpinWait(random.Next(4) == 0 ? 40_000 : random.Next(2_000));
        }
    });

    // 200 pools: those that never ran, those whose workers are parked, those whose workers still spin.
    [Fact]
    public Task A_pool_can_be_disposed_at_any_time() => InTime(() =>
    {
        for (var i = 0; i < 200; i++)
        {
            var pool = new CpuPool(3);
            Thread.SpinWait(i * 100);
            pool.Dispose();
        }
    });

    private static async Task InTime(Action body)
    {
        var work = Task.Run(body);
        Assert.Same(work, await Task.WhenAny(work, Task.Delay(TimeSpan.FromMinutes(1))));
        await work;
    }

    private static unsafe int[] Counts(CpuPool pool, int tasks)
    {
        var counts = new int[tasks];
        fixed (int* count = counts)
        {
            pool.Run(tasks, &Count, count);
        }

        return counts;
    }

    private static unsafe void Count(void* context, int task) => Interlocked.Increment(ref ((int*)context)[task]);
}
