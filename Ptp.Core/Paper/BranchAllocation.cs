// Slots for branches (PTP section 5.2): branch m continues the text for the case that exactly m draft tokens are right.
//   maximise sum_m A_m R(B_m) subject to sum B_m <= budget;   A_m = (1 - c_{m+1}) prod_{j<=m} c_j,  A_q = prod c_j
// Exact by dynamic programming, whatever the shape of R; with costs, the budget itself is chosen; greedy for comparison. Refuses: nothing.

namespace Ptp.Core.Paper;

/// <summary>How many slots each branch gets.</summary>
[Paper("Branch allocation")]
public static class BranchAllocation
{
    /// <summary>Probability of exactly m right draft tokens, m = 0..q, from the confidences of each given those before it, [q].</summary>
    public static double[] Weights(ReadOnlySpan<double> confidences)
    {
        var weights = new double[confidences.Length + 1];
        var alive = 1.0;
        for (var m = 0; m < confidences.Length; m++)
        {
            weights[m] = alive * (1 - confidences[m]);
            alive *= confidences[m];
        }

        weights[^1] = alive;
        return weights;
    }

    /// <summary>The best split of at most <paramref name="budget"/> slots.</summary>
    /// <param name="weights">A, [q + 1].</param>
    /// <param name="rewards">R(k) of k slots, R(0) = 0, [M + 1].</param>
    /// <param name="most">Most slots of each branch, at most M, [q + 1].</param>
    /// <param name="budget">Slots in all.</param>
    public static int[] Split(ReadOnlySpan<double> weights, ReadOnlySpan<double> rewards, ReadOnlySpan<int> most, int budget)
    {
        var choices = Solve(weights, rewards, most, budget, out _);
        return Trace(choices, budget);
    }

    /// <summary>The greedy split: slot after slot to the branch that gains most by it. Optimal for concave rewards only.</summary>
    /// <param name="weights">A, [q + 1].</param>
    /// <param name="rewards">R(k), [M + 1].</param>
    /// <param name="most">Most slots of each branch, [q + 1].</param>
    /// <param name="budget">Slots in all.</param>
    public static int[] Greedy(ReadOnlySpan<double> weights, ReadOnlySpan<double> rewards, ReadOnlySpan<int> most, int budget)
    {
        var slots = new int[weights.Length];
        for (var left = budget; left > 0; left--)
        {
            var (best, gain) = (-1, double.NegativeInfinity);
            for (var m = 0; m < slots.Length; m++)
            {
                if (slots[m] < most[m] && weights[m] * (rewards[slots[m] + 1] - rewards[slots[m]]) is var own && own > gain)
                {
                    (best, gain) = (m, own);
                }
            }

            if (best < 0)
            {
                break;
            }

            slots[best]++;
        }

        return slots;
    }

    /// <summary>The best split with the budget chosen to maximise (1 + value) / cost: tokens of the next call over this call's time.</summary>
    /// <param name="weights">A, [q + 1].</param>
    /// <param name="rewards">R(k), [M + 1].</param>
    /// <param name="most">Most slots of each branch, [q + 1].</param>
    /// <param name="budget">Most slots in all.</param>
    /// <param name="cost">Milliseconds of a call with so many slots.</param>
    /// <param name="rate">The quotient reached.</param>
    public static int[] Paying(
        ReadOnlySpan<double> weights, ReadOnlySpan<double> rewards, ReadOnlySpan<int> most, int budget, Func<int, double> cost,
        out double rate)
    {
        var choices = Solve(weights, rewards, most, budget, out var values);
        (rate, var best) = (0.0, 0);
        for (var slots = 0; slots <= budget; slots++)
        {
            var own = (1 + values[slots]) / cost(slots);
            if (own > rate)
            {
                (rate, best) = (own, slots);
            }
        }

        return Trace(choices, best);
    }

    /// <summary>choices[m][b] = slots of branch m when branches 0..m share at most b; values[b] = what all of them gain.</summary>
    private static int[][] Solve(
        ReadOnlySpan<double> weights, ReadOnlySpan<double> rewards, ReadOnlySpan<int> most, int budget, out double[] values)
    {
        var choices = new int[weights.Length][];
        values = new double[budget + 1];
        for (var m = 0; m < weights.Length; m++)
        {
            choices[m] = new int[budget + 1];
            var next = new double[budget + 1];
            for (var b = 0; b <= budget; b++)
            {
                next[b] = values[b];
                for (var k = 1; k <= Math.Min(most[m], b); k++)
                {
                    var own = values[b - k] + weights[m] * rewards[k];
                    if (own > next[b])
                    {
                        (next[b], choices[m][b]) = (own, k);
                    }
                }
            }

            values = next;
        }

        return choices;
    }

    private static int[] Trace(int[][] choices, int budget)
    {
        var slots = new int[choices.Length];
        for (var m = choices.Length - 1; m >= 0; m--)
        {
            slots[m] = choices[m][budget];
            budget -= slots[m];
        }

        return slots;
    }
}
