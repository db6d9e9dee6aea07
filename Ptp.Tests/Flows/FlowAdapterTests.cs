// Flow heads in adapter folders: what is saved drafts as before, to the bit; slots that are gone or others are refused; and a text is
// judged in training by the very laws it was drafted from. Source: AdapterManifest, FlowHead's equations.
// Not here: decoding (FlowHeadDecoderTests), the command line (TrainingVerbTests).

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Flows;

public sealed class FlowAdapterTests : IDisposable
{
    private const string Fingerprint = "a base";
    private static readonly int[] s_prompt = [0, 1, 2];
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-flow-").FullName;
    private readonly CpuBackend _backend = new(1);

    private string Slots => Path.Combine(_folder, "slots");

    private string Flow => Path.Combine(_folder, "flow");

    // 24 heads on one-hot slots of any pick rule: saved and loaded, the same drafts and confidences. Control: weights that changed.
    [Fact]
    public void What_is_loaded_drafts_as_what_was_saved()
    {
        var changed = 0;
        Cases.RunSeeds(24, seed =>
        {
            var (ptp, random) = Draw(seed);
            Save(ptp);
            var loaded = PtpAdapter.Load(Flow, ptp.Network, Fingerprint);
            Assert.Equal((ptp.Flow!.Size, ptp.PickSoftness, ptp.Rule.Name), (loaded.Flow!.Size, loaded.PickSoftness, loaded.Rule.Name));
            var expected = Drafted(ptp, (ulong)seed);
            Assert.Equal(expected, Drafted(loaded, (ulong)seed));
            foreach (var parameter in loaded.Flow.Parameters)
            {
                Initialise.Gaussian(parameter, random, 1);
            }

            changed += expected.SequenceEqual(Drafted(loaded, (ulong)seed)) ? 0 : 1;
        });
        Assert.True(changed > 18, $"control: {changed} of 24 changed");
    }

    [Fact]
    public void A_head_without_its_slots_is_refused()
    {
        var (ptp, _) = Draw(3);
        Save(ptp);
        Refuses("another base", () => PtpAdapter.Load(Flow, ptp.Network, "another base"));
        Assert.Throws<PtpException>(() => PtpAdapter.Save(Flow, ptp, Fingerprint, "base", 0, StoredType.F32)); // slots not named
        Assert.Throws<PtpException>(() => new PartialQuadraticDecoding(ptp, ptp.Law, new PartialQuadraticOptions { Budget = 4 }));
        Assert.Throws<PtpException>(() => FlowHead.On(
            new SlotModel(ptp.Network, null, new ConstantEmbedding(), 4, ptp.Law, ptp.Rule, 1, SlotStart.LastToken, SlotReading.Categorical), ptp.Flow!.Size, 1));

        var head = ptp.Flow;
        ptp.Flow = null;
        Initialise.Gaussian(ptp.Table, new RandomStream(9, "other slots"), 1);
        PtpAdapter.Save(Slots, ptp, Fingerprint, "base", 0, StoredType.F32);
        Refuses("fingerprint", () => PtpAdapter.Load(Flow, ptp.Network, Fingerprint));
        Directory.Delete(Slots, recursive: true);
        Refuses("nothing", () => PtpAdapter.Load(Flow, ptp.Network, Fingerprint));
        ptp.Flow = head;
        Refuses("flow head", () => new Distillation(
            ptp, [new Completion([0, 1, 2], 1, Auxiliaries.FromSeed(1, ptp.NumbersPerToken))], new DistillationOptions(), new AdamWOptions(), new LearningRate()));

        static void Refuses(string expected, Func<object> what) =>
            Assert.Contains(expected, Assert.Throws<PtpException>(what).Message, StringComparison.Ordinal);
    }

