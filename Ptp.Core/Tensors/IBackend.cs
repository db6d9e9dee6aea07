// One method per op of a LLaMA-style transformer, forward and backward: the table of contents of a transformer.
// Rules every backend keeps: row independence (the numbers of a row depend on that row's inputs only, never on the
// other rows of the call, threads or capacity), sums over the inner dimension in one fixed order, masked keys skipped.
// Backward methods ADD to their destinations, two of them only if asked; argument order is sources, sizes, destination.

namespace Ptp.Core.Tensors;

/// <summary>A weight [N, K] in the layout its backend multiplies fastest.</summary>
public abstract class PackedMatrix
{
    /// <summary>N, width of the product's rows.</summary>
    public abstract int Outputs { get; }

    /// <summary>K, the dimension that is summed over.</summary>
    public abstract int Inputs { get; }
}

/// <summary>How a weight is stored for products of inference.</summary>
public enum WeightFormat
{
    /// <summary>As it is: the product is that of the floats, to the bit.</summary>
    Exact,

    /// <summary>Rounded to signed bytes, 64 of an output sharing a scale; so are rows of x as they come. Four times less to read.</summary>
    Int8,
}

/// <summary>Cosines and sines of RoPE for positions 0 to T - 1, each [T, K / 2].</summary>
public sealed record RopeTable(Tensor Cosine, Tensor Sine);

/// <summary>Keys and values that earlier calls left behind, each [capacity, G * K].</summary>
public readonly record struct CachedKeys(Tensor? Keys, Tensor? Values);

/// <summary>Heads of an attention call: H query heads share G key-value heads of width K.</summary>
public readonly record struct HeadShape(int Heads, int KeyValueHeads, int HeadSize);

/// <summary>One step of AdamW, Loshchilov and Hutter 2019, decay decoupled.</summary>
public readonly record struct AdamWStep(
    double LearningRate, double Beta1, double Beta2, double Epsilon, double WeightDecay, int Step, double GradientScale);

/// <summary>The contract of a device.</summary>
public partial interface IBackend : IDisposable
{
    /// <summary>What runs the kernels, as printed in every report.</summary>
    string Name { get; }

    /// <summary>A zeroed tensor [rows, columns].</summary>
    Tensor Allocate(int rows, int columns);

    /// <summary>Copies host floats to a tensor of the same length.</summary>
    void Upload(ReadOnlySpan<float> source, Tensor destination);

    /// <summary>Copies a tensor to host floats of the same length.</summary>
    void Download(Tensor source, Span<float> destination);

    /// <summary>destination = source, same shape.</summary>
    void Copy(Tensor source, Tensor destination);

    /// <summary>Every element = value.</summary>
    void Fill(float value, Tensor destination);

    /// <summary>output[r] = table[ids[r]]; table [V, D], output [R, D].</summary>
    void Embedding(Tensor table, ReadOnlySpan<int> ids, Tensor output);

    /// <summary>dTable[ids[r]] += dOutput[r], rows in ascending order.</summary>
    void EmbeddingBackward(Tensor dOutput, ReadOnlySpan<int> ids, Tensor dTable);

    /// <summary>Whether <see cref="Pack"/> knows a format: the CPU knows all, devices have no products over bytes.</summary>
    bool Stores(WeightFormat format);

    /// <summary>Packs a weight [N, K] for x W^T (K is summed), or its transpose for dY W (N is summed).</summary>
    /// <param name="weight">W, [N, K].</param>
    /// <param name="transposed">True for the backward product.</param>
    /// <param name="reuse">An earlier packing of the same shape to overwrite, or null.</param>
    /// <param name="format">How it is stored; the transposed form is always exact.</param>
    PackedMatrix Pack(Tensor weight, bool transposed, PackedMatrix? reuse, WeightFormat format = WeightFormat.Exact);

    /// <summary>y = x W^T, or y += x W^T; x [R, K], y [R, N]. Each element is one sum over K in ascending order.</summary>
    void MatMul(Tensor x, PackedMatrix weight, bool accumulate, Tensor y);

    /// <summary>dX = dY W, or dX += dY W; dY [R, N], dX [R, K]; the weight is packed transposed.</summary>
    void MatMulBackwardInput(Tensor dY, PackedMatrix transposedWeight, bool accumulate, Tensor dX);

    /// <summary>dW += dY^T x; dY [R, N], x [R, K], dW [N, K]; summed over R in ascending order.</summary>
    void MatMulBackwardWeight(Tensor dY, Tensor x, Tensor dW);

