// A kernel is a struct: its fields are the arguments. An element kernel computes one element, and threads stride over the elements;
// a group kernel is what every thread of a group does, with shared memory and barriers. Compiled once per accelerator and kernel type.
// On the simulator two threads do all elements, a hundred times faster than one simulated thread each. Refuses: an empty launch, silently.

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

/// <summary>A kernel whose threads work together: one call per thread, Group and Grid say which.</summary>
internal interface IGroupKernel
{
    /// <summary>What one thread does.</summary>
    void Run();
}

internal sealed class KernelCache(Accelerator accelerator, int maxThreads)
{
    private readonly Dictionary<Type, Delegate> _launchers = [];

    /// <summary>Number of kernels compiled so far.</summary>
    public int Count => _launchers.Count;

    /// <summary>Kernels launched so far.</summary>
    public long Launches { get; private set; }

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
        Launches++;
    }

    /// <summary>Launches groups of threads.</summary>
    public void RunGroups<T>(AcceleratorStream stream, int groups, int threads, T kernel)
        where T : struct, IGroupKernel
    {
        if (groups == 0)
        {
            return;
        }

        if (!_launchers.TryGetValue(typeof(T), out var launcher))
        {
            launcher = accelerator.LoadKernel<T>(Together);
            _launchers.Add(typeof(T), launcher);
        }

        ((Action<AcceleratorStream, KernelConfig, T>)launcher)(stream, (groups, threads), kernel);
        Launches++;
    }

    /// <summary>What ILGPU compiles for a kernel type.</summary>
    public static MethodInfo EntryPoint(Type kernel) => typeof(KernelCache)
        .GetMethod(typeof(IGroupKernel).IsAssignableFrom(kernel) ? nameof(Together) : nameof(Stride), BindingFlags.Static | BindingFlags.NonPublic)!
        .MakeGenericMethod(kernel);

    internal static void Together<T>(T kernel)
        where T : struct, IGroupKernel => kernel.Run();

    internal static void Stride<T>(Index1D thread, T kernel, int count, int threads)
        where T : struct, IElementKernel
    {
        for (int i = thread; i < count; i += threads)
        {
            kernel.Element(i);
        }
    }
}
