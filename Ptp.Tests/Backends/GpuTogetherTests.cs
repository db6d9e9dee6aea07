// What goes together on a device goes in one launch and has the bits of its parts: up to three products on every rung of the ladder, a block of
// plain decoding in nine kernels, a block with an adapter in nineteen, positions and ranges sent once for all layers. Source: Kernels/ProductParts.cs.
// Controls: a sum that starts from its addend, the ops one by one, a ring that has come round. Not here: times.

using ILGPU;
using ILGPU.Runtime;
using Ptp.Core.Autograd;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Gpu;
using Xunit;

namespace Ptp.Tests.Backends;

public sealed class GpuTogetherTests
{
    private static readonly TransformerConfig s_config = new()
    {
        VocabularySize = 20,
        HiddenSize = 8,
        IntermediateSize = 12,
        Layers = 1,
        Heads = 2,
        KeyValueHeads = 1,
        MaxContext = 16,
    };

    [Theory]
    [InlineData(ProductPrecision.Single, 10, 68)]
    [InlineData(ProductPrecision.BFloat16, 3, 132)]
    [InlineData(ProductPrecision.Tf32, 3, 8)]
    public void Products_in_one_launch_have_the_bits_of_products_alone(ProductPrecision precision, int rows, int outputs)
    {
        using var gpu = GpuBackend.WithSimulatedGroups();
        Same(gpu, new Case(gpu, rows), precision, rows, [20, 12], [12, outputs, 36]);
    }

    [DeviceFact]
    public void Products_in_one_launch_have_the_bits_of_products_alone_on_the_device()
    {
        using var gpu = new GpuBackend();
        for (var seed = 0; seed < 40; seed++)
        {
            var c = new Case(gpu, seed);
            var precision = seed % 4 == 3 ? ProductPrecision.BFloat16 : seed % 4 == 2 ? ProductPrecision.Tf32 : ProductPrecision.Single;
            Same(gpu, c, precision, c.Size(seed % 2 == 0 ? 20 : 300), [4 * c.Size(200), 4 * c.Size(200)], [4 * c.Size(150), 4 * c.Size(60), 4 * c.Size(150)]);
        }
    }

    [Fact]
    public void What_no_kernel_reads_alike_goes_alone()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        var c = new Case(gpu, 1);
        PackedMatrix Pack(int outputs, bool half)
        {
            var w = c.Tensor(outputs, 8);
            if (half)
            {
                gpu.Fill(1f, w);
            }

            return gpu.Pack(w, transposed: false, null);
        }

        long Launches(params (int Rows, int Outputs, bool Half)[] parts)
        {
            Product[] products = [.. parts.Select(p => new Product(c.Tensor(p.Rows, 8), Pack(p.Outputs, p.Half), gpu.Allocate(p.Rows, p.Outputs)))];
            var before = gpu.Launches;
            gpu.MatMul(products);
            return gpu.Launches - before;
        }

        Assert.Equal(1, Launches((2, 12, false), (2, 4, false), (2, 8, false)));
        Assert.Equal(2, Launches((2, 12, false), (2, 12, true))); // floats beside BF16
        Assert.Equal(2, Launches((2, 12, false), (2, 6, false))); // whole fours beside others
        Assert.Equal(2, Launches((2, 12, false), (3, 12, false)));
        Assert.Equal(2, Launches((2, 4, false), (2, 4, false), (2, 4, false), (2, 4, false))); // more than three: by halves

