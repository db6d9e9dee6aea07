// ptp study joint: the joint law of all tokens of a window, every window enumerated, against the language's own (paper 3.5).
//   KL(P || P_theta), P_theta(t) = volume of the u that write t = E[prod_k P_theta(t_k | t_<i, u_<k)], u in the cells of t
// Three languages: walks on a ring of 5 zones, windows of 4 (625), walks of a king and trips, windows of 3 (15,625 each). Volumes are means over
// places in the cells, so their noise makes the KL larger in the mean, never smaller. The table is written row by row. Refuses: nothing.

using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Joint laws of short windows.</summary>
internal static class JointStudy
{
    private const int Contexts = 12;
    private const int Places = 8;
    private const int RingSteps = 3000;
    private static readonly (string Language, string Name, string Embedding, string Rule, int History)[] s_models =
        [.. new[] { ("ring", "linear:33"), ("walks", "linear:33"), ("trips", "fixed-point") }.SelectMany(((string Language, string Embedding) on) =>
            ((string, string, string, string, int)[])
            [
                (on.Language, "independent by inversion", "constant", "inverse-cdf", 0),
                (on.Language, "C-PTP by inversion, paper's rule", on.Embedding, "inverse-cdf", 0),
                (on.Language, "C-PTP by inversion, race", "clocks", "race", 0),
                (on.Language, "C-PTP by inversion, race, head of 2 tokens", "clocks", "race", 2),
            ])];

    private delegate double[] NextLaw(ReadOnlySpan<int> zones);

    /// <summary>A language and its windows.</summary>
    private sealed record Windows(string Name, int Zones, int Length, int[][] Prompts, NextLaw Law, Func<string, string, int, SlotModel> Model);

    public static void Run(StudySpace space)
    {
        var trips = new SmallTrips(space);
        var contexts = Math.Max(1, space.Cases(50 * Contexts) / 50);
        var ring = new Windows("ring", Ring.Zones, 4, [.. Enumerable.Range(0, contexts).Select(i => Ring.Walk(new RandomStream((ulong)i, "windows"), i % 4))],
            Ring.Law, (embedding, rule, history) => RingModel(space, embedding, rule, history));
        var zones = new Windows("trips", TripLanguage.Zones, 3,
            [.. TripModels.Trips(contexts, "windows").Select((trip, i) => trip[..(3 + 3 * i % 30)])], TripLanguage.Law, trips.Inverse);
        var kings = new KingWalk(space);
        var random = new RandomStream(1, "windows");
        var walks = new Windows("walks", TripLanguage.Zones, 3,
            [.. Enumerable.Range(0, contexts).Select(i => KingWalk.Walk(random)[..(2 + i % 4)])], KingWalk.Law, kings.Inverse);
        var table = new StudyTable("KL of the joint law of a window from the exact one",
            Invariant($"Effort {space.Effort}; {contexts} contexts; ring: all 625 windows of 4 tokens; walks and trips: all 15,625 of 3; {Places} places in each cell; nats."),
            "language", "model", "KL of 1 token", "of 2", "of 3", "of 4", "share of independent's");
        var (lines, reference) = (new List<SvgLine>(), 1.0);
        foreach (var (where, name, embedding, rule, history) in s_models)
        {
            var language = where == ring.Name ? ring : where == walks.Name ? walks : zones;
            string Sized(string kind) => kind is "clocks" or "race" ? $"{kind}:{language.Zones + 1}" : kind;
            var divergence = Divergence(space, language, language.Model(Sized(embedding), Sized(rule), history));
            reference = embedding == "constant" ? divergence[^1] : reference;
            var cells = divergence.Select(d => Invariant($"{d:0.0000}")).Concat(Enumerable.Repeat("", 4 - language.Length));
            table.Row(language.Name, [name, .. cells, Invariant($"{divergence[^1] / reference:0.000}")]);
            lines.Add(new SvgLine($"{language.Name}: {name.Replace(" by inversion", "", StringComparison.Ordinal)}", [.. divergence.Select((d, i) => (i + 1.0, d))]));
            space.Note(Invariant($"{language.Name}, {name}: {divergence[^1]:0.0000} nats"));
            space.Write("joint", table.ToString(), SvgPlot.Draw("KL of the joint law from the exact one", "tokens of the window", "nats", lines));
        }
    }

