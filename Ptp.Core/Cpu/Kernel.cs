// How kernels are compiled: with every optimisation at once, and as methods of their own.
// Inlined into a caller that is compiled again with counts, a kernel shares the caller's budget for inlining, and what is left over of its own
// steps become calls: dots of attention ran at half their speed once their callers had warmed up. Refuses: nothing.

using System.Runtime.CompilerServices;

namespace Ptp.Core.Cpu;

internal static class Kernel
{
    /// <summary>For every method whose loops are the work.</summary>
    public const MethodImplOptions Whole = MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining;
}
