// The branching process of strands, as its definition: Beta-binomial steps drawn from an urn, survival by carrying the whole law
// of S_i forward. An urn with alpha good and beta bad balls that gains a ball of each colour drawn gives Beta-binomial counts.
// Refuses: nothing.

namespace Ptp.Reference.Oracle;

/// <summary>Strands that live on with a shared chance.</summary>
/// <param name="Inflation">pi0, the chance that a later generation kills all.</param>
/// <param name="Mean">p.</param>
/// <param name="Correlation">rho.</param>
public sealed record ScalarBranching(double Inflation, double Mean, double Correlation)
{
    private double Total => (1 - Correlation) / Correlation;

    /// <summary>Chances that 0 .. m of m strands live on, without inflation, [m + 1].</summary>
    public double[] Step(int m)
    {
        double[] law = [1];
        for (var drawn = 0; drawn < m; drawn++)
        {
            var next = new double[drawn + 2];
            for (var good = 0; good <= drawn; good++)
            {
                var chance = GoodBall(good, drawn);
                next[good + 1] += law[good] * chance;
                next[good] += law[good] * (1 - chance);
            }

            law = next;
        }

        return law;
    }

    /// <summary>P(T >= d | w strands), T the first generation without a strand.</summary>
    public double Survival(int w, int d)
    {
        var law = new double[w + 1];
        law[w] = 1;
        for (var generation = 1; generation < d; generation++)
        {
            var inflation = generation == 1 ? 0 : Inflation;
            var next = new double[w + 1];
            for (var m = 0; m <= w; m++)
            {
                var step = Step(m);
                next[0] += inflation * law[m];
                for (var j = 0; j <= m; j++)
                {
                    next[j] += (1 - inflation) * law[m] * step[j];
                }
            }

            law = next;
        }

        return law[1..].Sum();
    }

    /// <summary>One life: strands at the start, after each generation, down to zero or to the cap.</summary>
    public int[] Life(int strands, int cap, Random random)
    {
        List<int> counts = [strands];
        while (counts[^1] > 0 && counts.Count <= cap)
        {
            var killed = counts.Count > 1 && random.NextDouble() < Inflation;
            var good = 0;
            for (var drawn = 0; drawn < counts[^1] && !killed; drawn++)
            {
                good += random.NextDouble() < GoodBall(good, drawn) ? 1 : 0;
            }

            counts.Add(good);
        }

        return [.. counts];
    }

    private double GoodBall(int good, int drawn) => (Mean * Total + good) / (Total + drawn);
}
