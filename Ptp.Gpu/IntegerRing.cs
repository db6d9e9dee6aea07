// Integers of an op on their way to the device: ids, positions, slots and ranges go through a ring of page-locked memory,
// copied in the stream's order, so that no op waits for its arguments; what was sent a moment ago (all layers of a call have the same) is not sent again.
// Refuses: to overwrite what a copy or an op may still read. When the ring is full it waits once for the stream and starts again.

using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace Ptp.Gpu;

internal sealed class IntegerRing(Accelerator accelerator) : IDisposable
{
    private const int FirstSize = 1 << 16;

    // An op takes up to eight arrays before it is launched, sent by itself or among the last eight that were. None is longer than a sixteenth of
    // the ring, so those before a restart stay clear of those behind it; memory that has become too small lives on until the next restart.
    private const int Recent = 8;
    private const int MostOfRing = 16;

    private readonly Queue<(int Start, int Length)> _recent = new(Recent);
    private readonly List<IDisposable> _outgrown = [];
    private PageLockedArray1D<int>? _host;
    private MemoryBuffer1D<int, Stride1D.Dense>? _device;
    private int _used;

    /// <summary>How often the host had to wait for the device.</summary>
    public long Waits { get; private set; }

    /// <summary>Copies to the device so far.</summary>
    public long Copies { get; private set; }

    /// <summary>The same integers on the device, valid for what is launched before the ring comes round again.</summary>
    public ArrayView<int> Send(AcceleratorStream stream, ReadOnlySpan<int> values)
    {
        var length = Math.Max(values.Length, 1); // a kernel needs a view even of nothing
        foreach (var (start, count) in _recent)
        {
            if (count == values.Length && values.SequenceEqual(_host!.Span.Slice(start, count)))
            {
                return _device!.View.BaseView.SubView(start, length);
            }
        }

        if (_host is null || _used + length > _host.Length || length > _host.Length / MostOfRing)
        {
            Restart(stream, length);
        }

        var view = _device!.View.BaseView.SubView(_used, length);
        var staged = _host!.Span.Slice(_used, length);
        values.CopyTo(staged);
        view.CopyFromCPUUnsafeAsync(stream, ref MemoryMarshal.GetReference(staged), length);
        Copies++;
        if (_recent.Count == Recent)
        {
            _recent.Dequeue();
        }

        _recent.Enqueue((_used, values.Length));
        _used += length;
        return view;
    }

    public void Dispose()
    {
        Clear();
        _host?.Dispose();
        _device?.Dispose();
    }

    private void Restart(AcceleratorStream stream, int length)
    {
        stream.Synchronize();
        Waits++;
        _used = 0;
        _recent.Clear();
        if (_host is not null && length <= _host.Length / MostOfRing)
        {
            Clear();
            return;
        }

        if (_host is not null)
        {
            _outgrown.AddRange([_host, _device!]);
        }

        var size = Math.Max(FirstSize, 2L * MostOfRing * length);
        _host = accelerator.AllocatePageLocked1D<int>(size);
        _device = accelerator.Allocate1D<int>(size);
    }

    private void Clear()
    {
        _outgrown.ForEach(memory => memory.Dispose());
        _outgrown.Clear();
    }
}
