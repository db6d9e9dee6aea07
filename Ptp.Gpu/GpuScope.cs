// One opened device: ILGPU's context, accelerator and stream, compiled kernels, and scratch for arguments and sums.
// Everything runs in order on one stream. One caller at a time.
// Refuses: to stand in for a device. Without a driver it throws; the simulator opens only by its name.

using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Ptp.Core;

namespace Ptp.Gpu;

internal sealed class GpuScope : IDisposable
{
    /// <summary>Scratch slots: an op takes each of them at most once.</summary>
    private const int Slots = 2;

    private readonly Context _context;
    private readonly IntegerRing _ints;
    private long _waits;
    private readonly MemoryBuffer1D<float, Stride1D.Dense>?[] _floats =
        new MemoryBuffer1D<float, Stride1D.Dense>?[Slots];

    private GpuScope(Context context, Device device, GpuDeviceKind kind)
    {
        _context = context;
        Accelerator = device.CreateAccelerator(context);
        Stream = Accelerator.CreateStream();
        _ints = new IntegerRing(Accelerator);
        Name = GpuDevices.NameOf(kind, device);
        Kernels = new KernelCache(Accelerator, kind == GpuDeviceKind.Simulator ? Accelerator.WarpSize : 1 << 22);
        HasGroups = Accelerator.MaxNumThreadsPerGroup >= GroupThreads;
    }

    /// <summary>True for CUDA devices that multiply BF16 and TF32 by warps.</summary>
    public bool HasTensorCores => Accelerator is CudaAccelerator cuda && cuda.Architecture >= CudaArchitecture.SM_80;

    /// <summary>Threads that a group must be able to have: 256, which AMD's and Intel's devices stop at.</summary>
    public const int GroupThreads = 256;

    /// <summary>Threads that every group can have.</summary>
    public const int LeastThreads = 2;

    public bool IsCuda => Accelerator is CudaAccelerator;

    /// <summary>True where kernels may use doubles.</summary>
    public bool HasDoubles => Accelerator is not CLAccelerator { Capabilities.Float64: false };

    /// <summary>True where groups are wide enough for tiles; the small simulator computes element by element.</summary>
    public bool HasGroups { get; }

    public Accelerator Accelerator { get; }

    public AcceleratorStream Stream { get; }

    public KernelCache Kernels { get; }

    public string Name { get; }

    /// <summary>How often the host has waited for the device.</summary>
    public long Waits => _waits + _ints.Waits;

    /// <summary>Arrays of integers copied to the device so far.</summary>
    public long Copies => _ints.Copies;

    /// <summary>Opens the first device of a kind; null = CUDA if present, else OpenCL, never the simulator.</summary>
    public static GpuScope Open(GpuDeviceKind? wanted, int warps = 1)
    {
        ReadOnlySpan<GpuDeviceKind> kinds =
            wanted is { } only ? [only] : [GpuDeviceKind.Cuda, GpuDeviceKind.OpenCL];
        foreach (var kind in kinds)
        {
            var context = GpuDevices.TryOpen(kind, warps);
            for (var i = 0; i < (context?.Devices.Length ?? 0); i++)
            {
                if (GpuDevices.IsOf(kind, context!.Devices[i]))
                {
                    return new GpuScope(context, context.Devices[i], kind);
                }
            }

            context?.Dispose();
        }

        throw new PtpException("Open a GPU", $"a machine without a device for {wanted?.ToString() ?? "CUDA or OpenCL"}",
            "a device with its driver",
            "Install the driver, use the CPU backend, or name GpuDeviceKind.Simulator to check kernels slowly.");
    }

    public GpuStorage Allocate(long length)
    {
        try
        {
            return TryAllocate(length);
        }
        catch (Exception e) when (IsOutOfMemory(e))
        {
            // Buffers that nobody holds any more are freed when they are collected, and the collector does not see a device's memory.
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        try
        {
            return TryAllocate(length);
        }
        catch (Exception e) when (IsOutOfMemory(e))
        {
            throw new PtpException($"Allocate {length} floats on {Name}", $"a device of {Accelerator.MemorySize >> 20} MiB that has no room left",
                $"{(length * sizeof(float)) >> 20} MiB free", "Halve --batch, or use a shorter context or a smaller model.", e);
        }
    }

    /// <summary>Integers of one op on the device: ids, positions, slots, ranges.</summary>
    public ArrayView<int> Ints(ReadOnlySpan<int> values) => _ints.Send(Stream, values);

    /// <summary>Undefined floats for the inside of one op.</summary>
    public ArrayView<float> Floats(int slot, int length) => Grown(ref _floats[slot], length);

    public void Upload(ReadOnlySpan<float> source, ArrayView<float> destination)
    {
        destination.CopyFromCPU(Stream, source);
        Stream.Synchronize();
        _waits++;
    }

    public void Download(ArrayView<float> source, Span<float> destination)
    {
        source.CopyToCPU(Stream, destination);
        Stream.Synchronize();
        _waits++;
    }

    public void Dispose()
    {
        _ints.Dispose();
        Stream.Dispose();
        Accelerator.Dispose(); // and with it every buffer
        _context.Dispose();
    }

    private GpuStorage TryAllocate(long length)
    {
        // ILGPU refuses empty buffers; one float more than none is never seen.
        var buffer = Accelerator.Allocate1D<float>(Math.Max(1, length));
        buffer.MemSetToZero(Stream);
        return new GpuStorage(this, buffer);
    }

    private static bool IsOutOfMemory(Exception e) =>
        e is OutOfMemoryException or CudaException { Error: nameof(CudaError.CUDA_ERROR_OUT_OF_MEMORY) } or CLException;

    private ArrayView<T> Grown<T>(ref MemoryBuffer1D<T, Stride1D.Dense>? buffer, int length)
        where T : unmanaged
    {
        if (buffer is null || buffer.Length < length)
        {
            Stream.Synchronize(); // an earlier op may still read the old one
            buffer?.Dispose();
            buffer = Accelerator.Allocate1D<T>(Math.Max(256, 2L * length));
        }

        return buffer.View.BaseView.SubView(0, length);
    }
}
