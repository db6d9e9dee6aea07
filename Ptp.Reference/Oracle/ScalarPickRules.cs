// Two other ways from uniform numbers to a token, written as their definitions: a walk down a balanced binary tree, one
// number per level, and races of exponential clocks down a K-ary tree, K numbers per level (K = V: Gumbel-max).
// Both give token t the probability law[t]. Refuses: nothing; an impossible token is never reached.

namespace Ptp.Reference.Oracle;

/// <summary>Tree pick and race pick.</summary>
public static class ScalarPickRules
{
    /// <summary>Right where u_level * mass(node) >= mass(left half), from the root to a leaf.</summary>
    /// <param name="u">One number in [0, 1) per level.</param>
    /// <param name="law">Probabilities, [V]; ids beyond V, up to a power of two, have none.</param>
    public static int Tree(double[] u, double[] law)
    {
        var (first, count) = (0, 1);
        while (count < law.Length)
        {
            count *= 2;
        }

        for (var level = 0; count > 1; level++)
        {
            count /= 2;
            if (u[level] * Mass(law, first, 2 * count) >= Mass(law, first, count))
            {
                first += count;
            }
        }

        return first;
    }

    /// <summary>At each node the child whose clock -ln u / mass rings first.</summary>
    /// <param name="u">K numbers in (0, 1) per level.</param>
    /// <param name="law">Probabilities, [V].</param>
    /// <param name="arity">K.</param>
    /// <param name="lead">By what factor the closest race was won: near 1, rounding could decide it otherwise.</param>
    public static int Race(double[] u, double[] law, int arity, out double lead)
    {
        var (first, count) = (0, arity);
        while (count < law.Length)
        {
            count *= arity;
        }

        lead = double.PositiveInfinity;
        for (var level = 0; count > 1; level++)
        {
            count /= arity;
            double[] rings = [.. Enumerable.Range(0, arity)
                .Select(child => -Math.Log(u[level * arity + child]) / Mass(law, first + child * count, count))];
            var order = Enumerable.Range(0, arity).OrderBy(child => rings[child]).ToArray();
            lead = Math.Min(lead, rings[order[1]] / rings[order[0]]);
            first += order[0] * count;
        }

        return first;
    }

    /// <summary>Mass of a run of 2^n ids as the sum of its halves' masses; of another length, in order.</summary>
    private static double Mass(double[] law, int first, int count)
    {
        if (count % 2 == 0)
        {
            return Mass(law, first, count / 2) + Mass(law, first + count / 2, count / 2);
        }

        return Enumerable.Range(first, count).Where(id => id < law.Length).Sum(id => law[id]);
    }
}
