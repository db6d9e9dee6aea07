// Trains a model and its independent heads together, from tokens alone (Gloeckle et al. 2024; Medusa-2, Cai et al. 2024, section 2.2.2).
//   L = L_1 + lambda sum_k w_k L_{k+2},  L_j = sum over rows of -log P_j(t_{i+j} | t_{<=i});  gradients of all heads reach the model
// Gloeckle: lambda 1, one rate. Medusa-2: a small lambda, heads at a higher rate, and first steps in which the heads move alone.
// What such heads draft for is the CHANGED model; what decoding then equals is that model too. Refuses: heads of another model.

using Ptp.Core.Autograd;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>How a model and its heads are trained together; the defaults are Gloeckle's.</summary>
public sealed record JointTrainingOptions
{
    /// <summary>Medusa-2's: lambda 0.2, heads at four times the model's rate.</summary>
    public static JointTrainingOptions MedusaTwo { get; } = new() { HeadWeight = 0.2, HeadRate = 4 };

    /// <summary>lambda, the weight of all heads' losses beside the model's own.</summary>
    public double HeadWeight { get; init; } = 1;

    /// <summary>Factor on the rate of the heads' parameters.</summary>
    public double HeadRate { get; init; } = 1;

    /// <summary>First steps, in which only heads move.</summary>
    public int HeadsAlone { get; init; }

    /// <summary>R, most rows of a step.</summary>
    public int Rows { get; init; } = 1024;

    /// <summary>The model's schedule.</summary>
    public LearningRate Rate { get; init; } = new();

    /// <summary>Constants of both optimisers.</summary>
    public AdamWOptions Optimiser { get; init; } = new();

    /// <summary>Seed of the choice of texts.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>Training of a model with heads.</summary>
public sealed class JointTraining
{
    private readonly Transformer _model;
    private readonly IndependentHeads? _heads;
    private readonly IReadOnlyList<Completion> _texts;
    private readonly JointTrainingOptions _options;
    private readonly Tape _tape;
    private readonly AdamW? _headSteps;
    private AdamW? _modelSteps;
    private int _steps;

    /// <summary>A training; heads become trainable now, the model when its own steps begin.</summary>
    /// <param name="model">The model.</param>
    /// <param name="heads">Its heads, or null for plain next-token training on the same rows.</param>
    /// <param name="texts">Texts; tokens from each prompt's end on are targets.</param>
    /// <param name="options">How.</param>
    public JointTraining(Transformer model, IndependentHeads? heads, IReadOnlyList<Completion> texts, JointTrainingOptions options)
    {
        Guard.Require(heads is null || heads.Network == model, "Train heads with their model", "heads of another model", "heads that read this model's states",
            "Make the heads on the model.");
        Guard.Require(options is { HeadWeight: >= 0, HeadRate: > 0, HeadsAlone: >= 0, Rows: > 0 }, "Train heads with their model", $"{options}",
            "a weight from 0, a rate above 0, rows, no negative steps", "Correct the options.");
        (_model, _heads, _options) = (model, heads, options);
        _texts = [.. texts.Where(t => t.Tokens.Length > t.PromptLength && t.Tokens.Length <= options.Rows)];
        Guard.Require(_texts.Count > 0, "Train heads with their model", $"{texts.Count} texts, none of at most {options.Rows} tokens with a target",
            "texts that fit a step", "Use more rows.");
        model.SetTrainable(false);
        foreach (var parameter in heads?.Parameters ?? [])
        {
            parameter.SetTrainable(true);
        }

        _tape = new Tape(model.Backend) { Recording = true };
        _headSteps = heads is null ? null : new AdamW(heads.Parameters, options.Optimiser);
    }

    /// <summary>One step on fresh texts; its loss is the model's own, L_1 per target.</summary>
    public StepReport Step()
    {
        var step = ++_steps;
        if (step > _options.HeadsAlone && _modelSteps is null)
        {
            _model.SetTrainable(true);
            _modelSteps = new AdamW(_model.Parameters, _options.Optimiser);
        }

        var texts = PackedTexts.Draw(_texts, _options.Rows, new RandomStream(_options.Seed, $"texts of step {step}"));
        _tape.Reset();
        var (loss, _, targets) = Losses(_tape, _model, _heads, texts, _options.HeadWeight);
        _tape.Backward();
        var rate = _options.Rate.At(step);
        var norm = _modelSteps?.Step(rate, 1 / targets) ?? 0;
        _headSteps?.Step(rate * _options.HeadRate, 1 / targets);
        return new StepReport(step, loss / targets, rate, norm, texts.Ids.Length);
    }

    /// <summary>L_1, the weighted sum of the heads' losses and the number of L_1's targets, recorded on the tape.</summary>
    /// <param name="tape">The pass.</param>
    /// <param name="model">The model.</param>
    /// <param name="heads">Its heads, or null.</param>
    /// <param name="texts">The rows.</param>
    /// <param name="headWeight">lambda.</param>
    public static (double Own, double Heads, double Targets) Losses(
        Tape tape, Transformer model, IndependentHeads? heads, PackedTexts texts, double headWeight)
    {
        var rows = new CallRows(texts.Positions, texts.Visibility);
        var x = tape.Empty(texts.Ids.Length, model.Config.HiddenSize);
        tape.Embedding(model.Embeddings, texts.Ids, x);
        var read = heads is null ? model.Config.Layers : heads.Layers[0] + 1; // blocks before the heads
        var states = model.Blocks(tape, x, rows, layers: ..read);
        var hidden = read < model.Config.Layers ? model.Blocks(tape, states, rows, layers: read..) : states;
        var weights = texts.Weights(1);
        var own = tape.CrossEntropy(model.Logits(tape, hidden), texts.Tokens(1), weights);
        var others = 0.0;
        for (var k = 0; k < (heads?.Slots ?? 0); k++)
        {
            var weight = headWeight * heads!.WeightOf(k);
            others += tape.CrossEntropy(heads.Logits(tape, states, k, rows), texts.Tokens(k + 2), texts.Weights(k + 2, weight));
        }

        return (own, others, Math.Max(1, weights.Sum(w => (double)w)));
    }
}
