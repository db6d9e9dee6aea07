// Losses between hidden states: how far a predicted state is from the one the base computed, which is a constant.
//   SmoothL1: mean over d of 0.5 e^2 if |e| < 1 else |e| - 0.5 (EAGLE-1);   squared: mean over d of e^2 (Samragh's consistency)
// Computed on the host, row by row; the gradient is added to x at once, before the tape replays. Refuses: gradients into the target.

using Ptp.Core.Autograd;
using Ptp.Core.Tensors;

namespace Ptp.Core.Heads;

internal static class FeatureLoss
{
    /// <summary>Sum over rows of weights[r] * mean over d of SmoothL1(x - target); x, target [R, D].</summary>
    public static double SmoothL1(Tape tape, Variable x, Tensor target, ReadOnlySpan<float> weights) => Run(
        tape, x, target, weights, e => Math.Abs(e) < 1 ? (0.5 * e * e, e) : (Math.Abs(e) - 0.5, Math.Sign(e)));

    /// <summary>Sum over rows of weights[r] * mean over d of (x - target)^2; x, target [R, D].</summary>
    public static double Squared(Tape tape, Variable x, Tensor target, ReadOnlySpan<float> weights) =>
        Run(tape, x, target, weights, e => (e * e, 2 * e));

    private static double Run(
        Tape tape, Variable x, Tensor target, ReadOnlySpan<float> weights, Func<double, (double Loss, double Slope)> measure)
    {
        var (rows, width) = (x.Value.Rows, x.Value.Columns);
        var (values, goals) = (new float[rows * width], new float[rows * width]);
        tape.Backend.Download(x.Value, values);
        tape.Backend.Download(target, goals);
        var sum = 0.0;
        for (var i = 0; i < values.Length; i++)
        {
            var share = weights[i / width] / (double)width;
            var (loss, slope) = measure((double)values[i] - goals[i]);
            sum += share * loss;
            values[i] = (float)(share * slope);
        }

        if (tape.Recording && x.Gradient is not null)
        {
            tape.Backend.AddScaled(tape.Constant(values, rows, width).Value, 1f, tape.Whole(x));
        }

        return sum;
    }
}
