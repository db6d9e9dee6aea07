// The two floors of a machine, measured: fused multiply-adds per second in registers, and bytes per second of a read.
// A time is judged by its share of operations over peak, or of bytes over bandwidth. The clock moves: measure beside.
// Refuses: quoting a data sheet.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Ptp.Bench;

/// <summary>Measured limits.</summary>
internal static unsafe partial class Machine
{
    private static nint[] s_shares = []; // one buffer per thread, kept while the size stays
    private static nuint s_share;

    /// <summary>Peak of fused multiply-adds on all given threads, in GFLOP/s (two operations each).</summary>
    /// <param name="threads">Threads.</param>
    /// <param name="seconds">How long to measure.</param>
    /// <param name="bits">Width of the vectors, 256 or 512; 0 = the widest there are.</param>
    public static double PeakGigaflops(int threads, double seconds = 0.4, int bits = 0)
    {
        var isWide = Vector512.IsHardwareAccelerated && bits != 256;
        return OnThreads(threads, _ => Fma(seconds, isWide)) / 1e9;
    }

    /// <summary>Bytes per second of reading a buffer of <paramref name="bytes"/> on all threads, in GB/s.</summary>
    public static double ReadGigabytes(int threads, long bytes, double seconds = 0.3)
    {
        var share = (nuint)(bytes / threads / 512 * 512);
        if (s_shares.Length != threads || s_share != share)
        {
            Array.ForEach(s_shares, at => NativeMemory.AlignedFree((void*)at));
            (s_share, s_shares) = (share, [.. Enumerable.Range(0, threads).Select(_ => Buffer(share))]);
        }

        return OnThreads(threads, i => Read((float*)s_shares[i], (nint)share / sizeof(float), seconds)) / 1e9;
    }

