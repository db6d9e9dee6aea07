// One strand behind partial quadratic decoding: branch probabilities and rewards are those of lives drawn from the urn, with the index
// of draft tokens, m = T - 1; the decoder listens to the model and stays exact with one fitted to its own rounds.
// Control: the index of the model taken for the decoder's. Not here: exactness on all cases (DecoderTests).

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Branching;

public sealed class SingleStrandTests
{
    // 30 models, 4,000 lives each: law of the right ones of q drafted, and their mean.
    [Fact]
    public void Weights_and_rewards_are_those_of_lives()
    {
        var shifted = 0;
        Cases.Run(30, random =>
        {
            const int Lives = 4000;
            var (model, oracle) = BranchingModelTests.Draw(random);
            var q = random.Next(0, 9);
            var strand = new SingleStrand(model, 8);
            var weights = strand.Weights(q);
            Assert.Equal(1, weights.Sum(), 1e-12);

            // A life 1, 1, .., 1, 0 of T generations: the known token, then T - 1 right ones; those beyond q are not drafted.
            var right = Enumerable.Range(0, Lives).Select(_ => oracle.Life(1, 30, random))
                .Select(life => Math.Min(q, life.Skip(1).Count(alive => alive == 1))).ToArray();
            var survival = model.Survival(1, q + 2)[1];
            for (var m = 0; m <= q; m++)
            {
                var seen = right.Count(r => r == m) / (double)Lives;
                Assert.Equal(weights[m], seen, 6 * Math.Sqrt(weights[m] * (1 - weights[m]) / Lives) + 1e-3);
                var unshifted = m == q ? survival[q] : survival[m] - survival[m + 1];
                shifted += Math.Abs(unshifted - seen) > 0.1 ? 1 : 0;
            }

            Assert.Equal(right.Average(), strand.Expected(q), 3 * q / Math.Sqrt(Lives) + 1e-9);
        });
        Assert.InRange(shifted, 30, 300);
    }

    // 50 models: the reward of n draft tokens is the one-strand profile of n + 1, less the known token.
    [Fact]
    public void Rewards_are_profiles_of_one_strand() => Cases.Run(50, random =>
    {
        var model = BranchingModelTests.Draw(random).Model;
        var (strand, values) = (new SingleStrand(model, 10), WidthProfile.Best(model, 11, 11, 1).Values);
        for (var n = 0; n <= 10; n++)
        {
            Assert.Equal(values[n + 1] - 1, strand.Expected(n), 1e-12);
        }
    });

    // 20 adapters: models that trust drafts and models that do not split the budget differently; the text is the same.
    [Fact]
    public void The_decoder_listens_and_stays_exact()
    {
        using var backend = new CpuBackend(1);
        var heard = 0;
        Cases.RunSeeds(20, seed =>
        {
            var drawn = new ExactnessCase(backend, 14_000 + (ulong)seed);
            var ptp = drawn.Slotted(DrafterKind.Categorical);
            Decoded Decode(BranchingModel? model) => new PartialQuadraticDecoding(
                ptp, drawn.Law, new PartialQuadraticOptions { Budget = 12, Branching = model }).Decode(drawn.Prompt, drawn.U, drawn.Limits);
            var observed = Decode(null);
            var data = new BranchingData();
            data.Add(observed.Stats, known: 0);
            var all = new List<Decoded> { observed, Decode(new(0, 0.99, 0.5)), Decode(new(0.5, 0.05, 0.5)) };
            if (data.Steps > 0)
            {
                all.Add(Decode(data.Fit()));
            }

            Assert.All(all, decoded => Assert.Equal(drawn.Expected.Tokens, decoded.Tokens));
            heard += all[1].Stats.SlotTried.Length != all[2].Stats.SlotTried.Length || all[1].Stats.Rows != all[2].Stats.Rows ? 1 : 0;
        });
        Assert.InRange(heard, 5, 20);
    }
}
