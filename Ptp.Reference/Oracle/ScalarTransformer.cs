// A LLaMA-style decoder in scalar double: weights and rows in, logits out, and the way back (ScalarPass).
// Source: LlamaForCausalLM (pre-norm blocks, RoPE, grouped heads, SwiGLU, optional tied head), plus gated LoRA.
// Refuses: missing or misshapen weights and adapters, rows without an input. Not here: a cache, float, speed.

namespace Ptp.Reference.Oracle;

/// <summary>The decoder. Weights by Hugging Face name, row-major, W [outputs, inputs].</summary>
public sealed class ScalarTransformer
{
    /// <summary>Checks that every weight is there with the right length.</summary>
    public ScalarTransformer(ScalarConfig config, IReadOnlyDictionary<string, double[]> weights)
    {
        foreach (var (name, shape) in config.WeightShapes)
        {
            var expected = shape.Aggregate(1, (product, size) => product * size);
            Require(weights.TryGetValue(name, out var values) && values.Length == expected,
                $"Weight {name} must hold {expected} numbers [{string.Join(", ", shape)}].");
        }

        (Config, Weights) = (config, weights);
    }

    /// <summary>Sizes.</summary>
    public ScalarConfig Config { get; }

    /// <summary>Weights by name.</summary>
    public IReadOnlyDictionary<string, double[]> Weights { get; }

    /// <summary>Runs R rows.</summary>
    /// <returns>Logits [R, V], and what the backward needs.</returns>
    public ScalarPass Forward(ScalarCall call, ScalarLora? lora = null)
    {
        Check(call, lora);
        var pass = new ScalarPass(this, call, lora);
        var x = pass.Embed(); // [R, D]
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            x = pass.Block(layer, x);
        }

        pass.Head(x);
        return pass;
    }

    /// <summary>Logits [V] of the token after <paramref name="prefix"/>; the whole prefix is computed anew.</summary>
    public double[] NextLogits(int[] prefix) => Forward(ScalarCall.Causal(prefix)).Logits[^Config.Vocabulary..];

    private void Check(ScalarCall call, ScalarLora? lora)
    {
        var rows = call.Rows;
        Require(call.Positions.Length == rows && (call.Gated is null || call.Gated.Length == rows),
            $"Positions and gates must have {rows} entries, one per row.");
        Require(call.Visible.GetLength(0) == rows && call.Visible.GetLength(1) == rows,
            $"The mask must be [{rows}, {rows}].");
        Require(call.Tokens.All(id => id == ScalarCall.Slot || (id >= 0 && id < Config.Vocabulary)),
            $"Token ids must lie in 0..{Config.Vocabulary - 1}, or be ScalarCall.Slot.");
        Require(!call.Tokens.Contains(ScalarCall.Slot) || call.Vectors?.Length == rows * Config.Hidden,
            $"Slots need vectors of {rows} x {Config.Hidden} numbers.");
        if (lora is not null)
        {
            CheckLora(lora);
        }
    }

    private void CheckLora(ScalarLora lora)
    {
        var linears = Config.Linears;
        foreach (var name in lora.A.Keys.Union(lora.B.Keys))
        {
            var fits = linears.TryGetValue(name, out var size)
                && lora.A.GetValueOrDefault(name)?.Length == lora.Rank * size.Inputs
                && lora.B.GetValueOrDefault(name)?.Length == size.Outputs * lora.Rank;
            Require(fits, $"{name} must be a known linear with A [{lora.Rank}, inputs], B [outputs, {lora.Rank}].");
        }
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new ArgumentException(message);
        }
    }
}