    /// <summary>KL of windows of 1, 2, ... tokens, mean over contexts.</summary>
    private static double[] Divergence(StudySpace space, Windows language, SlotModel ptp)
    {
        var divergence = new double[language.Length];
        foreach (var prompt in language.Prompts)
        {
            var (exact, own) = (Exact(language, prompt), Joint(space, language, ptp, prompt));
            for (var length = 1; length <= language.Length; length++)
            {
                var each = (int)Math.Pow(language.Zones, language.Length - length);
                var (p, q) = (exact.Chunk(each).Select(part => part.Sum()), own.Chunk(each).Select(part => part.Sum()));
                divergence[length - 1] += p.Zip(q, (a, b) => a > 0 ? a * Math.Log(a / b) : 0).Sum() / language.Prompts.Length;
            }
        }

        return divergence;
    }

    /// <summary>The windows' beginnings, all but the last token, in order.</summary>
    private static int[][] Beginnings(Windows language)
    {
        int[][] all = [[]];
        for (var k = 1; k < language.Length; k++)
        {
            all = [.. all.SelectMany(tokens => Enumerable.Range(0, language.Zones).Select(zone => (int[])[.. tokens, zone]))];
        }

        return all;
    }

    /// <summary>The language's law of windows, [Z^K].</summary>
    private static double[] Exact(Windows language, int[] prompt) => [.. Beginnings(language).SelectMany(window =>
    {
        var probability = 1.0;
        for (var k = 0; k < window.Length; k++)
        {
            probability *= language.Law([.. prompt[1..], .. window[..k]])[window[k]];
        }

        return language.Law([.. prompt[1..], .. window]).Select(p => probability * p);
    })];

    /// <summary>The model's law of windows: one inversion per beginning and place, whose last law gives all last tokens at once.</summary>
    private static double[] Joint(StudySpace space, Windows language, SlotModel ptp, int[] prompt)
    {
        var beginnings = Beginnings(language);
        var joint = new double[beginnings.Length * language.Zones];
        var inversion = new Inversion(ptp);
        var texts = new SplitTexts([.. beginnings.Select(b => (int[])[.. prompt, .. b, 0])], [.. beginnings.Select(_ => prompt.Length)]);
        for (var place = 0; place < Places; place++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var inferred = inversion.Sequential(texts, (ulong)(place + 1) << 48);
            var laws = inversion.LastLaws(texts, inferred.U);
            for (var i = 0; i < beginnings.Length; i++)
            {
                var before = Math.Exp(inferred.LogLikelihood.AsSpan(i * language.Length, language.Length - 1).ToArray().Sum()) / Places;
                for (var zone = 0; zone < language.Zones; zone++)
                {
                    joint[i * language.Zones + zone] += before * laws[i][zone];
                }
            }
        }

        return joint;
    }

    private static SlotModel RingModel(StudySpace space, string embedding, string rule, int history)
    {
        var config = (TripModels.Config with
        {
            VocabularySize = Ring.Zones + 1,
            HiddenSize = 48,
            IntermediateSize = 132,
            Layers = 3,
            MaxContext = 16,
        }).Validated();
        SlotModel Make() => TripModels.FromNothing(space.Backend, config, embedding, rule, 8, SlotStart.LastToken, history);
        var name = TripModels.InverseName("ring", embedding, rule, history);
        var random = new RandomStream(1, "training walks");
        return space.Slots(name, new Transformer(space.Backend, config, 2), Make, space.Steps(RingSteps), ptp => new InverseAutoregressiveTraining(
            ptp, [.. Enumerable.Range(0, 20_000).Select(_ => Ring.Walk(random, 8))], new InverseTrainingOptions { Rows = 400, Horizon = 5, OwnLawWeight = 0.8 },
            new AdamWOptions { WeightDecay = 0.01 }, new LearningRate { Peak = 3e-3, WarmUp = 50, Steps = space.Steps(RingSteps), FinalFraction = 0.03 }).Step);
    }

    /// <summary>Walks on a ring: forward 0.5, back 0.2, to the zone of two steps ago 0.2, anywhere 0.1.</summary>
    private static class Ring
    {
        public const int Zones = 5;

        public static double[] Law(ReadOnlySpan<int> walk)
        {
            var law = new double[Zones];
            Array.Fill(law, (walk.Length == 0 ? 1 : walk.Length == 1 ? 0.3 : 0.1) / Zones);
            if (walk.Length > 0)
            {
                law[(walk[^1] + 1) % Zones] += 0.5;
                law[(walk[^1] + Zones - 1) % Zones] += 0.2;
            }

            if (walk.Length > 1)
            {
                law[walk[^2]] += 0.2;
            }

            return law;
        }

        public static int[] Walk(RandomStream random, int length)
        {
            var walk = new List<int> { Zones };
            for (var k = 0; k < length; k++)
            {
                walk.Add(Pick.Token(random.NextDouble(), [.. Law(walk.ToArray().AsSpan(1)).Select(p => (float)p)]));
            }

            return [.. walk];
        }
    }
}
