// The unit of every weight file: a name, a shape and float values, whatever number format the file uses.
// Source: the safetensors format's three float formats that hold model weights.
// Not here: tensors on a backend; a model copies these values into its own storage.

namespace Ptp.Core.Formats;

/// <summary>The number format of a tensor in a file.</summary>
public enum StoredType
{
    /// <summary>32-bit IEEE float.</summary>
    F32,

    /// <summary>16-bit IEEE float.</summary>
    F16,

    /// <summary>The upper half of a 32-bit float.</summary>
    BF16,
}

/// <summary>A named array of numbers in row-major order.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Shape">Its sizes, outermost first; empty for a single number.</param>
/// <param name="Values">As many values as the product of the sizes.</param>
public sealed record StoredTensor(string Name, int[] Shape, float[] Values)
{
    /// <summary>A shape as text, such as [512, 64].</summary>
    /// <param name="shape">The sizes.</param>
    public static string Text(ReadOnlySpan<int> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}
