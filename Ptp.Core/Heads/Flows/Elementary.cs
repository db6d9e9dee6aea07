// What a formula of this folder may use besides + - * /: exp, log, square root, and where its parameters stand.
// Formulas are generic in the number, so the same text runs in double, in float, in the CPU's kernels and, compiled by ILGPU, on GPUs.
// Refuses: anything ILGPU cannot compile: no spans, arrays or exceptions inside a formula, no structs without fields, and what is
// given to Add is a named local, as no sum of generic numbers may be formed while a call's target waits on the stack.

using System.Numerics;

namespace Ptp.Core.Heads.Flows;

/// <summary>Elementary functions of a kind of number on a device.</summary>
/// <typeparam name="T">The number.</typeparam>
public interface IElementary<T>
{
    /// <summary>exp(x).</summary>
    T Exp(T x);

    /// <summary>log(x), x positive.</summary>
    T Log(T x);

    /// <summary>The square root of x, x at least 0.</summary>
    T Sqrt(T x);

    /// <summary>A constant, <paramref name="high"/> + <paramref name="low"/>: floats, as many GPUs have no double.</summary>
    /// <param name="high">The nearest float.</param>
    /// <param name="low">What it misses; 0 for whole numbers.</param>
    T Of(float high, float low = 0);
}

/// <summary>Numbers to read, in memory of any kind.</summary>
/// <typeparam name="T">The number.</typeparam>
public interface INumbers<T>
{
    /// <summary>Number <paramref name="index"/>.</summary>
    T Get(int index);
}

/// <summary>Numbers to add to.</summary>
/// <typeparam name="T">The number.</typeparam>
public interface ISums<T>
{
    /// <summary>Adds to number <paramref name="index"/>.</summary>
    void Add(int index, T value);
}

/// <summary>A number and the log of the slope that made it.</summary>
/// <param name="Value">f(x).</param>
/// <param name="LogSlope">log f'(x).</param>
/// <typeparam name="T">The number.</typeparam>
public readonly record struct Mapped<T>(T Value, T LogSlope);

/// <summary>The platform's own functions.</summary>
/// <typeparam name="T">double or float.</typeparam>
public readonly struct HostMath<T> : IElementary<T>
    where T : IFloatingPointIeee754<T>
{
    /// <inheritdoc/>
    public T Exp(T x) => T.Exp(x);

    /// <inheritdoc/>
    public T Log(T x) => T.Log(x);

    /// <inheritdoc/>
    public T Sqrt(T x) => T.Sqrt(x);

    /// <inheritdoc/>
    public T Of(float high, float low = 0) => T.CreateTruncating(high) + T.CreateTruncating(low);
}

/// <summary>Numbers in a span.</summary>
/// <typeparam name="T">The number.</typeparam>
internal readonly ref struct SpanNumbers<T>(Span<T> numbers) : INumbers<T>, ISums<T>
    where T : IFloatingPointIeee754<T>
{
    private readonly Span<T> _numbers = numbers;

    public T Get(int index) => _numbers[index];

    public void Add(int index, T value) => _numbers[index] += value;
}

/// <summary>Floats behind a pointer: what the CPU's kernels hand over.</summary>
internal readonly unsafe struct FloatsAt(float* first) : INumbers<float>, ISums<float>
{
    public float Get(int index) => first[index];

    public void Add(int index, float value) => first[index] += value;
}

/// <summary>Functions made of the elementary ones.</summary>
internal static class Smooth
{
    /// <summary>1 / (1 + exp(-x)).</summary>
    public static T Sigmoid<T, TMath>(T x)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        // exp of a negative number alone: no overflow, and small results keep their digits.
        var below = x < T.Zero ? x : -x;
        var e = default(TMath).Exp(below);
        return x < T.Zero ? e / (T.One + e) : T.One / (T.One + e);
    }

    /// <summary>log(1 + exp(x)).</summary>
    public static T Softplus<T, TMath>(T x)
        where T : IFloatingPointIeee754<T>
        where TMath : struct, IElementary<T>
    {
        var math = default(TMath);
        var below = x < T.Zero ? x : -x;
        var tail = math.Log(T.One + math.Exp(below));
        return x < T.Zero ? tail : x + tail;
    }
}
