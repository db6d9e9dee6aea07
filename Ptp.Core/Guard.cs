// Every check at a public door, and the one exception type of the library.
// A message has four parts: what was asked, what was received, what was expected, the way out.
// Not here: checks inside kernels; those trust their callers and use Debug.Assert.

using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Ptp.Core;

/// <summary>An error that its reader can act on: operation, received, expected, way out.</summary>
public sealed class PtpException : Exception
{
    /// <summary>Builds the four-part message.</summary>
    /// <param name="asked">The operation that was asked for.</param>
    /// <param name="received">What it was given.</param>
    /// <param name="expected">What it needs.</param>
    /// <param name="wayOut">What the reader can do.</param>
    /// <param name="inner">The cause, if another exception is.</param>
    public PtpException(string asked, string received, string expected, string wayOut, Exception? inner = null)
        : base($"{asked}: received {received}; expected {expected}. {wayOut}", inner) =>
        (Asked, Received, Expected, WayOut) = (asked, received, expected, wayOut);

    /// <summary>The operation that was asked for.</summary>
    public string Asked { get; }

    /// <summary>What it was given.</summary>
    public string Received { get; }

    /// <summary>What it needs.</summary>
    public string Expected { get; }

    /// <summary>What the reader can do.</summary>
    public string WayOut { get; }
}

/// <summary>Checks that throw <see cref="PtpException"/>.</summary>
[StackTraceHidden]
public static class Guard
{
    /// <summary>Throws the four-part error unless <paramref name="condition"/> holds; texts are built only then.</summary>
    public static void Require(
        [DoesNotReturnIf(false)] bool condition,
        [InterpolatedStringHandlerArgument(nameof(condition))] GuardText asked,
        [InterpolatedStringHandlerArgument(nameof(condition))] GuardText received,
        [InterpolatedStringHandlerArgument(nameof(condition))] GuardText expected,
        [InterpolatedStringHandlerArgument(nameof(condition))] GuardText wayOut)
    {
        if (!condition)
        {
            throw new PtpException(asked.ToString(), received.ToString(), expected.ToString(), wayOut.ToString());
        }
    }

    /// <summary>u must lie in [0, 1): 1 belongs to no cell, NaN to none either.</summary>
    public static void UnitInterval(double u, string asked = "Pick a token")
    {
        if (!(u >= 0 && u < 1))
        {
            throw new PtpException(
                asked, $"u = {Text(u)}", "a number in [0, 1)",
                "Draw it from Auxiliaries, or clamp it to Math.BitDecrement(1.0).");
        }
    }

    /// <summary>A number as text, the same on every machine.</summary>
    public static string Text(double value) => value.ToString("R", CultureInfo.InvariantCulture);
}

/// <summary>A text that is put together only if a check fails: checks at hot doors must not allocate.</summary>
[InterpolatedStringHandler]
public ref struct GuardText
{
    private DefaultInterpolatedStringHandler _text;
    private string? _whole;

    /// <summary>Called by the compiler; the parts are skipped while <paramref name="condition"/> holds.</summary>
    public GuardText(int literalLength, int formattedCount, bool condition, out bool isNeeded)
    {
        isNeeded = !condition;
        _text = condition
            ? default
            : new DefaultInterpolatedStringHandler(literalLength, formattedCount, CultureInfo.InvariantCulture);
        _whole = condition ? "" : null;
    }

    private GuardText(string whole)
    {
        _text = default;
        _whole = whole;
    }

    /// <summary>A text that needs no building.</summary>
    public static implicit operator GuardText(string whole) => new(whole);

    /// <summary>Called by the compiler.</summary>
    public void AppendLiteral(string value) => _text.AppendLiteral(value);

    /// <summary>Called by the compiler.</summary>
    public void AppendFormatted<T>(T value, string? format = null) => _text.AppendFormatted(value, format);

    /// <inheritdoc/>
    public override string ToString() => _whole ??= _text.ToStringAndClear();
}