        // An addend that starts between fours is added by itself, so that the product keeps the kernel that it has alone.
        var between = gpu.Allocate(1, 9).Storage;
        var sum = new Product(c.Tensor(1, 8), Pack(4, half: false), gpu.Allocate(1, 4), Addend: new Tensor(between, 1, 1, 4));
        var start = gpu.Launches;
        gpu.MatMul([sum]);
        gpu.MatMul([sum with { Addend = new Tensor(between, 4, 1, 4) }]);
        Assert.Equal(3, gpu.Launches - start);
    }

    [Fact]
    public void A_block_of_plain_decoding_launches_nine_kernels_and_one_with_an_adapter_seventeen()
    {
        // Embedding, last norm and head beside the block.
        using var groups = GpuBackend.WithSimulatedGroups();
        Assert.Equal(3 + 9, Call(groups, groups, layers: 1, adapts: false).Launches);

        // Each of the norms is two kernels where groups are missing.
        const int norm = 1;
        var (launches, copies) = Simulated(layers: 1, adapts: false, apart: false);
        Assert.Equal(3 + norm + 9 + (2 * norm), launches);
        Assert.InRange(copies, 1, 8); // the ids, positions, slots, and what a row sees in five arrays, of which some are equal
        Assert.Equal((3 + norm + (2 * (9 + (2 * norm))), copies), Simulated(layers: 2, adapts: false, apart: false));
        Assert.Equal((3 + norm + 17 + (2 * norm), copies), Simulated(layers: 1, adapts: true, apart: false));
        Assert.Equal((3 + norm + 17 + (2 * norm), copies), Simulated(layers: 1, adapts: false, apart: true)); // control: each op by itself
    }

    /// <summary>Generated: 400 ops of up to eight arrays, short and long, some of them sent before.</summary>
    [Fact]
    public void Integers_of_an_op_stay_until_it_is_launched()
    {
        using var context = GpuDevices.TryOpen(GpuDeviceKind.Simulator)!;
        using var accelerator = context.Devices[0].CreateAccelerator(context);
        using var stream = accelerator.CreateStream();
        using var ring = new IntegerRing(accelerator);
        var random = new Random(1);
        var (recent, sent) = (new int[]?[8], 0);
        (ArrayView<int> View, int[] Values) first = default;
        for (var op = 0; op < 400; op++)
        {
            var most = op < 200 ? 4096 : 40 * op; // longer than a sixteenth of the first ring from some op on
            var arrays = new List<(ArrayView<int> View, int[] Values)>();
            for (var i = 1 + random.Next(8); i > 0; i--)
            {
                var values = random.Next(3) == 0 ? recent[random.Next(8)] : null;
                values ??= [.. Enumerable.Range(0, random.Next(most)).Select(_ => random.Next())];
                arrays.Add((ring.Send(stream, values), values));
                recent[sent++ % 8] = values;
            }

            foreach (var (view, values) in arrays)
            {
                Assert.Equal(values, Read(view)[..values.Length]);
            }

            first = op == 0 ? arrays[0] : first;
            if (op == 150)
            {
                Assert.NotEqual(first.Values, Read(first.View)[..first.Values.Length]); // control: the ring has come round, and reading shows it
            }
        }

        Assert.InRange(ring.Waits, 10, 400);
        Assert.InRange(ring.Copies, sent / 2, sent - 100);

        int[] Read(ArrayView<int> view)
        {
            var values = new int[view.Length];
            view.CopyToCPU(stream, values);
            stream.Synchronize();
            return values;
        }
    }

    private static (long Launches, long Copies) Simulated(int layers, bool adapts, bool apart)
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        return Call(gpu, apart ? new WrappedBackend(gpu) : gpu, layers, adapts);
    }

    /// <summary>Launches and arrays sent by the second token, when weights are packed.</summary>
    private static (long Launches, long Copies) Call(GpuBackend gpu, IBackend backend, int layers, bool adapts)
    {
        var model = new Transformer(backend, s_config with { Layers = layers }, 1);
        var lora = adapts ? new GatedLora(backend, model.Config, rank: 4, scale: 0.5, seed: 2) : null;
        var cache = new KvCache(backend, model.Config, 8);
        var (launches, copies) = (0L, 0L);
        for (var token = 0; token < 2; token++)
        {
            (launches, copies) = (gpu.Launches, gpu.Copies);
            var tape = new Tape(backend);
            var x = tape.Empty(1, s_config.HiddenSize);
            tape.Embedding(model.Embeddings, [token + 9], x);
            var rows = new CallRows([token], Visibility.Causal(token, 1), cache, [token], gateStart: 0);
            model.Logits(tape, model.Blocks(tape, x, rows, lora));
            cache.Append(1);
        }

        return (gpu.Launches - launches, gpu.Copies - copies);
    }

    private static void Same(GpuBackend gpu, Case c, ProductPrecision precision, int rows, int[] inner, int[] outputs)
    {
        Tensor[] x = [.. inner.Select(k => c.Tensor(rows, k))];
        Tensor[] addends = [.. outputs.Select(n => c.Tensor(rows, n))];
        foreach (var half in (bool[])[false, true])
        {
            // The first and the last read the same rows; one is scaled, one goes on, one is added to.
            PackedMatrix[] weights = [.. outputs.Select((n, i) =>
            {
                var (w, values) = (gpu.Allocate(n, inner[i % 2]), c.Floats(n * inner[i % 2]));
                gpu.Upload(half ? Array.ConvertAll(values, DeviceMath.RoundToBf16) : values, w);
                return gpu.Pack(w, transposed: false, null);
            })];
            Product[] Products() => [.. outputs.Select((n, i) =>
            {
                var y = gpu.Allocate(rows, n);
                gpu.Copy(addends[i], y);
                return new Product(x[i % 2], weights[i], y, Accumulate: i == 1, Scale: i == 0 ? 0.3f : 1f, Addend: i == 2 ? addends[2] : null);
            })];

            foreach (var kernel in precision == ProductPrecision.Single ? Enum.GetValues<ProductKernel>() : [ProductKernel.Best]) // the others multiply floats
            {
                (gpu.Product, gpu.Precision) = (kernel, precision);
                gpu.EmulatesTensorCores = !gpu.HasTensorCores;
                var (alone, together) = (Products(), Products());
                foreach (var product in alone)
                {
                    product.Run(gpu);
                }

                var launches = gpu.Launches;
                gpu.MatMul(together);
                Assert.Equal(1, gpu.Launches - launches);
                Assert.All(alone.Zip(together), pair => Assert.Equal(c.Read(pair.First.Y), c.Read(pair.Second.Y)));
            }

            (gpu.Product, gpu.Precision, gpu.EmulatesTensorCores) = (ProductKernel.Best, ProductPrecision.Single, false);
        }

        // Control: a sum that starts from its addend, in two halves of k, has other bits than the addend behind the sum.
        var w = c.Floats(outputs[2] * inner[0]);
        float[] Of(int from, int to, float[] start)
        {
            var (part, columns, y) = (to - from, c.Read(x[0]), gpu.Allocate(rows, outputs[2]));
            var (left, right) = (gpu.Allocate(rows, part), gpu.Allocate(outputs[2], part));
            gpu.Upload([.. columns.Chunk(inner[0]).SelectMany(row => row[from..to])], left);
            gpu.Upload([.. w.Chunk(inner[0]).SelectMany(row => row[from..to])], right);
            gpu.Upload(start, y);
            gpu.MatMul(left, gpu.Pack(right, transposed: false, null), accumulate: true, y);
            return c.Read(y);
        }

        var added = c.Read(addends[2]);
        Assert.NotEqual(Of(0, inner[0], added), Of(4, inner[0], Of(0, 4, added)));
    }
}
