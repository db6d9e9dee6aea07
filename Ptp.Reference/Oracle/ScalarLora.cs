// Gated low-rank adapters: every row computes W x, gated rows add s * B (A x), nothing is ever subtracted.
// Source: gated LoRA as the paper uses it, so that one network is both the exact base model and the student.
// Refuses: adapters of unknown linears or of the wrong size (checked by ScalarTransformer when it runs).

namespace Ptp.Reference.Oracle;

/// <summary>Adapter weights per linear, named as its weight without ".weight" (model.layers.0.mlp.up_proj).</summary>
/// <param name="Rank">Rows of A and columns of B.</param>
/// <param name="Scale">s.</param>
/// <param name="A">[Rank, inputs] per linear.</param>
/// <param name="B">[outputs, Rank] per linear.</param>
public sealed record ScalarLora(
    int Rank, double Scale, IReadOnlyDictionary<string, double[]> A, IReadOnlyDictionary<string, double[]> B)
{
    /// <summary>
    /// y += s * B (A x) in the gated rows. <paramref name="x"/> [R, inputs], <paramref name="y"/> [R, outputs].
    /// </summary>
    public void Add(string linear, double[] x, bool[] gated, int inputs, int outputs, double[] y)
    {
        var down = ScalarOps.Linear(x, A[linear], gated.Length, inputs, Rank); // [R, Rank]
        var change = ScalarOps.Linear(down, B[linear], gated.Length, Rank, outputs);
        for (var at = 0; at < y.Length; at++)
        {
            y[at] += gated[at / outputs] ? Scale * change[at] : 0;
        }
    }

    /// <summary>The backward of two linears in a row, for the gated rows alone.</summary>
    public void AddBackward(
        string linear, double[] dY, double[] x, bool[] gated, int inputs, int outputs,
        double[] dX, double[] dA, double[] dB)
    {
        var dChange = new double[dY.Length];
        for (var at = 0; at < dY.Length; at++)
        {
            dChange[at] = gated[at / outputs] ? Scale * dY[at] : 0;
        }

        var down = ScalarOps.Linear(x, A[linear], gated.Length, inputs, Rank);
        var dDown = new double[down.Length];
        ScalarOps.LinearBackward(dChange, down, B[linear], gated.Length, Rank, outputs, dDown, dB);
        ScalarOps.LinearBackward(dDown, x, A[linear], gated.Length, inputs, Rank, dX, dA);
    }
}
