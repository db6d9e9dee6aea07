// A Gaussian copula as a flow head: the weights of one copula for all contexts, and the laws it gives to slots.
//   slot k of a run is number k + 1 of the copula: number 0 is the u of the token before the slots, which is known
// Refuses: pick rules of more than one number, runs longer than the copula.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

/// <summary>Laws of slots under a Gaussian copula.</summary>
public sealed class CopulaHead : ISlotLaws
{
    private readonly LogitsTransform _transform;
    private readonly float[] _law;
    private readonly double[] _noise;
    private float[] _before = []; // u of the token before each row
    private int[] _slotOf = [];
    private Tensor? _logits; // of the last Read

    /// <summary>A head of zero effect.</summary>
    /// <param name="network">Whose slots it bends.</param>
    /// <param name="slots">N, slots of the longest run.</param>
    /// <param name="law">From logits to the independent law.</param>
    /// <param name="rule">How u picks; one number per token.</param>
    public CopulaHead(Transformer network, int slots, SamplingOptions law, PickRule rule)
    {
        Guard.Require(rule is InverseCdf, "Make a copula head", $"the pick rule {rule.Name}", InverseCdf.Instance.Name,
            "A copula correlates one number per token, in the order of cells.");
        (Network, Sampling, Copula) = (network, law.Validated(), new GaussianCopula(slots + 1));
        Weights = new Parameter(network.Backend, "copula.weights", 1, Copula.Weights.Length, isVector: true);
        Initialise.Constant(Weights, 0f);
        _law = new float[network.Config.VocabularySize];
        _transform = new LogitsTransform(Sampling, _law.Length);
        _noise = new double[Copula.Length];
    }

    /// <inheritdoc/>
    public Transformer Network { get; }

    /// <inheritdoc/>
    public SamplingOptions Sampling { get; }

    /// <inheritdoc/>
    public int History => 0;

    /// <summary>What is trained, [1, N (N + 1) / 2].</summary>
    public Parameter Weights { get; }

    /// <summary>The copula of <see cref="Weights"/> as of the last <see cref="Refresh"/>.</summary>
    public GaussianCopula Copula { get; }

    /// <summary>Reads <see cref="Weights"/>.</summary>
    public void Refresh() => HostNumbers.Of<double>(Weights.Backend, Weights.Value).CopyTo(Copula.Weights);

    /// <inheritdoc/>
    public void Read(Tape tape, FlowSlots slots)
    {
        Refresh();
        (_logits, _before, _slotOf) = (slots.Logits.Value, slots.Before.ToArray(), slots.SlotOf.ToArray());
    }

    /// <inheritdoc/>
    public ReadOnlySpan<float> Law(int row)
    {
        var independent = Independent(_logits!, row);
        var noise = Noise(_before.AsSpan(row - _slotOf[row], _slotOf[row] + 1));
        if (Copula.IsIndependent(noise))
        {
            return independent;
        }

        var (cumulative, last, left) = (0.0, 0, 0.0);
        for (var token = 0; token < independent.Length; token++)
        {
            if (independent[token] > 0f)
            {
                cumulative += independent[token];
                var right = Copula.Unbend(Math.Min(1, cumulative), noise);
                (independent[token], left, last) = ((float)(right - left), right, token);
            }
        }

        independent[last] += (float)(1 - left); // rounding of the sum belongs to the last token, as in Pick
        return independent;
    }

    /// <summary>The independent law of a row, [V], in memory of the head; a row that is not finite gives the first token.</summary>
    internal Span<float> Independent(Tensor logits, int row)
    {
        Network.Backend.Download(logits.Slice(row, 1), _law);
        if (System.Numerics.Tensors.TensorPrimitives.IsFiniteAll<float>(_law))
        {
            _transform.ToLaw(_law, _law);
        }
        else
        {
            _law.AsSpan().Clear();
            _law[0] = 1;
        }

        return _law;
    }

    /// <summary>Phi^-1 of numbers, each of which stands for the middle of its grid cell; valid until the next call.</summary>
    internal ReadOnlySpan<double> Noise(ReadOnlySpan<float> u)
    {
        for (var i = 0; i < u.Length; i++)
        {
            _noise[i] = Normal.Quantile(u[i] + 0.5 / Cell.Grid);
        }

        return _noise.AsSpan(0, u.Length);
    }
}
