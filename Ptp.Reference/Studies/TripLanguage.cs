// A made-up language of taxi trips over 25 zones, whose exact law is known: what the studies train on where the truth must be computable.
//   P(t_k | t_<k) = w_m market(t) + w_h near(home, t) + w_n near(t_{k-1}, t) + w_e [t = t_{k-8}], home = t_0; weights of what does not exist yet
// go to the market. High entropy, and structure at distance 1, 8 and "since the beginning". Refuses: zones outside 0 to 24.

using Ptp.Core;
using Ptp.Core.Paper;

namespace Ptp.Reference.Studies;

/// <summary>Trips: sequences of zones on a 5 by 5 grid.</summary>
public static class TripLanguage
{
    /// <summary>Zones, ids 0 to 24.</summary>
    public const int Zones = 25;

    /// <summary>The token that begins a trip.</summary>
    public const int Begin = Zones;

    /// <summary>Tokens of a model of trips.</summary>
    public const int Vocabulary = Zones + 1;

    /// <summary>How far back a driver remembers.</summary>
    public const int Echo = 8;

    private const int Side = 5;
    private const double Market = 0.35;
    private const double Home = 0.15;
    private const double Near = 0.35;
    private static readonly double[] s_market = MakeMarket();
    private static readonly double[][] s_near = [.. Enumerable.Range(0, Zones).Select(zone => MakeNear(zone, 1))];
    private static readonly double[][] s_home = [.. Enumerable.Range(0, Zones).Select(zone => MakeNear(zone, 1.5))];

    /// <summary>The exact law of the next zone, [25].</summary>
    /// <param name="trip">Zones so far, without the begin token; empty for the first.</param>
    public static double[] Law(ReadOnlySpan<int> trip)
    {
        var law = new double[Zones];
        var left = 1.0;
        if (trip.Length > 0)
        {
            Add(law, s_home[Checked(trip[0])], Home);
            Add(law, s_near[Checked(trip[^1])], Near);
            left -= Home + Near;
        }

        if (trip.Length >= Echo)
        {
            law[Checked(trip[^Echo])] += left - Market;
            left = Market;
        }

        Add(law, s_market, left);
        return law;
    }

    /// <summary>A trip with the begin token before it: length + 1 tokens.</summary>
    /// <param name="random">Where it comes from.</param>
    /// <param name="length">Zones.</param>
    public static int[] Trip(RandomStream random, int length)
    {
        var tokens = new int[length + 1];
        tokens[0] = Begin;
        for (var k = 0; k < length; k++)
        {
            var zones = tokens.AsSpan(1, k);
            var (law, place) = (Law(zones), random.NextDouble());
            var zone = 0;
            while (zone < Zones - 1 && (place -= law[zone]) >= 0)
            {
                zone++;
            }

            tokens[k + 1] = zone;
        }

        return tokens;
    }

    /// <summary>Mean of -log P of the zones from <paramref name="first"/> on, in nats: the exact entropy rate's estimate.</summary>
    public static double Nats(IEnumerable<int[]> trips, int first = 0)
    {
        var (sum, count) = (0.0, 0L);
        foreach (var trip in trips)
        {
            for (var k = first; k + 1 < trip.Length; k++)
            {
                sum -= Math.Log(Law(trip.AsSpan(1, k))[trip[k + 1]]);
                count++;
            }
        }

        return sum / count;
    }

    private static void Add(double[] law, double[] part, double weight)
    {
        for (var zone = 0; zone < Zones; zone++)
        {
            law[zone] += weight * part[zone];
        }
    }

    private static int Checked(int zone)
    {
        Guard.Require((uint)zone < Zones, "Continue a trip", $"zone {zone}", $"0 to {Zones - 1}", "Leave the begin token out.");
        return zone;
    }

    /// <summary>A few zones are popular, most are not; which ones has nothing to do with the ids' order.</summary>
    private static double[] MakeMarket() => Normalised([.. Enumerable.Range(0, Zones).Select(zone => 1.0 / (2 + zone * 7 % Zones))]);

    private static double[] MakeNear(int from, double reach) => Normalised([.. Enumerable.Range(0, Zones).Select(zone =>
    {
        var (dx, dy) = (zone % Side - from % Side, zone / Side - from / Side);
        return zone == from ? 0 : Math.Exp(-Math.Sqrt(dx * dx + dy * dy) / reach);
    })]);

    private static double[] Normalised(double[] weights)
    {
        var sum = weights.Sum();
        return [.. weights.Select(w => w / sum)];
    }
}
