// A property over seeds that differ: FsCheck's integers stay near zero for small counts and repeat themselves.
// Source: FsCheck's size parameter bounds the integers it draws; here it is large from the first case on.
// Not here: shrinking to a nice seed. The failing seed and FsCheck's replay pair are in the message.

using FsCheck.Xunit;

namespace Ptp.Tests.Oracle;

/// <summary>Runs a method of one int on <see cref="Count"/> seeds.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SeedsAttribute : PropertyAttribute
{
    public SeedsAttribute(int count)
    {
        Count = count;
        MaxTest = count;
        StartSize = 1 << 24;
        EndSize = 1 << 24;
    }

    public int Count { get; }
}
