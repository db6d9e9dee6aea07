// The flow head: identity = independent slots to the bit, its law = the law of bent u, what a slot may depend on, gradients, and the
// numbers it finds for a text. Source: FlowHead's equations.
// Not here: laws of single maps (BentLawTests), decoding (FlowHeadDecoderTests), whether training pays (ptp study flow-head).

using Ptp.Core;
using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Heads.Flows;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Tensors;
using Ptp.Core.Training;
using Ptp.Gpu;
using Ptp.Reference.Commands;
using Ptp.Tests.Paper;
using Xunit;

namespace Ptp.Tests.Flows;

public sealed class FlowHeadTests : IDisposable
{
    private static readonly SamplingOptions s_law = new() { Temperature = 1 };
    private readonly CpuBackend _backend = new(1);

    // 40 models: the same drafts with the same confidences as independent slots; weights that are not zero change some.
    [Fact]
    public void A_new_head_is_independent_slots_to_the_bit()
    {
        var changed = 0;
        Cases.RunSeeds(40, seed =>
        {
            var (ptp, head, random) = Draw(seed, trained: false);
            var session = new ModelSession(ptp.Network, s_law, ptp.Rule);
            var u = Auxiliaries.FromSeed((ulong)seed);
            var expected = Propose(ptp.NewDrafter());
            Assert.Equal(expected, Propose(new FlowDrafter(ptp, head) { PickSoftness = ptp.PickSoftness }));
            Assert.Equal(expected, Propose(new FlowDrafter(ptp, new CopulaHead(ptp.Network, ptp.Slots, s_law, ptp.Rule)) { PickSoftness = ptp.PickSoftness }));
            Fill(head, random);
            changed += expected.SequenceEqual(Propose(new FlowDrafter(ptp, head) { PickSoftness = ptp.PickSoftness })) ? 0 : 1;

            (int, float)[] Propose(IDrafter drafter)
            {
                session.Start([0, 1]);
                drafter.Start([0, 1]);
                var draft = drafter.Propose(session, u, 0, ptp.Slots);
                return [.. draft.Tokens.ToArray().Zip(draft.Confidences.ToArray())];
            }
        });
        Assert.True(changed > 30, $"control: {changed} of 40 changed");
    }

    // 200 pairs of laws on 60 places each: Pick(S(u), P) is Pick(u, Q), S rises and fixes what cells' edges say.
    [Fact]
    public void A_bent_law_is_the_law_of_bent_u() => Cases.RunSeeds(200, seed =>
    {
        var (marginal, random) = (Laws.Generate(seed), new Random(seed));
        double[] weights = [.. marginal.Select(p => p * Math.Exp(4 * random.NextDouble()))];
        float[] bent = [.. weights.Select(w => (float)(w / weights.Sum()))];
        var last = 0.0;
        for (var i = 0; i < 60; i++)
        {
            var u = (i + random.NextDouble()) / 60;
            var v = WarpedPick.Bend(u, bent, marginal);
            if (marginal[Pick.Token(u, bent)] > 1e-15) // cells that doubles can cut
            {
                Assert.Equal(Pick.Token(u, bent), Pick.Token(v, marginal));
            }

            Assert.True(v >= last);
            last = v;
        }
    });

    [Fact]
    public void Control_a_law_that_reaches_an_empty_cell_is_refused() =>
        Assert.Throws<PtpException>(() => WarpedPick.Bend(0.9, [0.5f, 0.5f], [1f, 0f]));

    // 60 heads: u_k changes no law before slot k + 1, and is heard behind it; with L layers no further than L * History slots.
    [Fact]
    public void A_slot_hears_earlier_u_alone()
    {
        var heard = 0;
        Cases.RunSeeds(60, seed =>
        {
            var (ptp, head, random) = Draw(seed, trained: true);
            var (slots, picks) = (new Slots(ptp, random), new FlowPicks(head, ptp.Rule));
            var before = slots.Laws(picks);
            var k = random.NextInt(ptp.Slots - 1);
            slots.U[k] = (slots.U[k] + 0.5f) % 1;
            var after = slots.Laws(picks);
            var reach = head.Size.Layers * head.Size.History;
            for (var row = 0; row < before.Length; row++)
            {
                if (row <= k || row > k + reach)
                {
                    Assert.Equal(before[row], after[row]);
                }
            }

            heard += before[k + 1].SequenceEqual(after[k + 1]) ? 0 : 1;
        });
        Assert.True(heard > 40, $"{heard} of 60");
    }

