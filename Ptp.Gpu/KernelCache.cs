// A kernel is a struct: its fields are the arguments, Element computes one element, threads stride over the elements.
// Compiled once per accelerator and kernel type. On the simulator two threads do all elements, a hundred times faster
// than one simulated thread each. Refuses: shared memory and barriers, which tuned kernels will bring their own way to.

using System.Reflection;
using ILGPU;
using ILGPU.Runtime;

namespace Ptp.Gpu;

/// <summary>A kernel: one call of Element per element, in any order, on any number of threads.</summary>
internal interface IElementKernel
{
    /// <summary>Computes what belongs to element <paramref name="index"/> and nothing else.</summary>
    void Element(int index);
}

internal sealed class KernelCache(Accelerator accelerator, int maxThreads)
{
    private readonly Dictionary<Type, Delegate> _launchers = [];

    /// <summary>Number of kernels compiled so far.</summary>
    public int Count => _launchers.Count;

    public void Run<T>(AcceleratorStream stream, int count, T kernel)
        where T : struct, IElementKernel
    {
        if (count == 0)
        {
            return;
        }

        if (!_launchers.TryGetValue(typeof(T), out var launcher))
        {
            launcher = accelerator.LoadAutoGroupedKernel<Index1D, T, int, int>(Stride);
            _launchers.Add(typeof(T), launcher);
        }

        var threads = Math.Min(count, maxThreads);
        ((Action<AcceleratorStream, Index1D, T, int, int>)launcher)(stream, threads, kernel, count, threads);
    }

    /// <summary>What ILGPU compiles for a kernel type.</summary>
    public static MethodInfo EntryPoint(Type kernel) => typeof(KernelCache)
        .GetMethod(nameof(Stride), BindingFlags.Static | BindingFlags.NonPublic)!.MakeGenericMethod(kernel);

    internal static void Stride<T>(Index1D thread, T kernel, int count, int threads)
        where T : struct, IElementKernel
    {
        for (int i = thread; i < count; i += threads)
        {
            kernel.Element(i);
        }
    }
}
