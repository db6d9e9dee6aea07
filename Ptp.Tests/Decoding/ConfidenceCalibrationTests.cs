// Calibration of confidences: the map never falls and stays in [0, 1]; on drafts it was not fitted on, what it says is closer to what happens;
// it is stored with the adapter; and it steers draft lengths. Source: isotonic regression and Platt scaling against brute force.
// Controls: maps fitted on another drafter's tokens, and on shuffled outcomes, do not help. Not here: exactness (decoder contract).

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Decoding;

public sealed class ConfidenceCalibrationTests
{
    // 200 sets of 1 to 300 tokens, some of few distinct confidences, some all right or all wrong.
    [Fact]
    public void Maps_never_fall_and_stay_chances() => Cases.Run(200, random =>
    {
        var distinct = random.Next(1, 40);
        var chance = random.Next(4) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
        CheckedToken[] tokens = [.. Enumerable.Range(0, random.Next(1, 300)).Select(_ =>
            new CheckedToken(random.Next(distinct + 1) / (double)distinct, random.NextDouble() < chance))];
        foreach (var map in (ConfidenceCalibration[])[
            ConfidenceCalibration.Isotonic(tokens), ConfidenceCalibration.Logistic(tokens), ConfidenceCalibration.Fit(tokens)])
        {
            var before = 0.0;
            for (var c = 0; c <= 1000; c++)
            {
                var now = map[c / 1000.0];
                Assert.True(now >= before - 1e-12 && now <= 1, $"{c}: {before} then {now}");
                before = now;
            }

            Assert.Equal(map[0], map[double.NaN]);
            Assert.Equal(map[1], map[2]);
        }
    });

    // 60 drafters whose claims are off by a random rising curve; fitted on 3,000 tokens, judged on 3,000 others.
    [Fact]
    public void Claims_become_reliable_on_other_drafts()
    {
        var (better, foreign, shuffled) = (0, 0, 0);
        Cases.Run(60, random =>
        {
            Func<double, double> Curve()
            {
                var (power, scale) = (Math.Exp(2.5 * random.NextDouble() - 0.5), 0.5 + 0.5 * random.NextDouble());
                return c => scale * Math.Pow(c, power);
            }

            CheckedToken[] Draft(Func<double, double> truth) => [.. Enumerable.Range(0, 3000).Select(_ =>
            {
                var stated = random.NextDouble();
                return new CheckedToken(stated, random.NextDouble() < truth(stated));
            })];
            var (truth, other) = (Curve(), Curve());
            var (fitted, held) = (Draft(truth), Draft(truth));
            var map = ConfidenceCalibration.Fit(fitted);
            for (var c = 0.05; c < 1; c += 0.1)
            {
                Assert.Equal(truth(c), map[c], 0.12); // bins of 94 tokens: 2.4 deviations of a rate of one half
            }

            var stated = ConfidenceCalibration.Error(held);
            better += ConfidenceCalibration.Error(held, map) < stated && ConfidenceCalibration.Loss(held, map) < ConfidenceCalibration.Loss(held) ? 1 : 0;
            foreign += ConfidenceCalibration.Loss(held, ConfidenceCalibration.Fit(Draft(c => 1 - 0.9 * c))) < ConfidenceCalibration.Loss(held, map) ? 1 : 0;
            var outcomes = fitted.Select(t => t.Right).OrderBy(_ => random.Next()).ToArray();
            var mixed = ConfidenceCalibration.Fit([.. fitted.Zip(outcomes, (t, right) => t with { Right = right })]);
            shuffled += ConfidenceCalibration.Loss(held, mixed) < ConfidenceCalibration.Loss(held, map) ? 1 : 0;
        });
        Assert.InRange(better, 57, 60); // claims that are right by luck cannot be bettered
        Assert.Equal((0, 0), (foreign, shuffled));
    }

    // 100 small sets: pooled rates are the best rising rates there are, by trying all rising ones on a grid.
    [Fact]
    public void Isotonic_rates_have_the_least_squared_error() => Cases.Run(100, random =>
    {
        const int Grid = 12;
        var places = random.Next(2, 4);
        CheckedToken[] tokens = [.. Enumerable.Range(0, places * 10).Select(i => new CheckedToken(i % places / (places - 1.0), random.Next(2) == 0))];
        // The map counts half a token more of each kind in every bin, so the rates that are fitted are those.
        double[] rates = [.. Enumerable.Range(0, places).Select(p =>
            (tokens.Count(t => t.Right && t.Stated == p / (places - 1.0)) + 0.5) / 11)];
        double Error(Func<int, double> rate) => rates.Select((r, p) => (r - rate(p)) * (r - rate(p))).Sum();
        var map = ConfidenceCalibration.Isotonic(tokens);
        var merged = Error(p => Nearest(map, p / (places - 1.0)));
        foreach (var steps in Rising(places, Grid))
        {
            Assert.True(merged <= Error(p => steps[p] / (double)Grid) + 1e-9, $"{merged}, but {string.Join(' ', steps)}");
        }

        Assert.True(rates.SequenceEqual(rates.Order()) == (merged < 1e-12), "control: rates that fall cannot be met");
    });