    // 60 heads: numbers drawn for a text make the head write that text, slot by slot and layer by layer.
    [Fact]
    public void Numbers_found_for_a_text_write_it()
    {
        var (possible, wrong) = (0, 0);
        Cases.RunSeeds(60, seed =>
        {
            var (ptp, head, random) = Draw(seed, trained: true);
            var (slots, picks) = (new Slots(ptp, random), new FlowPicks(head, ptp.Rule));
            int[] targets = [.. Enumerable.Range(0, ptp.Slots).Select(_ => random.NextInt(ptp.Network.Config.VocabularySize))];
            var independent = slots.Laws(new FlowPicks(new FlowHead(ptp.Network, head.Size, s_law, 1), ptp.Rule));
            var found = picks.Invert(slots.Of(new float[ptp.Slots]), targets, random);
            slots.U = found.U;
            var laws = slots.Laws(picks);
            for (var row = 0; row < targets.Length; row++)
            {
                Assert.True(!found.Possible[row] || ptp.Rule.Pick([slots.U[row]], laws[row]) == targets[row], $"row {row}");
                possible += found.Possible[row] ? 1 : 0;
                wrong += found.Possible[row] && ptp.Rule.Pick([slots.U[row]], independent[row]) != targets[row] ? 1 : 0;
            }
        });
        Assert.True(possible > 60 && wrong > possible / 4, $"control: {possible} tokens possible, {wrong} of them not what u picks unbent");
    }

    // 6 heads: laws of the same weights on the GPU simulator. Control: other weights.
    [Fact]
    public void A_head_on_the_gpu_has_the_laws_of_the_cpu()
    {
        using var gpu = new GpuBackend(GpuDeviceKind.Simulator);
        var different = 0;
        Cases.RunSeeds(6, seed =>
        {
            float[][] expected = Laws(_backend, trained: true), laws = Laws(gpu, trained: true), others = Laws(gpu, trained: false);
            for (var row = 0; row < expected.Length; row++)
            {
                Assert.All(expected[row].Zip(laws[row]), p => Assert.Equal(p.First, p.Second, 1e-4f));
                different += expected[row].Zip(others[row]).Any(p => Math.Abs(p.First - p.Second) > 1e-3) ? 1 : 0;
            }

            float[][] Laws(IBackend backend, bool trained)
            {
                var (ptp, head, _) = Draw(seed, trained, backend: backend);
                return new Slots(ptp, new RandomStream((ulong)seed, "the same slots")).Laws(new FlowPicks(head, ptp.Rule));
            }
        });
        Assert.True(different > 12, $"control: {different} rows differ");
    }

    // 10 heads: the slope of the loss along a random change of all weights, by differences and on the tape.
    [Fact]
    public void A_step_has_the_gradient_of_its_loss() => Cases.RunSeeds(10, seed =>
    {
        var (ptp, head, random) = Draw(seed, trained: true, spread: 0.3);
        foreach (var parameter in head.Parameters)
        {
            parameter.SetTrainable(true);
        }

        int[] targets = [.. Enumerable.Range(0, ptp.Slots).Select(_ => random.NextInt(ptp.Network.Config.VocabularySize))];
        int[] earlier = [.. Enumerable.Range(0, ptp.Slots * head.Size.History).Select(_ => random.NextInt(ptp.Network.Config.VocabularySize))];
        var (slots, picks) = (new Slots(ptp, random), new FlowPicks(head, ptp.Rule));
        var tape = new Tape(_backend) { Recording = true };
        double Loss()
        {
            tape.Reset();
            return picks.Loss(tape, head.Bend(tape, 0, slots.Hidden, slots.Logits, earlier), targets, []);
        }

        Loss();
        tape.Backward();
        const float Step = 1f / 512;
        var (slope, values) = (0.0, head.Parameters.ToDictionary(p => p, p => p.Value.Span.ToArray()));
        var ways = values.ToDictionary(p => p.Key, p => p.Value.Select(_ => random.NextInt(2) * 2 - 1).ToArray());
        foreach (var (parameter, way) in ways)
        {
            slope += parameter.Gradient!.Span.ToArray().Zip(way, (g, w) => (double)g * w).Sum();
        }

        double At(float step)
        {
            foreach (var (parameter, start) in values)
            {
                Initialise.Set(parameter, [.. start.Zip(ways[parameter], (v, w) => v + step * w)]);
            }

            return Loss();
        }

        var measured = (At(Step) - At(-Step)) / (2 * Step);
        Assert.True(Math.Abs(measured - slope) <= 5e-3 * Math.Max(1, Math.Abs(measured)), $"{measured} by differences, {slope} on the tape");
        Assert.True(Math.Abs(measured - 0.9 * slope) > 5e-3 * Math.Max(1, Math.Abs(measured)) || Math.Abs(measured) < 0.1, "control");
    });

