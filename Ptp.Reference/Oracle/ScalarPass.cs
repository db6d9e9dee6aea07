// One recorded pass of the scalar transformer: every line of the forward stands above its line of the backward.
// Source: pre-norm residual blocks, h = x + o(attention(q, k, v)), y = h + down(silu(gate) * up).
// Not here: checks (ScalarTransformer has made them) and the operations themselves (ScalarOps, ScalarLora).

namespace Ptp.Reference.Oracle;

/// <summary>Gradients of one pass; names as in the weights and in the adapter.</summary>
/// <param name="Weights">Gradient of every weight.</param>
/// <param name="LoraA">Gradient of A per adapted linear.</param>
/// <param name="LoraB">Gradient of B per adapted linear.</param>
/// <param name="Inputs">Gradient of what entered each row, slot or token, [R, D].</param>
public sealed record ScalarGradients(
    IReadOnlyDictionary<string, double[]> Weights, IReadOnlyDictionary<string, double[]> LoraA,
    IReadOnlyDictionary<string, double[]> LoraB, double[] Inputs);

/// <summary>Logits of a pass and the way back through it.</summary>
public sealed class ScalarPass
{
    private sealed record BlockValues(
        double[] X, double[] NormedX, double[] Q, double[] K, double[] V, double[] Mixed, double[] H, double[] NormedH,
        double[] Gate, double[] Up, double[] Product);

    private readonly ScalarConfig _config;
    private readonly ScalarCall _call;
    private readonly ScalarLora? _lora;
    private readonly IReadOnlyDictionary<string, double[]> _weights;
    private readonly IReadOnlyDictionary<string, (int Outputs, int Inputs)> _linears;
    private readonly List<BlockValues> _blocks = [];
    private double[] _last = [];
    private double[] _normedLast = [];

    internal ScalarPass(ScalarTransformer model, ScalarCall call, ScalarLora? lora)
    {
        (_config, _weights, _linears) = (model.Config, model.Weights, model.Config.Linears);
        (_call, _lora) = (call, lora);
    }

    /// <summary>[R, V].</summary>
    public double[] Logits { get; private set; } = [];

    /// <summary>Logits of row <paramref name="r"/>, [V].</summary>
    public double[] Row(int r) => Logits[(r * _config.Vocabulary)..((r + 1) * _config.Vocabulary)];

    internal double[] Embed()
    {
        var x = new double[_call.Rows * _config.Hidden];
        for (var r = 0; r < _call.Rows; r++)
        {
            var isSlot = _call.Tokens[r] == ScalarCall.Slot;
            var source = isSlot ? _call.Vectors! : _weights[ScalarConfig.Embedding];
            Array.Copy(source, (isSlot ? r : _call.Tokens[r]) * _config.Hidden, x, r * _config.Hidden, _config.Hidden);
        }

        return x;
    }

    internal double[] Block(int layer, double[] x)
    {
        var at = ScalarConfig.Block(layer);
        var normedX = Norm(at + "input_layernorm.weight", x);
        var q = Rope(Linear(at + "self_attn.q_proj", normedX), _config.Heads);
        var k = Rope(Linear(at + "self_attn.k_proj", normedX), _config.KeyValueHeads);
        var v = Linear(at + "self_attn.v_proj", normedX);
        var mixed = ScalarOps.Attention(
            q, k, v, _call.Visible, _config.Heads, _config.KeyValueHeads, _config.HeadSize);
        var h = ScalarOps.Add(x, Linear(at + "self_attn.o_proj", mixed));

        var normedH = Norm(at + "post_attention_layernorm.weight", h);
        var gate = Linear(at + "mlp.gate_proj", normedH);
        var up = Linear(at + "mlp.up_proj", normedH);
        var product = ScalarOps.SwiGlu(gate, up);
        _blocks.Add(new(x, normedX, q, k, v, mixed, h, normedH, gate, up, product));
        return ScalarOps.Add(h, Linear(at + "mlp.down_proj", product));
    }

    internal void Head(double[] x)
    {
        _last = x;
        _normedLast = Norm(ScalarConfig.FinalNorm, x);
        Logits = ScalarOps.Linear(
            _normedLast, _weights[_config.Head], _call.Rows, _config.Hidden, _config.Vocabulary);
    }

    /// <summary>
    /// Gradients of everything, from the gradient of the logits. A tied table collects from both of its ends.
    /// </summary>
    /// <param name="dLogits">[R, V].</param>
    public ScalarGradients Backward(double[] dLogits)
    {
        var gradients = new ScalarGradients(
            Zeros(_weights), Zeros(_lora?.A), Zeros(_lora?.B), new double[_call.Rows * _config.Hidden]);

        var dNormedLast = new double[_normedLast.Length];
        ScalarOps.LinearBackward(
            dLogits, _normedLast, _weights[_config.Head], _call.Rows, _config.Hidden, _config.Vocabulary,
            dNormedLast, gradients.Weights[_config.Head]);
        var dX = new double[_last.Length];
        NormBackward(ScalarConfig.FinalNorm, dNormedLast, _last, gradients, dX);

        for (var layer = _config.Layers - 1; layer >= 0; layer--)
        {
            dX = BlockBackward(layer, dX, gradients);
        }

        EmbedBackward(dX, gradients);
        return gradients;
    }

