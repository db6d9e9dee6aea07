// What a call costs on this machine: milliseconds against rows and context, measured, and interpolated between what was measured.
//   ms(r, c) = linear in r between measured row counts (tiles make steps, so one straight line would lie), linear in c.
// Medians after a warm-up; the cost depends on sizes only, so any weights do. Refuses: extrapolating below one row.

using System.Diagnostics;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Decoding;

/// <summary>A measured call.</summary>
/// <param name="Rows">R.</param>
/// <param name="Context">Tokens in the cache.</param>
/// <param name="Milliseconds">Median time.</param>
public readonly record struct CallCost(int Rows, int Context, double Milliseconds);

/// <summary>Cost of calls of a model on a machine.</summary>
public sealed class CallCosts
{
    private readonly int[] _rows;
    private readonly int[] _contexts;
    private readonly double[,] _milliseconds; // [rows, contexts]

    /// <summary>A model of measured calls: every row count at every context.</summary>
    public CallCosts(IReadOnlyCollection<CallCost> points)
    {
        _rows = [.. points.Select(p => p.Rows).Distinct().Order()];
        _contexts = [.. points.Select(p => p.Context).Distinct().Order()];
        Guard.Require(points.Count > 0 && points.Count == _rows.Length * _contexts.Length && _rows[0] >= 1
            && points.All(p => double.IsFinite(p.Milliseconds) && p.Milliseconds > 0),
            "Model the cost of calls", $"{points.Count} measurements of {_rows.Length} row counts at {_contexts.Length} contexts",
            "each row count once at each context, every time above 0", "Measure again with CallCosts.Measure.");
        _milliseconds = new double[_rows.Length, _contexts.Length];
        foreach (var point in points)
        {
            _milliseconds[Array.IndexOf(_rows, point.Rows), Array.IndexOf(_contexts, point.Context)] = point.Milliseconds;
        }
    }

    /// <summary>The measurements.</summary>
    public IEnumerable<CallCost> Points =>
        from row in Enumerable.Range(0, _rows.Length)
        from context in Enumerable.Range(0, _contexts.Length)
        select new CallCost(_rows[row], _contexts[context], _milliseconds[row, context]);

    /// <summary>Milliseconds of a call of <paramref name="rows"/> behind <paramref name="context"/> cached tokens.</summary>
    public double Milliseconds(int rows, int context)
    {
        var (row, rowShare) = Place(_rows, rows);
        var (column, columnShare) = Place(_contexts, context);
        double At(int r) => Mix(_milliseconds[r, column], _milliseconds[r, Math.Min(column + 1, _contexts.Length - 1)], columnShare);
        return Math.Max(1e-6, Mix(At(row), At(Math.Min(row + 1, _rows.Length - 1)), rowShare));
    }

    /// <summary>Measures calls of a model.</summary>
    /// <param name="model">The model; its weights do not matter, its sizes do.</param>
    /// <param name="rows">Row counts.</param>
    /// <param name="contexts">Numbers of cached tokens; rows and context must fit the model.</param>
    /// <param name="rounds">Timed rounds of each; the median counts.</param>
    /// <param name="secondsPerRound">Least time of a round; short calls are repeated.</param>
    public static CallCosts Measure(
        Transformer model, IReadOnlyList<int> rows, IReadOnlyList<int> contexts, int rounds = 5, double secondsPerRound = 0.003)
    {
        Check(model, rows, contexts);
        var cache = new KvCache(model.Backend, model.Config, model.Config.MaxContext);
        var tape = new Tape(model.Backend);
        return Median([.. from c in contexts from r in rows select (r, c, Call(model, cache, tape, r, c))], rounds, secondsPerRound);
    }

