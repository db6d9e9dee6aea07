// A backend that hands everything to another one, so that a test can replace a single op.
// Source: IBackend, method by method.
// Not here: any arithmetic.

using Ptp.Core.Heads.Flows;
using Ptp.Core.Tensors;

namespace Ptp.Tests.Backends;

internal class WrappedBackend(IBackend inner) : IBackend
{
    public virtual string Name => "wrapped " + inner.Name;

    public Tensor Allocate(int rows, int columns) => inner.Allocate(rows, columns);

    public void Upload(ReadOnlySpan<float> source, Tensor destination) => inner.Upload(source, destination);

    public virtual void Download(Tensor source, Span<float> destination) => inner.Download(source, destination);

    public void Copy(Tensor source, Tensor destination) => inner.Copy(source, destination);

    public void Fill(float value, Tensor destination) => inner.Fill(value, destination);

    public void Embedding(Tensor table, ReadOnlySpan<int> ids, Tensor output) => inner.Embedding(table, ids, output);

    public void EmbeddingBackward(Tensor dOutput, ReadOnlySpan<int> ids, Tensor dTable) =>
        inner.EmbeddingBackward(dOutput, ids, dTable);

    public bool Stores(WeightFormat format) => inner.Stores(format);

    public virtual PackedMatrix Pack(Tensor weight, bool transposed, PackedMatrix? reuse, WeightFormat format) =>
        inner.Pack(weight, transposed, reuse, format);

    public virtual void MatMul(Tensor x, PackedMatrix weight, bool accumulate, Tensor y) =>
        inner.MatMul(x, weight, accumulate, y);

    public void MatMulBackwardInput(Tensor dY, PackedMatrix transposedWeight, bool accumulate, Tensor dX) =>
        inner.MatMulBackwardInput(dY, transposedWeight, accumulate, dX);

    public void MatMulBackwardWeight(Tensor dY, Tensor x, Tensor dW) => inner.MatMulBackwardWeight(dY, x, dW);

    public virtual void RmsNorm(Tensor x, Tensor gain, float epsilon, Tensor y) => inner.RmsNorm(x, gain, epsilon, y);

    public void RmsNormBackward(Tensor x, Tensor gain, float epsilon, Tensor dY, Tensor dX, Tensor? dGain) =>
        inner.RmsNormBackward(x, gain, epsilon, dY, dX, dGain);

    public void Rope(RopeTable table, ReadOnlySpan<int> positions, Tensor x) => inner.Rope(table, positions, x);

    public void RopeBackward(RopeTable table, ReadOnlySpan<int> positions, Tensor dX) =>
        inner.RopeBackward(table, positions, dX);

    public virtual void Attention(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor output) =>
        inner.Attention(q, keys, values, cache, visibility, heads, output);

    public void AttentionBackward(
        Tensor q, Tensor keys, Tensor values, CachedKeys cache, Visibility visibility, HeadShape heads, Tensor dOutput,
        Tensor dQ, Tensor dKeys, Tensor dValues) =>
        inner.AttentionBackward(q, keys, values, cache, visibility, heads, dOutput, dQ, dKeys, dValues);

    public void Scatter(Tensor source, ReadOnlySpan<int> slots, Tensor destination) =>
        inner.Scatter(source, slots, destination);

    public void SwiGlu(Tensor gate, Tensor up, Tensor y) => inner.SwiGlu(gate, up, y);

    public virtual void SwiGluBackward(Tensor gate, Tensor up, Tensor dY, bool accumulate, Tensor dGate, Tensor dUp) =>
        inner.SwiGluBackward(gate, up, dY, accumulate, dGate, dUp);

    public void Softmax(Tensor x, Tensor y) => inner.Softmax(x, y);

    public double CrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient) =>
        inner.CrossEntropy(logits, targets, weights, gradient);

    public double ReverseDivergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        inner.ReverseDivergence(logits, teacher, scale, weights, gradient);

    public double BinaryCrossEntropy(Tensor logits, ReadOnlySpan<int> targets, ReadOnlySpan<float> weights, bool gradient) =>
        inner.BinaryCrossEntropy(logits, targets, weights, gradient);

    public double Divergence(Tensor logits, Tensor teacher, float scale, ReadOnlySpan<float> weights, bool gradient) =>
        inner.Divergence(logits, teacher, scale, weights, gradient);

    public void Add(Tensor a, Tensor b, Tensor y) => inner.Add(a, b, y);

    public void AddScaled(Tensor x, float scale, Tensor y) => inner.AddScaled(x, scale, y);

    public void Scale(float scale, Tensor x) => inner.Scale(scale, x);

    public double Sum(Tensor x) => inner.Sum(x);

    public double SumOfSquares(Tensor x) => inner.SumOfSquares(x);

    public void MultiplyAdd(Tensor a, Tensor b, Tensor y) => inner.MultiplyAdd(a, b, y);

    public void Sigmoid(Tensor x, Tensor y) => inner.Sigmoid(x, y);

    public void SigmoidBackward(Tensor y, Tensor dY, Tensor dX) => inner.SigmoidBackward(y, dY, dX);

    public virtual void Map(MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor y, Tensor logSlopes) =>
        inner.Map(map, x, parameters, active, y, logSlopes);

    public void MapBackward(
        MonotoneMap map, Tensor x, Tensor parameters, Tensor active, Tensor dY, Tensor dLogSlopes, Tensor dX, Tensor dParameters) =>
        inner.MapBackward(map, x, parameters, active, dY, dLogSlopes, dX, dParameters);

    public void AdamW(Tensor gradient, AdamWStep step, Tensor m, Tensor v, Tensor parameter) =>
        inner.AdamW(gradient, step, m, v, parameter);

    public void Dispose()
    {
        // The inner backend belongs to whoever made it.
    }
}