    private double[] BlockBackward(int layer, double[] dY, ScalarGradients gradients)
    {
        var at = ScalarConfig.Block(layer);
        var values = _blocks[layer];

        // y = h + down(silu(gate) * up)
        var dH = (double[])dY.Clone();
        var dProduct = new double[values.Product.Length];
        LinearBackward(at + "mlp.down_proj", dY, values.Product, gradients, dProduct);
        var (dGate, dUp) = (new double[values.Gate.Length], new double[values.Up.Length]);
        ScalarOps.SwiGluBackward(dProduct, values.Gate, values.Up, dGate, dUp);
        var dNormedH = new double[values.NormedH.Length];
        LinearBackward(at + "mlp.up_proj", dUp, values.NormedH, gradients, dNormedH);
        LinearBackward(at + "mlp.gate_proj", dGate, values.NormedH, gradients, dNormedH);
        NormBackward(at + "post_attention_layernorm.weight", dNormedH, values.H, gradients, dH);

        // h = x + o(attention(rope(q), rope(k), v))
        var dX = (double[])dH.Clone();
        var dMixed = new double[values.Mixed.Length];
        LinearBackward(at + "self_attn.o_proj", dH, values.Mixed, gradients, dMixed);
        var (dQ, dK, dV) = (new double[values.Q.Length], new double[values.K.Length], new double[values.V.Length]);
        ScalarOps.AttentionBackward(
            dMixed, values.Q, values.K, values.V, _call.Visible,
            _config.Heads, _config.KeyValueHeads, _config.HeadSize, dQ, dK, dV);
        var dNormedX = new double[values.NormedX.Length];
        LinearBackward(at + "self_attn.v_proj", dV, values.NormedX, gradients, dNormedX);
        LinearBackward(
            at + "self_attn.k_proj", RopeBackward(dK, _config.KeyValueHeads), values.NormedX, gradients, dNormedX);
        LinearBackward(at + "self_attn.q_proj", RopeBackward(dQ, _config.Heads), values.NormedX, gradients, dNormedX);
        NormBackward(at + "input_layernorm.weight", dNormedX, values.X, gradients, dX);
        return dX;
    }

    private void EmbedBackward(double[] dX, ScalarGradients gradients)
    {
        dX.CopyTo(gradients.Inputs, 0);
        for (var r = 0; r < _call.Rows; r++)
        {
            if (_call.Tokens[r] != ScalarCall.Slot)
            {
                var dRow = dX[(r * _config.Hidden)..((r + 1) * _config.Hidden)];
                ScalarOps.EmbeddingBackward(
                    dRow, [_call.Tokens[r]], _config.Hidden, gradients.Weights[ScalarConfig.Embedding]);
            }
        }
    }

    /// <summary>W x, plus s * B (A x) in gated rows.</summary>
    private double[] Linear(string name, double[] x)
    {
        var (outputs, inputs) = _linears[name];
        var y = ScalarOps.Linear(x, _weights[name + ".weight"], _call.Rows, inputs, outputs);
        if (_lora is not null && _call.Gated is not null && _lora.A.ContainsKey(name))
        {
            _lora.Add(name, x, _call.Gated, inputs, outputs, y);
        }

        return y;
    }

    private void LinearBackward(string name, double[] dY, double[] x, ScalarGradients gradients, double[] dX)
    {
        var (outputs, inputs) = _linears[name];
        ScalarOps.LinearBackward(
            dY, x, _weights[name + ".weight"], _call.Rows, inputs, outputs, dX, gradients.Weights[name + ".weight"]);
        if (_lora is not null && _call.Gated is not null && _lora.A.ContainsKey(name))
        {
            _lora.AddBackward(
                name, dY, x, _call.Gated, inputs, outputs, dX, gradients.LoraA[name], gradients.LoraB[name]);
        }
    }

    private double[] Norm(string name, double[] x) =>
        ScalarOps.RmsNorm(x, _weights[name], _call.Rows, _config.Hidden, _config.NormEps);

    private void NormBackward(string name, double[] dY, double[] x, ScalarGradients gradients, double[] dX) =>
        ScalarOps.RmsNormBackward(
            dY, x, _weights[name], _call.Rows, _config.Hidden, _config.NormEps, dX, gradients.Weights[name]);

    private double[] Rope(double[] x, int heads) =>
        ScalarOps.Rope(x, _call.Positions, heads, _config.HeadSize, _config.RopeTheta);

    private double[] RopeBackward(double[] dY, int heads)
    {
        var dX = new double[dY.Length];
        ScalarOps.RopeBackward(dY, _call.Positions, heads, _config.HeadSize, _config.RopeTheta, dX);
        return dX;
    }

    private static Dictionary<string, double[]> Zeros(IReadOnlyDictionary<string, double[]>? like) =>
        like?.ToDictionary(pair => pair.Key, pair => new double[pair.Value.Length]) ?? [];
}
