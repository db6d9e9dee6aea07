// How many nodes of a draft tree to ask for: as many as pay, given what calls cost, what drafting costs, and which nodes came true.
//   maximise tokens / time:  n = 1: 1 / c(1);  n > 1: (1 + sum of h_i over nodes i < n) / (d(n) + c(n))
// h_i is the share of trees whose i-th node stood: a tree's first n nodes are a tree, so one row of shares serves all n.
// d(n) is timed as it happens, by a straight line. It changes the time, never a path-exact text. Refuses: nothing.

using System.Diagnostics;

namespace Ptp.Core.Decoding;

/// <summary>Chooses sizes of draft trees.</summary>
public interface ITreeBudget
{
    /// <summary>Nodes to ask for now, node 0 included; 1 = a plain call.</summary>
    /// <param name="context">Tokens in the cache.</param>
    /// <param name="most">What the context allows.</param>
    int Nodes(int context, int most);

    /// <summary>Told of the tree, as soon as it is drafted.</summary>
    void Proposed(in DraftTree tree);

    /// <summary>Told which nodes stand.</summary>
    void Observe(in DraftTree tree, IReadOnlyList<int> path);
}

/// <summary>Always the same number of nodes.</summary>
/// <param name="nodes">How many.</param>
public sealed class AllNodes(int nodes) : ITreeBudget
{
    /// <inheritdoc/>
    public int Nodes(int context, int most) => Math.Max(1, Math.Min(nodes, most));

    /// <inheritdoc/>
    public void Proposed(in DraftTree tree)
    {
        // Nothing to learn.
    }

    /// <inheritdoc/>
    public void Observe(in DraftTree tree, IReadOnlyList<int> path)
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
    // A plain round in this many drafts although it does not pay, else a bad start would never be forgiven.
    private const int Probe = 64;
    private const double Margin = 1.05;
    private const double Kept = 0.98;
    // A choice holds for this many rounds: comparing all sizes in each would cost a good part of a small model's call.
    private const int Refresh = 8;
    // Drafts cost more while they are compiled, and now and then when the machine is busy elsewhere.
    private const double Outlier = 4;
    private readonly Func<double> _clock = clock ?? (() => Stopwatch.GetTimestamp() * 1000.0 / Stopwatch.Frequency);
    private readonly Chance[] _stood = [.. Enumerable.Range(0, nodes).Select(i => new Chance(0.3 / (1 + i)))];
    private readonly Chance _drafted = new(1); // how often a drafter has something to say when asked
    private double _weight;
    private double _n;
    private double _nn;
    private double _ms;
    private double _nms;
    private double _extra; // tokens of a round beyond one that cost no node: an exact root
    private int _asked;
    private int _trials;
    private int _plain;
    private int _age = Refresh;
    private int _best = 1;
    private double _started;

    /// <inheritdoc/>
    public int Nodes(int context, int most)
    {
        most = Math.Min(nodes, most);
        if (_trials < 8)
        {
            // The first rounds tell what drafts of different sizes cost.
            _asked = Math.Max(1, Math.Min(most, nodes >> (_trials++ % 4)));
        }
        else
        {
            if (++_age >= Refresh)
            {
                (_best, _age) = (Best(context), 0);
            }

            _asked = Math.Min(most, _best > 1 ? _best : ++_plain % Probe == 0 ? Math.Min(4, nodes) : 1);
        }

        _started = _clock();
        return _asked;
    }

    /// <inheritdoc/>
    public void Proposed(in DraftTree tree)
    {
        if (_asked <= 1)
        {
            return;
        }

        var ms = _clock() - _started;
        _drafted.Add(tree.Tokens.Length > 1 || !tree.RootIsCommitted);
        _extra = tree.RootIsCommitted ? 0 : 1;
        if (_weight < 4 || ms < Outlier * Drafting(_asked))
        {
            // The first drafts of all are compiled and say nothing about the later ones.
            var keep = _weight < 4 ? 0.3 : Kept;
            _weight = keep * _weight + 1;
            _n = keep * _n + _asked;
            _nn = keep * _nn + (double)_asked * _asked;
            _ms = keep * _ms + ms;
            _nms = keep * _nms + ms * _asked;
        }
    }

    /// <inheritdoc/>
    public void Observe(in DraftTree tree, IReadOnlyList<int> path)
    {
        for (var (node, at) = (1, 1); node < tree.Tokens.Length && node < nodes; node++)
        {
            var stood = at < path.Count && path[at] == node;
            at += stood ? 1 : 0;
            _stood[node].Add(stood);
        }
    }

    /// <summary>Milliseconds of drafting n nodes: a line through what was timed, level where only one size was.</summary>
    private double Drafting(int n)
    {
        if (_weight <= 0)
        {
            return 0;
        }

        var (mean, meanMs) = (_n / _weight, _ms / _weight);
        var variance = _nn / _weight - mean * mean;
        var slope = variance > 0.25 ? Math.Max(0, (_nms / _weight - mean * meanMs) / variance) : 0;
        return Math.Max(0, meanMs + slope * (n - mean));
    }

    private int Best(int context)
    {
        var (plain, said) = (1 / costs.Milliseconds(1, context), _drafted.Mean);
        var (best, rate, right) = (1, Margin * plain, _extra);
        for (var n = 2; n <= nodes; n++)
        {
            right += _stood[n - 1].Mean;
            // A drafter with nothing to say costs its time and leaves a plain call.
            var own = (1 + said * right) / (Drafting(n) + said * costs.Milliseconds(n, context) + (1 - said) * costs.Milliseconds(1, context));
            (best, rate) = own > rate ? (n, own) : (best, rate);
        }

        return best;
    }
}
