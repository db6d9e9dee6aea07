// Features of u, the fixed half of its embedding: the learned half is a table [D, F] that multiplies them.
// binary-float (the paper's final choice), fixed-point, linear:n (n learned knots), constant (independent slots); the rest in AuxiliaryAblations.
// Refuses: unknown names, fewer than two knots, buffers of another length.

using System.Globalization;

namespace Ptp.Core.Paper;

/// <summary>Turns the numbers of a slot into F features.</summary>
[Paper("Auxiliary embedding")]
public abstract class AuxiliaryEmbedding
{
    /// <summary>The names that <see cref="Parse"/> knows, for people.</summary>
    public const string Choices =
        "binary-float, fixed-point, constant, number, sawtooth, cosine, or linear:n, thermometer:n, table:n, clocks:n with n from 2 to 4096; "
        + "each also with a small network behind it, as number+mlp:64";

    /// <summary>The embedding as options and files name it.</summary>
    public abstract string Name { get; }

    /// <summary>F, the number of features.</summary>
    /// <param name="numbersPerToken">Numbers of one slot.</param>
    public abstract int FeatureCount(int numbersPerToken);

    /// <summary>W of the small network that reads the features beside the table; 0 = none.</summary>
    public virtual int MlpWidth => 0;

    /// <summary>Writes the features of one slot.</summary>
    /// <param name="u">The slot's numbers, in [0, 1).</param>
    /// <param name="features">Receives <see cref="FeatureCount"/> numbers, [F].</param>
    public void Features(ReadOnlySpan<float> u, Span<float> features)
    {
        if (features.Length != FeatureCount(u.Length))
        {
            throw new PtpException(
                "Embed auxiliaries", $"{u.Length} numbers and {features.Length} features",
                $"{FeatureCount(u.Length)} features for {u.Length} numbers", "Size the buffer by FeatureCount.");
        }

        foreach (var number in u)
        {
            Guard.UnitInterval(number, "Embed auxiliaries");
        }

        Write(u, features);
    }

    /// <summary>Writes the features; sizes and range are checked.</summary>
    /// <param name="u">The slot's numbers.</param>
    /// <param name="features">Their features, [F].</param>
    protected abstract void Write(ReadOnlySpan<float> u, Span<float> features);

    /// <summary>
    /// Writes a vector c, [F], whose product with the features of any u is 1: along it a table moves all slots alike.
    /// Every embedding has one: its bias feature, or the sum of its interpolation weights.
    /// </summary>
    /// <param name="numbersPerToken">Numbers of one slot.</param>
    /// <param name="direction">Receives c.</param>
    public virtual void ConstantDirection(int numbersPerToken, Span<float> direction)
    {
        direction.Clear();
        direction[^1] = 1f;
    }

    /// <summary>The embedding of a name.</summary>
    /// <param name="name">One of <see cref="Choices"/>.</param>
    public static AuxiliaryEmbedding Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name switch
        {
            "binary-float" => new BinaryFloatEmbedding(),
            "fixed-point" => new FixedPointEmbedding(),
            "constant" => new ConstantEmbedding(),
            "number" => new NumberEmbedding(),
            "sawtooth" => new SawtoothEmbedding(),
            "cosine" => new CosineEmbedding(),
            _ when name.IndexOf(MlpEmbedding.Mark, StringComparison.Ordinal) is > 0 and var at && Sized(name[at..], MlpEmbedding.Mark) is { } width =>
                new MlpEmbedding(Parse(name[..at]), width),
            _ when Sized(name, "linear:") is { } knots => new LinearEmbedding(knots),
            _ when Sized(name, "thermometer:") is { } steps => new ThermometerEmbedding(steps),
            _ when Sized(name, "clocks:") is { } racers => new ClockEmbedding(racers),
            _ when Sized(name, "table:") is { } rows => new TableEmbedding(rows),
            _ => throw new PtpException("Choose an auxiliary embedding", $"'{name}'", Choices, "Name one of this list."),
        };
    }

    private static int? Sized(string name, string kind) => name.StartsWith(kind, StringComparison.Ordinal)
        && int.TryParse(name.AsSpan(kind.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var size)
        && size is >= 2 and <= 4096 ? size : null;
}

/// <summary>The 32 IEEE bits of u as 0 and 1, most significant first, and a constant 1 for the bias.</summary>
public sealed class BinaryFloatEmbedding : AuxiliaryEmbedding
{
    private const int Bits = 32;

    /// <inheritdoc/>
    public override string Name => "binary-float";

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => numbersPerToken * (Bits + 1);

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features)
    {
        for (var j = 0; j < u.Length; j++)
        {
            var word = BitConverter.SingleToUInt32Bits(u[j] + 0f); // -0 has the bits of +0
            var own = features.Slice(j * (Bits + 1), Bits + 1);
            for (var bit = 0; bit < Bits; bit++)
            {
                own[bit] = (word >> (Bits - 1 - bit)) & 1;
            }

            own[Bits] = 1f;
        }
    }
}

/// <summary>The 24 binary digits of u as -1 and +1, first digit first, and a constant 1 for the bias.</summary>
public sealed class FixedPointEmbedding : AuxiliaryEmbedding
{
    private const int Digits = 24;

    /// <inheritdoc/>
    public override string Name => "fixed-point";

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => numbersPerToken * (Digits + 1);

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features)
    {
        for (var j = 0; j < u.Length; j++)
        {
            var word = (uint)(u[j] * Cell.Grid);
            var own = features.Slice(j * (Digits + 1), Digits + 1);
            for (var digit = 0; digit < Digits; digit++)
            {
                own[digit] = ((word >> (Digits - 1 - digit)) & 1) != 0 ? 1f : -1f;
            }

            own[Digits] = 1f;
        }
    }
}

/// <summary>Weights of linear interpolation between n learned knots, evenly spaced over [0, 1].</summary>
/// <param name="knots">n, at least 2.</param>
public sealed class LinearEmbedding(int knots) : AuxiliaryEmbedding
{
    /// <inheritdoc/>
    public override string Name => $"linear:{knots}";

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => numbersPerToken * knots;

    /// <inheritdoc/>
    public override void ConstantDirection(int numbersPerToken, Span<float> direction) =>
        direction.Fill(1f / numbersPerToken);

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features)
    {
        features.Clear();
        for (var j = 0; j < u.Length; j++)
        {
            var place = (double)u[j] * (knots - 1); // double: a float product could round up onto the last knot
            var left = (int)place;
            features[j * knots + left] = (float)(1 - (place - left));
            features[j * knots + left + 1] = (float)(place - left);
        }
    }
}

/// <summary>One feature, always 1: every slot looks alike. The baseline of independent predictions.</summary>
public sealed class ConstantEmbedding : AuxiliaryEmbedding
{
    /// <inheritdoc/>
    public override string Name => "constant";

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => 1;

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features) => features[0] = 1f;
}
