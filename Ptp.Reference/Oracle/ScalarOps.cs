// The operations of a LLaMA-style transformer, each as its formula reads, in double; backward under forward.
// Source: Hugging Face's LLaMA (RMSNorm, half-split RoPE, SwiGLU). Attention is in ScalarOps.Attention.cs.
// Refuses nothing: it is the yardstick of the tests and trusts its callers. Not here: speed, caches, float.
//
// A matrix [R, D] is one array, row after row. Every backward ADDS into the dX and dW it is given.

namespace Ptp.Reference.Oracle;

/// <summary>
/// Every op of the transformer, forward and backward. R rows, D width, H heads, K head width, V vocabulary.
/// </summary>
public static partial class ScalarOps
{
    /// <summary>The target that takes no part in the cross-entropy.</summary>
    public const int Ignored = -100;

    /// <summary>Row r is the table's row ids[r]. <paramref name="table"/> [V, D]; returns [R, D].</summary>
    public static double[] Embedding(int[] ids, double[] table, int width)
    {
        var y = new double[ids.Length * width];
        for (var r = 0; r < ids.Length; r++)
        {
            for (var d = 0; d < width; d++)
            {
                y[r * width + d] = table[ids[r] * width + d];
            }
        }

        return y;
    }

    /// <summary>A row of the table collects the gradients of all places where it was used.</summary>
    public static void EmbeddingBackward(double[] dY, int[] ids, int width, double[] dTable)
    {
        for (var r = 0; r < ids.Length; r++)
        {
            for (var d = 0; d < width; d++)
            {
                dTable[ids[r] * width + d] += dY[r * width + d];
            }
        }
    }

    /// <summary>
    /// y = x W^T. <paramref name="x"/> [R, inputs], <paramref name="w"/> [outputs, inputs]; returns [R, outputs].
    /// </summary>
    public static double[] Linear(double[] x, double[] w, int rows, int inputs, int outputs)
    {
        var y = new double[rows * outputs];
        for (var r = 0; r < rows; r++)
        {
            for (var o = 0; o < outputs; o++)
            {
                for (var i = 0; i < inputs; i++)
                {
                    y[r * outputs + o] += x[r * inputs + i] * w[o * inputs + i];
                }
            }
        }

        return y;
    }

    /// <summary>dX += dY W, dW += dY^T x.</summary>
    public static void LinearBackward(
        double[] dY, double[] x, double[] w, int rows, int inputs, int outputs, double[] dX, double[] dW)
    {
        for (var r = 0; r < rows; r++)
        {
            for (var o = 0; o < outputs; o++)
            {
                for (var i = 0; i < inputs; i++)
                {
                    dX[r * inputs + i] += dY[r * outputs + o] * w[o * inputs + i];
                    dW[o * inputs + i] += dY[r * outputs + o] * x[r * inputs + i];
                }
            }
        }
    }

    /// <summary>
    /// y = gain * x / sqrt(mean(x^2) + eps). <paramref name="x"/> [R, D], <paramref name="gain"/> [D]; returns [R,
    /// D].
    /// </summary>
    public static double[] RmsNorm(double[] x, double[] gain, int rows, int width, double eps)
    {
        var y = new double[rows * width];
        for (var r = 0; r < rows; r++)
        {
            var inverse = InverseRms(x, r, width, eps);
            for (var d = 0; d < width; d++)
            {
                y[r * width + d] = gain[d] * x[r * width + d] * inverse;
            }
        }

        return y;
    }

    /// <summary>
    /// With s = 1 / rms: dX = s * gain * dY - x * s^3 / D * sum(dY * gain * x); the second term is the path through s.
    /// </summary>
    public static void RmsNormBackward(
        double[] dY, double[] x, double[] gain, int rows, int width, double eps, double[] dX, double[] dGain)
    {
        for (var r = 0; r < rows; r++)
        {
            var inverse = InverseRms(x, r, width, eps);
            var throughScale = 0.0;
            for (var d = 0; d < width; d++)
            {
                throughScale += dY[r * width + d] * gain[d] * x[r * width + d];
            }

            for (var d = 0; d < width; d++)
            {
                var at = r * width + d;
                dX[at] += inverse * gain[d] * dY[at] - x[at] * inverse * inverse * inverse / width * throughScale;
                dGain[d] += dY[at] * x[at] * inverse;
            }
        }
    }

    private static double InverseRms(double[] x, int r, int width, double eps)
    {
        var squares = 0.0;
        for (var d = 0; d < width; d++)
        {
            squares += x[r * width + d] * x[r * width + d];
        }

        return 1 / Math.Sqrt(squares / width + eps);
    }

    /// <summary>
    /// Turns the pair (i, i + K/2) of every head by the angle position * theta^(-2i/K): the half-split convention,
    /// not llama2.c's neighbours (2i, 2i + 1). <paramref name="x"/> [R, H, K]; returns [R, H, K].
    /// </summary>
    public static double[] Rope(double[] x, int[] positions, int heads, int headSize, double theta)
    {
        var y = new double[x.Length];
        Rotate(x, positions, heads, headSize, theta, direction: +1, y);
        return y;
    }