    /// <summary>y = x / sqrt(mean(x^2) + epsilon) * gain; x, y [R, D], gain [1, D].</summary>
    void RmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y);

    /// <summary>Adds to dX [R, D] and, unless null, to dGain [1, D].</summary>
    void RmsNormBackward(Tensor x, Tensor gain, float epsilon, Tensor dY, Tensor dX, Tensor? dGain);

    /// <summary>Turns the pairs (i, i + K/2) of each head by the row's position, in place; x [R, heads * K].</summary>
    void Rope(RopeTable table, ReadOnlySpan<int> positions, Tensor x);

    /// <summary>Turns gradients back, in place: the transpose of <see cref="Rope"/>.</summary>
    void RopeBackward(RopeTable table, ReadOnlySpan<int> positions, Tensor dX);

    /// <summary>
    /// output[r] = sum over visible keys t of softmax(q[r] k[t] / sqrt(K)) v[t], per head.
    /// q, output [R, H * K]; keys, values of the call's own rows [R, G * K].
    /// </summary>
    void Attention(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor output);

    /// <summary>Adds to dQ, dKeys, dValues; cached keys are constants. Probabilities are computed again.</summary>
    void AttentionBackward(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor dOutput,
        Tensor dQ, Tensor dKeys, Tensor dValues);

    /// <summary>Copies row r of source to row slots[r] of destination; a negative slot drops the row.</summary>
    void Scatter(Tensor source, ReadOnlySpan<int> slots, Tensor destination);

    /// <summary>y = silu(gate) * up, silu(a) = a / (1 + exp(-a)); all [R, F].</summary>
    void SwiGlu(Tensor gate, Tensor up, Tensor y);

    /// <summary>Writes, or adds to, dGate and dUp.</summary>
    void SwiGluBackward(Tensor gate, Tensor up, Tensor dY, bool accumulate, Tensor dGate, Tensor dUp);

    /// <summary>Row-wise softmax, the maximum subtracted; x, y [R, V].</summary>
    void Softmax(Tensor x, Tensor y);

    /// <summary>
    /// Sum over rows of weights[r] * -log softmax(logits[r])[targets[r]]; rows with a negative target count nothing.
    /// </summary>
    /// <param name="logits">[R, V]; overwritten by the gradient if <paramref name="gradient"/>.</param>
    /// <param name="targets">Ids, [R]; negative = ignored.</param>
    /// <param name="weights">Row weights, [R]; empty = all one.</param>
    /// <param name="gradient">True to replace logits by d loss / d logits.</param>
    double CrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient);

    /// <summary>
    /// Sum over rows of weights[r] * KL(q[r] || p[r]), q = softmax(scale * teacher), p = softmax(scale * logits): forward KL.
    /// </summary>
    /// <param name="logits">[R, V]; overwritten by the gradient if <paramref name="gradient"/>.</param>
    /// <param name="teacher">[R, V], a constant.</param>
    /// <param name="scale">1 / temperature of both laws.</param>
    /// <param name="weights">Row weights, [R]; empty = all one.</param>
    /// <param name="gradient">True to replace logits by d loss / d logits.</param>
    double Divergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient);

    /// <summary>As <see cref="Divergence"/>, the other way round: sum of weights[r] * KL(p[r] || q[r]), reverse KL.</summary>
    /// <param name="logits">[R, V]; overwritten by the gradient if <paramref name="gradient"/>.</param>
    /// <param name="teacher">[R, V], a constant.</param>
    /// <param name="scale">1 / temperature of both laws.</param>
    /// <param name="weights">Row weights, [R]; empty = all one.</param>
    /// <param name="gradient">True to replace logits by d loss / d logits.</param>
    double ReverseDivergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient);

    /// <summary>
    /// Sum over rows of weights[r] * (sum_v softplus(x[r, v]) - x[r, targets[r]]): each token of the vocabulary its own yes or no.
    /// </summary>
    /// <param name="logits">[R, V]; overwritten by the gradient if <paramref name="gradient"/>.</param>
    /// <param name="targets">Ids, [R]; negative = ignored.</param>
    /// <param name="weights">Row weights, [R]; empty = all one.</param>
    /// <param name="gradient">True to replace logits by d loss / d logits.</param>
    double BinaryCrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient);

    /// <summary>y = a + b, same shapes.</summary>
    void Add(Tensor a, Tensor b, Tensor y);

    /// <summary>y += scale * x, same shapes.</summary>
    void AddScaled(Tensor x, float scale, Tensor y);

    /// <summary>x *= scale.</summary>
    void Scale(float scale, Tensor x);

    /// <summary>Sum of all elements, in double.</summary>
    double Sum(Tensor x);

    /// <summary>Sum of squares of all elements, in double.</summary>
    double SumOfSquares(Tensor x);

    /// <summary>One AdamW step on a parameter; moments m and v are updated, the gradient is read.</summary>
    void AdamW(Tensor gradient, AdamWStep step, Tensor m, Tensor v, Tensor parameter);
}
