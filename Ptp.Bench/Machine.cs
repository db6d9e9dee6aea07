// The two floors of a machine, measured: fused multiply-adds per second in registers, and bytes per second of a read.
// A time is judged by its share of operations over peak, or of bytes over bandwidth. The clock moves: measure beside.
// Refuses: quoting a data sheet.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Ptp.Bench;

/// <summary>Measured limits.</summary>
internal static unsafe class Machine
{
    /// <summary>Peak of fused multiply-adds on all given threads, in GFLOP/s (two operations each).</summary>
    public static double PeakGigaflops(int threads, double seconds = 0.4) =>
        OnThreads(threads, () => Fma(seconds)) / 1e9;

    /// <summary>Bytes per second of reading a buffer of <paramref name="bytes"/> on all threads, in GB/s.</summary>
    public static double ReadGigabytes(int threads, long bytes, double seconds = 0.3)
    {
        var share = (nuint)(bytes / threads / 256 * 256);
        return OnThreads(threads, () =>
        {
            var buffer = (float*)NativeMemory.AlignedAlloc(share, 64);
            new Span<byte>(buffer, (int)share).Fill(1);
            var read = Read(buffer, (nint)share / sizeof(float), seconds);
            NativeMemory.AlignedFree(buffer);
            return read;
        }) / 1e9;
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

    private static double OnThreads(int threads, Func<double> body)
    {
        var results = new double[threads];
        var workers = Enumerable.Range(0, threads).Select(i => new Thread(() => results[i] = body())).ToArray();
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

    private static double Fma(double seconds)
    {
        var clock = Stopwatch.StartNew();
        var operations = 0.0;
        var sink = 0f;
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            const int rounds = 200_000;
            sink += Vector512.IsHardwareAccelerated ? Chains512(rounds) : Chains256(rounds);
            operations += rounds * 12.0 * 2 * (Vector512.IsHardwareAccelerated ? 16 : 8);
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

    private static double Read(float* buffer, nint floats, double seconds)
    {
        var clock = Stopwatch.StartNew();
        var bytes = 0.0;
        var sink = 0f;
        while (clock.Elapsed.TotalSeconds < seconds)
        {
            sink += SumOf(buffer, floats);
            bytes += floats * (double)sizeof(float);
        }

        return float.IsNaN(sink) ? 0 : bytes / clock.Elapsed.TotalSeconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float SumOf(float* x, nint length)
    {
        Vector256<float> a = default, b = default, c = default, d = default;
        for (nint i = 0; i + 32 <= length; i += 32)
        {
            a += Vector256.Load(x + i);
            b += Vector256.Load(x + i + 8);
            c += Vector256.Load(x + i + 16);
            d += Vector256.Load(x + i + 24);
        }

        return Vector256.Sum(a + b + c + d);
    }
}
