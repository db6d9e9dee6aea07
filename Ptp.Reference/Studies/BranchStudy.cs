// ptp study pqd: what a budget of slots brings, in tokens per call and in time, on the models that come with ptp (paper 5.2).
//   one call verifies and drafts; the split exact with confidences calibrated on held-out text, exact with rates seen on the way, as printed
// Beside them chains and trees of 16 with error correction, two calls a round. All write the same text. Refuses: to run without the models.

using Ptp.Core;
using Ptp.Core.Decoding;
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
    private static readonly int[] s_budgets = [4, 8, 16, 32, 64];

    private sealed record Way(string Name, Func<int, IDecoder> Decoder);

    public static void Run(StudySpace space)
    {
        var model = ModelChoice.Load(null, null, space.Backend);
        var folder = ModelChoice.Default(ModelChoice.Ptp) ?? throw new PtpException(
            "Run a study", "no folder models/ptp here, in a folder above, or beside ptp", "the adapter that comes with ptp", "Run it inside the repository.");
        var (seen, calibrated) = (PtpAdapter.Load(folder, model.Model, model.Fingerprint), PtpAdapter.Load(folder, model.Model, model.Fingerprint));
        (seen.Confidence, seen.TreeConfidence) = (null, null);
        Calibrate(space, model, calibrated);
        PartialQuadraticDecoding Branches(SlotModel ptp, int budget, bool printed = false) =>
            new(ptp, ptp.Law, new PartialQuadraticOptions { Budget = budget, AsPrinted = printed });
        Way[] ways =
        [
            new("exact split, calibrated confidences", budget => Branches(calibrated, budget)),
            new("exact split, rates seen on the way", budget => Branches(seen, budget)),
            new("as printed", budget => Branches(seen, budget, printed: true)),
        ];
        var texts = space.Cases(Texts);
        var plain = Measure(space, model, seen, new Autoregressive(model.Model, seen.Law, seen.Rule), texts, null);
        var table = new StudyTable("Branches: tokens per call and milliseconds per token by budget",
            Invariant($"{texts} texts of at most {Tokens(space)} tokens from the embedded model, T {seen.Law.Temperature}, top-p {seen.Law.TopP}; plain decoding: 1.00 tokens per call, {plain.Milliseconds:0.00} ms per token."),
            ["way", .. s_budgets.Select(b => $"{b} slots")]);
        var lines = new List<SvgLine>();
        foreach (var way in ways)
        {
            var measured = s_budgets.Select(budget => Measure(space, model, seen, way.Decoder(budget), texts, plain.Tokens)).ToArray();
            table.Row(way.Name, measured.Select(m => Invariant($"{m.PerCall:0.00} ({m.Milliseconds:0.00} ms)")));
            lines.Add(new SvgLine(way.Name, [.. s_budgets.Zip(measured, (b, m) => (Math.Log2(b), m.PerCall))]));
            space.Note(way.Name);
        }

        var corrected = ((string, IDecoder)[])
        [
            ("chains of 16, error correction", new ErrorCorrectedDecoding(model.Model, seen.NewDrafter(), seen.Law, seen.Rule)),
            ("trees of 16, error correction", new TreeDecoding(model.Model, new CategoricalTreeDrafter(seen), seen.Law, seen.Rule)),
            ("trees of 16, calibrated", new TreeDecoding(model.Model, new CategoricalTreeDrafter(calibrated), seen.Law, seen.Rule)),
        ];
        foreach (var (name, decoder) in corrected)
        {
            var measured = Measure(space, model, seen, decoder, texts, plain.Tokens);
            table.Row(name, [.. s_budgets.Select(b => b == 16 ? Invariant($"{measured.PerCall:0.00} ({measured.Milliseconds:0.00} ms)") : "")]);
            lines.Add(new SvgLine(name, [.. s_budgets.Select(b => (Math.Log2(b), measured.PerCall))]));
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

    private static (double PerCall, double Milliseconds, List<int[]> Tokens) Measure(
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

        return (stats.TokensPerCall, stats.MillisecondsPerToken, written);
    }
}
