// The paper's rule in another order of the vocabulary: the inverse CDF over a fixed permutation of the ids, the same for every law.
// It shows that which order is taken does not matter, only that it is fixed (an order by probability swaps whole cells).
// Refuses: what is no law.

using Ptp.Core.Paper;

namespace Ptp.Core.Decoding;

/// <summary>One number, cells in the order of a fixed permutation that depends on V alone.</summary>
public sealed class PermutedCdf : PickRule
{
    private int[] _order = []; // place -> id
    private int[] _place = []; // id -> place
    private float[] _law = [];

    /// <inheritdoc/>
    public override string Name => "permuted-cdf";

    /// <inheritdoc/>
    public override int NumbersPerToken(int vocabularySize) => 1;

    /// <inheritdoc/>
    public override int Pick(ReadOnlySpan<float> u, ReadOnlySpan<float> law)
    {
        var place = Paper.Pick.Token(u[0], Permuted(law));
        return _order[place];
    }

    /// <inheritdoc/>
    public override void Guess(
        scoped ReadOnlySpan<float> u, scoped ReadOnlySpan<float> law, double softness, ref BestGuesses best)
    {
        PickGuess.Tokens(u[0], Permuted(law), softness, ref best);
        best.Rename(_order);
    }

    /// <inheritdoc/>
    public override bool TryDraw(int token, ReadOnlySpan<float> law, RandomStream noise, double beta, Span<float> u)
    {
        var permuted = Permuted(law);
        return Cell.TryDraw((uint)token < (uint)law.Length ? _place[token] : token, permuted, BetaNoise.Sample(beta, noise), out u[0]);
    }

    private ReadOnlySpan<float> Permuted(ReadOnlySpan<float> law)
    {
        if (_order.Length != law.Length)
        {
            var random = new RandomStream((ulong)law.Length, "vocabulary order");
            _order = [.. Enumerable.Range(0, law.Length)];
            for (var i = law.Length - 1; i > 0; i--)
            {
                var other = random.NextInt(i + 1);
                (_order[i], _order[other]) = (_order[other], _order[i]);
            }

            _place = new int[law.Length];
            for (var i = 0; i < law.Length; i++)
            {
                _place[_order[i]] = i;
            }

            _law = new float[law.Length];
        }

        for (var i = 0; i < law.Length; i++)
        {
            _law[i] = law[_order[i]];
        }

        return _law;
    }
}
