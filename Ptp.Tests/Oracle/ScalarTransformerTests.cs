// The scalar transformer: gradients of weights, adapters and inputs against central differences; masks, gates, slots.
// Source: ScalarTransformer and ScalarPass; a 2-layer model whose sizes all differ.
// Not here: real weights (StoriesTests).

using Ptp.Reference.Oracle;
using Xunit;
using static Ptp.Tests.Oracle.OracleGens;

namespace Ptp.Tests.Oracle;

public sealed class ScalarTransformerTests
{
    private sealed record Case(ScalarTransformer Model, ScalarLora Lora, ScalarCall Call, int[] Targets)
    {
        public double Loss() =>
            ScalarOps.CrossEntropy(Model.Forward(Call, Lora).Logits, Targets, null, Model.Config.Vocabulary);

        public ScalarGradients Gradients()
        {
            var logits = Model.Forward(Call, Lora);
            var dLogits = new double[logits.Logits.Length];
            ScalarOps.CrossEntropyBackward(1, logits.Logits, Targets, null, Model.Config.Vocabulary, dLogits);
            return logits.Backward(dLogits);
        }
    }

    /// <summary>A context of three tokens (one of them twice) and two gated slots.</summary>
    private static Case Draw(int seed, bool tied)
    {
        var random = new Random(seed);
        var config = TinyConfig(tied);
        var model = new ScalarTransformer(config, Weights(config, random));
        var call = ScalarCall.WithSlots([5, 2, 5], Normal(random, 2 * config.Hidden), config.Hidden);
        return new(model, Lora(config, 2, 0.7, random), call, [1, ScalarOps.Ignored, 6, 0, 3]);
    }