    [Fact]
    public void Lengths_follow_the_chances_of_this_draft()
    {
        var costs = new CallCosts([.. from rows in (int[])[1, 2, 4, 8, 16] select new CallCost(rows, 0, 1 + 0.1 * rows)]);
        var length = new PayingLength(costs, costs, 8, clock: () => 0);
        for (var plain = 0; plain < 2; plain++)
        {
            Assert.Equal(0, length.Draft(0, 20)); // it begins with these
            length.Observe(0, 0, false);
        }

        Assert.True(length.Draft(0, 20) > 2);
        double[] surely = [.. Enumerable.Repeat(0.99, 8)], never = [.. Enumerable.Repeat(0.01, 8)];
        Assert.Equal(8, length.Verify(0, 8, true, surely));
        Assert.Equal(1, length.Verify(0, 8, true, never));
        Assert.Equal(length.Verify(0, 8, true, []), length.Verify(0, 8, true, [])); // control: without chances nothing of the draft counts
        double[] half = [.. surely[..4], .. never[..4]];
        Assert.Equal(4, length.Verify(0, 8, true, half));
    }

    // A drafter that states 0.5 of all: its tokens' rate is what the map says; drafts end at their first wrong token.
    [Fact]
    public void Held_out_drafts_count_up_to_the_first_wrong_token() => Cases.RunSeeds(10, seed =>
    {
        using var backend = new CpuBackend(1);
        var drawn = new ExactnessCase(backend, (ulong)seed);
        var ptp = drawn.Slotted(DrafterKind.Categorical);
        Completion[] texts = [.. Enumerable.Range(0, 6).Select(i =>
        {
            var u = Auxiliaries.FromSeed((ulong)(seed * 100 + i), ptp.NumbersPerToken);
            var written = new Autoregressive(drawn.Model, drawn.Law, drawn.Rule).Decode(drawn.Prompt, u, new DecodeLimits(12, []));
            return new Completion([.. drawn.Prompt, .. written.Tokens], drawn.Prompt.Length, u);
        })];
        var chains = HeldOutDrafts.Chains(ptp, drawn.Model, texts, 2);
        var drafts = texts.Sum(t => (t.Tokens.Length - t.PromptLength + 1) / 2);
        Assert.True(chains.Count(t => !t.Right) <= drafts, $"{chains.Count(t => !t.Right)} wrong tokens of {drafts} drafts");
        HeldOutDrafts.Calibrate(ptp, drawn.Model, texts, 2);
        Assert.True(chains.Count == 0 || ptp.Confidence!.Observed.All(p => p is > 0 and < 1));
        var foreign = texts[0] with { U = Auxiliaries.FromSeed(1, ptp.NumbersPerToken + 1) };
        Assert.Throws<PtpException>(() => HeldOutDrafts.Chains(ptp, drawn.Model, [foreign], 2));
    });

    [Fact]
    public void What_is_no_map_is_refused()
    {
        foreach (var (stated, observed) in ((double[], double[])[])[
            ([], []), ([0.5], [0.5, 0.6]), ([0.5, 0.5], [0.1, 0.2]), ([0.1, 0.2], [0.5, 0.4]), ([0.1], [1.1]), ([double.NaN], [0.5])])
        {
            Assert.Throws<PtpException>(() => new ConfidenceCalibration(stated, observed));
        }

        Assert.Throws<PtpException>(() => ConfidenceCalibration.Fit([]));
        Assert.Throws<PtpException>(() => ConfidenceCalibration.Fit([new CheckedToken(1.5, true)]));
    }

    /// <summary>The chance at the knot nearest to a confidence: its block's own rate.</summary>
    private static double Nearest(ConfidenceCalibration map, double stated)
    {
        // A block's knot lies at the mean of what it pools, so the block of a confidence is the one whose rate the step function has there.
        var best = Enumerable.Range(0, map.Stated.Count).MinBy(k => Math.Abs(map.Stated[k] - stated));
        return map.Observed[best];
    }

    private static IEnumerable<int[]> Rising(int places, int grid, int from = 0)
    {
        if (places == 0)
        {
            return [[]];
        }

        return Enumerable.Range(from, grid + 1 - from).SelectMany(first => Rising(places - 1, grid, first).Select(rest => (int[])[first, .. rest]));
    }
}
