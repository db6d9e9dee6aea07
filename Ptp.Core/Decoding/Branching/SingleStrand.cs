// The branching model of one strand, as partial quadratic decoding needs it. Mind the index: there T counts the token that a
// round knows anyway, here m counts draft tokens that verification finds right: m = T - 1.
//   P(m >= d) = S[1, d + 1];  A_m = P(m right of q);  R(n) = expected right tokens of the first n.  Refuses: nothing.

namespace Ptp.Core.Decoding.Branching;

/// <summary>Chances of one chain of draft tokens under a branching model.</summary>
/// <param name="model">The model.</param>
/// <param name="most">Most draft tokens of a chain.</param>
internal sealed class SingleStrand(BranchingModel model, int most)
{
    private readonly double[] _survival = model.Survival(1, most + 1)[1];

    /// <summary>A_m, m = 0 .. drafted: the chance that exactly m of the draft tokens are right, [drafted + 1].</summary>
    public double[] Weights(int drafted)
    {
        var weights = new double[drafted + 1];
        for (var m = 0; m < drafted; m++)
        {
            weights[m] = _survival[m + 1] - _survival[m + 2];
        }

        weights[drafted] = _survival[drafted + 1];
        return weights;
    }

    /// <summary>Expected leading right ones of the first <paramref name="count"/> draft tokens.</summary>
    public double Expected(int count) => _survival.AsSpan(2, count).ToArray().Sum();
}
