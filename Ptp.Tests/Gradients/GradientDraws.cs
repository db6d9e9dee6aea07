// Random models with a loss, for the tests of whole-model gradients: causal rows, packed documents, gated slots.
// Source: ExactnessCase draws the models; the oracle sees the same weights in double.
// Not here: comparisons.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Reference.Commands;
using Ptp.Reference.Oracle;

namespace Ptp.Tests.Gradients;

/// <summary>A trainable model of two layers with causal rows, in two documents if split.</summary>
internal sealed class ModelDraw
{
    private readonly Tape _tape;
    private readonly float[] _weights;
    private readonly int[] _targets;

    public ModelDraw(IBackend backend, int seed, bool tied)
    {
        var (stream, random) = (new RandomStream((ulong)seed, "gradients"), new Random(seed));
        Model = ExactnessCase.RandomModel(backend, Config(stream, tied), stream);
        Model.SetTrainable(true);
        _tape = new Tape(backend);
        Ids = [.. Enumerable.Range(0, 4 + random.Next(16)).Select(_ => random.Next(Model.Config.VocabularySize))];
        _targets = [.. Ids.Select(_ => random.Next(5) == 0 ? -1 : random.Next(Model.Config.VocabularySize))];
        _targets[0] = 1;
        _weights = [.. Ids.Select(_ => (float)random.NextDouble() + 0.1f)];
    }

    public Transformer Model { get; }

    public int[] Ids { get; }

    /// <summary>First row of the second document; 0 for one document.</summary>
    public int Split { get; set; }

    public static TransformerConfig Config(RandomStream random, bool tied) => ExactnessCase.RandomConfig(random) with
    {
        Layers = 2,
        Heads = 4,
        KeyValueHeads = 2,
        TieEmbeddings = tied,
        NormEpsilon = 1e-3f,
    };

    public double Loss(bool record)
    {
        var rest = Ids.Length - Split;
        var visibility = new Visibility().AddCausal(0, 0, Split).AddCausal(0, 0, rest);
        int[] positions = [.. Enumerable.Range(0, Split), .. Enumerable.Range(0, rest)];
        return Run(Ids, positions, visibility, _targets, _weights, record);
    }

    /// <summary>Loss of rows [start, end) as a text of their own; adds to the gradients.</summary>
    public double LossOf(int start, int end) => Run(
        Ids[start..end], [.. Enumerable.Range(0, end - start)], Visibility.Causal(0, end - start), _targets[start..end],
        _weights[start..end], record: true);

    public void Clear()
    {
        foreach (var parameter in Model.Parameters)
        {
            Model.Backend.Fill(0, parameter.Gradient!);
        }
    }

    public ScalarPass Scalar() => ScalarModels.Of(Model).Forward(ScalarCall.Causal(Ids));

    public double ScalarLoss(ScalarPass pass) => Total * ScalarOps.CrossEntropy(
        pass.Logits, ScalarTargets, ScalarModels.Doubles(_weights), Model.Config.VocabularySize);

    public ScalarGradients ScalarGradients(ScalarPass pass)
    {
        var gradient = new double[pass.Logits.Length];
        ScalarOps.CrossEntropyBackward(
            Total, pass.Logits, ScalarTargets, ScalarModels.Doubles(_weights), Model.Config.VocabularySize, gradient);
        return pass.Backward(gradient);
    }

    // The oracle takes the weighted mean, the library the weighted sum.
    private double Total => _targets.Zip(_weights, (t, w) => t < 0 ? 0.0 : w).Sum();

    private int[] ScalarTargets => Array.ConvertAll(_targets, t => t < 0 ? ScalarOps.Ignored : t);

    private double Run(int[] ids, int[] positions, Visibility visibility, int[] targets, float[] weights, bool record)
    {
        _tape.Recording = record;
        _tape.Reset();
        var loss = _tape.CrossEntropy(Model.Forward(_tape, ids, new CallRows(positions, visibility)), targets, weights);
        _tape.Backward();
        return loss;
    }
}

