// Ratios of times that were taken beside each other, and their median with an interval that supposes no law of the ratios.
//   of n ratios in order, the median lies between the k-th and the k-th last with chance 1 - 2 P(Bin(n, 1/2) < k)
// A slow moment of the machine moves both sides of a pair, and one bad pair does not move a median. Refuses: the median of nothing.

namespace Ptp.Reference.Commands;

/// <summary>Ratios, one per pair.</summary>
internal sealed class PairedRatios
{
    private const double Confidence = 0.95;
    private readonly List<double> _ratios = [];

    /// <summary>Pairs.</summary>
    public int Count => _ratios.Count;

    /// <summary>The middle ratio, or the mean of the two middle ones.</summary>
    public double Median
    {
        get
        {
            double[] ordered = [.. _ratios.Order()];
            return (ordered[(Count - 1) / 2] + ordered[Count / 2]) / 2;
        }
    }

    /// <summary>Between which ratios the true median lies with 95 %; null for fewer than six pairs, which cannot say.</summary>
    public (double Low, double High)? Interval
    {
        get
        {
            // The largest k whose two tails together weigh no more than is left to chance.
            var (left, tail, k) = ((1 - Confidence) / 2, Math.Pow(0.5, Count), 0);
            for (var weight = tail; tail <= left && k < Count / 2; tail += weight)
            {
                k++;
                weight *= (double)(Count - k + 1) / k;
            }

            double[] ordered = [.. _ratios.Order()];
            return k == 0 ? null : (ordered[k - 1], ordered[^k]);
        }
    }

    /// <summary>Adds a pair.</summary>
    /// <param name="plain">Time of what is compared with.</param>
    /// <param name="own">Time of the thing itself.</param>
    public void Add(double plain, double own) => _ratios.Add(plain / own);
}
