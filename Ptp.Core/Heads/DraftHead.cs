// A trained multi-token head on a frozen base: from what the base has computed for a text it gives laws of tokens further ahead.
// Training: rows i of whole texts, the law of t_{i+ahead} given what the architecture lets row i see, against the base's own law
// (or the token itself). Decoding: HeadSteps. Refuses: gradients into the base.

using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Heads;

/// <summary>What a head's laws are compared with.</summary>
public enum HeadTarget
{
    /// <summary>The base's law of the same token: sum of KL(Q || P), both at <see cref="HeadOptions.Temperature"/>.</summary>
    Law,

    /// <summary>The token that came: cross-entropy at the same temperature.</summary>
    Token,
}

/// <summary>Sizes of a head; what an architecture has no use for is ignored.</summary>
public sealed record HeadOptions
{
    /// <summary>K, tokens the head drafts behind the last known one.</summary>
    public int Slots { get; init; } = 4;

    /// <summary>Width of gated MLPs inside the head.</summary>
    public int Width { get; init; } = 256;

    /// <summary>Rank of low-rank parts.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>What its laws are compared with.</summary>
    public HeadTarget Target { get; init; } = HeadTarget.Law;

    /// <summary>Temperature of the compared laws, above 0: that of the text it is trained on.</summary>
    public double Temperature { get; init; } = 0.7;

    /// <summary>Seed of its weights.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>A head.</summary>
public abstract class DraftHead
{
    private protected DraftHead(Transformer network, HeadOptions options)
    {
        Guard.Require(
            options is { Slots: >= 1 and <= 64, Width: >= 1 and <= 1 << 16, Rank: >= 1 and <= 4096, Temperature: > 0 and <= 100 },
            "Make a head", $"{options}", "1 to 64 slots, a width up to 65536, a rank up to 4096, a temperature above 0",
            "Correct the options.");
        (Network, Options) = (network, options);
    }

    /// <summary>The base.</summary>
    public Transformer Network { get; }

    /// <summary>Sizes.</summary>
    public HeadOptions Options { get; }

    /// <summary>K.</summary>
    public int Slots => Options.Slots;

    /// <summary>acc(k, i): how often guess i at depth k is right, [K][ranks], as <see cref="HeadCalibration"/> measured it; or null.</summary>
    public IReadOnlyList<double[]>? Accuracy { get; set; }

    /// <summary>Blocks of the base behind which it reads hidden states.</summary>
    public virtual IReadOnlyList<int> Layers => [Network.Config.Layers - 1];

    /// <summary>What is trained and stored, in a fixed order.</summary>
    public abstract IReadOnlyList<Parameter> Parameters { get; }

    /// <summary>The head at work on one text after another.</summary>
    public abstract HeadSteps NewSteps();

    /// <summary>Weighted loss of a batch and the sum of its weights, recorded on the tape.</summary>
    /// <param name="tape">The pass; where it records, gradients wait for its Backward.</param>
    /// <param name="batch">Texts that the base has run.</param>
    public abstract (double Loss, double Weight) Loss(Tape tape, HeadBatch batch);

    /// <summary>As <see cref="Loss"/>, with all gradients added to the parameters.</summary>
    public virtual (double Loss, double Weight) LossAndGradient(Tape tape, HeadBatch batch)
    {
        tape.Reset();
        var result = Loss(tape, batch);
        tape.Backward();
        return result;
    }

    /// <summary>Loss of logits [S, V] for the token <paramref name="ahead"/> places behind each row of the batch.</summary>
    private protected (double Loss, double Weight) Judge(Tape tape, Variable logits, HeadBatch batch, int ahead, double weight = 1)
    {
        var weights = batch.Weights(ahead, weight);
        return (Judge(tape, logits, batch, batch.Places(ahead), weights), weights.Sum(w => (double)w));
    }

    /// <summary>Loss of logits [R, V] for the tokens at given places of the batch, rows weighted, [R].</summary>
    private protected double Judge(Tape tape, Variable logits, HeadBatch batch, int[] places, float[] weights)
    {
        var scale = (float)(1 / Options.Temperature);
        if (Options.Target == HeadTarget.Law)
        {
            return tape.Divergence(logits, batch.Teacher(places), scale, weights);
        }

        // d CE(softmax(s z)) / dz = s (p - y): the scale goes into the logits before, and into the weights as well.
        tape.Backend.Scale(scale, logits.Value);
        var loss = tape.CrossEntropy(logits, batch.TokensAt(places), [.. weights.Select(w => w * scale)]);
        return loss / scale;
    }

    /// <summary>A matrix of Gaussian values that keeps the size of what it multiplies.</summary>
    private protected Parameter Matrix(string name, int outputs, int inputs, double gain = 1)
    {
        var matrix = new Parameter(Network.Backend, $"head.{name}.weight", outputs, inputs);
        if (gain > 0)
        {
            Initialise.Gaussian(matrix, new RandomStream(Options.Seed, matrix.Name), gain / Math.Sqrt(inputs));
        }

        return matrix;
    }

    /// <summary>Adds one to a square matrix: it begins by passing on the base's state, which the output head already understands.</summary>
    private protected static void PassOn(Parameter matrix)
    {
        var (width, values) = (matrix.Value.Rows, new float[matrix.Value.Length]);
        matrix.Backend.Download(matrix.Value, values);
        for (var i = 0; i < width; i++)
        {
            values[i * width + i] += 1;
        }

        Initialise.Set(matrix, values);
    }

    /// <summary>A gain of RMSNorm: ones, [1, D].</summary>
    private protected Parameter Gain(string name)
    {
        var gain = new Parameter(Network.Backend, $"head.{name}.weight", 1, Network.Config.HiddenSize, isVector: true);
        Initialise.Constant(gain, 1f);
        return gain;
    }

    /// <summary>A block of the base's geometry with the head's own width of the MLP.</summary>
    private protected TransformerBlock Block(string name, bool inputNorm = true, bool secondInput = false)
    {
        var config = Network.Config with { IntermediateSize = Options.Width };
        var block = new TransformerBlock(Network.Backend, config, Network.Rope, $"head.{name}.", inputNorm, secondInput);
        block.Randomise(new RandomStream(Options.Seed, "head." + name), layers: 1);
        return block;
    }

    /// <summary>Vectors of tokens, [R, D]; the table is the base's and frozen.</summary>
    private protected Variable Vectors(Tape tape, int[] ids)
    {
        var vectors = tape.Empty(ids.Length, Network.Config.HiddenSize, needsGradient: false);
        tape.Embedding(Network.Embeddings, ids, vectors);
        return vectors;
    }

    /// <summary>RMSNorm with the base's epsilon.</summary>
    private protected Variable Normed(Tape tape, Variable x, Parameter gain) => tape.RmsNorm(x, gain, Network.Config.NormEpsilon);

    /// <summary>silu(x), [R, D], as a gate before ones.</summary>
    private protected static Variable Silu(Tape tape, Variable x)
    {
        var ones = tape.Empty(x.Value.Rows, x.Value.Columns);
        tape.Backend.Fill(1f, ones.Value);
        return tape.SwiGlu(x, ones);
    }

    /// <summary>y += bias in every row; the bias is stored as a [N, 1] matrix, the product of which with ones it is.</summary>
    private protected static void AddBias(Tape tape, Parameter bias, Variable y)
    {
        var ones = tape.Empty(y.Value.Rows, 1, needsGradient: false);
        tape.Backend.Fill(1f, ones.Value);
        tape.MatMul(ones, bias, y, accumulate: true);
    }
}
