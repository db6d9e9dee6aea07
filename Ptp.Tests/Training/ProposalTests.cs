// Losses and proposals of distillation (PTP sections 3.1 and 3.2): u inferred from the base lies in its token's cell, for every pick
// rule; impossible tokens end a run; every loss and every source of tokens teaches, and what was taught is seen in drafts.
// Controls: u of another token, a slot that cannot see u, losses for the wrong kind of slot.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Xunit;

namespace Ptp.Tests.Training;

public sealed class ProposalTests
{
    private const int Tests = 2000; // texts: a difference of two shares is known to 0.016
    private static readonly CpuBackend s_backend = new(2);

    [Theory]
    [InlineData("inverse-cdf", SlotReading.OneHot, 1.0)]
    [InlineData("inverse-cdf", SlotReading.Categorical, 0.3)]
    [InlineData("tree", SlotReading.OneHot, 1.0)]
    [InlineData("race:5", SlotReading.Categorical, 1.0)]
    public void Inferred_u_picks_its_token_again(string rule, SlotReading reading, double beta)
    {
        var (checkedRows, ended) = (0, 0);
        Cases.RunSeeds(10, seed =>
        {
            var random = new RandomStream((ulong)seed, "inferred");
            var law = new SamplingOptions { Temperature = 0.8, TopP = 0.9 };
            var ptp = Model(random, rule, reading, law, "fixed-point");
            var network = ptp.Network;
            // Tokens at random: many are outside the nucleus, as a dataset's are.
            Completion[] texts = [.. Enumerable.Range(0, 4).Select(_ => new Completion(
                [.. Enumerable.Range(0, 12).Select(_ => random.NextInt(12))], 2, Auxiliaries.FromSeed(0, ptp.NumbersPerToken)))];
            var trainer = new Distillation(
                ptp, texts, new DistillationOptions { ContextTokens = 64, SlotRows = 24, InferredU = beta }, new AdamWOptions(), new LearningRate());
            var batch = new DistillationBatch(ptp.NumbersPerToken, 1, ptp.Shift).Draw(
                texts, ptp.Slots, new DistillationOptions { ContextTokens = 64, SlotRows = 24 }, random, 3);
            trainer.Loss(batch, random);
            var session = new ModelSession(network, law, ptp.Rule);
            var row = 0;
            foreach (var run in batch.Runs)
            {
                var possible = true;
                for (var slot = 0; slot < run.Count; slot++, row++)
                {
                    var text = batch.Text(run.Text);
                    session.Start(text[..(run.Start + slot)]);
                    session.Verify([text[run.Start + slot - 1]]);
                    var token = text[run.Start + slot];
                    possible &= session.Law(0)[token] > 0;
                    if (!possible)
                    {
                        Assert.Equal(0, batch.Weights[row]);
                        ended++;
                        continue;
                    }

                    var u = batch.U.Slice(row * ptp.NumbersPerToken, ptp.NumbersPerToken);
                    Assert.Equal(token, ptp.Rule.Pick(u, session.Law(0)));
                    checkedRows++;
                }
            }
        });
        Assert.True(checkedRows > 30 && ended > 30, $"{checkedRows} checked, {ended} ended");
    }