    /// <summary>The transpose of a rotation is the rotation back.</summary>
    public static void RopeBackward(
        double[] dY, int[] positions, int heads, int headSize, double theta, double[] dX) =>
        Rotate(dY, positions, heads, headSize, theta, direction: -1, dX);

    private static void Rotate(
        double[] x, int[] positions, int heads, int headSize, double theta, int direction, double[] y)
    {
        var half = headSize / 2;
        for (var r = 0; r < positions.Length; r++)
        {
            for (var h = 0; h < heads; h++)
            {
                for (var i = 0; i < half; i++)
                {
                    var angle = direction * positions[r] * Math.Pow(theta, -2.0 * i / headSize);
                    var (sin, cos) = Math.SinCos(angle);
                    var first = (r * heads + h) * headSize + i;
                    var second = first + half;
                    y[first] += x[first] * cos - x[second] * sin;
                    y[second] += x[second] * cos + x[first] * sin;
                }
            }
        }
    }

    /// <summary>y = silu(gate) * up, silu(x) = x / (1 + e^-x), elementwise.</summary>
    public static double[] SwiGlu(double[] gate, double[] up)
    {
        var y = new double[gate.Length];
        for (var i = 0; i < y.Length; i++)
        {
            y[i] = gate[i] * Sigmoid(gate[i]) * up[i];
        }

        return y;
    }

    /// <summary>silu'(x) = s + x s (1 - s), with s the sigmoid of x.</summary>
    public static void SwiGluBackward(double[] dY, double[] gate, double[] up, double[] dGate, double[] dUp)
    {
        for (var i = 0; i < dY.Length; i++)
        {
            var s = Sigmoid(gate[i]);
            dGate[i] += dY[i] * up[i] * (s + gate[i] * s * (1 - s));
            dUp[i] += dY[i] * gate[i] * s;
        }
    }

    private static double Sigmoid(double x) => 1 / (1 + Math.Exp(-x));

    /// <summary>exp(x - max) / sum, per row of <paramref name="x"/> [R, V].</summary>
    public static double[] Softmax(double[] x, int rows, int columns)
    {
        var y = new double[x.Length];
        for (var r = 0; r < rows; r++)
        {
            var max = RowMax(x, r, columns); // without it exp(710) is infinite and the law NaN
            var total = 0.0;
            for (var c = 0; c < columns; c++)
            {
                y[r * columns + c] = Math.Exp(x[r * columns + c] - max);
                total += y[r * columns + c];
            }

            for (var c = 0; c < columns; c++)
            {
                y[r * columns + c] /= total;
            }
        }

        return y;
    }

    /// <summary>dX = y * (dY - sum(y * dY)), from the forward's result <paramref name="y"/>.</summary>
    public static void SoftmaxBackward(double[] dY, double[] y, int rows, int columns, double[] dX)
    {
        for (var r = 0; r < rows; r++)
        {
            var mean = 0.0;
            for (var c = 0; c < columns; c++)
            {
                mean += y[r * columns + c] * dY[r * columns + c];
            }

            for (var c = 0; c < columns; c++)
            {
                dX[r * columns + c] += y[r * columns + c] * (dY[r * columns + c] - mean);
            }
        }
    }

    private static double RowMax(double[] x, int r, int columns)
    {
        var max = double.NegativeInfinity;
        for (var c = 0; c < columns; c++)
        {
            max = Math.Max(max, x[r * columns + c]);
        }

        return max;
    }

    private static double LogSumExp(double[] x, int r, int columns)
    {
        var max = RowMax(x, r, columns);
        var total = 0.0;
        for (var c = 0; c < columns; c++)
        {
            total += Math.Exp(x[r * columns + c] - max);
        }

        return max + Math.Log(total);
    }

    /// <summary>
    /// Weighted mean of -log softmax(logits[r])[targets[r]] over the rows whose target is not <see cref="Ignored"/>:
    /// sum(w * nll) / sum(w); zero when no row counts.
    /// </summary>
    /// <param name="logits">[R, V].</param>
    /// <param name="targets">[R].</param>
    /// <param name="weights">Weight per row, [R], or null for ones.</param>
    /// <param name="columns">V.</param>
    public static double CrossEntropy(double[] logits, int[] targets, double[]? weights, int columns)
    {
        var loss = 0.0;
        for (var r = 0; r < targets.Length; r++)
        {
            if (targets[r] != Ignored)
            {
                loss += Share(targets, weights, r) * (LogSumExp(logits, r, columns) - logits[r * columns + targets[r]]);
            }
        }

        return loss;
    }