/// <summary>A frozen base, a context, and gated slots behind it whose adapter and table are trained.</summary>
internal sealed class SlotDraw
{
    private readonly int[] _targets;

    public SlotDraw(IBackend backend, int seed)
    {
        var (stream, random) = (new RandomStream((ulong)seed, "slot gradients"), new Random(seed));
        var model = ExactnessCase.RandomModel(backend, ModelDraw.Config(stream, seed % 2 == 0), stream);
        Lora = new GatedLora(backend, model.Config, 3, 0.5, (ulong)seed);
        foreach (var parameter in Lora.Parameters)
        {
            Initialise.Gaussian(parameter, stream, 0.3);
        }

        Ptp = new SlotModel(
            model, Lora, AuxiliaryEmbedding.Parse(seed % 2 == 0 ? "fixed-point" : "linear:4"), 8, SamplingOptions.Greedy,
            InverseCdf.Instance, 1, seed % 3 == 0 ? SlotStart.LastToken : SlotStart.MeanToken);
        Initialise.Gaussian(Ptp.Table, stream, 0.5);
        foreach (var parameter in Ptp.Trained)
        {
            parameter.SetTrainable(true);
        }

        Ids = [.. Enumerable.Range(0, 2 + random.Next(6)).Select(_ => random.Next(model.Config.VocabularySize))];
        U = [.. Enumerable.Range(0, 2 + random.Next(6)).Select(_ => (float)random.Next(Cell.Grid) / Cell.Grid)];
        _targets = [.. Ids.Select(_ => -1), .. U.Select(_ => random.Next(model.Config.VocabularySize))];
    }

    public SlotModel Ptp { get; }

    public GatedLora Lora { get; }

    public int[] Ids { get; }

    public float[] U { get; }

    public void Loss()
    {
        var tape = new Tape(Ptp.Network.Backend) { Recording = true };
        var x = tape.Empty(Ids.Length + U.Length, Ptp.Network.Config.HiddenSize);
        tape.Embedding(Ptp.Network.Embeddings, Ids, x.Slice(0, Ids.Length));
        Ptp.Embed(tape, U, [.. U.Select(_ => Ids[^1])], x.Slice(Ids.Length, U.Length));
        int[] positions = [.. Enumerable.Range(0, Ids.Length), .. Enumerable.Range(Ids.Length - 1, U.Length)];
        var rows = new CallRows(positions, Visibility.Causal(0, positions.Length), gateStart: Ids.Length);
        tape.CrossEntropy(Ptp.Network.Logits(tape, Ptp.Network.Blocks(tape, x, rows, Lora)), _targets, []);
        tape.Backward();
    }

    /// <summary>Gradients of the same pass in double, and the features of the slots, [N, F].</summary>
    public (ScalarGradients Gradients, double[] Features) Scalar()
    {
        var (width, hidden) = (Ptp.Table.Value.Columns, Ptp.Network.Config.HiddenSize);
        var features = new float[U.Length * width];
        for (var slot = 0; slot < U.Length; slot++)
        {
            Ptp.Embedding.Features([U[slot]], features.AsSpan(slot * width, width));
        }

        var vectors = ScalarOps.Linear(
            ScalarModels.Doubles(features), ScalarModels.Values(Ptp.Table), U.Length, width, hidden);
        var tokens = ScalarModels.Values(Ptp.Network.Embeddings);
        for (var i = 0; Ptp.Start == SlotStart.LastToken && i < vectors.Length; i++)
        {
            vectors[i] += tokens[Ids[^1] * hidden + i % hidden];
        }

        var pass = ScalarModels.Of(Ptp.Network).Forward(
            ScalarCall.WithSlots(Ids, vectors, hidden), ScalarModels.Of(Lora));
        var gradient = new double[pass.Logits.Length];
        var targets = Array.ConvertAll(_targets, t => t < 0 ? ScalarOps.Ignored : t);
        ScalarOps.CrossEntropyBackward(
            U.Length, pass.Logits, targets, null, Ptp.Network.Config.VocabularySize, gradient);
        return (pass.Backward(gradient), ScalarModels.Doubles(features));
    }
}
