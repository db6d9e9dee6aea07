// Splits one kernel over threads: tasks 0..count-1 are claimed one by one, the caller works too.
// Workers spin briefly, then park, because kernels of one pass follow each other within microseconds.
// Refuses: nested and concurrent parallelism; a second caller runs its tasks alone. Results never depend on who ran what.

namespace Ptp.Core.Cpu;

/// <summary>A fork-join pool without allocation per call.</summary>
public sealed unsafe class CpuPool : IDisposable
{
    private const int SpinRounds = 300; // about 20 us: longer than the gap between two kernels of a pass
    private readonly Thread[] _workers;
    private readonly AutoResetEvent[] _wake; // one per worker: with a shared one, a worker that parks again takes another's permit
    private readonly int[] _parked; // 1 = this worker waits for exactly one permit
    private readonly Lock _gate = new();
    private delegate*<void*, int, void> _body;
    private void* _context;
    private int _count;
    private long _ticket; // generation << 32 | next task: a claim succeeds only in the generation it was read in
    private int _done;
    private volatile int _generation;
    private volatile bool _stop;

    /// <summary>A pool of <paramref name="threads"/> threads, the caller included.</summary>
    public CpuPool(int threads)
    {
        Guard.Require(threads is >= 1 and <= 1024, "Start the CPU backend", $"{threads} threads", "1 to 1024",
            "Choose a thread count near the number of cores.");
        Threads = threads;
        _workers = new Thread[threads - 1];
        _wake = new AutoResetEvent[_workers.Length];
        _parked = new int[_workers.Length];
        for (var i = 0; i < _workers.Length; i++)
        {
            var worker = i;
            _wake[i] = new AutoResetEvent(false); // a SemaphoreSlim wakes later and allocates while it waits
            _workers[i] = new Thread(() => Work(worker)) { IsBackground = true, Name = $"ptp-cpu-{i + 1}" };
        }

        foreach (var worker in _workers)
        {
            worker.Start();
        }
    }

    /// <summary>Threads, the caller included.</summary>
    public int Threads { get; }

    /// <summary>Runs body(context, task) for every task and returns when all are done.</summary>
    internal void Run(int count, delegate*<void*, int, void> body, void* context)
    {
        if (count <= 1 || _workers.Length == 0 || !_gate.TryEnter())
        {
            for (var task = 0; task < count; task++)
            {
                body(context, task);
            }

            return;
        }

        try
        {
            var generation = _generation + 1;
            // Closed first, filled next, opened last: a worker that comes late can neither take a task of the old run
            // nor one of the new run before its fields stand.
            Interlocked.Exchange(ref _ticket, Ticket(generation, int.MaxValue));
            _body = body;
            _context = context;
            _count = count;
            _done = 0;
            Interlocked.Exchange(ref _ticket, Ticket(generation, 0));
            _generation = generation;
            Interlocked.MemoryBarrier(); // the new generation is visible before any flag is looked at
            WakeParked();
            Claim(generation);
            // Tasks are waited for, not workers: one that has no core right now holds nobody up.
            for (var spin = 0; Volatile.Read(ref _done) < count; spin++)
            {
                if (spin < 2000)
                {
                    Thread.SpinWait(8);
                }
                else
                {
                    Thread.Yield();
                }
            }
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop = true;
        Interlocked.MemoryBarrier(); // the stop is visible before any flag is looked at
        WakeParked();
        foreach (var worker in _workers)
        {
            worker.Join();
        }

        foreach (var wake in _wake)
        {
            wake.Dispose();
        }
    }

    /// <summary>Whoever takes a worker's flag owes it one permit, so permits never pile up and are never stolen.</summary>
    private void WakeParked()
    {
        for (var i = 0; i < _parked.Length; i++)
        {
            if (Volatile.Read(ref _parked[i]) != 0 && Interlocked.Exchange(ref _parked[i], 0) != 0)
            {
                _wake[i].Set();
            }
        }
    }

    private static long Ticket(int generation, int next) => ((long)generation << 32) | (uint)next;

    private void Claim(int generation)
    {
        while (true)
        {
            var ticket = Volatile.Read(ref _ticket);
            var task = (int)ticket;
            if ((int)(ticket >> 32) != generation || task >= Volatile.Read(ref _count))
            {
                return;
            }

            if (Interlocked.CompareExchange(ref _ticket, ticket + 1, ticket) == ticket)
            {
                _body(_context, task);
                Interlocked.Increment(ref _done);
            }
        }
    }

    private void Work(int worker)
    {
        var seen = 0;
        while (true)
        {
            var spins = 0;
            while (_generation == seen && !_stop)
            {
                if (++spins < SpinRounds)
                {
                    Thread.SpinWait(20);
                    continue;
                }

                Interlocked.Exchange(ref _parked[worker], 1);
                var changedItsMind = _generation != seen || _stop;
                if (!changedItsMind || Interlocked.Exchange(ref _parked[worker], 0) == 0)
                {
                    _wake[worker].WaitOne();
                }

                spins = 0;
            }

            if (_stop)
            {
                return;
            }

            seen = _generation;
            Claim(seen);
        }
    }
}

/// <summary>Aligned scratch memory of a thread; grows, is never given back, holds nothing between kernels.</summary>
internal static unsafe class Scratch
{
    [ThreadStatic]
    private static Tensors.CpuStorage? s_first;

    [ThreadStatic]
    private static Tensors.CpuStorage? s_second;

    [ThreadStatic]
    private static Tensors.CpuStorage? s_third;

    [ThreadStatic]
    private static Tensors.CpuStorage? s_fourth;

    /// <summary>At least <paramref name="length"/> floats, undefined content.</summary>
    public static float* First(int length) => Grow(ref s_first, length);

    /// <summary>A second buffer, independent of the first.</summary>
    public static float* Second(int length) => Grow(ref s_second, length);

    /// <summary>A third one, which a caller fills for the tasks of its run.</summary>
    public static float* Third(int length) => Grow(ref s_third, length);

    /// <summary>A fourth one, for the same in another form.</summary>
    public static float* Fourth(int length) => Grow(ref s_fourth, length);

    private static float* Grow(ref Tensors.CpuStorage? storage, int length)
    {
        if (storage is null || storage.Length < length)
        {
            storage = new Tensors.CpuStorage(Math.Max(length, 1 << 14));
        }

        return storage.Pointer;
    }
}
