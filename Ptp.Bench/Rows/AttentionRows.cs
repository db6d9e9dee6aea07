// Attention of one layer with the heads of the 110M shape: a prompt that sees itself causally, and one row behind a cache.
//   2 R t H K operations for scores and as many for the mix, t keys seen on average; decoding counts bytes of keys and values
// Peers: PyTorch's eager softmax(q k^T / sqrt(K) + mask) v, and ONNX Runtime's MultiHeadAttention. Refuses: nothing.

using Ptp.Bench.Peers;
using Ptp.Core.Tensors;

namespace Ptp.Bench.Rows;

/// <summary>Rows about attention.</summary>
internal static class AttentionRows
{
    private const string Group = "Attention, one layer";

    /// <summary>Prefill and decoding.</summary>
    public static IEnumerable<Row> All(Bench bench)
    {
        var (heads, size, tokens) = bench.Plan.Of((2, 16, 16), (12, 64, 512), (12, 64, 512));
        return Prefill(bench, heads, size, tokens).Concat(Decode(bench, heads, size, tokens));
    }

    private static IEnumerable<Row> Prefill(Bench bench, int heads, int size, int tokens)
    {
        var width = heads * size;
        var (q, k, v) = (bench.Random(tokens, width, "q"), bench.Random(tokens, width, "k"), bench.Random(tokens, width, "v"));
        var y = bench.Backend.Allocate(tokens, width);
        var visibility = Visibility.Causal(0, tokens);
        var shape = new HeadShape(heads, heads, size);
        void Ours() => bench.Backend.Attention(q, k, v, default, visibility, shape, y);
        var onnx = bench.AskOnnx(runtime =>
        {
            long[] sizes = [1, tokens, width];
            (OnnxTensor Tensor, float[] Values)[] inputs =
            [
                (new OnnxTensor("q", sizes), q.Span.ToArray()), (new OnnxTensor("k", sizes), k.Span.ToArray()),
                (new OnnxTensor("v", sizes), v.Span.ToArray()),
            ];
            var (output, values) = (new OnnxTensor("y", sizes), new float[y.Length]);
            var node = new OnnxNode("MultiHeadAttention", ["q", "k", "v"], "y", "com.microsoft", ("num_heads", heads), ("unidirectional", 1));
            var run = runtime.Session(OnnxGraph.Model([.. inputs.Select(i => i.Tensor)], output, node), inputs, (output, values));
            run();
            Ours();
            Bench.Agree("ONNX Runtime's attention", y.Span, values);
            return run;
        });
        foreach (var row in Contest.Run(bench.Plan, Group, $"attention, prompt of {tokens}, {heads} heads of {size}, causal", Unit.Gigaflops,
            4e-9 * tokens * (tokens + 1) / 2 * width, s => Clock.Time(Ours, s),
            [bench.AskTorch($"attention {tokens} 0 {heads} {size}"), onnx], () => bench.Peak()))
        {
            yield return row;
        }

        bench.Onnx?.Release();
    }

    private static IEnumerable<Row> Decode(Bench bench, int heads, int size, int tokens)
    {
        var width = heads * size;
        var cache = new CachedKeys(bench.Random(tokens, width, "keys"), bench.Random(tokens, width, "values"));
        var (q, k, v, y) = (bench.Random(1, width, "q"), bench.Random(1, width, "k"), bench.Random(1, width, "v"), bench.Backend.Allocate(1, width));
        var visibility = Visibility.Causal(tokens, 1);
        var bytes = 8L * tokens * width;
        return Contest.Run(bench.Plan, Group, $"attention, one row behind {tokens} tokens, {heads} heads of {size}", Unit.Gigabytes, 1e-9 * bytes,
            s => Clock.Time(() => bench.Backend.Attention(q, k, v, cache, visibility, new HeadShape(heads, heads, size), y), s),
            [bench.AskTorch($"attention 1 {tokens} {heads} {size}")], () => bench.Stream(bytes));
    }
}