    /// <summary>dLogits = share * (softmax - one-hot of the target), scaled by the gradient of the loss.</summary>
    public static void CrossEntropyBackward(
        double dLoss, double[] logits, int[] targets, double[]? weights, int columns, double[] dLogits)
    {
        var law = Softmax(logits, targets.Length, columns);
        for (var r = 0; r < targets.Length; r++)
        {
            for (var c = 0; c < columns && targets[r] != Ignored; c++)
            {
                var hit = c == targets[r] ? 1.0 : 0.0;
                dLogits[r * columns + c] += dLoss * Share(targets, weights, r) * (law[r * columns + c] - hit);
            }
        }
    }

    /// <summary>sum_r w_r KL(softmax(scale t_r) || softmax(scale x_r)); logits x and teacher t [R, V], weights [R].</summary>
    public static double Divergence(double[] logits, double[] teacher, double scale, double[] weights, int columns)
    {
        var (p, q) = (Softmax(Scaled(logits, scale), weights.Length, columns), Softmax(Scaled(teacher, scale), weights.Length, columns));
        var loss = 0.0;
        for (var i = 0; i < q.Length; i++)
        {
            loss += weights[i / columns] * q[i] * (Math.Log(q[i]) - Math.Log(p[i]));
        }

        return loss;
    }

    /// <summary>dLogits += dLoss w scale (softmax(scale x) - softmax(scale t)).</summary>
    public static void DivergenceBackward(
        double dLoss, double[] logits, double[] teacher, double scale, double[] weights, int columns, double[] dLogits)
    {
        var (p, q) = (Softmax(Scaled(logits, scale), weights.Length, columns), Softmax(Scaled(teacher, scale), weights.Length, columns));
        for (var i = 0; i < q.Length; i++)
        {
            dLogits[i] += dLoss * weights[i / columns] * scale * (p[i] - q[i]);
        }
    }

    /// <summary>sum_r w_r KL(softmax(scale x_r) || softmax(scale t_r)), the other way round.</summary>
    public static double ReverseDivergence(double[] logits, double[] teacher, double scale, double[] weights, int columns) =>
        Divergence(teacher, logits, scale, weights, columns);

    /// <summary>dLogits_j += dLoss w scale p_j (log p_j - log q_j - KL(p || q)).</summary>
    public static void ReverseDivergenceBackward(
        double dLoss, double[] logits, double[] teacher, double scale, double[] weights, int columns, double[] dLogits)
    {
        var (p, q) = (Softmax(Scaled(logits, scale), weights.Length, columns), Softmax(Scaled(teacher, scale), weights.Length, columns));
        for (var r = 0; r < weights.Length; r++)
        {
            var row = Enumerable.Range(r * columns, columns).ToArray();
            var divergence = row.Sum(i => p[i] * (Math.Log(p[i]) - Math.Log(q[i])));
            foreach (var i in row)
            {
                dLogits[i] += dLoss * weights[r] * scale * p[i] * (Math.Log(p[i]) - Math.Log(q[i]) - divergence);
            }
        }
    }

    /// <summary>sum_r w_r (sum_v log(1 + exp(x_rv)) - x_r,target): one yes or no per token of the vocabulary.</summary>
    public static double BinaryCrossEntropy(double[] logits, int[] targets, double[] weights, int columns)
    {
        var loss = 0.0;
        for (var i = 0; i < logits.Length; i++)
        {
            var (r, hit) = (i / columns, i % columns == targets[i / columns] ? 1 : 0);
            loss += targets[r] == Ignored ? 0 : weights[r] * (Math.Max(logits[i], 0) + Math.Log(1 + Math.Exp(-Math.Abs(logits[i]))) - hit * logits[i]);
        }

        return loss;
    }

    /// <summary>dLogits += dLoss w (sigmoid(x) - one-hot of the target).</summary>
    public static void BinaryCrossEntropyBackward(
        double dLoss, double[] logits, int[] targets, double[] weights, int columns, double[] dLogits)
    {
        for (var i = 0; i < logits.Length; i++)
        {
            var (r, hit) = (i / columns, i % columns == targets[i / columns] ? 1 : 0);
            dLogits[i] += targets[r] == Ignored ? 0 : dLoss * weights[r] * (1 / (1 + Math.Exp(-logits[i])) - hit);
        }
    }

    private static double[] Scaled(double[] x, double scale) => [.. x.Select(value => value * scale)];

    private static double Share(int[] targets, double[]? weights, int r)
    {
        var total = 0.0;
        for (var other = 0; other < targets.Length; other++)
        {
            total += targets[other] == Ignored ? 0 : weights?[other] ?? 1;
        }

        return total == 0 ? 0 : (weights?[r] ?? 1) / total;
    }

    /// <summary>a + b, elementwise; its backward hands dY to both.</summary>
    public static double[] Add(double[] a, double[] b)
    {
        var y = new double[a.Length];
        for (var i = 0; i < y.Length; i++)
        {
            y[i] = a[i] + b[i];
        }

        return y;
    }
}
