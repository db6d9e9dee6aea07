// Single operators against stored inputs and outputs: AdamW after 1,000 steps, RoPE, masked attention.
// Source: the vectors of a public course on language models (cs336), computed with PyTorch.
// Skips, with a reason, where the real data is absent. Their RoPE turns neighbours; here pairs are permuted first.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Model;

public sealed class ReferenceVectorTests : IDisposable
{
    private const string Folder = "vectors/cs336/";
    private readonly CpuBackend _backend = new(1);

    // A linear map [2, 3] fitted to y = (x0 + x1, -x2) by squared error, one random x per step.
    [DataFact(Folder + "inputs_adamw.npz", Folder + "test_adamw.npz")]
    public void AdamW_ends_where_PyTorch_does()
    {
        var inputs = NpzFile.Read(TestData.Path(Folder + "inputs_adamw.npz"));
        var weight = new Parameter(_backend, "w", 2, 3);
        Initialise.Set(weight, inputs["w0"].Floats);
        weight.SetTrainable(true);
        var optimiser = new AdamW(
            [weight],
            new AdamWOptions { Beta1 = 0.9, Beta2 = 0.999, Epsilon = 1e-8, WeightDecay = 0.01, ClipNorm = 0 });
        for (var step = 0; step < 1000; step++)
        {
            var x = inputs["x"].Floats.AsSpan(3 * step, 3);
            float[] target = [x[0] + x[1], -x[2]];
            for (var n = 0; n < 2; n++)
            {
                var row = weight.Value.Row(n);
                var error = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] - target[n];
                for (var k = 0; k < 3; k++)
                {
                    weight.Gradient!.Row(n)[k] = 2 * error * x[k];
                }
            }

            optimiser.Step(1e-3, 1);
        }

        Near.Holds("w", inputs["final_torch"].Values, weight.Value.Span.ToArray());
        Near.Holds("expected", NpzFile.Read(TestData.Path(Folder + "test_adamw.npz"))["array"].Values, weight.Value.Span.ToArray());
    }

    [DataFact(Folder + "inputs_sdpa_rope.npz", Folder + "test_rope.npz")]
    public void Rope_turns_as_stored()
    {
        var x = NpzFile.Read(TestData.Path(Folder + "inputs_sdpa_rope.npz"))["in_embeddings"]; // [4, 12, 64]
        var expected = NpzFile.Read(TestData.Path(Folder + "test_rope.npz"))["array"].Values;
        var (positions, width) = (x.Shape[1], x.Shape[2]);
        var rows = x.Values.Length / width;
        var angles = Enumerable.Range(0, positions * width / 2)
            .Select(i => i / (width / 2) * Math.Pow(10_000, -2.0 * (i % (width / 2)) / width)).ToArray();
        var table = new RopeTable(
            Put(Array.ConvertAll(angles, a => (float)Math.Cos(a)), positions, width / 2),
            Put(Array.ConvertAll(angles, a => (float)Math.Sin(a)), positions, width / 2));
        var turned = Put(Permute(x.Floats, width, toHalves: true), rows, width);
        _backend.Rope(table, [.. Enumerable.Range(0, rows).Select(row => row % positions)], turned);
        Near.Holds("rope", expected, Permute(turned.Span.ToArray(), width, toHalves: false));
        Assert.True(Near.Error(expected, turned.Span.ToArray()) > 0.1, "Control: without the permutation it differs.");
    }

    // Twelve queries over sixteen keys, any mask: four more rows stand in as queries and are not looked at.
    [DataFact(Folder + "inputs_sdpa_rope.npz", Folder + "test_scaled_dot_product_attention.npz")]
    public void Masked_attention_gives_the_stored_mix()
    {
        var inputs = NpzFile.Read(TestData.Path(Folder + "inputs_sdpa_rope.npz"));
        var expected = NpzFile.Read(TestData.Path(Folder + "test_scaled_dot_product_attention.npz"))["array"].Values;
        var (batch, queries, width) = (inputs["q"].Shape[0], inputs["q"].Shape[1], inputs["q"].Shape[2]);
        var keys = inputs["k"].Shape[1];
        for (var b = 0; b < batch; b++)
        {
            var q = new float[keys * width];
            inputs["q"].Floats.AsSpan(b * queries * width, queries * width).CopyTo(q);
            var visibility = new Visibility();
            for (var row = 0; row < keys; row++)
            {
                visibility.AddRow(0, 0);
                for (var key = 0; key < keys; key++)
                {
                    var visible = row < queries ? inputs["mask"].Values[(b * queries + row) * keys + key] != 0 : key == row;
                    visibility.AddRange(key, visible ? key + 1 : key);
                }
            }

            var output = _backend.Allocate(keys, width);
            _backend.Attention(
                Put(q, keys, width), Put(inputs["k"].Floats.AsSpan(b * keys * width, keys * width), keys, width),
                Put(inputs["v"].Floats.AsSpan(b * keys * width, keys * width), keys, width), default, visibility,
                new HeadShape(1, 1, width), output);
            Near.Holds(
                $"batch {b}", expected[(b * queries * width)..((b + 1) * queries * width)],
                output.Slice(0, queries).Span.ToArray());
        }
    }

    [DataFact(Folder + "test_4d_scaled_dot_product_attention.npz")]
    public void The_stored_mix_in_four_dimensions_is_the_same_one() => Assert.Equal(
        NpzFile.Read(TestData.Path(Folder + "test_scaled_dot_product_attention.npz"))["array"].Values,
        NpzFile.Read(TestData.Path(Folder + "test_4d_scaled_dot_product_attention.npz"))["array"].Values);

    public void Dispose() => _backend.Dispose();

    private Tensor Put(ReadOnlySpan<float> values, int rows, int columns)
    {
        var tensor = _backend.Allocate(rows, columns);
        _backend.Upload(values, tensor);
        return tensor;
    }

    /// <summary>Neighbours (2i, 2i + 1) to halves (i, i + K / 2), or back.</summary>
    private static float[] Permute(float[] x, int width, bool toHalves)
    {
        var y = new float[x.Length];
        for (var at = 0; at < x.Length; at++)
        {
            var (start, i) = (at - at % width, at % width);
            var half = start + i / 2 + i % 2 * (width / 2);
            _ = toHalves ? y[half] = x[at] : y[at] = x[half];
        }

        return y;
    }
}
