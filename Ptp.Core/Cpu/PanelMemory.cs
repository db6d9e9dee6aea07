// Memory of packed weights: chunks aligned to huge pages, because a call of few rows reads every weight once and with small pages
// spends a third of its time on the translation of addresses. A chunk goes when the last of its pieces has no owner left.
// Refuses: nothing. Where huge pages are not to be had the advice is without effect, and the content is undefined until packed.

using System.Runtime.InteropServices;

namespace Ptp.Core.Cpu;

/// <summary>A piece of memory for panels, aligned to a cache line.</summary>
internal sealed unsafe partial class PanelMemory
{
    private const nuint HugePage = 2 << 20;
    private const nuint ChunkBytes = 32 << 20;
    private const int AdviceHugePage = 14; // MADV_HUGEPAGE of Linux
    private static readonly Lock s_gate = new();
    private static Chunk? s_open;
    private readonly Chunk _chunk; // keeps the memory

    private PanelMemory(Chunk chunk, byte* start, long bytes)
    {
        _chunk = chunk;
        Start = start;
        Bytes = bytes;
    }

    /// <summary>Where it starts; the reader keeps this object alive while it reads.</summary>
    public byte* Start { get; }

    /// <summary>How long it is.</summary>
    public long Bytes { get; }

    /// <summary>A piece of so many bytes.</summary>
    public static PanelMemory Take(long bytes)
    {
        var needed = (nuint)(bytes + 63) / 64 * 64;
        lock (s_gate)
        {
            if (needed > ChunkBytes / 2)
            {
                return new Chunk((needed + HugePage - 1) / HugePage * HugePage).Cut(needed, bytes);
            }

            if (s_open is null || s_open.Left < needed)
            {
                s_open = new Chunk(ChunkBytes);
            }

            return s_open.Cut(needed, bytes);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* start, nuint bytes, int advice);

    private sealed class Chunk
    {
        private readonly byte* _start;
        private readonly nuint _bytes;
        private nuint _used;

        public Chunk(nuint bytes)
        {
            _start = (byte*)NativeMemory.AlignedAlloc(bytes, HugePage);
            _bytes = bytes;
            GC.AddMemoryPressure((long)bytes);
            if (OperatingSystem.IsLinux())
            {
                _ = Advise(_start, bytes, AdviceHugePage); // a refusal costs time, not correctness
            }
        }

        ~Chunk()
        {
            NativeMemory.AlignedFree(_start);
            GC.RemoveMemoryPressure((long)_bytes);
        }

        public nuint Left => _bytes - _used;

        public PanelMemory Cut(nuint needed, long bytes)
        {
            var piece = new PanelMemory(this, _start + _used, bytes);
            _used += needed;
            return piece;
        }
    }
}
