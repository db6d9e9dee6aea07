// Integers of an op on their way to the device: ids, positions, slots and ranges go through a ring of page-locked memory,
// copied in the stream's order, so that no op waits for its arguments.
// Refuses: to overwrite what a copy may still read. When the ring is full it waits once for the stream and starts again.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace Ptp.Gpu;

internal sealed class IntegerRing(Accelerator accelerator) : IDisposable
{
    private const int FirstSize = 1 << 16;
    private PageLockedArray1D<int>? _host;
    private MemoryBuffer1D<int, Stride1D.Dense>? _device;
    private int _used;

    /// <summary>How often the host had to wait for the device.</summary>
    public long Waits { get; private set; }

    /// <summary>The same integers on the device, valid for what is launched before the ring comes round again.</summary>
    public ArrayView<int> Send(AcceleratorStream stream, ReadOnlySpan<int> values)
    {
        var length = Math.Max(values.Length, 1); // a kernel needs a view even of nothing
        if (_host is null || _used + length > _host.Length)
        {
            Restart(stream, length);
        }

        var view = _device!.View.BaseView.SubView(_used, length);
        var staged = _host!.Span.Slice(_used, length);
        values.CopyTo(staged);
        view.CopyFromCPUUnsafeAsync(stream, ref MemoryMarshal.GetReference(staged), length);
        _used += length;
        return view;
    }

    public void Dispose()
    {
        _host?.Dispose();
        _device?.Dispose();
    }

    private void Restart(AcceleratorStream stream, int length)
    {
        stream.Synchronize();
        Waits++;
        _used = 0;
        if (_host is null || length > _host.Length)
        {
            Dispose();
            var size = Math.Max(FirstSize, 4L * length);
            _host = accelerator.AllocatePageLocked1D<int>(size);
            _device = accelerator.Allocate1D<int>(size);
        }
    }
}
