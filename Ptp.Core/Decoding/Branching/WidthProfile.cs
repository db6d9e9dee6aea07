// How to spend n draft tokens on strands: W(d) strands reach depth d, and a call's tokens are worth E[T] = sum_d S[W(d), d].
//   V_d[w, b] = max over 0 <= k <= min(w, b) of S[k, d] + V_{d+1}[k, b - k],  V_{depth+1} = 0;  H(n) = V_1[unbounded, n]
// The width bound is doubled until the best profile stays below it. Refuses: budgets and depths below 1.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding.Branching;

/// <summary>The best shape of a set of strands under a branching model.</summary>
[Paper("Width profile")]
public sealed class WidthProfile
{
    private const int FirstBound = 8;

    private WidthProfile(int[] widths, double[] values) => (Widths, Values) = (widths, values);

    /// <summary>W(d): strands that reach depth d + 1, non-increasing, [depth].</summary>
    public IReadOnlyList<int> Widths { get; }

    /// <summary>H(n): E[T] of the best profile of n tokens, n = 0 .. budget.</summary>
    public IReadOnlyList<double> Values { get; }

    /// <summary>E[G] = 1 + E[T]: tokens that a call commits.</summary>
    public double ExpectedTokens => 1 + Values[^1];

    /// <summary>Lengths of the strands, longest first.</summary>
    public IReadOnlyList<int> Lengths => [.. Enumerable.Range(0, Widths[0]).Select(strand => Widths.Count(width => width > strand))];

    /// <summary>The best profile of a budget.</summary>
    /// <param name="model">How strands live.</param>
    /// <param name="budget">Draft tokens of all strands together.</param>
    /// <param name="depth">Longest strand.</param>
    /// <param name="mostStrands">Most strands; 1 makes H(n) the expected length of one chain.</param>
    public static WidthProfile Best(BranchingModel model, int budget, int depth, int mostStrands = int.MaxValue)
    {
        Guard.Require(budget is >= 1 and <= 2048 && depth is >= 1 and <= 256 && mostStrands >= 1, "Shape strands",
            $"{budget} tokens in at most {mostStrands} strands of {depth}", "1 to 2048 tokens, depths of 1 to 256, 1 strand or more",
            "Correct the budget.");
        var all = Math.Min(budget, mostStrands);
        for (var bound = Math.Min(FirstBound, all); ; bound = Math.Min(2 * bound, all))
        {
            var profile = Solve(model.Survival(bound, depth), budget, bound, depth);
            if (bound == all || profile.Widths[0] < bound)
            {
                return profile;
            }
        }
    }

    private static WidthProfile Solve(double[][] survival, int budget, int bound, int depth)
    {
        var choices = new ushort[depth + 1][,];
        var next = new double[1, budget + 1];
        for (var d = depth; d >= 1; d--)
        {
            var widest = Math.Min(bound, budget / d); // strands of length d take d tokens each
            var (values, choice) = (new double[widest + 1, budget + 1], new ushort[widest + 1, budget + 1]);
            for (var w = 1; w <= widest; w++)
            {
                // With one strand more allowed, the best is the old one or uses all w.
                for (var b = 0; b <= budget; b++)
                {
                    (values[w, b], choice[w, b]) = (values[w - 1, b], choice[w - 1, b]);
                    if (b >= w && survival[w][d] + next[Math.Min(w, next.GetUpperBound(0)), b - w] is var own && own > values[w, b])
                    {
                        (values[w, b], choice[w, b]) = (own, (ushort)w);
                    }
                }
            }

            (next, choices[d]) = (values, choice);
        }

        var widths = new int[depth];
        var (width, left) = (bound, budget);
        for (var d = 1; d <= depth; d++)
        {
            width = widths[d - 1] = choices[d][Math.Min(width, choices[d].GetUpperBound(0)), left];
            left -= width;
        }

        return new WidthProfile(widths, [.. Enumerable.Range(0, budget + 1).Select(b => next[bound, b])]);
    }
}
