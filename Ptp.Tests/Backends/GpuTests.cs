// Every op of the GPU backend on ILGPU's simulator against the CPU backend, on generated shapes, to 1e-4.
// Exactness (row independence, exp, moves of memory) is asked for in bits, with a control that must differ.
// Not here: real devices and speed.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Ptp.Tests.Oracle;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuTests(GpuFixture fixture) : IClassFixture<GpuFixture>
{
    [Seeds(5)]
    public void Moves_of_memory_and_sums_of_tensors(int seed) => fixture.Agree(
        seed,
        c =>
        {
            var (rows, columns) = (c.Size(5), c.Size(7));
            var (a, b, copy, sum, filled, spread) = (
                c.Tensor(rows, columns), c.Tensor(rows, columns), c.Tensor(rows, columns), c.Tensor(rows, columns),
                c.Tensor(rows, columns), c.Tensor(4, columns));
            c.Backend.Copy(a, copy);
            c.Backend.Add(a, b, sum);
            c.Backend.Fill(2.5f, filled);
            var slots = c.Ids(rows, 5).Select(slot => slot - 1).ToArray(); // -1 drops, the later of two stays
            c.Backend.Scatter(a, slots, spread);
            c.Backend.Scale(-3f, b);
            return [copy, sum, filled, spread, b, c.Backend.Allocate(rows, columns)];
        },
        tolerance: 0);

    [Seeds(5)]
    public void Scaled_addition_and_reductions(int seed)
    {
        var sums = new List<double>();
        fixture.Agree(seed, c =>
        {
            var (rows, columns) = (c.Size(3), 100 * c.Size(5)); // beyond one run of partial sums
            var (x, y) = (c.Tensor(rows, columns), c.Tensor(rows, columns));
            c.Backend.AddScaled(x, 0.3f, y);
            sums.Add(c.Backend.Sum(y));
            sums.Add(c.Backend.SumOfSquares(y));
            return [y];
        });
        Assert.Equal(sums[0], sums[2], 1e-3);
        Assert.Equal(sums[1], sums[3], 1e-4 * sums[1]);
    }

    [Seeds(5)]
    public void Embedding_and_its_backward_with_repeated_ids(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, width) = (c.Size(9), c.Size(6));
        var (table, y, dY, dTable) = (
            c.Tensor(4, width), c.Tensor(rows, width), c.Tensor(rows, width), c.Tensor(4, width));
        var ids = c.Ids(rows, 4);
        c.Backend.Embedding(table, ids, y);
        c.Backend.EmbeddingBackward(dY, ids, dTable);
        return [y, dTable];
    });

    [Seeds(10)]
    public void Products_forward_and_backward(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, inputs, outputs) = (c.Size(6), c.Size(20), c.Size(9));
        var (x, w, y, dX, dW) = (
            c.Tensor(rows, inputs), c.Tensor(outputs, inputs), c.Tensor(rows, outputs), c.Tensor(rows, inputs),
            c.Tensor(outputs, inputs));
        var packed = c.Backend.Pack(w, transposed: false, null);
        var backwards = c.Backend.Pack(w, transposed: true, null);
        c.Backend.Fill(0f, w); // a packing is a copy
        c.Backend.MatMul(x, packed, accumulate: true, y);
        c.Backend.MatMulBackwardInput(y, backwards, true, dX);
        c.Backend.MatMulBackwardWeight(y, x, dW);
        var fresh = c.Tensor(rows, outputs);
        Assert.Same(packed, c.Backend.Pack(c.Tensor(outputs, inputs), transposed: false, packed));
        c.Backend.MatMul(x, packed, accumulate: false, fresh);
        return [y, dX, dW, fresh];
    });

    [Seeds(5)]
    public void Norm_forward_and_backward(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, width) = (c.Size(5), c.Size(20));
        var (x, gain, y, dX, dGain, dX2) = (
            c.Tensor(rows, width), c.Tensor(1, width), c.Tensor(rows, width), c.Tensor(rows, width),
            c.Tensor(1, width), c.Tensor(rows, width));
        c.Backend.RmsNorm(x, gain, 1e-5f, y);
        c.Backend.RmsNormBackward(x, gain, 1e-5f, y, dX, dGain);
        c.Backend.RmsNormBackward(x, gain, 1e-5f, y, dX2, null);
        return [y, dX, dGain, dX2];
    });

    [Seeds(5)]
    public void Rope_turns_there_and_back(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, heads, half) = (c.Size(5), c.Size(3), c.Size(5));
        var (there, back) = (c.Tensor(rows, 2 * half * heads), c.Tensor(rows, 2 * half * heads));
        var table = new RopeTable(c.Tensor(8, half), c.Tensor(8, half));
        var positions = c.Ids(rows, 8);
        c.Backend.Rope(table, positions, there);
        c.Backend.RopeBackward(table, positions, back);
        return [there, back];
    });

    [Seeds(5)]
    public void Gate_softmax_and_optimiser(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, width) = (c.Size(5), c.Size(20));
        Tensor Any() => c.Tensor(rows, width);
        var (a, b, y, dA, dB, softmax, m, v) = (Any(), Any(), Any(), Any(), Any(), Any(), Any(), Any());
        c.Backend.SwiGlu(a, b, y);
        c.Backend.SwiGluBackward(a, b, y, true, dA, dB);
        c.Backend.Scale(30f, a); // far apart, so that exp without the maximum would overflow
        c.Backend.Softmax(a, softmax);
        c.Backend.Fill(0.01f, v);
        c.Backend.AdamW(dA, new AdamWStep(0.01, 0.9, 0.95, 1e-8, 0.1, c.Size(9), 0.5), m, v, b);
        return [y, dA, dB, softmax, m, v, b];
    });

    [Seeds(10)]
    public void Cross_entropy_with_ignored_rows_and_weights(int seed)
    {
        var losses = new List<double>();
        fixture.Agree(seed, c =>
        {
            var (rows, vocabulary) = (c.Size(6), c.Size(20));
            var logits = c.Tensor(rows, vocabulary);
            var targets = c.Ids(rows, vocabulary + 1).Select(id => id - 1).ToArray();
            var weights = seed % 2 == 0 ? [] : c.Floats(rows);
            losses.Add(c.Backend.CrossEntropy(logits, targets, weights, gradient: false));
            losses.Add(c.Backend.CrossEntropy(logits, targets, weights, gradient: true));
            return [logits];
        });
        Assert.Equal(losses[0], losses[1], 1e-9);
        Assert.Equal(losses[0], losses[2], 1e-4);
        Assert.Equal(losses[0], losses[3], 1e-4);
    }

    [Seeds(10)]
    public void Divergence_with_and_without_weights(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, vocabulary) = (c.Size(6), c.Size(20));
        var logits = c.Tensor(rows, vocabulary);
        c.Backend.Divergence(logits, c.Tensor(rows, vocabulary), 1.3f, seed % 2 == 0 ? [] : c.Floats(rows), gradient: true);
        var reverse = c.Tensor(rows, vocabulary);
        c.Backend.ReverseDivergence(reverse, c.Tensor(rows, vocabulary), 1.3f, seed % 2 == 0 ? [] : c.Floats(rows), gradient: true);
        var binary = c.Tensor(rows, vocabulary);
        c.Backend.BinaryCrossEntropy(binary, [.. Enumerable.Range(0, rows).Select(r => r % vocabulary)], c.Floats(rows), gradient: true);
        return [logits, reverse, binary];
    });

    [Seeds(10)]
    public void Attention_over_cache_and_own_rows(int seed) => fixture.Agree(seed, c =>
    {
        var (rows, groups, size, cached) = (c.Size(5), c.Size(2), 2 * c.Size(3), c.Size(4) - 1);
        var heads = new HeadShape(groups * c.Size(3), groups, size);
        Tensor Q() => c.Tensor(rows, heads.Heads * size);
        Tensor K() => c.Tensor(rows, groups * size);
        var (q, k, v, o, dO, dQ, dK, dV) = (Q(), K(), K(), Q(), Q(), Q(), K(), K());
        var cache = cached == 0
            ? default
            : new CachedKeys(c.Tensor(cached, groups * size), c.Tensor(cached, groups * size));
        var sees = new Visibility();
        for (var row = 0; row < rows; row++)
        {
            // A part of the cache, some earlier row or none, and the row itself.
            var earlier = c.Ids(1, row + 1)[0];
            sees.AddRow(c.Ids(1, cached + 1)[0], cached).AddRange(earlier, Math.Min(earlier + 1, row))
                .AddRange(row, row + 1);
        }

        c.Backend.Attention(q, k, v, cache, sees, heads, o);
        c.Backend.AttentionBackward(q, k, v, cache, sees, heads, dO, dQ, dK, dV);
        return [o, dQ, dK, dV];
    });

    [Seeds(2)]
    public void A_whole_model_forward_and_backward(int seed) => fixture.Agree(seed, c =>
    {
        var model = new Transformer(c.Backend, new TransformerConfig
        {
            VocabularySize = 11,
            HiddenSize = 8,
            IntermediateSize = 12,
            Layers = 1,
            Heads = 2,
            KeyValueHeads = 1,
            MaxContext = 8,
        }, (ulong)seed);
        model.SetTrainable(true);
        var tape = new Tape(c.Backend) { Recording = true };
        var logits = model.Forward(tape, c.Ids(4, 11), new CallRows([0, 1, 2, 3], Visibility.Causal(0, 4)));
        var copy = c.Backend.Allocate(4, 11);
        c.Backend.Copy(logits.Value, copy);
        tape.CrossEntropy(logits, c.Ids(4, 11), []);
        tape.Backward();
        return [copy, .. model.Parameters.Select(parameter => parameter.Gradient!)];
    });

    /// <summary>Generated: 10 shapes, each row alone and within the whole call.</summary>
    [Seeds(10)]
    public void A_row_of_a_product_has_the_same_bits_alone_and_among_others(int seed)
    {
        var c = new Case(fixture.Gpu, seed);
        var (rows, inputs, outputs) = (1 + c.Size(9), c.Size(40), c.Size(9));
        var x = c.Tensor(rows, inputs);
        var w = fixture.Gpu.Pack(c.Tensor(outputs, inputs), transposed: false, null);
        var (together, alone) = (c.Tensor(rows, outputs), c.Tensor(rows, outputs));
        fixture.Gpu.MatMul(x, w, accumulate: false, together);
        for (var row = rows - 1; row >= 0; row--)
        {
            fixture.Gpu.MatMul(x.Slice(row, 1), w, accumulate: false, alone.Slice(row, 1));
        }

        Assert.Equal(Bits(c.Read(together)), Bits(c.Read(alone)));
    }

    [Fact]
    public void Control_another_order_of_the_sum_has_other_bits()
    {
        var c = new Case(fixture.Gpu, 1);
        var (x, w) = (c.Floats(4 * 40), c.Floats(8 * 40));
        float[] Product()
        {
            var (left, right, y) = (c.Tensor(4, 40), c.Tensor(8, 40), c.Tensor(4, 8));
            fixture.Gpu.Upload(x, left);
            fixture.Gpu.Upload(w, right);
            fixture.Gpu.MatMul(left, fixture.Gpu.Pack(right, transposed: false, null), accumulate: false, y);
            return c.Read(y);
        }

        var forwards = Product();
        for (var row = 0; row < 8; row++)
        {
            Array.Reverse(w, row * 40, 40);
            Array.Reverse(x, row % 4 * 40, row < 4 ? 40 : 0);
        }

        Assert.NotEqual(Bits(forwards), Bits(Product()));
    }

    [Fact]
    public void Exp_has_the_bits_of_the_cpu()
    {
        for (var x = -90f; x < 90f; x += 0.37f) // 487 arguments, both ends beyond the finite range
        {
            Assert.Equal(Bits([FastMath.Exp(x)]), Bits([DeviceMath.Exp(x)]));
        }

        Assert.True(float.IsNaN(DeviceMath.Exp(float.NaN)));
    }

    [Fact]
    public void Tensors_and_weights_of_another_backend_are_refused()
    {
        var there = fixture.Cpu.Allocate(2, 3);
        var here = fixture.Gpu.Allocate(2, 3);
        Refuses("CpuStorage", () => fixture.Gpu.Add(here, there, here));
        Refuses("CpuPackedMatrix", () => fixture.Gpu.MatMul(here, fixture.Cpu.Pack(there, false, null), false, here));
        using var other = new GpuBackend(GpuDeviceKind.Simulator);
        Refuses("GpuStorage elsewhere", () => fixture.Gpu.Fill(0f, other.Allocate(2, 3)));
        Refuses("GpuStorage", () => _ = here.Span.Length);
    }

    [Fact]
    public void Wrong_shapes_ids_slots_and_targets_are_refused()
    {
        var gpu = fixture.Gpu;
        var (a, b) = (gpu.Allocate(2, 3), gpu.Allocate(3, 2));
        Refuses("[2, 3]", () => gpu.Add(a, b, a));
        Refuses("id 2", () => gpu.Embedding(a, [2, 0, 0], gpu.Allocate(3, 3)));
        Refuses("id -1", () => gpu.EmbeddingBackward(a, [0, -1], a));
        Refuses("slot 3", () => gpu.Scatter(a, [0, 3], gpu.Allocate(3, 3)));
        Refuses("target 3", () => _ = gpu.CrossEntropy(a, [0, 3], [], gradient: false));
        Refuses("position 2", () => gpu.Rope(new RopeTable(gpu.Allocate(2, 1), gpu.Allocate(2, 1)), [0, 1, 2], b));
        Refuses("sizes 5 and 6", () => gpu.Upload(new float[5], a));
        Refuses("[65536, 65536]", () => gpu.Allocate(1 << 16, 1 << 16));
    }

    [Fact]
    public void The_simulator_never_stands_in_for_a_device()
    {
        Assert.Equal(GpuDevices.SimulatorName, fixture.Gpu.Name);
        var devices = GpuDevices.List();
        Assert.DoesNotContain(devices, name => name.Contains("simulator") || name.Contains("CPUAccelerator"));
        if (devices.Count == 0)
        {
            Refuses("GpuDeviceKind.Simulator", () => new GpuBackend().Dispose());
        }
    }

    private static void Refuses(string text, Action act)
    {
        var error = Assert.Throws<PtpException>(act);
        Assert.Contains(text, error.Message, StringComparison.Ordinal);
        Assert.All([error.Asked, error.Received, error.Expected, error.WayOut], Assert.NotEmpty);
    }

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];
}
