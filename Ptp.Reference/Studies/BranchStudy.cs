// ptp study pqd: what a budget of slots brings, in tokens per call and in time, on the models that come with ptp (paper 5.2).
//   one call verifies and drafts; the split exact with confidences calibrated on held-out text, exact with rates seen on the way, exact by the
//   branching model fitted to drafts of other texts (7.3, 7.5), greedy as printed
// Beside them error correction in two calls a round, chains and trees of as many tokens, and what measured costs of calls say each should take.
// All write the same text. Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Branching;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Budgets of partial quadratic decoding.</summary>
internal static class BranchStudy
{
    private const int Texts = 24;
    private const int MostTokens = 96;
    private const int HeldOut = 64;
    private const int Context = 48; // tokens behind which costs are measured: half of a text
    private static readonly int[] s_budgets = [4, 8, 16, 32, 64];

    /// <summary>A way to spend a budget; no decoder where it does not apply.</summary>
    private sealed record Way(string Name, Func<int, IDecoder?> Decoder, Func<int, Figures, double>? Reckoned = null);

    /// <summary>What was measured.</summary>
    private sealed record Figures(double PerCall, double PerRound, double RowsPerCall, double Milliseconds, List<int[]> Tokens);

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var folder = ModelChoice.Default(ModelChoice.Ptp) ?? throw new PtpException(
            "Run a study", "no folder models/ptp here, in a folder above, or beside ptp", "the adapter that comes with ptp", "Run it inside the repository.");
        var (seen, calibrated) = (PtpAdapter.Load(folder, model.Model, model.Fingerprint), PtpAdapter.Load(folder, model.Model, model.Fingerprint));
        (seen.Confidence, seen.TreeConfidence) = (null, null);
        Calibrate(space, model, calibrated);
        var lives = Fitted(space, model, seen);
        PartialQuadraticDecoding Branches(SlotModel ptp, int budget, bool printed = false, BranchingModel? branching = null) =>
            new(ptp, ptp.Law, new PartialQuadraticOptions { Budget = budget, AsPrinted = printed, Branching = branching });
        int[] rows = [1, 2, 3, 5, 9, 17, 33, 65, 97];
        var costs = CallCosts.Measure(model.Model, rows, [Context]);
        var drafting = CallCosts.MeasureDrafts(calibrated, [.. rows.Where(r => r is > 1 and <= 17)], [Context]);

        // What an adapter and the reading of a branch of so many slots add to a call's rows.
        double Reading(int slots) => Math.Max(0, drafting.Milliseconds(slots + 2, Context) - costs.Milliseconds(slots + 1, Context));
        double OneCall(int budget, Figures f) =>
            (costs.Milliseconds((int)Math.Round(f.RowsPerCall), Context) + Reading(Math.Min(budget, calibrated.Slots - 1))) / f.PerCall;
        double TwoCalls(int budget, Figures f) => (drafting.Milliseconds(budget + 1, Context) + costs.Milliseconds(budget, Context)) / f.PerRound;
        Way[] ways =
        [
            new("one call, exact split, calibrated confidences", budget => Branches(calibrated, budget), OneCall),
            new("one call, exact split, rates seen on the way", budget => Branches(seen, budget), OneCall),
            new("one call, exact split, fitted branching model", budget => Branches(seen, budget, branching: lives), OneCall),
            new("one call, greedy split as printed", budget => Branches(seen, budget, printed: true), OneCall),
            new("one call, budget chosen by cost", budget => new PartialQuadraticDecoding(
                calibrated, calibrated.Law, new PartialQuadraticOptions { Budget = budget, Costs = costs, Drafting = drafting })),
            new("two calls, chains", budget => budget > calibrated.Slots ? null
                : new ErrorCorrectedDecoding(model.Model, calibrated.NewDrafter(), calibrated.Law, calibrated.Rule, budget), TwoCalls),
            new("two calls, trees", budget =>
                new TreeDecoding(model.Model, new CategoricalTreeDrafter(calibrated), calibrated.Law, calibrated.Rule, budget)),
        ];
        var texts = space.Cases(Texts);
        var plain = Measure(space, model, seen, new Autoregressive(model.Model, seen.Law, seen.Rule), texts, null);
        var table = new StudyTable("Branches: tokens per call, and milliseconds per token, by budget",
            Invariant($"{texts} texts of at most {Tokens(space)} tokens from the embedded model, T {seen.Law.Temperature}, top-p {seen.Law.TopP}; plain decoding: 1.00 tokens per call, {plain.Milliseconds:0.00} ms per token. In brackets milliseconds, measured and as measured costs of calls reckon them (of branches at most: as if each call read a full one). The branching model: inflation {lives.Inflation:0.000}, mean {lives.Mean:0.000}."),
            ["way", .. s_budgets.Select(b => $"{b} slots")]);
        var lines = new List<SvgLine>();
        foreach (var way in ways)
        {
            var measured = s_budgets.Select(budget => (Budget: budget, Decoder: way.Decoder(budget))).Where(w => w.Decoder is not null)
                .Select(w => (w.Budget, Figures: Measure(space, model, seen, w.Decoder!, texts, plain.Tokens))).ToArray();
            string Cell((int Budget, Figures Figures) m) => way.Reckoned is { } reckoned
                ? Invariant($"{m.Figures.PerCall:0.00} ({m.Figures.Milliseconds:0.00}; {reckoned(m.Budget, m.Figures):0.00})")
                : Invariant($"{m.Figures.PerCall:0.00} ({m.Figures.Milliseconds:0.00})");
            table.Row(way.Name, [.. measured.Select(Cell), .. Enumerable.Repeat("", s_budgets.Length - measured.Length)]);
            lines.Add(new SvgLine(way.Name, [.. measured.Select(m => (Math.Log2(m.Budget), m.Figures.PerCall))]));
            space.Note(way.Name);
        }

