// The cache (property 13) and the gate (property 12): appends, crops and adapters never change a base row's bits.
// Source: row independence; gated LoRA adds to gated rows and to nothing else.
// Not here: decoding, which the decoder contract covers.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Model;

public sealed class CacheAndAdapterTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 models, about 12 appends and crops each: logits equal full recomputation, bit for bit.
    [Fact]
    public void Any_appends_and_crops_equal_full_recomputation() => Cases.RunSeeds(60, seed =>
    {
        var (model, random) = Draw(seed);
        var (tape, cache) = (new Tape(_backend), new KvCache(_backend, model.Config, model.Config.MaxContext));
        var text = new List<int>();
        for (var step = 0; step < 12; step++)
        {
            if (text.Count > 0 && random.Next(3) == 0)
            {
                var length = random.Next(text.Count + 1);
                text.RemoveRange(length, text.Count - length);
                cache.Crop(length);
                continue;
            }

            var count = Math.Min(1 + random.Next(9), cache.Capacity - text.Count);
            if (count == 0)
            {
                continue;
            }

            var fresh = Ids(random, count, model);
            text.AddRange(fresh);
            var logits = Forward(tape, model, fresh, cache);
            cache.Append(count);
            Assert.Equal(Forward(new Tape(_backend), model, [.. text], null)[^logits.Length..], logits);
            Assert.Equal(text.Count, cache.Length);
        }
    });

    // 40 models: without the crop the logits differ, so the property above has teeth.
    [Fact]
    public void Control_a_crop_that_forgets_too_little_is_seen() => Cases.RunSeeds(40, seed =>
    {
        var (model, random) = Draw(seed);
        var (tape, cache) = (new Tape(_backend), new KvCache(_backend, model.Config, model.Config.MaxContext));
        Forward(tape, model, Ids(random, 6, model), cache);
        cache.Append(6);
        var next = Ids(random, 1, model);
        var late = Forward(tape, model, next, cache);
        cache.Crop(5);
        Assert.NotEqual(Forward(tape, model, next, cache), late);
    });

    [Fact]
    public void Appends_and_crops_out_of_range_are_refused()
    {
        var (model, _) = Draw(1);
        var cache = new KvCache(_backend, model.Config, 4);
        cache.Append(3);
        Assert.Throws<PtpException>(() => cache.Append(2));
        Assert.Throws<PtpException>(() => cache.Crop(4));
        Assert.Throws<PtpException>(() => cache.Crop(-1));
        Assert.Throws<PtpException>(() => new KvCache(_backend, model.Config, 0));
        Assert.Equal(3, cache.Length);
    }

    // 60 models, adapters up to overflow: rows before the gate have the base model's bits, also in the cache.
    [Fact]
    public void Base_rows_are_the_base_model_to_the_bit() => Cases.RunSeeds(60, seed =>
    {
        var (model, random) = Draw(seed);
        var ids = Ids(random, 2 + random.Next(20), model);
        var gate = random.Next(ids.Length + 1);
        var lora = Adapter(model, seed, Math.Pow(10, random.Next(-2, 4) * (seed % 10 == 0 ? 10 : 1)));
        var (plain, gated) = (new KvCache(_backend, model.Config, 64), new KvCache(_backend, model.Config, 64));
        var expected = Forward(new Tape(_backend), model, ids, plain);
        var received = Forward(new Tape(_backend), model, ids, gated, gate, lora);
        var width = model.Config.VocabularySize;
        Assert.Equal(expected[..(gate * width)], received[..(gate * width)]);
        Assert.True(gate == ids.Length || !expected.SequenceEqual(received), "The adapter does nothing at all.");
        for (var layer = 0; layer < model.Config.Layers; layer++)
        {
            var rows = gate == 0 ? 0 : gate * model.Config.KeyValueWidth;
            Assert.Equal(plain[layer].Keys!.Span[..rows].ToArray(), gated[layer].Keys!.Span[..rows].ToArray());
            Assert.Equal(plain[layer].Values!.Span[..rows].ToArray(), gated[layer].Values!.Span[..rows].ToArray());
        }
    });

    // 20 models: an adapter as it starts out (B = 0) leaves gated rows at the base model.
    [Fact]
    public void A_new_adapter_changes_nothing() => Cases.RunSeeds(20, seed =>
    {
        var (model, random) = Draw(seed);
        var ids = Ids(random, 9, model);
        var lora = new GatedLora(_backend, model.Config, 2, 1, (ulong)seed);
        Assert.Equal(
            Forward(new Tape(_backend), model, ids, null),
            Forward(new Tape(_backend), model, ids, null, random.Next(10), lora));
    });

    // 20 models: W + s B A merged into one matrix gives what the two products give, up to rounding.
    [Fact]
    public void A_merged_adapter_gives_the_gated_rows() => Cases.RunSeeds(20, seed =>
    {
        var (model, random) = Draw(seed);
        var ids = Ids(random, 9, model);
        var lora = Adapter(model, seed, 0.3);
        var gated = Forward(new Tape(_backend), model, ids, null, 0, lora);
        var named = lora.Parameters.ToDictionary(p => p.Name);
        foreach (var weight in model.Parameters.Where(p => named.ContainsKey(Half(p, "A"))))
        {
            var (a, b, w) = (named[Half(weight, "A")].Value, named[Half(weight, "B")].Value, weight.Value.Span.ToArray());
            for (var at = 0; at < w.Length; at++)
            {
                var (row, column) = (at / weight.Value.Columns, at % weight.Value.Columns);
                for (var r = 0; r < lora.Rank; r++)
                {
                    w[at] += (float)lora.Scale * b.Row(row)[r] * a.Row(r)[column];
                }
            }

            Initialise.Set(weight, w);
        }

        Near.Holds("merged", ScalarModels.Doubles(gated), Forward(new Tape(_backend), model, ids, null));
    });

    [Fact]
    public void Saving_and_loading_gives_the_same_bits()
    {
        var (model, random) = Draw(5);
        var ids = Ids(random, 12, model);
        var folder = Directory.CreateTempSubdirectory("ptp-model-").FullName;
        try
        {
            ModelCheckpoint.Save(folder, model, Core.Formats.StoredType.F32);
            var loaded = ModelCheckpoint.Load(folder, _backend);
            Assert.Equal(Forward(new Tape(_backend), model, ids, null), Forward(new Tape(_backend), loaded, ids, null));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Dispose() => _backend.Dispose();

    private (Transformer Model, Random Random) Draw(int seed)
    {
        var stream = new RandomStream((ulong)seed, "cache");
        return (ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(stream), stream), new Random(seed));
    }

    private GatedLora Adapter(Transformer model, int seed, double deviation)
    {
        var lora = new GatedLora(_backend, model.Config, 1 + seed % 4, 0.8, (ulong)seed);
        var random = new RandomStream((ulong)seed, "adapter");
        foreach (var parameter in lora.Parameters)
        {
            Initialise.Gaussian(parameter, random, deviation);
        }

        return lora;
    }

    private static string Half(Parameter weight, string half) =>
        weight.Name.Replace(".weight", $".lora_{half}.weight", StringComparison.Ordinal);

    private static int[] Ids(Random random, int count, Transformer model) =>
        [.. Enumerable.Range(0, count).Select(_ => random.Next(model.Config.VocabularySize))];

    private static float[] Forward(
        Tape tape, Transformer model, int[] ids, KvCache? cache, int gate = int.MaxValue, GatedLora? lora = null)
    {
        tape.Reset();
        var cached = cache?.Length ?? 0;
        int[] slots = [.. Enumerable.Range(cached, ids.Length)];
        var rows = new CallRows(
            slots, Visibility.Causal(cached, ids.Length), cache, cache is null ? null : slots, gate);
        var x = tape.Empty(ids.Length, model.Config.HiddenSize);
        tape.Embedding(model.Embeddings, ids, x);
        return model.Logits(tape, model.Blocks(tape, x, rows, lora)).Value.Span.ToArray();
    }
}