    /// <summary>Processor, runtime and vector width, one line.</summary>
    public static string Describe()
    {
        const string cpuInfo = "/proc/cpuinfo";
        var model = File.Exists(cpuInfo)
            ? File.ReadLines(cpuInfo).FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))
            : null;
        var name = model?[(model.IndexOf(':', StringComparison.Ordinal) + 2)..] ?? "unknown processor";
        return $"{name}, {Environment.ProcessorCount} cores, {RuntimeInformation.FrameworkDescription}, "
            + $"{(Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128)}-bit vectors";
    }

    private static double OnThreads(int threads, Func<int, double> body)
    {
        var results = new double[threads];
        var workers = Enumerable.Range(0, threads).Select(i => new Thread(() =>
        {
            Pin(i);
            results[i] = body(i);
        })).ToArray();
        foreach (var worker in workers)
        {
            worker.Start();
        }

        foreach (var worker in workers)
        {
            worker.Join();
        }

        return results.Sum();
    }

    /// <summary>A floor is what the cores can do: without this, two threads share one for milliseconds.</summary>
    private static void Pin(int core)
    {
        if (OperatingSystem.IsLinux() && core < 64)
        {
            var mask = 1UL << core;
            _ = SetAffinity(0, sizeof(ulong), &mask); // refused where cores are assigned otherwise; then the system chooses
        }
    }

    [LibraryImport("libc", EntryPoint = "sched_setaffinity")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetAffinity(int thread, nint size, ulong* mask);

    private static double Fma(double seconds, bool isWide)
    {
        var clock = Stopwatch.StartNew();
        var operations = 0.0;
        var sink = 0f;
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            const int rounds = 200_000;
            sink += isWide ? Chains512(rounds) : Chains256(rounds);
            operations += rounds * 12.0 * 2 * (isWide ? 16 : 8);
        }

        return float.IsNaN(sink) ? 0 : operations / clock.Elapsed.TotalSeconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Chains512(int rounds)
    {
        var (x, y) = (Vector512.Create(0.999f), Vector512.Create(0.001f));
        Vector512<float> a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var n = 0; n < rounds; n++)
        {
            a = Vector512.FusedMultiplyAdd(a, x, y);
            b = Vector512.FusedMultiplyAdd(b, x, y);
            c = Vector512.FusedMultiplyAdd(c, x, y);
            d = Vector512.FusedMultiplyAdd(d, x, y);
            e = Vector512.FusedMultiplyAdd(e, x, y);
            f = Vector512.FusedMultiplyAdd(f, x, y);
            g = Vector512.FusedMultiplyAdd(g, x, y);
            h = Vector512.FusedMultiplyAdd(h, x, y);
            i = Vector512.FusedMultiplyAdd(i, x, y);
            j = Vector512.FusedMultiplyAdd(j, x, y);
            k = Vector512.FusedMultiplyAdd(k, x, y);
            l = Vector512.FusedMultiplyAdd(l, x, y);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Chains256(int rounds)
    {
        var (x, y) = (Vector256.Create(0.999f), Vector256.Create(0.001f));
        Vector256<float> a = y, b = y, c = y, d = y, e = y, f = y, g = y, h = y, i = y, j = y, k = y, l = y;
        for (var n = 0; n < rounds; n++)
        {
            a = Vector256.FusedMultiplyAdd(a, x, y);
            b = Vector256.FusedMultiplyAdd(b, x, y);
            c = Vector256.FusedMultiplyAdd(c, x, y);
            d = Vector256.FusedMultiplyAdd(d, x, y);
            e = Vector256.FusedMultiplyAdd(e, x, y);
            f = Vector256.FusedMultiplyAdd(f, x, y);
            g = Vector256.FusedMultiplyAdd(g, x, y);
            h = Vector256.FusedMultiplyAdd(h, x, y);
            i = Vector256.FusedMultiplyAdd(i, x, y);
            j = Vector256.FusedMultiplyAdd(j, x, y);
            k = Vector256.FusedMultiplyAdd(k, x, y);
            l = Vector256.FusedMultiplyAdd(l, x, y);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    /// <summary>Memory in huge pages where the system gives them: a floor must not wait for page tables.</summary>
    private static nint Buffer(nuint bytes)
    {
        const int hugePage = 1 << 21;
        const int adviseHuge = 14;
        var at = NativeMemory.AlignedAlloc(bytes, hugePage);
        if (OperatingSystem.IsLinux())
        {
            _ = Advise(at, bytes, adviseHuge);
        }

        new Span<float>(at, (int)(bytes / sizeof(float))).Fill(1);
        return (nint)at;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Advise(void* at, nuint bytes, int advice);

    private static double Read(float* buffer, nint floats, double seconds)
    {
        var sink = SumOf(buffer, floats);
        var clock = Stopwatch.StartNew();
        var bytes = 0.0;
        do
        {
            sink += SumOf(buffer, floats);
            bytes += floats * (double)sizeof(float);
        }
        while (clock.Elapsed.TotalSeconds < seconds);
        return float.IsNaN(sink) ? 0 : bytes / clock.Elapsed.TotalSeconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float SumOf(float* x, nint length)
    {
        const int near = 256; // floats: to the first cache in time, and further ahead to the second, which waits for more lines at once
        const int far = 4096;
        var i = (nint)0;
        Vector512<float> a = default, b = default, c = default, d = default, e = default, f = default, g = default, h = default;
        for (; i + 128 <= length; i += 128)
        {
            for (var line = 0; Sse.IsSupported && line < 128; line += 16)
            {
                Sse.Prefetch1(x + i + far + line); // past the end it is ignored
                Sse.Prefetch0(x + i + near + line);
            }

            a += Vector512.Load(x + i);
            b += Vector512.Load(x + i + 16);
            c += Vector512.Load(x + i + 32);
            d += Vector512.Load(x + i + 48);
            e += Vector512.Load(x + i + 64);
            f += Vector512.Load(x + i + 80);
            g += Vector512.Load(x + i + 96);
            h += Vector512.Load(x + i + 112);
        }

        return Vector512.Sum(a + b + c + d + (e + f + g + h));
    }
}
