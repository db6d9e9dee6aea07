// The cache (property 13): any sequence of appends, with or without outputs, and crops leaves the logits that full recomputation gives, bit for bit.
// Source: row independence; entries behind the length are never read.
// Not here: decoding, which the decoder contract covers.

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Training;
using Xunit;
using static Ptp.Tests.Model.SmallModels;

namespace Ptp.Tests.Model;

public sealed class KvCacheTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 models, about 12 appends and crops each: logits equal full recomputation, bit for bit.
    [Fact]
    public void Any_appends_and_crops_equal_full_recomputation() => Cases.RunSeeds(60, seed =>
    {
        var (model, random) = Draw(_backend, seed);
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
            if (random.Next(3) == 0) // for the cache alone; what follows shows whether it is there
            {
                var x = Call(tape, model, fresh, cache, out var rows);
                model.Remember(tape, x, rows);
                cache.Append(count);
                continue;
            }

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
        var (model, random) = Draw(_backend, seed);
        var (tape, cache) = (new Tape(_backend), new KvCache(_backend, model.Config, model.Config.MaxContext));
        Forward(tape, model, Ids(random, 6, model), cache);
        cache.Append(6);
        var next = Ids(random, 1, model);
        var late = Forward(tape, model, next, cache);
        cache.Crop(5);
        Assert.NotEqual(Forward(tape, model, next, cache), late);
    });

    // 40 models: without the keys and values of the last block the logits differ, so remembering is seen.
    [Fact]
    public void Control_a_last_block_that_is_not_remembered_is_seen() => Cases.RunSeeds(40, seed =>
    {
        var (model, random) = Draw(_backend, seed);
        var (tape, cache) = (new Tape(_backend), new KvCache(_backend, model.Config, model.Config.MaxContext));
        var ids = Ids(random, 6, model);
        var x = Call(tape, model, ids[..5], cache, out var rows);
        model.Blocks(tape, x, rows, layers: ..^1);
        cache.Append(5);
        var expected = Forward(new Tape(_backend), model, ids, null)[^model.Config.VocabularySize..];
        Assert.NotEqual(expected, Forward(tape, model, ids[5..], cache));
    });

    [Fact]
    public void Appends_and_crops_out_of_range_are_refused()
    {
        var (model, _) = Draw(_backend, 1);
        var cache = new KvCache(_backend, model.Config, 4);
        cache.Append(3);
        Assert.Throws<PtpException>(() => cache.Append(2));
        Assert.Throws<PtpException>(() => cache.Crop(4));
        Assert.Throws<PtpException>(() => cache.Crop(-1));
        Assert.Throws<PtpException>(() => new KvCache(_backend, model.Config, 0));
        Assert.Equal(3, cache.Length);
    }

    [Fact]
    public void Saving_and_loading_gives_the_same_bits()
    {
        var (model, random) = Draw(_backend, 5);
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
}
