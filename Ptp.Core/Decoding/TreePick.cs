// Tree pick: a token by a chain of yes/no decisions down a balanced binary tree over the ids, one uniform number per level:
//   at each node go right if u_level * mass(node) >= mass(left child). P(token) = product of the ratios = its probability, exactly.
// A slightly wrong law moves a border here and there, not all borders behind it, as a running sum does. Refuses: what is no law.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>One number per level of a tree over the vocabulary; leaves in id order.</summary>
/// <remarks>
/// Masses are sums of pairs in double, bottom up: one fixed order, so the same law gives the same tree to the bit. A node
/// without mass is never entered: left mass 0 always goes right, and u * mass &lt; mass for every float u below one.
/// </remarks>
public sealed class TreePick : PickRule
{
    private const double LargestGap = 1e-3;
    [ThreadStatic]
    private static double[]? _masses;

    private TreePick()
    {
    }

    /// <summary>The rule; it has no state.</summary>
    public static TreePick Instance { get; } = new();

    /// <inheritdoc/>
    public override string Name => "tree";

    /// <inheritdoc/>
    public override int NumbersPerToken(int vocabularySize) => Math.Max(1, Levels(vocabularySize));

    /// <inheritdoc/>
    public override int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law)
    {
        var (masses, levels) = Masses(law);
        RequireNumbers(u, levels);
        var node = 1;
        for (var level = 0; level < levels; level++)
        {
            Guard.UnitInterval(u[level]);
            var left = masses[2 * node];
            node = 2 * node + (u[level] * masses[node] >= left ? 1 : 0);
        }

        return node - (1 << levels);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The share r of a left child is uncertain. If the true one is near 0 or 1 as often as r says, u tells nothing and left has
    /// probability r; if r is exact, u decides. Between them: logit P(left) = logit r + (logit r - logit u) / softness.
    /// </remarks>
    public override void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best)
    {
        var (masses, levels) = Masses(law);
        RequireNumbers(u, levels);
        Span<double> logits = stackalloc double[levels];
        for (var level = 0; level < levels; level++)
        {
            Guard.UnitInterval(u[level]);
            var inside = Math.Max(u[level], 0.5 / Cell.Grid); // the middle of the grid's first step
            logits[level] = Math.Log(inside / (1 - inside));
        }

        Descend(masses, logits, 1 / softness, node: 1, level: 0, 1.0, ref best);
    }

    /// <inheritdoc/>
    public override bool TryDraw(
        int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u)
    {
        Guard.Require((uint)token < (uint)law.Length, "Find the cell of a token", $"id {token}", $"an id below {law.Length}",
            "Check that the text was tokenized with this model's tokenizer.");
        var (masses, levels) = Masses(law);
        RequireNumbers(u, levels);
        var leaf = token + (1 << levels);
        if (!(masses[leaf] > 0))
        {
            return false;
        }

        for (var level = 0; level < levels; level++)
        {
            var node = leaf >> (levels - level);
            var right = (leaf >> (levels - level - 1) & 1) != 0;
            var border = Border(masses[2 * node], masses[node]);
            var (first, end) = right ? (border, Cell.Grid) : (0, border);
            if (first >= end)
            {
                return false;
            }

            var place = BetaNoise.Sample(beta, noise);
            u[level] = (first + Math.Min((int)(place * (end - first)), end - first - 1)) * (1f / Cell.Grid);
        }

        return true;
    }

    /// <summary>The box of a token: per level the interval of u that leads to it.</summary>
    /// <param name="token">An id below V.</param>
    /// <param name="law">Probabilities, [V].</param>
    public static CellBounds[] Box(int token, ReadOnlySpan<float> law)
    {
        var (masses, levels) = Masses(law);
        var leaf = token + (1 << levels);
        var box = new CellBounds[levels];
        for (var level = 0; level < levels; level++)
        {
            var node = leaf >> (levels - level);
            var ratio = masses[node] > 0 ? masses[2 * node] / masses[node] : 0;
            box[level] = (leaf >> (levels - level - 1) & 1) != 0 ? new CellBounds(ratio, 1) : new CellBounds(0, ratio);
        }

        return box;
    }

    /// <summary>The first grid number that goes right: the decision itself is asked, so no rounding can put u on the wrong side.</summary>
    private static int Border(double left, double mass)
    {
        var step = (int)Math.Clamp(left / mass * Cell.Grid, 0, Cell.Grid);
        while (step > 0 && (step - 1) * (1f / Cell.Grid) * mass >= left)
        {
            step--;
        }

        while (step < Cell.Grid && step * (1f / Cell.Grid) * mass < left)
        {
            step++;
        }

        return step;
    }

    /// <summary>Depth first, likelier child first; a branch that cannot be among the best is cut.</summary>
    private static void Descend(
        scoped ReadOnlySpan<double> masses, scoped ReadOnlySpan<double> logits, double trust, int node, int level, double score, ref BestGuesses best)
    {
        if (!((float)score > best.Floor))
        {
            return;
        }

        if (level == logits.Length)
        {
            best.Add(node - (1 << level), (float)score);
            return;
        }

        var (left, right) = (masses[2 * node], masses[2 * node + 1]);
        var ratio = Math.Log(left / right); // -inf or +inf where a child is empty, and the sigmoid 0 or 1
        var toLeft = 1 / (1 + Math.Exp(-(ratio + (ratio - logits[level]) * trust)));
        var first = toLeft >= 0.5 ? 0 : 1;
        for (var turn = 0; turn < 2; turn++)
        {
            var child = first ^ turn;
            Descend(masses, logits, trust, 2 * node + child, level + 1, score * (child == 0 ? toLeft : 1 - toLeft), ref best);
        }
    }

    /// <summary>Masses of all nodes: 1 is the root, 2n and 2n + 1 the children of n, the last 2^levels the leaves.</summary>
    private static (double[] Masses, int Levels) Masses(ReadOnlySpan<float> law)
    {
        var levels = Levels(law.Length);
        var leaves = 1 << levels;
        if (_masses is not { } masses || masses.Length < 2 * leaves)
        {
            _masses = masses = new double[2 * leaves];
        }

        for (var id = 0; id < law.Length; id++)
        {
            masses[leaves + id] = law[id] > 0f ? law[id] : 0.0;
        }

        Array.Clear(masses, leaves + law.Length, leaves - law.Length);
        for (var node = leaves - 1; node > 0; node--)
        {
            masses[node] = masses[2 * node] + masses[2 * node + 1];
        }

        return masses[1] > 1 - LargestGap ? (masses, levels) : throw Paper.Pick.NotALaw(law.Length, masses[1]);
    }

    private static int Levels(int vocabularySize) => 32 - int.LeadingZeroCount(vocabularySize - 1);

    private static void RequireNumbers(ReadOnlySpan<float> u, int levels) => Guard.Require(
        u.Length == Math.Max(1, levels), "Pick a token from a tree", $"{u.Length} numbers", $"{Math.Max(1, levels)}, one per level",
        "Ask the pick rule: PickRule.NumbersPerToken.");
}