    // 40 heads: a draft appended to its text is a text of the head; training gives its tokens the chances that drafting stated, row by row.
    // Control: other numbers. (The first token of a one-hot run is known when drafting: no row may be judged by the slot's guess of it.)
    [Fact]
    public void Training_judges_a_text_by_the_laws_it_was_drafted_from()
    {
        var (rows, others) = (0, 0);
        Cases.RunSeeds(40, seed =>
        {
            var (ptp, _) = Draw(seed, trains: true);
            var u = Auxiliaries.FromSeed((ulong)seed, ptp.NumbersPerToken);
            (int Token, float Chance)[] draft = Drafted(ptp, (ulong)seed);
            var chances = Judged(u);
            for (var row = 1; row < draft.Length; row++)
            {
                var chance = draft[row].Chance;
                Assert.True(Math.Abs(chances[row] - chance) <= 1e-4 * Math.Max(1e-2, chance), $"row {row}: {chances[row]}, drafted at {chance}");
            }

            var other = Judged(Auxiliaries.FromSeed((ulong)seed + 1000, ptp.NumbersPerToken));
            rows += draft.Length - 2;
            others += Enumerable.Range(2, draft.Length - 2).Count(row => Math.Abs(other[row] - draft[row].Chance) > 1e-3);
            Assert.Equal(1, chances[0]); // weight 0: nothing is learned from the token that is known

            double[] Judged(Auxiliaries numbers)
            {
                var text = new Completion([.. s_prompt, .. draft.Select(d => d.Token)], s_prompt.Length, numbers);
                var training = new FlowHeadTraining(
                    ptp, ptp.Flow!, [text], FlowHeadSource.Distillation, new DistillationOptions(), new AdamWOptions(), new LearningRate());
                return [.. Enumerable.Range(0, draft.Length).Select(row =>
                {
                    var batch = new DistillationBatch([text], [new SlotRun(0, s_prompt.Length, draft.Length)], ptp.NumbersPerToken, 1, ptp.Shift);
                    batch.Weights.Clear();
                    batch.Weights[row] = 1;
                    return Math.Exp(-training.Loss(batch, new RandomStream(1, "unused")).Loss);
                })];
            }
        });
        Assert.True(others > rows / 4, $"control: {others} of {rows} rows differ");
    }

    public void Dispose()
    {
        Directory.Delete(_folder, recursive: true);
        _backend.Dispose();
    }

    private void Save(SlotModel ptp)
    {
        var head = ptp.Flow;
        ptp.Flow = null;
        PtpAdapter.Save(Slots, ptp, Fingerprint, "base", 0, StoredType.F32);
        ptp.Flow = head;
        PtpAdapter.Save(Flow, ptp, Fingerprint, "base", 0, StoredType.F32, Slots);
    }

    private static (int Token, float Chance)[] Drafted(SlotModel ptp, ulong seed)
    {
        var (session, drafter) = (new ModelSession(ptp.Network, ptp.Law, ptp.Rule), ptp.NewDrafter());
        session.Start(s_prompt);
        drafter.Start(s_prompt);
        var draft = drafter.Propose(session, Auxiliaries.FromSeed(seed, ptp.NumbersPerToken), 0, ptp.Slots);
        return [.. draft.Tokens.ToArray().Zip(draft.Confidences.ToArray())];
    }

    private (SlotModel Ptp, RandomStream Random) Draw(int seed, bool trains = false)
    {
        var random = new RandomStream((ulong)seed, "flow adapter test");
        var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
        var lora = new GatedLora(_backend, model.Config, 2, 1, (ulong)seed);
        PickRule[] rules = [InverseCdf.Instance, TreePick.Instance, new RacePick(3)];
        var ptp = new SlotModel(
            model, lora, new ConstantEmbedding(), 6, new SamplingOptions { Temperature = 0.7, TopP = 0.9 }, rules[seed % 3], 1, SlotStart.LastToken)
        {
            PickSoftness = trains ? 0 : seed % 2 * 0.1,
        };
        var size = new FlowHeadSize(1 + seed % 4, 1 + seed % 2, 8, seed % 4);
        size = seed % 5 == 0 ? size with { Clusters = 0, Bins = 4 } : seed % 5 == 1 ? size with { Tied = true } : size;
        ptp.Flow = FlowHead.On(ptp, trains && size.Tied ? size with { Layers = ptp.Slots } : size, 1); // in as many sweeps all picks are final
        foreach (var parameter in lora.Parameters.Concat(ptp.Flow.Parameters))
        {
            Initialise.Gaussian(parameter, random, 0.5);
        }

        return (ptp, random);
    }
}
