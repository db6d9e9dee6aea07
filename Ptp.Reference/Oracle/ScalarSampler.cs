// The sampler head in double, forward and backward: z = h + Down (silu(gate) * up), gate and up sums of linear maps of the
// normed hidden row and of the normed vectors of the tokens before it.
// Source: Samragh et al. 2025, arXiv 2507.11851, with SwiGLU. Not here: final norm and vocabulary head, see ScalarTransformer.

namespace Ptp.Reference.Oracle;

/// <summary>Weights of a sampler head, and the gradients of one pass in the same order.</summary>
/// <param name="Norm">Gain before the hidden row's maps, [D].</param>
/// <param name="TokenNorms">Gains before the maps of the token 1, 2, ... places before, [D] each.</param>
/// <param name="Gates">Of the hidden row, then of the token 1, 2, ... places before, [F * D] each.</param>
/// <param name="Ups">Likewise.</param>
/// <param name="Down">[D * F].</param>
public sealed record ScalarSampler(double[] Norm, double[][] TokenNorms, double[][] Gates, double[][] Ups, double[] Down)
{
    /// <summary>z, [R * D].</summary>
    /// <param name="hidden">h, [R * D].</param>
    /// <param name="tokens">Vectors, or hidden states behind a block, of the tokens 1, 2, ... places before each row, [R * D] each.</param>
    /// <param name="rows">R.</param>
    /// <param name="epsilon">Of the norms.</param>
    public double[] Forward(double[] hidden, double[][] tokens, int rows, double epsilon)
    {
        var (gate, up, _) = Parts(hidden, tokens, rows, epsilon);
        var (width, inner) = (Norm.Length, gate.Length / rows);
        return ScalarOps.Add(hidden, ScalarOps.Linear(ScalarOps.SwiGlu(gate, up), Down, rows, inner, width));
    }

    /// <summary>Gradients of the weights; that of the hidden rows is added to <paramref name="dHidden"/>.</summary>
    public ScalarSampler Backward(
        double[] dZ, double[] hidden, double[][] tokens, int rows, double epsilon, double[] dHidden)
    {
        var (gate, up, inputs) = Parts(hidden, tokens, rows, epsilon);
        var (width, inner) = (Norm.Length, gate.Length / rows);
        var gradients = new ScalarSampler(
            new double[width], [.. TokenNorms.Select(n => new double[width])], [.. Gates.Select(g => new double[g.Length])],
            [.. Ups.Select(u => new double[u.Length])], new double[Down.Length]);
        var (dInner, dGate, dUp) = (new double[rows * inner], new double[rows * inner], new double[rows * inner]);
        ScalarOps.LinearBackward(dZ, ScalarOps.SwiGlu(gate, up), Down, rows, inner, width, dInner, gradients.Down);
        ScalarOps.SwiGluBackward(dInner, gate, up, dGate, dUp);
        for (var i = 0; i < inputs.Length; i++)
        {
            var dInput = new double[rows * width];
            ScalarOps.LinearBackward(dGate, inputs[i], Gates[i], rows, width, inner, dInput, gradients.Gates[i]);
            ScalarOps.LinearBackward(dUp, inputs[i], Ups[i], rows, width, inner, dInput, gradients.Ups[i]);
            if (i == 0)
            {
                ScalarOps.RmsNormBackward(dInput, hidden, Norm, rows, width, epsilon, dHidden, gradients.Norm);
            }
            else
            {
                var unused = new double[rows * width];
                ScalarOps.RmsNormBackward(
                    dInput, tokens[i - 1], TokenNorms[i - 1], rows, width, epsilon, unused, gradients.TokenNorms[i - 1]);
            }
        }

        for (var i = 0; i < dZ.Length; i++)
        {
            dHidden[i] += dZ[i];
        }

        return gradients;
    }

    private (double[] Gate, double[] Up, double[][] Inputs) Parts(
        double[] hidden, double[][] tokens, int rows, double epsilon)
    {
        var width = Norm.Length;
        var inner = Down.Length / width;
        var (gate, up) = (new double[rows * inner], new double[rows * inner]);
        double[][] inputs = [ScalarOps.RmsNorm(hidden, Norm, rows, width, epsilon),
            .. tokens.Select((t, i) => ScalarOps.RmsNorm(t, TokenNorms[i], rows, width, epsilon))];
        for (var i = 0; i < inputs.Length; i++)
        {
            gate = ScalarOps.Add(gate, ScalarOps.Linear(inputs[i], Gates[i], rows, width, inner));
            up = ScalarOps.Add(up, ScalarOps.Linear(inputs[i], Ups[i], rows, width, inner));
        }

        return (gate, up, inputs);
    }
}