    [Theory]
    [InlineData(SlotReading.OneHot, DistillationLoss.CrossEntropy, ProposalSource.Given)]
    [InlineData(SlotReading.OneHot, DistillationLoss.BinaryCrossEntropy, ProposalSource.Given)]
    [InlineData(SlotReading.OneHot, DistillationLoss.CrossEntropy, ProposalSource.Student)]
    [InlineData(SlotReading.Categorical, DistillationLoss.CrossEntropy, ProposalSource.Given)]
    [InlineData(SlotReading.Categorical, DistillationLoss.Divergence, ProposalSource.Student)]
    [InlineData(SlotReading.Categorical, DistillationLoss.ReverseDivergence, ProposalSource.Given)]
    public void Every_loss_and_source_teaches(SlotReading reading, DistillationLoss loss, ProposalSource source)
    {
        var taught = Right("fixed-point", reading, loss, source);
        var blind = Right("constant", reading, loss, source);
        Assert.True(taught > blind + 0.08, $"{taught} of the second tokens right, blind {blind}");
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        var random = new RandomStream(3, "refused");
        var law = new SamplingOptions();
        Completion[] texts = [new([1, 2, 3, 4], 1, Auxiliaries.FromSeed(1))];
        void Make(SlotReading reading, DistillationOptions options) => _ = new Distillation(
            Model(random, "inverse-cdf", reading, law, "fixed-point"), texts, options, new AdamWOptions(), new LearningRate());
        Assert.Throws<PtpException>(() => Make(SlotReading.OneHot, new() { Loss = DistillationLoss.Divergence }));
        Assert.Throws<PtpException>(() => Make(SlotReading.OneHot, new() { Loss = DistillationLoss.ReverseDivergence }));
        Assert.Throws<PtpException>(() => Make(SlotReading.Categorical, new() { Loss = DistillationLoss.BinaryCrossEntropy }));
        Assert.Throws<PtpException>(() => Make(SlotReading.OneHot, new() { Proposals = ProposalSource.Student }));
        Make(SlotReading.OneHot, new() { Proposals = ProposalSource.Student, InferredU = 1 });
    }

    /// <summary>Share of second tokens of drafts that verify, after a short training on a base whose laws depend on the token before.</summary>
    private static double Right(string embedding, SlotReading reading, DistillationLoss loss, ProposalSource source)
    {
        var random = new RandomStream(5, "taught");
        var law = new SamplingOptions();
        // A law learned from single tokens is a noisier lesson than a law or a token that is certain.
        var steps = reading == SlotReading.Categorical && loss == DistillationLoss.CrossEntropy ? 2700 : 900;
        var ptp = Model(random, "inverse-cdf", reading, law, embedding);
        var plain = new Autoregressive(ptp.Network, law, ptp.Rule);
        Completion[] texts = [.. Enumerable.Range(0, 400).Select(i =>
        {
            var u = Auxiliaries.FromSeed((ulong)i);
            return new Completion([3, .. plain.Decode([3], u, new DecodeLimits(3, [])).Tokens], 1, u);
        })];
        var trainer = new Distillation(
            ptp, texts, new DistillationOptions { ContextTokens = 120, SlotRows = 60, Loss = loss, Proposals = source, InferredU = 1 },
            new AdamWOptions { WeightDecay = 0 }, new LearningRate { Peak = 1e-2, WarmUp = 10, Steps = steps, FinalFraction = 0.02 });
        for (var step = 0; step < steps; step++)
        {
            trainer.Step();
        }

        var decoder = new ErrorCorrectedDecoding(ptp.Network, ptp.NewDrafter(), law, ptp.Rule, slots: 2, exactFirst: true);
        var right = 0;
        for (var i = 0; i < Tests; i++)
        {
            decoder.Decode([3], Auxiliaries.FromSeed(10_000 + (ulong)i), new DecodeLimits(3, []), commitment =>
            {
                right += commitment.Correct >= 2 ? 1 : 0;
                return false;
            });
        }

        return right / (double)Tests;
    }

    /// <summary>A base of 12 tokens with laws that depend on the last token, and random slots on it.</summary>
    private static SlotModel Model(RandomStream random, string rule, SlotReading reading, SamplingOptions law, string embedding)
    {
        var network = new Transformer(s_backend, new TransformerConfig
        {
            VocabularySize = 12,
            HiddenSize = 24,
            IntermediateSize = 32,
            Layers = 2,
            Heads = 4,
            KeyValueHeads = 4,
            MaxContext = 32,
        }, 1);
        foreach (var parameter in network.Parameters.Where(p => !p.IsVector))
        {
            Initialise.Gaussian(parameter, random, 0.35);
        }

        return new SlotModel(
            network, new GatedLora(s_backend, network.Config, 8, 1, 1), AuxiliaryEmbedding.Parse(embedding), 4, law,
            PickRule.Parse(rule), 1, SlotStart.LastToken, reading);
    }
}
