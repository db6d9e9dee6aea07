// Ours against peers in turn: every round measures the floor, then ours, then each peer, after a pause that lets foreign threads sleep.
//   value = median over rounds;  ratio, share of the floor = medians of the quotients within a round
// Refuses: a single timing. A contestant that fails is null from then on, and the others go on.

using System.Diagnostics;

namespace Ptp.Bench;

/// <summary>Somebody who can be timed.</summary>
/// <param name="Name">As printed.</param>
/// <param name="Version">As printed behind it, or null.</param>
/// <param name="Seconds">Seconds per call, measured over at least so many; null = not installed, NaN = failed.</param>
internal sealed record Contestant(string Name, string? Version, Func<double, double>? Seconds)
{
    /// <summary>Name and version.</summary>
    public string Label => Version is null ? Name : $"{Name} {Version}";

    /// <summary>Something that runs in this process.</summary>
    public static Contestant Of(string name, string? version, Action? body) =>
        new(name, version, body is null ? null : seconds => Clock.Time(body, seconds));
}

/// <summary>Times a body.</summary>
internal static class Clock
{
    /// <summary>
    /// Seconds per call: calls repeated for at least <paramref name="seconds"/>, after one that wakes threads and caches. A call that takes
    /// five times as long needs no waking and is the measurement itself.
    /// </summary>
    public static double Time(Action body, double seconds)
    {
        var start = Stopwatch.GetTimestamp();
        body();
        var elapsed = Since(start);
        if (elapsed > 5 * Math.Max(seconds, 0.02))
        {
            return elapsed;
        }

        (start, var calls) = (Stopwatch.GetTimestamp(), 0);
        do
        {
            body();
            calls++;
            elapsed = Since(start);
        }
        while (elapsed < seconds);
        return elapsed / calls;
    }

    /// <summary>Seconds since a time stamp, to the counter's own resolution: a TimeSpan counts by 100 ns, which a short call may not reach.</summary>
    private static double Since(long start) => (double)(Stopwatch.GetTimestamp() - start) / Stopwatch.Frequency;
}

/// <summary>Rounds of a plan.</summary>
internal static class Contest
{
    /// <summary>Measures ours and peers in turn: a row for each peer, or one without.</summary>
    /// <param name="plan">Rounds and seconds.</param>
    /// <param name="group">Section of the report.</param>
    /// <param name="name">What is measured.</param>
    /// <param name="unit">What it counts.</param>
    /// <param name="amount">Work of a call for a rate, or the factor on seconds for a time.</param>
    /// <param name="ours">Our side; null where there is no such path yet.</param>
    /// <param name="peers">The others.</param>
    /// <param name="floor">What the machine allows now, in the unit, or null.</param>
    /// <param name="rounds">Rounds; 0 = the plan's.</param>
    /// <param name="warmUp">Seconds before the first round; 0 = a slice.</param>
    public static IEnumerable<Row> Run(
        Plan plan, string group, string name, Unit unit, double amount, Func<double, double>? ours, IReadOnlyList<Contestant> peers,
        Func<double>? floor, int rounds = 0, double warmUp = 0)
    {
        Func<double, double>?[] bodies = [ours, .. peers.Select(p => p.Seconds)];
        Each(bodies, (_, body) => body(Math.Max(warmUp, plan.Slice))); // compiled in tiers, pages touched, weights packed
        var (mine, theirs, floors) = (new List<double>(), peers.Select(_ => new List<double>()).ToArray(), new List<double>());
        for (var round = 0; round < (rounds == 0 ? plan.Rounds : rounds); round++)
        {
            if (floor is not null)
            {
                floors.Add(floor());
            }

            Each(bodies, (i, body) =>
            {
                Thread.Sleep(plan.Pause);
                (i == 0 ? mine : theirs[i - 1]).Add(unit.Of(amount, body(plan.Slice)));
            });
        }

        return Combine(group, name, unit, mine, [.. peers.Select((p, i) => (p, theirs[i]))], floors);
    }

    /// <summary>Rows from values of rounds: one for each peer, or one without.</summary>
    public static IEnumerable<Row> Combine(
        string group, string name, Unit unit, List<double> mine, (Contestant Peer, List<double> Values)[] peers, List<double> floors)
    {
        var (own, limit) = (Median(mine), Median(floors));
        var share = limit is 0 ? null : Median(mine.Zip(floors, unit.Better));
        if (peers.Length == 0)
        {
            yield return new Row(group, name, own, unit, Floor: limit, ShareOfFloor: share);
        }

        for (var i = 0; i < peers.Length; i++)
        {
            var (peer, values) = peers[i];
            yield return new Row(group, i == 0 ? name : $"{name}, against {peer.Name}", own, unit, peer.Label,
                Median(values), Median(mine.Zip(values, unit.Better)), limit, share);
        }
    }

    /// <summary>The middle of finite values, or null.</summary>
    public static double? Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Where(double.IsFinite).Order()];
        return sorted.Length == 0 ? null : (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }

    private static void Each(Func<double, double>?[] bodies, Action<int, Func<double, double>> run)
    {
        for (var i = 0; i < bodies.Length; i++)
        {
            if (bodies[i] is not { } body)
            {
                continue;
            }

            run(i, seconds =>
            {
                var time = body(seconds);
                bodies[i] = double.IsFinite(time) ? bodies[i] : null;
                return time;
            });
        }
    }
}