        space.Write("pqd", table.Note(
            "Paper's follow-up (Vicuna-7B, budget 120): 2.39 tokens per call, 1.73 times the speed of plain decoding, against 3.63 per two calls and 1.02 in sequence.")
            .ToString(), SvgPlot.Draw("Tokens per call by budget (embedded model)", "log2 of slots per call", "tokens per call", lines));
    }

    private static int Tokens(StudySpace space) => Math.Max(16, space.Cases(MostTokens));

    /// <summary>Confidences by held-out rates, on texts whose seeds appear nowhere else.</summary>
    private static void Calibrate(StudySpace space, ModelChoice model, SlotModel ptp)
    {
        SamplingJob[] jobs = [.. Enumerable.Range(0, space.Cases(HeldOut)).Select(i => new SamplingJob(
            model.Encode(""), Auxiliaries.FromSeed(600_000 + (ulong)i, ptp.NumbersPerToken), Tokens(space)))];
        var sampling = new BatchedSampling(model.Model, ptp.Law, ptp.Rule, jobs.Length);
        HeldOutDrafts.Calibrate(ptp, model.Model,
            [.. sampling.Run(jobs).Zip(jobs, (tokens, job) => new Completion(tokens, job.Prompt.Length, job.U))]);
    }

    /// <summary>The branching model of the lives that drafts have on texts whose seeds appear nowhere else.</summary>
    private static BranchingModel Fitted(StudySpace space, ModelChoice model, SlotModel ptp)
    {
        var (data, decoder) = (new BranchingData(), new PartialQuadraticDecoding(ptp, ptp.Law, new PartialQuadraticOptions { Budget = ptp.Slots }));
        for (var i = 0; i < space.Cases(HeldOut); i++)
        {
            data.Add(decoder.Decode(model.Encode(""), Auxiliaries.FromSeed(610_000 + (ulong)i, ptp.NumbersPerToken), new DecodeLimits(Tokens(space), model.EndTokens)).Stats, known: 0);
        }

        return data.Fit();
    }

    private static Figures Measure(
        StudySpace space, ModelChoice model, SlotModel ptp, IDecoder decoder, int texts, List<int[]>? expected)
    {
        var (stats, written) = (new DecodeStats(), new List<int[]>());
        for (var i = 0; i < texts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var decoded = decoder.Decode(
                model.Encode(""), Auxiliaries.FromSeed(7_000 + (ulong)i, ptp.NumbersPerToken), new DecodeLimits(Tokens(space), model.EndTokens));
            stats.Add(decoded.Stats);
            written.Add(decoded.Tokens);
            Guard.Require(expected is null || expected[i].AsSpan().SequenceEqual(decoded.Tokens), "Decode with branches",
                $"another text than plain decoding's ({decoder.Name}, text {i})", "the same", "This is a defect; please report it.");
        }

        return new Figures(stats.TokensPerCall, stats.AcceptedPerRound, stats.RowsPerCall, stats.MillisecondsPerToken, written);
    }
}
