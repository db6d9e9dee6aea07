// ptp study candidates: correct tokens of a draft of 16 when the most central of M texts is kept (paper, appendix; taxi figures beside).
//   each context is continued by the base from M independent u; the kept one's draft is counted. Longest match beside it: biased.
// The last column draws every u at the very centre of its token's cell. Refuses: nothing.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Candidates on trips.</summary>
internal static class CandidateStudy
{
    private const int Contexts = 300;
    private static readonly int[] s_counts = [1, 4, 16, 64];
    private const string Paper = "Paper (taxi, N = 100): 45.36, 49.67, 54.76, 55.74 with 1, 4, 16, 64 candidates, 90.17 at the centres.";

    private sealed record Candidate(int[] Tokens, double[] Places, int Correct);

    public static void Run(StudySpace space)
    {
        var (models, contexts) = (new TripModels(space), space.Cases(Contexts));
        var ptp = models.Distilled(SlotReading.OneHot, "fixed-point");
        var session = new ModelSession(models.Base, TripModels.Law, ptp.Rule);
        var drafter = ptp.NewDrafter();
        var (central, longest, centres) = (new double[s_counts.Length], new double[s_counts.Length], 0.0);
        for (var i = 0; i < contexts; i++)
        {
            space.Cancellation.ThrowIfCancellationRequested();
            var random = new RandomStream((ulong)i, "candidates");
            int[] prompt = TripLanguage.Trip(random, 1 + i % 23);
            var candidates = Enumerable.Range(0, s_counts[^1])
                .Select(_ => Written(session, drafter, prompt, u: _ => random.NextInt(Cell.Grid) / (float)Cell.Grid)).ToArray();
            for (var c = 0; c < s_counts.Length; c++)
            {
                var some = candidates[..s_counts[c]];
                double[][] places = [.. some.Select(x => x.Places)];
                int[] correct = [.. some.Select(x => x.Correct)];
                central[c] += correct[CandidateChoice.Parse("central").Choose(places, correct)] / (double)contexts;
                longest[c] += correct[CandidateChoice.Parse("biased:longest-match").Choose(places, correct)] / (double)contexts;
            }

            centres += Written(session, drafter, prompt, u: law =>
            {
                var cell = Cell.Of(Pick.Token(random.NextDouble(), law), law);
                return (float)((cell.Left + cell.Right) / 2);
            }).Correct / (double)contexts;
        }

        var table = new StudyTable("Correct tokens of a draft of 16 against the number of candidates, trips",
            Invariant($"Effort {space.Effort}; {contexts} contexts."), ["kept", .. s_counts.Select(m => $"M = {m}"), "every u central"])
            .Row("most central (keeps the law)", [.. central, centres]).Row("longest match (biased)", [.. longest, double.NaN]).Note(Paper);
        space.Write("candidates", table.ToString(), SvgPlot.Draw("Correct tokens of a draft of 16 (trips)", "log2 M", "correct",
            [.. new[] { ("central", central), ("longest match", longest) }.Select(r => new SvgLine(
                r.Item1, [.. s_counts.Zip(r.Item2, (m, v) => (Math.Log2(m), v))]))]));
    }

    /// <summary>The base's continuation from numbers that are chosen law by law, and how much of it the drafter gets right.</summary>
    private static Candidate Written(ModelSession session, IDrafter drafter, int[] prompt, Func<float[], float> u)
    {
        var (numbers, places, tokens) = (new float[TripModels.Slots], new double[TripModels.Slots], new int[TripModels.Slots]);
        session.Start(prompt);
        var last = prompt[^1];
        for (var k = 0; k < tokens.Length; k++)
        {
            session.Verify([last]);
            var law = session.Law(0).ToArray();
            numbers[k] = u(law);
            places[k] = CandidateChoice.Place(numbers[k], law);
            tokens[k] = last = Pick.Token(numbers[k], law);
        }

        session.Start(prompt);
        drafter.Start(prompt);
        var draft = drafter.Propose(session, Auxiliaries.FromValues(numbers), 0, TripModels.Slots).Tokens;
        return new Candidate(tokens, places, draft.CommonPrefixLength(tokens));
    }
}
