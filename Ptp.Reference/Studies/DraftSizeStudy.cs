// ptp study draft-size: drafts by students of growing size, up to an adapter on the base itself; parallel (O-PTP) and token by token.
//   accepted = correct + 1 of a draft of 16; speed-up = max over N of (E[correct of N] + 1) c_base(1) / (cost of drafting N + c_base(N + 1))
// Costs of calls are measured on this machine; token by token, a draft of N costs N calls of the student. Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Size of the draft model, on trips.</summary>
internal static class DraftSizeStudy
{
    private const int Steps = 2000;
    private const int Context = 24;

    // Width, layers, heads: from 4 k parameters to the base's own.
    private static readonly (int Width, int Layers, int Heads)[] s_sizes = [(16, 1, 1), (32, 1, 2), (64, 1, 4), (64, 2, 4), (64, 4, 4)];

    // The paper's language models: parameters, accepted, speed-up of parallel drafts, of drafts token by token.
    private const string Paper = "Paper (TinyLlama-1.1B, code), 66k, 525k, 4.2M, 34M, 268M, the base's own 1.1B: accepted 1.16, 2.70, 3.99, 5.10, 5.57, 7.00; "
        + "speed-up in parallel 1.08, 2.06, 2.61, 2.88, 2.67, 3.50, token by token 1.08, 1.82, 2.03, 1.89, 1.38, 1.00.";

    public static void Run(StudySpace space)
    {
        var models = new TripModels(space);
        var texts = TripModels.Written(models.Base, TripModels.Law, Math.Max(250, (int)(20_000 * Math.Min(1, space.Effort))));
        var contexts = space.Cases(TripDrafts.Contexts / 2);
        int[] rows = [1, 2, 4, 8, 17];
        var costs = CallCosts.Measure(models.Base, rows, [Context]);
        var table = new StudyTable("Drafts by size of the draft model, trips",
            Invariant($"Effort {space.Effort}: {space.Steps(Steps)} steps each; {contexts} contexts; base of {models.Base.Config.Parameters / 1e3:0}k parameters, {costs.Milliseconds(1, Context):0.00} ms a call of one row, {costs.Milliseconds(17, Context):0.00} of 17."),
            "draft model", "parameters", "accepted, parallel", "accepted, token by token", "speed-up, parallel (best N)", "speed-up, token by token (best N)");
        var (parallel, serial) = (new List<(double, double)>(), new List<(double, double)>());
        foreach (var (width, layers, heads) in s_sizes)
        {
            var config = (TripModels.Config with
            {
                HiddenSize = width,
                IntermediateSize = width * 11 / 4,
                Layers = layers,
                Heads = heads,
                KeyValueHeads = heads,
            }).Validated();
            var name = Invariant($"draft-{width}-{layers}");
            var ptp = space.Slots(name + "-parallel", models.Base, () => new SlotModel(
                new Transformer(space.Backend, config, 3), null, new FixedPointEmbedding(), TripModels.Slots, TripModels.Law, InverseCdf.Instance, 1),
                space.Steps(Steps), slots => new Distillation(
                    slots, texts, new DistillationOptions { ContextTokens = 512, SlotRows = 768 }, new AdamWOptions { WeightDecay = 0.01 },
                    new LearningRate { Peak = 3e-3, WarmUp = 50, Steps = space.Steps(Steps), FinalFraction = 0.03 }).Step);
            var alone = space.Network(name + "-serial", config, space.Steps(Steps), model =>
                TripModels.LanguageTrainer(model, [.. texts.Select(t => t.Tokens)], space.Steps(Steps), 1024));
            var own = CallCosts.Measure(ptp.Network, rows, [Context]);
            var (inParallel, inTurn) = (TripDrafts.Correct(space, models.Base, ptp, contexts), Serial(space, models.Base, alone, contexts));
            var (fast, fastN) = Best(inParallel, n => own.Milliseconds(n + 1, Context) + costs.Milliseconds(n + 1, Context));
            var (slow, slowN) = Best(inTurn, n => n * own.Milliseconds(1, Context) + costs.Milliseconds(n + 1, Context));
            AddRow(Invariant($"width {width}, {layers} layers"), config.Parameters, inParallel, inTurn, fast, fastN, slow, slowN);
        }

        var (gated, gatedSize) = (models.Gated(Steps), models.Base.Config.Parameters);
        var drafts = CallCosts.MeasureDrafts(gated, [.. rows.Where(r => r > 1)], [Context]);
        var correct = TripDrafts.Correct(space, models.Base, gated, contexts);
        // The adapter's call knows the first token's law, and its verification has a row less.
        var (speed, best) = Best(correct, n => drafts.Milliseconds(n + 1, Context) + costs.Milliseconds(n, Context));
        // Token by token the base would draft for itself: nothing is gained.
        AddRow("the base with an adapter", gatedSize, correct, Enumerable.Repeat(TripModels.Slots, contexts).ToArray(), speed, best, 1, 1);
        space.Write("draft-size", table.Note(Paper).ToString(), SvgPlot.Draw(
            "Speed-up by size of the draft model (trips, measured costs of calls)", "log10 of parameters", "speed-up",
            [new("parallel", parallel), new("token by token", serial)]));

        (double, int) Best(int[] right, Func<int, double> cost) => Enumerable.Range(1, TripModels.Slots)
            .Select(n => ((TripDrafts.Mean(right, n) + 1) * costs.Milliseconds(1, Context) / cost(n), n)).Max();

        void AddRow(string name, long size, int[] right, int[] turn, double fast, int fastN, double slow, int slowN)
        {
            table.Row(name, Invariant($"{size / 1e3:0}k"), Invariant($"{TripDrafts.Mean(right, TripModels.Slots) + 1:0.00}"),
                Invariant($"{TripDrafts.Mean(turn, TripModels.Slots) + 1:0.00}"), Invariant($"{fast:0.00} ({fastN})"), Invariant($"{slow:0.00} ({slowN})"));
            parallel.Add((Math.Log10(size), fast));
            serial.Add((Math.Log10(size), slow));
            space.Note(Invariant($"{name}: {TripDrafts.Mean(right, TripModels.Slots) + 1:0.00} accepted in parallel"));
        }
    }

    /// <summary>Correct tokens of drafts that a language model writes one after the other, from the same u.</summary>
    private static int[] Serial(StudySpace space, Transformer teacher, Transformer student, int contexts)
    {
        var (plain, own) = (new Autoregressive(teacher, TripModels.Law, InverseCdf.Instance), new Autoregressive(student, TripModels.Law, InverseCdf.Instance));
        return [.. Enumerable.Range(0, contexts).Select(i =>
        {
            space.Cancellation.ThrowIfCancellationRequested();
            int[] prompt = [TripLanguage.Begin, .. plain.Decode(
                [TripLanguage.Begin], Auxiliaries.FromSeed(900_000 + (ulong)i), new DecodeLimits(1 + i % 23, [])).Tokens];
            var u = Auxiliaries.FromSeed(800_000 + (ulong)i);
            var limits = new DecodeLimits(TripModels.Slots, []);
            return plain.Decode(prompt, u, limits).Tokens.Zip(own.Decode(prompt, u, limits).Tokens).TakeWhile(t => t.First == t.Second).Count();
        })];
    }
}
