// What every row of the report needs: the plan, our backend, the peers that this machine has, and buffers of random numbers.
// Kernel paths are forced one at a time; the first is what the machine would choose.
// Refuses: nothing; a missing peer or path is null, and Missing says why.

using System.Numerics;
using Ptp.Bench.Peers;
using Ptp.Core.Cpu;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Bench;

/// <summary>A forced set of kernels.</summary>
/// <param name="Name">As printed.</param>
/// <param name="Bits">Width of its vectors.</param>
/// <param name="Width">How the library knows it.</param>
internal sealed record KernelPath(string Name, int Bits, VectorWidth Width)
{
    /// <summary>AVX-512, AVX2 and the portable kernels.</summary>
    public static readonly KernelPath[] All =
    [
        new("AVX-512", 512, VectorWidth.V512),
        new("AVX2", 256, VectorWidth.V256),
        new("Vector<T>", 32 * Vector<float>.Count, VectorWidth.Portable),
    ];

    /// <summary>True if this machine has it.</summary>
    public bool IsHere => VectorWidths.Here.Contains(Width);
}

/// <summary>One run of the report.</summary>
internal sealed class Bench : IDisposable
{
    private readonly VectorWidth _width = MatMul.Width;

    /// <summary>Finds the peers, or leaves them out.</summary>
    public Bench(Plan plan, bool peers)
    {
        Plan = plan;
        Backend = new CpuBackend();
        OneThread = new CpuBackend(1);
        if (!peers)
        {
            return;
        }

        Blas = OpenBlas.Find(Backend.Threads);
        (Onnx, var onnx) = OnnxRuntime.Find(Backend.Threads);
        Torch = Torch.Find(Backend.Threads);
        Llama = LlamaBench.Find(Backend.Threads);
        (object? Peer, string Name, string? Why)[] all =
        [
            (Blas, "OpenBLAS", "no libopenblas on the library path"),
            (Onnx, "ONNX Runtime", onnx),
            (Torch, "PyTorch", "no Python with torch; PTP_PYTHON names one"),
            (Llama, LlamaBench.Peer.Name, "no llama-bench; PTP_LLAMA_BENCH names it"),
        ];
        Missing = [.. all.Where(p => p.Peer is null).Select(p => $"{p.Name} is not there: {p.Why}")];
    }

    public Plan Plan { get; }

    public CpuBackend Backend { get; }

    public CpuBackend OneThread { get; }

    public OpenBlas? Blas { get; }

    public OnnxRuntime? Onnx { get; }

    public Torch? Torch { get; }

    public LlamaBench? Llama { get; }

    /// <summary>Peers that were looked for in vain, and why.</summary>
    public IReadOnlyList<string> Missing { get; } = [];

    /// <summary>Back to what the machine would choose.</summary>
    public void Leave() => MatMul.Width = _width;

    /// <summary>PyTorch on what its script knows by this name.</summary>
    public Contestant AskTorch(string what) => new(
        "PyTorch", Torch?.Version, Torch is null ? null : seconds => Torch.Seconds(what, seconds));

    /// <summary>OpenBLAS on a body.</summary>
    public Contestant AskBlas(Action<OpenBlas> body) => Contestant.Of("OpenBLAS", Blas?.Version, Blas is null ? null : () => body(Blas));

    /// <summary>ONNX Runtime on a session that is made when it is first asked.</summary>
    public Contestant AskOnnx(Func<OnnxRuntime, Action> session)
    {
        Action? run = null;
        return Contestant.Of("ONNX Runtime", Onnx?.Version, Onnx is null ? null : () => (run ??= session(Onnx))());
    }

    /// <summary>The peak of fused multiply-adds on vectors of so many bits, now, in GFLOP/s.</summary>
    public double Peak(int bits = 0) => Machine.PeakGigaflops(Backend.Threads, Math.Max(0.005, Plan.Slice / 2), bits);

    /// <summary>The read stream over so many bytes, now, in GB/s.</summary>
    public double Stream(long bytes) => Machine.ReadGigabytes(Backend.Threads, bytes, Math.Max(0.005, Plan.Slice / 2));

    /// <summary>Normal random numbers, [rows, columns].</summary>
    public Tensor Random(int rows, int columns, string name)
    {
        var random = new RandomStream(1, name);
        var tensor = Backend.Allocate(rows, columns);
        foreach (ref var value in tensor.Span)
        {
            value = (float)random.NextGaussian();
        }

        return tensor;
    }

    /// <summary>Stops if two results differ by more than rounding: a peer that computes something else is no peer.</summary>
    public static void Agree(string what, ReadOnlySpan<float> ours, ReadOnlySpan<float> theirs, double tolerance = 1e-3)
    {
        var (difference, size) = (0.0, 0.0);
        for (var i = 0; i < ours.Length; i++)
        {
            difference = Math.Max(difference, Math.Abs(ours[i] - theirs[i]));
            size = Math.Max(size, Math.Abs(ours[i]));
        }

        if (!(difference <= tolerance * size))
        {
            throw new InvalidOperationException($"{what}: results differ by {difference:G3} of {size:G3}.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Leave();
        Torch?.Dispose();
        Onnx?.Dispose();
        Backend.Dispose();
        OneThread.Dispose();
    }
}