    // 2 generated models; each checks about 1,100 partial derivatives.
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, false)]
    public void Gradients_of_weights_adapters_and_inputs(int seed, bool tied)
    {
        var drawn = Draw(seed, tied);
        var gradients = drawn.Gradients();
        foreach (var (name, weight) in drawn.Model.Weights)
        {
            GradientCheck.Holds(name, drawn.Loss, weight, gradients.Weights[name]);
        }

        foreach (var linear in drawn.Lora.A.Keys)
        {
            GradientCheck.Holds(linear + " A", drawn.Loss, drawn.Lora.A[linear], gradients.LoraA[linear]);
            GradientCheck.Holds(linear + " B", drawn.Loss, drawn.Lora.B[linear], gradients.LoraB[linear]);
        }

        var slots = 3 * drawn.Model.Config.Hidden;
        var dVectors = (double[])gradients.Inputs.Clone();
        Array.Clear(dVectors, 0, slots); // token rows enter from the table; their vectors are not read
        GradientCheck.Holds("inputs", drawn.Loss, drawn.Call.Vectors!, dVectors);
        Assert.Contains(gradients.Inputs[..slots], slope => slope != 0);
    }

    [Fact]
    public void Control_a_gradient_wrong_by_one_in_ten_thousand_is_noticed()
    {
        var drawn = Draw(3, tied: true);
        const string Name = "model.layers.1.self_attn.k_proj.weight";
        var gradient = Array.ConvertAll(drawn.Gradients().Weights[Name], slope => slope * 1.0001);
        Assert.True(GradientCheck.RelativeError(drawn.Loss, drawn.Model.Weights[Name], gradient) > 1e-5);
    }

    [Fact]
    public void Slots_stand_one_position_before_their_targets()
    {
        var call = ScalarCall.WithSlots([5, 2, 5], [1, 2, 3, 4], width: 2);
        Assert.Equal([5, 2, 5, ScalarCall.Slot, ScalarCall.Slot], call.Tokens);
        Assert.Equal([0, 1, 2, 2, 3], call.Positions);
        Assert.Equal([false, false, false, true, true], call.Gated!);
        Assert.Equal([1, 2, 3, 4], call.Vectors![6..]);
    }

    [Seeds(10)]
    public void Slots_see_the_context_and_earlier_slots_and_change_no_base_row(int seed)
    {
        var drawn = Draw(seed, tied: true);
        var model = drawn.Model;
        var full = model.Forward(drawn.Call, drawn.Lora);
        var plain = model.Forward(ScalarCall.Causal([5, 2, 5]));
        var changed = (double[])drawn.Call.Vectors!.Clone();
        changed[^1] += 1; // the last slot's input
        var other = model.Forward(drawn.Call with { Vectors = changed }, drawn.Lora);
        for (var r = 0; r < 3; r++)
        {
            Assert.Equal(plain.Row(r), full.Row(r)); // base rows are the base model, to the bit
        }

        Assert.Equal(full.Row(3), other.Row(3));
        Assert.NotEqual(full.Row(4), other.Row(4));

        // Control: open the gate of a context row, and the rows after it are the base model no longer.
        var leaky = drawn.Call with { Gated = [false, true, false, true, true] };
        Assert.NotEqual(plain.Row(2), model.Forward(leaky, drawn.Lora).Row(2));
    }

    [Seeds(10)]
    public void Zero_B_or_no_gate_is_the_base_model(int seed)
    {
        var drawn = Draw(seed, tied: false);
        var without = drawn.Model.Forward(drawn.Call).Logits;
        var zeros = drawn.Lora.B.ToDictionary(pair => pair.Key, pair => new double[pair.Value.Length]);
        var silent = drawn.Lora with { B = zeros };
        Assert.Equal(without, drawn.Model.Forward(drawn.Call, silent).Logits);
        Assert.Equal(without, drawn.Model.Forward(drawn.Call with { Gated = null }, drawn.Lora).Logits);
        Assert.NotEqual(without, drawn.Model.Forward(drawn.Call, drawn.Lora).Logits);
    }

    [Seeds(10)]
    public void Only_distances_between_positions_matter(int seed)
    {
        var drawn = Draw(seed, tied: true);
        var call = drawn.Call;
        var logits = drawn.Model.Forward(call, drawn.Lora).Logits;
        int[] later = [.. call.Positions.Select(position => position + 1000)];
        var moved = drawn.Model.Forward(call with { Positions = later }, drawn.Lora);
        Assert.All(logits.Zip(moved.Logits), pair => Assert.Equal(pair.First, pair.Second, 1e-9));

        // Control: a gap in the positions is not a shift.
        var torn = drawn.Model.Forward(call with { Positions = [0, 1, 2, 3, 4] }, drawn.Lora);
        Assert.Contains(logits.Zip(torn.Logits), pair => Math.Abs(pair.First - pair.Second) > 1e-6);
    }

    [Seeds(10)]
    public void One_token_at_a_time_is_the_last_row_of_a_wide_call(int seed)
    {
        var drawn = Draw(seed, tied: false);
        int[] tokens = [0, 6, 3, 3, 1];
        var wide = drawn.Model.Forward(ScalarCall.Causal(tokens));
        for (var length = 1; length <= tokens.Length; length++)
        {
            Assert.Equal(wide.Row(length - 1), drawn.Model.NextLogits(tokens[..length]));
        }
    }

    [Fact]
    public void Wrong_sizes_are_refused()
    {
        var drawn = Draw(4, tied: true);
        var weights = new Dictionary<string, double[]>(drawn.Model.Weights) { [ScalarConfig.FinalNorm] = [1] };
        Assert.Contains("model.norm.weight", Assert.Throws<ArgumentException>(
            () => new ScalarTransformer(drawn.Model.Config, weights)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => drawn.Model.Forward(ScalarCall.Causal([7])));
        Assert.Throws<ArgumentException>(() => drawn.Model.Forward(ScalarCall.Causal([ScalarCall.Slot])));
        Assert.Throws<ArgumentException>(() => drawn.Model.Forward(drawn.Call with { Positions = [0] }));
        Assert.Throws<ArgumentException>(() => drawn.Model.Forward(drawn.Call, drawn.Lora with { Rank = 3 }));
        Assert.Throws<ArgumentException>(() => drawn.Model.Forward(
            drawn.Call, drawn.Lora with { A = new Dictionary<string, double[]> { ["lm_head"] = [0] } }));
    }
}