    [Fact]
    public void Heads_that_cannot_be_are_refused()
    {
        var (ptp, head, _) = Draw(1, trained: false);
        Assert.Throws<PtpException>(() => new FlowHead(ptp.Network, new FlowHeadSize(Layers: 0), s_law, 1));
        Assert.Throws<PtpException>(() => new FlowHead(ptp.Network, new FlowHeadSize(Clusters: 3), s_law, 1, [0, 0]));
        Assert.Throws<PtpException>(() => new FlowHead(ptp.Network, new FlowHeadSize(Clusters: 2, Bins: 4), s_law, 1));
        Assert.Throws<PtpException>(() => new CopulaHead(ptp.Network, 4, s_law, TreePick.Instance));
        Assert.Throws<PtpException>(() => Normal.Quantile(0));
        var seeing = new SlotModel(
            ptp.Network, null, new FixedPointEmbedding(), 4, s_law, InverseCdf.Instance, 1, SlotStart.LastToken, SlotReading.Categorical);
        Assert.Throws<PtpException>(() => new FlowDrafter(seeing, head));
        Assert.Throws<PtpException>(() => new FlowHeadTraining(
            seeing, head, [new Completion([0, 1, 2, 3], 1, Auxiliaries.FromSeed(1))], FlowHeadSource.Distillation, new DistillationOptions(),
            new AdamWOptions(), new LearningRate()));
    }

    private (SlotModel Ptp, FlowHead Head, RandomStream Random) Draw(int seed, bool trained, double spread = 1, IBackend? backend = null)
    {
        var random = new RandomStream((ulong)seed, "flow head test");
        var model = ExactnessCase.RandomModel(backend ?? _backend, ExactnessCase.RandomConfig(random), random);
        var lora = new GatedLora(model.Backend, model.Config, 2, 1, (ulong)seed);
        foreach (var parameter in lora.Parameters)
        {
            Initialise.Gaussian(parameter, random, 0.5);
        }

        var ptp = new SlotModel(
            model, lora, new ConstantEmbedding(), 6, s_law, InverseCdf.Instance, 1, SlotStart.LastToken, SlotReading.Categorical)
        {
            PickSoftness = seed % 2 * 0.1,
        };
        var size = new FlowHeadSize(1 + seed % 3, 1 + seed % 2, 8, seed % 4);
        size = seed % 5 < 2 ? size with { Clusters = 0, Bins = 2 + seed % 7 } : size with { Tied = seed % 5 == 2 };
        var shuffle = new RandomStream((ulong)seed, "order of a flow head");
        var order = Enumerable.Range(0, model.Config.VocabularySize).Select(id => (id, shuffle.NextDouble())).OrderBy(p => p.Item2).Select(p => p.id);
        var head = new FlowHead(model, size, s_law, 1, seed % 2 == 0 ? null : [.. order]);
        if (trained)
        {
            Fill(head, random, spread);
        }

        return (ptp, head, random);
    }

    private static void Fill(FlowHead head, RandomStream random, double spread = 1)
    {
        foreach (var parameter in head.Parameters)
        {
            Initialise.Gaussian(parameter, random, spread);
        }
    }

    public void Dispose() => _backend.Dispose();

    /// <summary>Random hidden states of one draft, their logits, and u.</summary>
    private sealed class Slots
    {
        private readonly Tape _tape;
        private readonly int[] _known;
        private readonly int[] _places;

        public Slots(SlotModel ptp, RandomStream random)
        {
            var (count, network) = (ptp.Slots, ptp.Network);
            _tape = new Tape(network.Backend);
            Hidden = new Tape(network.Backend).Constant(
                [.. Enumerable.Range(0, count * network.Config.HiddenSize).Select(_ => (float)random.NextGaussian())], count, network.Config.HiddenSize);
            Logits = network.Logits(new Tape(network.Backend), Hidden);
            U = [.. Enumerable.Range(0, count).Select(_ => (float)random.NextInt(Cell.Grid) / Cell.Grid)];
            _places = [.. Enumerable.Range(0, count)];
            _known = [.. Enumerable.Range(0, 8 * count).Select(_ => random.NextInt(network.Config.VocabularySize))];
        }

        public Variable Hidden { get; }

        public Variable Logits { get; }

        public float[] U { get; set; }

        public FlowSlots Of(float[] u) => new(Hidden, Logits, _known, _places, u, u);

        public float[][] Laws(FlowPicks picks)
        {
            _tape.Reset();
            picks.Read(_tape, Of(U));
            return [.. Enumerable.Range(0, U.Length).Select(row => picks.Law(row).ToArray())];
        }
    }
}
