// The gate (property 12): an adapter adds to gated rows and to nothing else, whatever its weights are.
// Source: PTP section 4, gated LoRA; base rows must be the base model to the bit, also in the cache.
// Not here: training of adapters.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Xunit;
using static Ptp.Tests.Model.SmallModels;

namespace Ptp.Tests.Model;

public sealed class GatedLoraTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 models, adapters up to overflow: rows before the gate have the base model's bits, also in the cache.
    [Fact]
    public void Base_rows_are_the_base_model_to_the_bit() => Cases.RunSeeds(60, seed =>
    {
        var (model, random) = Draw(_backend, seed);
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

    // The form that subtracts, (W + s B A) x - s B (A x), is equal on paper; its base rows have other bits in nearly every case.
    [Fact]
    public void Control_an_adapter_that_is_subtracted_again_leaves_traces()
    {
        var traces = 0;
        Cases.Run(40, random =>
        {
            double[] Draw(int count) => [.. Enumerable.Range(0, count).Select(_ => 2 * random.NextDouble() - 1)];
            float Dot(IEnumerable<float> a, IEnumerable<float> b) => a.Zip(b).Aggregate(0f, (sum, p) => sum + p.First * p.Second);
            float[] x = [.. Draw(16).Select(v => (float)v)], w = [.. Draw(16).Select(v => (float)v)], a = [.. Draw(16).Select(v => (float)v)];
            var b = (float)Draw(1)[0];
            var merged = Dot(w.Zip(a, (own, low) => own + b * low), x);
            traces += merged - b * Dot(a, x) != Dot(w, x) ? 1 : 0;
        });
        Assert.InRange(traces, 20, 40);
    }

    // 20 models: an adapter as it starts out (B = 0) leaves gated rows at the base model.
    [Fact]
    public void A_new_adapter_changes_nothing() => Cases.RunSeeds(20, seed =>
    {
        var (model, random) = Draw(_backend, seed);
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
        var (model, random) = Draw(_backend, seed);
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

    public void Dispose() => _backend.Dispose();

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
}
