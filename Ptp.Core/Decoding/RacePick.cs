// Race pick: a token by a race of exponential clocks at each node of a K-ary tree over the ids. A child of mass m rings at
// E / m with E = -ln u; the first to ring is the next node. P(child) = m / sum of masses, so the token's law is exact for any K.
// K = V is Gumbel-max (one race of all tokens), the other end of tree pick's K = 2. Refuses: what is no law, K below 2.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>K numbers per level of a K-ary tree over the vocabulary; leaves in id order.</summary>
public sealed class RacePick : PickRule
{
    private const double LargestGap = 1e-3;
    private const double HalfStep = 0.5 / Cell.Grid;
    private const int Attempts = 64;
    private readonly int _arity; // 0 = V

    /// <summary>A rule.</summary>
    /// <param name="arity">K, children of a node; 0 = as many as there are tokens (Gumbel-max).</param>
    public RacePick(int arity)
    {
        Guard.Require(arity is 0 or >= 2, "Make a race", $"{arity} children", "at least 2, or 0 for all tokens",
            "Name a rule such as race:46.");
        _arity = arity;
    }

    /// <inheritdoc/>
    public override string Name => _arity == 0 ? "gumbel" : $"race:{_arity}";

    /// <inheritdoc/>
    public override int NumbersPerToken(int vocabularySize)
    {
        var (arity, levels, _) = Shape(vocabularySize);
        return arity * levels;
    }

    /// <inheritdoc/>
    public override int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law)
    {
        var (arity, levels, leaves) = Shape(law.Length);
        RequireNumbers(u, arity * levels);
        var (first, step, all) = (0, leaves, 0.0);
        for (var level = 0; level < levels; level++)
        {
            step /= arity;
            var (best, earliest) = (-1, double.PositiveInfinity);
            for (var child = 0; child < arity; child++)
            {
                var mass = Mass(law, first + child * step, step);
                all += level == 0 ? mass : 0;
                if (mass > 0 && Clock(u[level * arity + child]) / mass is var ring && ring < earliest)
                {
                    (best, earliest) = (child, ring);
                }
            }

            if (level == 0 && !(all > 1 - LargestGap))
            {
                throw Paper.Pick.NotALaw(law.Length, all);
            }

            first += best * step;
        }

        return first;
    }

    /// <inheritdoc/>
    /// <remarks>As <see cref="TreePick"/>: score of a child = softmax over children of ln m + (ln m - ln E) / softness.</remarks>
    public override void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best)
    {
        var (arity, levels, leaves) = Shape(law.Length);
        RequireNumbers(u, arity * levels);
        if (levels == 0 || leaves == 1)
        {
            best.Add(0, 1f);
            return;
        }

        Descend(u, law, arity, 1 / softness, 0, leaves, 1.0, ref best);
    }

    /// <inheritdoc/>
    /// <remarks>The winner's ring is drawn first, T ~ Exp(all masses); every other clock is then later than T and else memoryless.</remarks>
    public override bool TryDraw(int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u)
    {
        Guard.Require((uint)token < (uint)law.Length, "Find numbers of a token", $"id {token}", $"an id below {law.Length}",
            "Check that the text was tokenized with this model's tokenizer.");
        var (arity, levels, leaves) = Shape(law.Length);
        RequireNumbers(u, arity * levels);
        for (var attempt = 0; attempt < Attempts && law[token] > 0f; attempt++)
        {
            var (first, step) = (0, leaves);
            for (var level = 0; level < levels; level++)
            {
                step /= arity;
                var winner = (token - first) / step;
                var ring = -Math.Log(1 - BetaNoise.Sample(beta, noise)) / Mass(law, first, arity * step);
                for (var child = 0; child < arity; child++)
                {
                    var mass = Mass(law, first + child * step, step);
                    var clock = mass * ring + (child == winner ? 0 : -Math.Log(1 - noise.NextDouble()));
                    u[level * arity + child] =
                        (int)Math.Clamp(Math.Exp(-clock) * Cell.Grid, 0, Cell.Grid - 1) * (1f / Cell.Grid);
                }

                first += winner * step;
            }

            // Rounding to the grid can swap two clocks that ring together: such numbers belong to another token.
            if (Pick(u, law) == token)
            {
                return true;
            }
        }

        return false;
    }

    private static void Descend(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, int arity, double trust, int first, int step, double score, ref BestGuesses best)
    {
        if (step == 1)
        {
            best.Add(first, (float)score);
            return;
        }

        step /= arity;
        Span<double> logits = stackalloc double[arity <= 256 ? arity : 0];
        logits = arity <= 256 ? logits : new double[arity];
        var highest = double.NegativeInfinity;
        for (var child = 0; child < arity; child++)
        {
            var logit = double.NegativeInfinity;
            if (Mass(law, first + child * step, step) is > 0 and var mass)
            {
                var ln = Math.Log(mass);
                logit = ln + (ln - Math.Log(Clock(u[child]))) * trust;
            }

            logits[child] = logit;
            highest = Math.Max(highest, logit);
        }

        var sum = 0.0;
        foreach (ref var logit in logits)
        {
            logit = Math.Exp(logit - highest);
            sum += logit;
        }

        for (; ; )
        {
            var child = System.Numerics.Tensors.TensorPrimitives.IndexOfMax<double>(logits);
            var chance = score * (logits[child] / sum);
            if (!((float)chance > best.Floor))
            {
                return;
            }

            logits[child] = 0;
            Descend(step == 1 ? u : u[arity..], law, arity, trust, first + child * step, step, chance, ref best);
        }
    }

    /// <summary>Mass of a run of ids, summed in id order; ids beyond the vocabulary have none.</summary>
    private static double Mass(ReadOnlySpan<float> law, int first, int count)
    {
        var sum = 0.0;
        var end = Math.Min(first + count, law.Length);
        for (var id = first; id < end; id++)
        {
            sum += law[id] > 0f ? law[id] : 0.0;
        }

        return sum;
    }

    /// <summary>
    /// E = -ln of the middle of u's grid step. Own logarithm: the platform's may differ in the last bit, and a token with it.
    /// </summary>
    private static double Clock(float u)
    {
        Guard.UnitInterval(u);
        var x = u + HalfStep;
        var bits = BitConverter.DoubleToInt64Bits(x);
        var exponent = (int)(bits >> 52) - 1023;
        var mantissa = BitConverter.Int64BitsToDouble((bits & 0x000f_ffff_ffff_ffff) | 0x3ff0_0000_0000_0000);
        if (mantissa > Math.Sqrt(2))
        {
            (mantissa, exponent) = (mantissa / 2, exponent + 1);
        }

        // ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: ten odd powers leave 1e-17.
        var s = (mantissa - 1) / (mantissa + 1);
        var square = s * s;
        var series = 0.0;
        for (var power = 21; power >= 1; power -= 2)
        {
            series = series * square + 1.0 / power;
        }

        return -(2 * s * series + exponent * 0.693147180559945309);
    }

    private (int Arity, int Levels, int Leaves) Shape(int vocabularySize)
    {
        if (_arity == 0 || _arity >= vocabularySize)
        {
            return (vocabularySize, 1, vocabularySize);
        }

        var (levels, leaves) = (1, (long)_arity);
        for (; leaves < vocabularySize; levels++)
        {
            leaves *= _arity;
        }

        return (_arity, levels, checked((int)leaves));
    }

    private static void RequireNumbers(ReadOnlySpan<float> u, int count) => Guard.Require(
        u.Length == count, "Pick a token by races", $"{u.Length} numbers", $"{count}", "Ask the pick rule: PickRule.NumbersPerToken.");
}
