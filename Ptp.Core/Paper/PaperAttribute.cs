// The anchor that ties a type or a method to the object of the paper it implements.
// PAPER.md lists the same objects; a test keeps file names, attributes and that table equal.
// Not here: anything about how the object is computed.

namespace Ptp.Core.Paper;

/// <summary>Names the object of the paper (arXiv 2512.21323) that a type or member implements.</summary>
/// <param name="reference">For example "Theorem 1" or "Eq. 2".</param>
[AttributeUsage(AttributeTargets.All, AllowMultiple = true, Inherited = false)]
public sealed class PaperAttribute(string reference) : Attribute
{
    /// <summary>The object, as the paper calls it.</summary>
    public string Reference { get; } = reference;
}
