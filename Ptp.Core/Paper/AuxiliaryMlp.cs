// The small network that may stand behind the features of u ("NN" in the paper's ablation, section 4.1), of the same kind as the base's own:
//   x += W_down (silu(W_gate f) * (W_up f)), beside the affine map of the features, which stays
// Refuses: widths outside 1 to 4096, a second network behind the first.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Paper;

/// <summary>Features of another embedding, read by a small network as well.</summary>
/// <param name="inner">The other embedding.</param>
/// <param name="width">W, hidden units.</param>
public sealed class MlpEmbedding(AuxiliaryEmbedding inner, int width) : AuxiliaryEmbedding
{
    /// <summary>What stands between the two parts of the name, as in number+mlp:64.</summary>
    internal const string Mark = "+mlp:";

    /// <inheritdoc/>
    public override string Name => inner.Name + Mark + width;

    /// <inheritdoc/>
    public override int MlpWidth => width;

    /// <inheritdoc/>
    public override int FeatureCount(int numbersPerToken) => inner.FeatureCount(numbersPerToken);

    /// <inheritdoc/>
    public override void ConstantDirection(int numbersPerToken, Span<float> direction) => inner.ConstantDirection(numbersPerToken, direction);

    /// <inheritdoc/>
    protected override void Write(ReadOnlySpan<float> u, Span<float> features) => inner.Features(u, features);
}

/// <summary>Its weights; the last matrix starts at zero, so that a new one changes nothing.</summary>
internal sealed class AuxiliaryMlp
{
    private readonly Parameter _gate;
    private readonly Parameter _up;
    private readonly Parameter _down;

    /// <summary>A network of random weights.</summary>
    /// <param name="backend">Device.</param>
    /// <param name="hiddenSize">D.</param>
    /// <param name="features">F.</param>
    /// <param name="width">W.</param>
    /// <param name="seed">Of the weights.</param>
    public AuxiliaryMlp(IBackend backend, int hiddenSize, int features, int width, ulong seed)
    {
        const string name = "ptp.auxiliary_embedding.mlp.";
        _gate = new Parameter(backend, name + "gate.weight", width, features);
        _up = new Parameter(backend, name + "up.weight", width, features);
        _down = new Parameter(backend, name + "down.weight", hiddenSize, width);
        var random = new RandomStream(seed, "auxiliary network");
        foreach (var weight in (Parameter[])[_gate, _up])
        {
            Initialise.Gaussian(weight, random, 1 / Math.Sqrt(features));
        }

        Initialise.Set(_down, new float[_down.Value.Length]);
    }

    /// <summary>W_gate, W_up, W_down.</summary>
    public IEnumerable<Parameter> Parameters => [_gate, _up, _down];

    /// <summary>x += W_down (silu(W_gate f) * (W_up f)).</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="features">f, [R, F].</param>
    /// <param name="x">Destination, [R, D].</param>
    public void Add(Tape tape, Variable features, Variable x) =>
        tape.MatMul(tape.SwiGlu(tape.MatMul(features, _gate), tape.MatMul(features, _up)), _down, x, accumulate: true);
}
