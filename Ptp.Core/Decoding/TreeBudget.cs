// How many nodes of a draft tree to ask for: as many as pay, given what calls cost, what rounds took beyond that, and which nodes stood.
//   maximise tokens / time:  n = 1: 1 / (c(1) + e(1));  n > 1: (1 + sum of h_i over nodes i < n) / (c(n) + e(n))
// h_i is the share of trees whose i-th node stood: a tree's first n nodes are a tree, so one row of shares serves all n. e(n), drafting
// and all else a round does, is timed as it happens. It changes the time, never a path-exact text. Refuses: nothing.

namespace Ptp.Core.Decoding;

/// <summary>Chooses sizes of draft trees.</summary>
public interface ITreeBudget
{
    /// <summary>Nodes to ask for now, node 0 included; 1 = a plain call.</summary>
    /// <param name="context">Tokens in the cache.</param>
    /// <param name="most">What the context allows.</param>
    int Nodes(int context, int most);

    /// <summary>Told at the end of the round what was drafted and which nodes stand.</summary>
    void Observe(DraftTree tree, IReadOnlyList<int> path);
}

/// <summary>Always the same number of nodes.</summary>
/// <param name="nodes">How many.</param>
public sealed class AllNodes(int nodes) : ITreeBudget
{
    /// <inheritdoc/>
    public int Nodes(int context, int most) => Math.Max(1, Math.Min(nodes, most));

    /// <inheritdoc/>
    public void Observe(DraftTree tree, IReadOnlyList<int> path)
    {
        // Nothing to learn.
    }
}

/// <summary>As many nodes as pay on this machine.</summary>
/// <param name="costs">What calls of the verifier cost.</param>
/// <param name="nodes">Most nodes.</param>
/// <param name="clock">Milliseconds of a clock; null = the machine's.</param>
public sealed class PayingNodes(CallCosts costs, int nodes, Func<double>? clock = null) : ITreeBudget
{
    private const double Margin = 1.05;
    // A choice holds for this many rounds: comparing all sizes in each would cost a good part of a small model's call.
    private const int Refresh = 8;
    private const int Sizes = 4; // that are tried, the largest eight times the smallest
    private const int Smallest = 4; // what is tried again and again
    private const int Larger = 32; // a paying draft in so many has twice the nodes, as the shares of more are not seen otherwise
    private readonly DraftLedger _ledger = new(costs, clock);
    private readonly Chance[] _stood = [.. Enumerable.Range(0, nodes).Select(i => new Chance(0.3 / (1 + i)))];
    private readonly Chance _drafted = new(1); // how often a drafter has something to say when asked
    private readonly TimedLine _drafting = new();
    private double _known; // tokens of a round beyond one that cost no node: a root that drafting makes known
    private int _asked;
    private int _askedBefore;
    private int _context;
    private int _tried; // sizes
    private int _paid;
    private int _age = Refresh;
    private int _best = 1;

    /// <summary>Tokens per millisecond that the last choice expects, against plain decoding at the same place.</summary>
    public double PredictedSpeedup { get; private set; } = 1;

    /// <inheritdoc/>
    public int Nodes(int context, int most)
    {
        if (++_age >= Refresh)
        {
            (_best, _age) = (Best(context), 0);
        }

        (_context, _askedBefore, _asked) = (context, _asked, 1);
        var pays = _best > 1;
        var size = pays ? ++_paid % Larger == 0 ? 2 * _best : _best : Trial(context);
        if (_ledger.Begin(context, pays, pays ? 0 : Risk(size, context)))
        {
            _asked = Math.Max(1, Math.Min(size, Math.Min(nodes, most)));
        }

        return _asked;
    }

    /// <inheritdoc/>
    public void Observe(DraftTree tree, IReadOnlyList<int> path)
    {
        var took = _ledger.End(tree.RootIsCommitted ? path.Count : path.Count + 1, _asked > 1);
        if (_asked <= 1)
        {
            return;
        }

        // A draft behind plain rounds also catches up with the text, which drafts in turn need not.
        if (took is { } ms && _askedBefore > 1)
        {
            _drafting.Add(_asked, ms - costs.Milliseconds(tree.Count, _context));
        }

        _tried += _tried < Sizes && _asked >= Size(_tried) ? 1 : 0;
        _drafted.Add(tree.Count > 1 || !tree.RootIsCommitted);
        _known = tree.RootIsCommitted ? 0 : 1;
        for (var (node, at) = (1, 1); node < tree.Count && node < nodes; node++)
        {
            var stood = at < path.Count && path[at] == node;
            at += stood ? 1 : 0;
            _stood[node].Add(stood);
        }
    }

    private int Size(int tried) => Math.Max(2, nodes >> (Sizes - 1 - tried));

    /// <summary>What to try where nothing is expected to pay: each size once, as soon as its cost may be risked, and small drafts meanwhile.</summary>
    private int Trial(int context)
    {
        var next = _tried < Sizes ? Size(_tried) : Smallest;
        return _ledger.Affords(Risk(next, context)) ? next : Math.Min(next, Smallest);
    }

    private double Risk(int size, int context) =>
        (costs.Milliseconds(size, context) + _drafting.At(size)) / _ledger.PlainMilliseconds(context) - 1;

    private int Best(int context)
    {
        var (one, said) = (costs.Milliseconds(1, context), _drafted.Mean);
        // Costs were measured at another moment of the machine: what rounds took since corrects both sides of the comparison.
        var plain = 1 / _ledger.PlainMilliseconds(context);
        var (best, rate, right) = (1, Margin * plain, _known);
        for (var n = 2; n <= nodes; n++)
        {
            right += _stood[n - 1].Mean;
            // A drafter with nothing to say costs its time and leaves a plain call.
            var own = (1 + said * right) / Math.Max(1e-6, _drafting.At(n) + said * costs.Milliseconds(n, context) + (1 - said) * one);
            (best, rate) = own > rate ? (n, own) : (best, rate);
        }

        PredictedSpeedup = best > 1 ? rate / plain : 1;
        return best;
    }

    /// <summary>Milliseconds as a straight line of the size asked for, fitted as they come; old ones fade, outliers are left out.</summary>
    private sealed class TimedLine
    {
        private const double Kept = 0.98;
        // Rounds take longer while they are compiled, and now and then when the machine is busy elsewhere.
        private const double Outlier = 4;
        private const int Young = 4;
        private double _weight;
        private double _n;
        private double _nn;
        private double _ms;
        private double _nms;
        private int _count;

        public void Add(double n, double ms)
        {
            if (_count++ > 2 * Young && ms > Outlier * Math.Max(0.05, At(n)))
            {
                return;
            }

            var keep = _count <= Young ? 0 : Kept;
            _weight = keep * _weight + 1;
            _n = keep * _n + n;
            _nn = keep * _nn + n * n;
            _ms = keep * _ms + ms;
            _nms = keep * _nms + n * ms;
        }

        public double At(double n)
        {
            if (_weight <= 0)
            {
                return 0;
            }

            var (mean, meanMs) = (_n / _weight, _ms / _weight);
            var variance = _nn / _weight - mean * mean;
            var slope = variance > 0.25 ? Math.Max(0, (_nms / _weight - mean * meanMs) / variance) : 0;
            return meanMs + slope * (n - mean);
        }
    }
}
