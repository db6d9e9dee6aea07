// Rejection at one node of a draft: p is the verifier's law behind it, q the law its children were drawn from, without replacement.
//   a refused child x:  p <- norm(max(0, p - q)),  q <- norm(q without x);   children that are no draws:  p <- norm(p without x)
// (Leviathan et al. 2211.17192 for one child; siblings: EAGLE 2401.15077, SpecInfer.) Refuses: nothing; an empty rest is reported.

using System.Numerics.Tensors;

namespace Ptp.Core.Decoding;

/// <summary>The two laws of a node while its children are tried in turn; both in double, both summing to one.</summary>
/// <param name="vocabularySize">V.</param>
public sealed class NodeLaws(int vocabularySize)
{
    private readonly double[] _rest = new double[vocabularySize];
    private readonly double[] _proposal = new double[vocabularySize];
    private bool _drawn;

    /// <summary>p without what was refused, [V]: the law of the token if every further child is refused too.</summary>
    public ReadOnlySpan<double> Rest => _rest;

    /// <summary>q without the children tried so far, [V]; empty if children are no draws, that is point masses.</summary>
    public ReadOnlySpan<double> Proposal => _drawn ? _proposal : default;

    /// <summary>Begins a node.</summary>
    /// <param name="law">p, [V].</param>
    /// <param name="proposal">q, [V]; empty for children that are no draws.</param>
    public void Start(ReadOnlySpan<float> law, ReadOnlySpan<float> proposal)
    {
        Normalise(law, _rest);
        _drawn = !proposal.IsEmpty && Normalise(proposal, _proposal);
    }

    /// <summary>Takes a refused child out. False if nothing would be left, which only rounding can bring about: the child then stands.</summary>
    public bool Refuse(int child)
    {
        if (!_drawn)
        {
            return Remove(_rest, child);
        }

        var total = 0.0;
        for (var token = 0; token < _rest.Length; token++)
        {
            total += Math.Max(0, _rest[token] - _proposal[token]);
        }

        if (!(total > 0))
        {
            return false;
        }

        for (var token = 0; token < _rest.Length; token++)
        {
            _rest[token] = Math.Max(0, _rest[token] - _proposal[token]) / total;
        }

        Remove(_proposal, child);
        return true;
    }

    /// <summary>The law in double, its sum one; false if it has no mass.</summary>
    internal static bool Normalise(ReadOnlySpan<float> law, Span<double> normalised)
    {
        TensorPrimitives.ConvertChecked(law, normalised);
        var total = Total(normalised);
        TensorPrimitives.Divide(normalised, total, normalised);
        return total > 0 && double.IsFinite(total);
    }

    /// <summary>The sum of weights in four parts, each fourth weight one: four times as fast, and the same on every machine.</summary>
    internal static double Total(ReadOnlySpan<double> weights)
    {
        var (a, b, c, d) = (0.0, 0.0, 0.0, 0.0);
        while (weights.Length >= 4)
        {
            (a, b, c, d) = (a + weights[0], b + weights[1], c + weights[2], d + weights[3]);
            weights = weights[4..];
        }

        foreach (var weight in weights)
        {
            a += weight;
        }

        return a + b + (c + d);
    }

    /// <summary>Sets a token to zero and renormalises; false, and nothing done, if no other has mass.</summary>
    internal static bool Remove(Span<double> law, int token)
    {
        var total = 0.0;
        for (var other = 0; other < law.Length; other++)
        {
            total += other == token ? 0 : law[other];
        }

        if (!(total > 0))
        {
            return false;
        }

        for (var other = 0; other < law.Length; other++)
        {
            law[other] = other == token ? 0 : law[other] / total;
        }

        return true;
    }
}
