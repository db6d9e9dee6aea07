// Masked attention with grouped heads, forward and backward; the mask is a plain table of who sees whom.
// Source: softmax(q k^T / sqrt(K)) v over the visible keys, query heads sharing key-value heads as in LLaMA.
// Not here: a cache. The keys of the past are rows like any others.

namespace Ptp.Reference.Oracle;

public static partial class ScalarOps
{
    /// <summary>
    /// Query row r mixes the values of the key rows c with visible[r, c], by softmax(q.k / sqrt(K)); a row that sees
    /// nothing gives zeros. Query head h reads key-value head h / (H / kvHeads).
    /// </summary>
    /// <param name="q">Queries, [R, H, K].</param>
    /// <param name="k">Keys, [C, kvHeads, K].</param>
    /// <param name="v">Values, [C, kvHeads, K].</param>
    /// <param name="visible">Who sees whom, [R, C].</param>
    /// <param name="heads">H.</param>
    /// <param name="kvHeads">Key-value heads; divides H.</param>
    /// <param name="headSize">K.</param>
    /// <returns>[R, H, K].</returns>
    public static double[] Attention(
        double[] q, double[] k, double[] v, bool[,] visible, int heads, int kvHeads, int headSize)
    {
        var y = new double[q.Length];
        for (var r = 0; r < visible.GetLength(0); r++)
        {
            for (var h = 0; h < heads; h++)
            {
                var weights = AttentionWeights(q, k, visible, r, h, heads, kvHeads, headSize);
                for (var c = 0; c < weights.Length; c++)
                {
                    var row = (r * heads + h) * headSize;
                    var key = (c * kvHeads + h * kvHeads / heads) * headSize;
                    for (var d = 0; d < headSize; d++)
                    {
                        y[row + d] += weights[c] * v[key + d];
                    }
                }
            }
        }

        return y;
    }

    /// <summary>dV += p dY; dP = dY.v; dS = p (dP - sum p dP); dQ += dS k / sqrt(K); dK += dS q / sqrt(K).</summary>
    public static void AttentionBackward(
        double[] dY, double[] q, double[] k, double[] v, bool[,] visible, int heads, int kvHeads, int headSize,
        double[] dQ, double[] dK, double[] dV)
    {
        for (var r = 0; r < visible.GetLength(0); r++)
        {
            for (var h = 0; h < heads; h++)
            {
                var weights = AttentionWeights(q, k, visible, r, h, heads, kvHeads, headSize);
                var row = (r * heads + h) * headSize;
                var dWeights = new double[weights.Length];
                for (var c = 0; c < weights.Length; c++)
                {
                    var key = (c * kvHeads + h * kvHeads / heads) * headSize;
                    for (var d = 0; d < headSize; d++)
                    {
                        dV[key + d] += weights[c] * dY[row + d];
                        dWeights[c] += dY[row + d] * v[key + d];
                    }
                }

                var dScores = new double[weights.Length];
                SoftmaxBackward(dWeights, weights, 1, weights.Length, dScores);
                for (var c = 0; c < weights.Length; c++)
                {
                    var key = (c * kvHeads + h * kvHeads / heads) * headSize;
                    for (var d = 0; d < headSize; d++)
                    {
                        dQ[row + d] += dScores[c] * k[key + d] / Math.Sqrt(headSize);
                        dK[key + d] += dScores[c] * q[row + d] / Math.Sqrt(headSize);
                    }
                }
            }
        }
    }

    private static double[] AttentionWeights(
        double[] q, double[] k, bool[,] visible, int r, int h, int heads, int kvHeads, int headSize)
    {
        var scores = new double[visible.GetLength(1)];
        var seesAny = false;
        for (var c = 0; c < scores.Length; c++)
        {
            if (!visible[r, c])
            {
                scores[c] = double.NegativeInfinity;
                continue;
            }

            seesAny = true;
            for (var d = 0; d < headSize; d++)
            {
                scores[c] += q[(r * heads + h) * headSize + d] * k[(c * kvHeads + h * kvHeads / heads) * headSize + d];
            }

            scores[c] /= Math.Sqrt(headSize);
        }

        return seesAny ? Softmax(scores, 1, scores.Length) : new double[scores.Length];
    }
}