    /// <summary>Measures drafting calls as a decoder makes them: last token, slots, adapter, and what picks the tokens.</summary>
    /// <param name="ptp">A gated model.</param>
    /// <param name="rows">1 + tokens of a draft, 2 at least; as many rows at most, so that they compare with plain calls.</param>
    /// <param name="contexts">Numbers of cached tokens.</param>
    /// <param name="rounds">Timed rounds of each; the median counts.</param>
    /// <param name="secondsPerRound">Least time of a round; short calls are repeated.</param>
    public static CallCosts MeasureDrafts(
        SlotModel ptp, IReadOnlyList<int> rows, IReadOnlyList<int> contexts, int rounds = 5, double secondsPerRound = 0.003)
    {
        Check(ptp.Network, rows, contexts);
        Guard.Require(ptp.SharesBase && rows.All(r => r >= 2), "Measure drafts", $"{rows.Min()} rows",
            "2 rows at least, of a gated model", "Measure the calls of a student as plain ones.");
        var drafter = ptp.NewDrafter();
        var sessions = contexts.ToDictionary(c => c, c =>
        {
            var session = new ModelSession(ptp.Network.Original ?? ptp.Network, ptp.Law, ptp.Rule);
            session.Start(new int[c + 1]);
            return session;
        });
        var u = Auxiliaries.FromSeed(1, ptp.NumbersPerToken);
        return Median([.. from c in contexts from r in rows select (r, c, (Func<double>)(() =>
        {
            var start = Stopwatch.GetTimestamp();
            drafter.Propose(sessions[c], u, 0, r - 1);
            var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            sessions[c].Cache.Crop(c);
            return seconds;
        }))], rounds, secondsPerRound);
    }

    private static void Check(Transformer model, IReadOnlyList<int> rows, IReadOnlyList<int> contexts)
    {
        var most = model.Config.MaxContext;
        Guard.Require(rows.All(r => r >= 1) && contexts.All(c => c >= 0) && rows.Max() + contexts.Max() <= most,
            "Measure calls", $"{rows.Max()} rows behind {contexts.Max()} tokens", $"at most {most} in all",
            "Measure shorter contexts.");
    }

    private static CallCosts Median((int Rows, int Context, Func<double> Body)[] calls, int rounds, double secondsPerRound)
    {
        foreach (var call in calls)
        {
            for (var i = 0; i < 30 && call.Body() < 0.02; i++)
            {
                // Compiled in tiers and with its pages touched: none of that belongs to a call.
            }
        }

        // Rounds outside, calls inside: a slow moment of the machine meets all calls alike.
        var times = calls.Select(_ => new double[rounds]).ToArray();
        for (var round = 0; round < rounds; round++)
        {
            for (var i = 0; i < calls.Length; i++)
            {
                var (seconds, repeats) = (0.0, 0);
                do
                {
                    seconds += calls[i].Body();
                    repeats++;
                }
                while (seconds < secondsPerRound);

                times[i][round] = 1000 * seconds / repeats;
            }
        }

        return new CallCosts([.. calls.Select((c, i) => new CallCost(c.Rows, c.Context, times[i].Order().ElementAt(rounds / 2)))]);
    }

    private static Func<double> Call(Transformer model, KvCache cache, Tape tape, int rows, int context)
    {
        var ids = new int[rows];
        int[] positions = [.. Enumerable.Range(context, rows)];
        var visibility = Visibility.Causal(context, rows);
        var law = new float[model.Config.VocabularySize];
        return () =>
        {
            var start = Stopwatch.GetTimestamp();
            tape.Reset();
            model.Backend.Download(model.Forward(tape, ids, new CallRows(positions, visibility, cache)).Value.Slice(0, 1), law);
            return Stopwatch.GetElapsedTime(start).TotalSeconds;
        };
    }

    /// <summary>The measured neighbour below and how far the value lies towards the next; beyond the last, along its slope.</summary>
    private static (int Index, double Share) Place(int[] measured, int value)
    {
        var index = 0;
        while (index + 2 < measured.Length && measured[index + 1] <= value)
        {
            index++;
        }

        return measured.Length == 1
            ? (0, 0)
            : (index, Math.Max(0, (double)(value - measured[index]) / (measured[index + 1] - measured[index])));
    }

    private static double Mix(double a, double b, double share) => a + share * (b - a);
}
