// ptp study flow-head: what bending u buys independent slots, beside slots that see u themselves (C-PTP, O-PTP); trips.
//   correct(N): leading tokens of N drafted ones that equal the base's under the same u; one, two and four layers, clusters, two teachers
// All heads wrap the same frozen slots. Time is that of a draft of 16, the slots' call included. Refuses: nothing.

using System.Diagnostics;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Flow heads on trips.</summary>
internal static class FlowHeadStudy
{
    private const int TimedDrafts = 600; // the first hundreds run before the code is compiled for good
    private static readonly int[] s_horizons = [2, 4, 8, 16];

    public static void Run(StudySpace space)
    {
        var (models, contexts) = (new TripModels(space), space.Cases(TripDrafts.Contexts));
        var slots = models.Distilled(SlotReading.Categorical, "constant");
        var table = new StudyTable("Correct tokens of a draft of N with a flow head on independent slots, trips",
            Invariant($"Effort {space.Effort}; {contexts} contexts; the first token is exact in every row but O-PTP's. A draft of C-PTP takes the ")
            + "call of independent slots, which has the same shape.",
            ["model", "trained parameters", .. s_horizons.Select(n => $"N = {n}"), "x independent", "ms per draft"]);
        var lines = new List<SvgLine>();
        var independent = TripDrafts.Correct(space, models.Base, slots, contexts);
        var identity = new FlowDrafter(slots, new FlowHead(slots.Network, new FlowHeadSize(Layers: 1), TripModels.Law, 1)) { PickSoftness = 0 };
        Add("independent slots", Count(slots.Network), independent, Time(identity, models.Base));
        var copula = models.Copula(slots);
        Measure("Gaussian copula", copula.Weights.Value.Length, new FlowDrafter(slots, copula) { PickSoftness = 0 });
        foreach (var (name, file, size, source) in ((string, string, FlowHeadSize, FlowHeadSource)[])
        [
            ("flow head, 1 layer", "flow-1", new FlowHeadSize(Layers: 1), FlowHeadSource.Distillation),
            ("flow head, 2 layers", "flow-2", new FlowHeadSize(Layers: 2), FlowHeadSource.Distillation),
            ("flow head, 4 layers", "flow-4", new FlowHeadSize(Layers: 4), FlowHeadSource.Distillation),
            ("flow head, 4 layers, 5 clusters", "flow-4-clusters", new FlowHeadSize(Layers: 4, Clusters: 5), FlowHeadSource.Distillation),
            ("flow head, 4 layers, spline of 16 bins", "flow-4-spline", new FlowHeadSize(Layers: 4, Bins: 16), FlowHeadSource.Distillation),
            ("flow head, 4 layers, by likelihood", "flow-4-likelihood", new FlowHeadSize(Layers: 4), FlowHeadSource.Likelihood),
        ])
        {
            var head = models.Flow(file, slots, size, source);
            Measure(name, head.Parameters.Sum(p => (long)p.Value.Length), new FlowDrafter(slots, head) { PickSoftness = 0 });
        }

        foreach (var (name, reading) in ((string, SlotReading)[])[("C-PTP", SlotReading.Categorical), ("O-PTP", SlotReading.OneHot)])
        {
            var ptp = models.Distilled(reading, "fixed-point");
            Add(name, Count(ptp.Network), TripDrafts.Correct(space, models.Base, ptp, contexts),
                reading == SlotReading.OneHot ? Time(ptp.NewDrafter(), models.Base) : double.NaN);
        }

        space.Write("flow-head", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of N (trips)", "N", "correct", lines));

        void Measure(string name, long parameters, FlowDrafter drafter) =>
            Add(name, parameters, TripDrafts.Correct(space, models.Base, slots.Rule, drafter, contexts), Time(drafter, models.Base));

        void Add(string name, long parameters, int[] correct, double milliseconds)
        {
            var ratio = TripDrafts.Mean(correct, TripModels.Slots) / TripDrafts.Mean(independent, TripModels.Slots);
            table.Row(name, [
                Invariant($"{parameters:N0}"), .. s_horizons.Select(n => Invariant($"{TripDrafts.Mean(correct, n):0.00}")), Invariant($"{ratio:0.00}"),
                double.IsNaN(milliseconds) ? "" : Invariant($"{milliseconds:0.00}"),
            ]);
            lines.Add(StudyPlots.Horizon(name, correct));
            space.Note(Invariant($"{name}: {TripDrafts.Mean(correct, TripModels.Slots):0.000} correct, {ratio:0.000} x"));
        }
    }

    private static long Count(Transformer network) => network.Parameters.Sum(p => (long)p.Value.Length);

    /// <summary>Milliseconds of a draft of all slots behind twelve zones: the least of all drafts.</summary>
    private static double Time(IDrafter drafter, Transformer teacher)
    {
        var session = new ModelSession(teacher, TripModels.Law, InverseCdf.Instance);
        var (prompt, least) = (TripLanguage.Trip(new RandomStream(1, "timed trip"), 12), double.MaxValue);
        for (var i = 0; i < TimedDrafts; i++)
        {
            session.Start(prompt);
            drafter.Start(prompt);
            var start = Stopwatch.GetTimestamp();
            drafter.Propose(session, Auxiliaries.FromSeed((ulong)i), 0, drafter.Slots);
            least = Math.Min(least, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        return least;
    }
}
