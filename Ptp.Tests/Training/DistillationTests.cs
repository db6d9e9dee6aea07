// Properties 10 and 11 of distillation: a packed pass equals each completion alone, positions and targets line up,
// nothing later or foreign leaks in; and batched sampling equals plain decoding, to the bit.
// Negative controls: a slot shifted by one position, and a changed token before the start, must change the logits.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class DistillationTests
{
    private static readonly CpuBackend s_backend = new(2);
    private static readonly SamplingOptions s_law = new() { Temperature = 0.9, TopP = 0.95 };

    public enum Kind
    {
        Gated,
        Student,
        Categorical,
        Sampler,
        DeepSampler,
    }

    [Theory]
    [InlineData(Kind.Gated)]
    [InlineData(Kind.Student)]
    [InlineData(Kind.Categorical)]
    [InlineData(Kind.Sampler)]
    [InlineData(Kind.DeepSampler)]
    public void A_packed_pass_gives_the_bits_of_each_completion_alone(Kind kind)
    {
        for (var seed = 1UL; seed <= 40; seed++)
        {
            var random = new RandomStream(seed, "packing");
            var ptp = Model(kind, seed);
            var texts = Texts(random, ptp.Network.Config.VocabularySize);
            var runs = Runs(random, texts, ptp.Slots, ptp.Shift);
            var packed = Logits(ptp, texts, runs);
            var row = 0;
            foreach (var run in runs)
            {
                var alone = Logits(ptp, [texts[run.Text]], [run with { Text = 0 }]);
                for (var slot = 0; slot < run.Count; slot++, row++)
                {
                    Assert.True(packed[row].SequenceEqual(alone[slot]), $"seed {seed}, {run}, slot {slot}");
                }
            }

            // Control: one slot shifted by one position is seen.
            var shifted = Logits(ptp, texts, runs, batch => batch.SlotPositions[0]++);
            Assert.False(packed[0].SequenceEqual(shifted[0]), $"control, seed {seed}");
        }
    }

    [Theory]
    [InlineData(Kind.Gated)]
    [InlineData(Kind.Student)]
    [InlineData(Kind.Categorical)]
    public void Tokens_from_the_start_on_and_other_texts_do_not_reach_a_slot(Kind kind)
    {
        for (var seed = 1UL; seed <= 30; seed++)
        {
            var random = new RandomStream(seed, "leak");
            var ptp = Model(kind, seed);
            var vocabulary = ptp.Network.Config.VocabularySize;
            var texts = Texts(random, vocabulary);
            var run = new SlotRun(1, texts[1].PromptLength + 1, 2);
            var before = Logits(ptp, texts, [run]);
            var other = Texts(new RandomStream(seed + 1000, "leak"), vocabulary)[0];
            var changed = (int[])texts[1].Tokens.Clone();
            for (var i = run.Start; i < changed.Length; i++)
            {
                changed[i] = (changed[i] + 1) % vocabulary;
            }

            var after = Logits(ptp, [other, texts[1] with { Tokens = changed }, texts[2]], [run]);
            Assert.True(before.Zip(after).All(p => p.First.SequenceEqual(p.Second)), $"seed {seed}");

            // Control: the token just before the start does reach it.
            changed[run.Start - 1] = (changed[run.Start - 1] + 1) % vocabulary;
            var reached = Logits(ptp, [other, texts[1] with { Tokens = changed }, texts[2]], [run]);
            Assert.False(before[0].SequenceEqual(reached[0]), $"control, seed {seed}");
        }
    }

    // 30 batches, both readings: position s + l - 1 + shift, target t_{s+l+shift}, u of t_{s+l}. Control: off by one is seen in most rows.
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Positions_targets_weights_and_u_line_up(int shift)
    {
        var (rows, neighbours) = (0, 0);
        Cases.RunSeeds(30, seed =>
        {
            var random = new RandomStream((ulong)seed, "lines");
            var texts = Texts(random, 30);
            var runs = Runs(random, texts, 5, shift);
            var batch = new DistillationBatch(texts, runs, 1, 0.5, shift);
            var earlier = batch.EarlierTokens(2);
            var row = 0;
            foreach (var run in runs)
            {
                for (var slot = 0; slot < run.Count; slot++, row++)
                {
                    var text = texts[run.Text];
                    var target = run.Start + slot + shift;
                    Assert.Equal(target - 1, batch.SlotPositions[row]);
                    Assert.Equal(text.Tokens[target], batch.Targets[row]);
                    Assert.Equal((float)Math.Pow(0.5, slot), batch.Weights[row]);
                    Assert.Equal(text.U.At(target - shift - text.PromptLength, 0), batch.U[row]);
                    Assert.Equal(text.U.At(target - text.PromptLength, 0), batch.TargetU[row]);
                    Assert.Equal(text.Tokens[target], batch.Ids[batch.TargetPlaces[row]]);
                    Assert.Equal(text.Tokens[target - 1], earlier[row]);
                    Assert.Equal(text.Tokens[Math.Max(0, target - 2)], earlier[batch.Targets.Length + row]);
                    neighbours += text.Tokens[target - 1] != batch.Targets[row] && text.U.At(target - shift - text.PromptLength + 1, 0) != batch.U[row] ? 1 : 0;
                }
            }

            Assert.Equal(batch.Targets.Length, row);
            rows += row;
            var past = new SlotRun(0, texts[0].Tokens.Length - 1 - shift, 2);
            Assert.Throws<PtpException>(() => new DistillationBatch(texts, [past], 1, 1, shift));
            var prompt = new SlotRun(0, texts[0].PromptLength - 1, 1);
            Assert.Throws<PtpException>(() => new DistillationBatch(texts, [prompt], 1, 1, shift));
        });
        Assert.InRange(neighbours, rows * 3 / 4, rows);
    }

    // 8 batches: loss and gradients of a packed pass are the sums over its completions alone. Control: one completion left out.
    [Theory]
    [InlineData(Kind.Gated)]
    [InlineData(Kind.Student)]
    [InlineData(Kind.Categorical)]
    public void Loss_and_gradients_of_a_packed_pass_are_sums_over_completions(Kind kind) => Cases.RunSeeds(8, seed =>
    {
        var random = new RandomStream((ulong)seed, "packed gradients");
        var ptp = Model(kind, (ulong)seed);
        var texts = Texts(random, ptp.Network.Config.VocabularySize);
        var runs = Runs(random, texts, ptp.Slots, ptp.Shift);
        var trainer = new Distillation(ptp, texts, new DistillationOptions { ContextTokens = 64 }, new AdamWOptions(), new LearningRate());
        (double Loss, double[] Gradient) Of(params SlotRun[] some)
        {
            foreach (var parameter in ptp.Trained)
            {
                s_backend.Fill(0, parameter.Gradient!);
            }

            var loss = trainer.Loss(new DistillationBatch(texts, some, 1, 1, ptp.Shift), random).Loss;
            trainer.Backward();
            return (loss, [.. ptp.Trained.SelectMany(p => p.Gradient!.Span.ToArray()).Select(g => (double)g)]);
        }

        var packed = Of(runs);
        var alone = runs.Select(run => Of(run)).ToArray();
        (double Loss, double[] Gradient) Sum(int count) =>
            (alone.Take(count).Sum(a => a.Loss), [.. packed.Gradient.Select((_, i) => alone.Take(count).Sum(a => a.Gradient[i]))]);
        double Error((double Loss, double[] Gradient) sum) => Math.Max(
            Math.Abs(sum.Loss - packed.Loss) / packed.Loss,
            Math.Sqrt(sum.Gradient.Zip(packed.Gradient, (a, b) => (a - b) * (a - b)).Sum() / packed.Gradient.Sum(g => g * g)));
        Assert.InRange(Error(Sum(runs.Length)), 0, 1e-4);
        Assert.InRange(Error(Sum(runs.Length - 1)), 1e-3, double.PositiveInfinity);
    });

    [Fact]
    public void Training_teaches_laws_to_those_who_can_know_them()
    {
        // A base's laws depend on the token before. The sampler head is told it; u tells it in principle; a constant cannot.
        var told = Divergence("constant", true);
        var coded = Divergence("fixed-point", false);
        var blind = Divergence("constant", false);
        Assert.True(told < 0.6 * blind && coded < 0.9 * blind, $"told {told}, coded in u {coded}, blind {blind}");
    }

    private static double Divergence(string embedding, bool sampler)
    {
        var random = new RandomStream(13, "laws");
        var network = Base(14);
        foreach (var parameter in network.Parameters.Where(p => !p.IsVector))
        {
            Initialise.Gaussian(parameter, random, 0.3);
        }

        var law = new SamplingOptions();
        var plain = new Autoregressive(network, law, InverseCdf.Instance);
        var texts = Enumerable.Range(0, 300).Select(i =>
        {
            var u = Auxiliaries.FromSeed((ulong)i);
            int[] tokens = [3, .. plain.Decode([3], u, new DecodeLimits(3, [])).Tokens];
            return new Completion(tokens, 1, u);
        }).ToArray();
        var ptp = new SlotModel(
            network, new GatedLora(s_backend, network.Config, 8, 1, 1), AuxiliaryEmbedding.Parse(embedding), 2, law,
            InverseCdf.Instance, 1, SlotStart.LastToken, SlotReading.Categorical,
            sampler ? new SamplerHead(network, 2, 64, 1) : null);
        var trainer = new Distillation(
            ptp, texts, new DistillationOptions { ContextTokens = 120, SlotRows = 60 }, new AdamWOptions(),
            new LearningRate { Peak = 1e-2, WarmUp = 10, Steps = 1500, FinalFraction = 0.02 });
        return Enumerable.Range(0, 1500).Select(_ => trainer.Step().Loss).TakeLast(200).Average();
    }

    [Fact]
    public void Batched_sampling_equals_plain_decoding()
    {
        var model = Base(5);
        var sampling = new BatchedSampling(model, s_law, InverseCdf.Instance, 7);
        var plain = new Autoregressive(model, s_law, InverseCdf.Instance);
        var random = new RandomStream(5, "jobs");
        for (var round = 0; round < 6; round++)
        {
            var jobs = Enumerable.Range(0, 1 + random.NextInt(7)).Select(_ => new SamplingJob(
                [.. Enumerable.Range(0, 1 + random.NextInt(9)).Select(_ => random.NextInt(30))],
                Auxiliaries.FromSeed(random.NextBits()), 1 + random.NextInt(20))).ToArray();
            var texts = sampling.Run(jobs);
            for (var i = 0; i < jobs.Length; i++)
            {
                var limits = new DecodeLimits(jobs[i].MaxNewTokens, model.Config.EndTokens);
                var alone = plain.Decode(jobs[i].Prompt, jobs[i].U, limits).Tokens;
                Assert.Equal([.. jobs[i].Prompt, .. alone], texts[i]);
            }
        }
    }

    [Fact]
    public void Completions_round_trip_and_damage_is_refused()
    {
        var folder = Directory.CreateTempSubdirectory("ptp-completions-");
        try
        {
            var path = Path.Combine(folder.FullName, "a.ptpc");
            var texts = Texts(new RandomStream(8, "file"), 30);
            CompletionFile.Write(path, 30, 1, texts);
            var read = CompletionFile.Read(path, 30, 1);
            Assert.True(texts.Zip(read).All(p => p.First.Tokens.SequenceEqual(p.Second.Tokens)
                && p.First.U.Seed == p.Second.U.Seed && p.First.PromptLength == p.Second.PromptLength));
            Assert.Throws<PtpException>(() => CompletionFile.Read(path, 31, 1));
            var given = Auxiliaries.FromValues([0.5f]);
            Assert.Throws<PtpException>(() => CompletionFile.Write(path, 30, 1, [new Completion([1, 2], 1, given)]));
            var bytes = File.ReadAllBytes(path);
            var random = new RandomStream(9, "damage");
            for (var i = 0; i < 60; i++)
            {
                var bad = (byte[])bytes.Clone();
                bad[random.NextInt(bad.Length)] ^= (byte)(1 + random.NextInt(255));
                File.WriteAllBytes(path, i % 3 == 0 ? bytes[..random.NextInt(bytes.Length)] : bad);
                Assert.Throws<PtpException>(() => CompletionFile.Read(path, 30, 1));
            }
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void Training_teaches_slots_what_independent_slots_cannot_know()
    {
        // A teacher that says 0 1 or 2 3 with equal chance: the second token is fixed by the first, which only u tells.
        var random = new RandomStream(11, "coin");
        var texts = new List<Completion>();
        for (var i = 0; i < 200; i++)
        {
            var u = new[] { (float)random.NextInt(1 << 20) / (1 << 20), (float)random.NextInt(1 << 20) / (1 << 20) };
            texts.Add(new Completion(u[0] < 0.5f ? [4, 0, 1] : [4, 2, 3], 1, Auxiliaries.FromValues(u)));
        }

        var losses = new Dictionary<string, double>();
        foreach (var embedding in new[] { "fixed-point", "constant" })
        {
            var network = Base(12);
            Initialise.Gaussian(network.Head, random, 1); // a frozen head of tiny weights could not be sure of anything
            var ptp = new SlotModel(
                network, new GatedLora(s_backend, network.Config, 8, 1, 1), AuxiliaryEmbedding.Parse(embedding), 2,
                s_law, InverseCdf.Instance, 1, SlotStart.LastToken);
            var trainer = new Distillation(
                ptp, texts, new DistillationOptions { ContextTokens = 60, SlotRows = 40 }, new AdamWOptions(),
                new LearningRate { Peak = 1e-2, WarmUp = 10, Steps = 150 });
            var last = 0.0;
            for (var step = 0; step < 150; step++)
            {
                last = trainer.Step().Loss;
            }

            losses[embedding] = last;
        }

        // Without u a run from the first token can only say one half, twice; a run from the second sees the first. As both
        // starts are drawn alike, that is 2 log(2) / 3 = 0.46 per slot, give or take the luck of a batch of 40 slots.
        Assert.True(losses["fixed-point"] < 0.1, $"with u: {losses["fixed-point"]}");
        Assert.InRange(losses["constant"], 0.3, 0.65);
    }

    private static Transformer Base(ulong seed) => new(s_backend, new TransformerConfig
    {
        VocabularySize = 30,
        HiddenSize = 16,
        IntermediateSize = 24,
        Layers = 2,
        Heads = 4,
        KeyValueHeads = 2,
        MaxContext = 64,
        EndTokens = [7],
    }, seed);

    private static SlotModel Model(Kind kind, ulong seed)
    {
        var network = Base(seed);
        var lora = kind == Kind.Student ? null : new GatedLora(s_backend, network.Config, 3, 0.7, seed);
        var sampler = kind is Kind.Sampler or Kind.DeepSampler
            ? new SamplerHead(network, 2, 12, seed, kind == Kind.DeepSampler ? 1 : 0)
            : null;
        var ptp = new SlotModel(
            network, lora, AuxiliaryEmbedding.Parse("fixed-point"), 5, s_law, InverseCdf.Instance, seed,
            seed % 2 == 0 ? SlotStart.LastToken : SlotStart.MeanToken,
            kind is Kind.Categorical or Kind.Sampler or Kind.DeepSampler ? SlotReading.Categorical : SlotReading.OneHot, sampler);
        var random = new RandomStream(seed, "weights of the test");
        foreach (var parameter in (lora?.Parameters ?? []).Concat(sampler?.Parameters ?? []))
        {
            Initialise.Gaussian(parameter, random, 0.3); // B = 0 would make the adapter invisible
        }

        Initialise.Gaussian(ptp.Table, random, 0.2);
        return ptp;
    }

    private static Completion[] Texts(RandomStream random, int vocabulary) =>
        [.. Enumerable.Range(0, 3).Select(_ =>
        {
            var prompt = 1 + random.NextInt(5);
            var tokens = Enumerable.Range(0, prompt + 4 + random.NextInt(6)).Select(_ => random.NextInt(vocabulary));
            int[] ids = [.. tokens];
            return new Completion(ids, prompt, Auxiliaries.FromSeed(random.NextBits()));
        })];

    private static SlotRun[] Runs(RandomStream random, Completion[] texts, int slots, int shift = 0) =>
        [.. Enumerable.Range(0, 6).Select(_ =>
        {
            var text = random.NextInt(texts.Length);
            var (first, length) = (texts[text].PromptLength, texts[text].Tokens.Length - shift);
            var start = first + random.NextInt(length - first);
            return new SlotRun(text, start, 1 + random.NextInt(Math.Min(slots, length - start)));
        })];

    private static float[][] Logits(
        SlotModel ptp, Completion[] texts, SlotRun[] runs, Action<DistillationBatch>? damage = null)
    {
        var batch = new DistillationBatch(texts, runs, 1, 1, ptp.Shift);
        damage?.Invoke(batch);
        var trainer = new Distillation(
            ptp, texts, new DistillationOptions { ContextTokens = 64 }, new AdamWOptions(), new LearningRate());
        var logits = trainer.Logits(batch).Value;
        return [.. Enumerable.Range(0, logits.Rows).Select(r => logits.Row(r).ToArray())];
    }
}
