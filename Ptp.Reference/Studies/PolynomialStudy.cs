// ptp study polynomials: does predicting several tokens at once teach a small model to calculate? (Gloeckle et al. 2024, section 5.2)
//   exact answers to expressions of m operators, m of training and more; n = 1, 2, 3 tokens at once at equal parameters, and n = 1 of three times as many
// Published: F_7[X]/(X^5), 30M and 100M parameters: n > 1 beats a three times larger model of n = 1, most of all out of distribution.
// Refuses: nothing. Not here: their field, which a model of this size does not learn in minutes; pause tokens.

using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Answers by difficulty.</summary>
internal static class PolynomialStudy
{
    private const int Prime = 3;
    private const int Digits = 2;
    private const int Trained = 2; // most operators in training
    private const int Hardest = 4;
    private const int Texts = 60_000;
    private const int Tested = 500;
    private const int Steps = 3000;
    private const double Rate = 1e-3; // at 4e-3 no model learns to calculate
    private static readonly (int Width, int Tokens)[] s_models = [(64, 1), (64, 2), (64, 3), (112, 1)];

    public static void Run(StudySpace space)
    {
        var (ring, models) = (new Polynomials(Prime, Digits), new MultiTokenModels(space));
        var random = new RandomStream(1, "training expressions");
        Completion[] texts = [.. Enumerable.Range(0, space.Cases(Texts)).Select(_ => ring.Text(random, 1 + random.NextInt(Trained)))];
        int[] difficulties = [.. Enumerable.Range(1, Hardest)];
        var tests = difficulties.Select(m =>
        {
            var stream = new RandomStream((ulong)m, "tested expressions");
            return Enumerable.Range(0, space.Cases(Tested)).Select(_ => ring.Text(stream, m)).ToArray();
        }).ToArray();
        var table = new StudyTable($"Polynomial arithmetic in F_{Prime}[X]/(X^{Digits})",
            Invariant($"Effort {space.Effort}; {texts.Length} expressions of 1 to {Trained} operators, {space.Steps(Steps)} steps of 1,024 rows; {tests[0].Length} tested expressions per difficulty; exact answers in percent, mean of {models.Seeds.Length} seeds (lowest to highest)."),
            ["blocks' parameters", "tokens at once", .. difficulties.Select(m => m <= Trained ? $"m = {m}" : $"m = {m} (never seen)")]);
        var lines = new List<SvgLine>();
        foreach (var (width, tokens) in s_models)
        {
            var config = MultiTokenModels.Config(ring.Vocabulary, ring.Longest(Hardest), width, 4, 4);
            var trained = models.Seeds.Select(seed => models.Train($"polynomials-{width}", config, tokens, texts, Steps, Rate, seed)).ToArray();
            double[][] exact = [.. tests.Select(test => trained.Select(model => Exact(models, model, test)).ToArray())];
            var size = Invariant($"{MultiTokenModels.Parameters(config) / 1000}k");
            table.Row(size, [$"{tokens}", .. exact.Select(MultiTokenModels.Cell)]);
            lines.Add(new SvgLine($"{size}, n = {tokens}", [.. difficulties.Zip(exact, (m, e) => ((double)m, e.Average()))]));
            space.Note(Invariant($"{size}, {tokens} tokens at once: {exact[0].Average():0.0} % of one operator"));
        }

        space.Write("polynomials", table.Note(
            "Published (F_7[X]/(X^5), 30M and 100M parameters, training on 1 to 5 operators): n > 1 is above n = 1 at every difficulty, by more than a model three times as large.")
            .ToString(), SvgPlot.Draw("Exact answers by number of operators", "m", "exact (%)", lines));
    }

    /// <summary>Share of answers all of whose digits are right, in percent.</summary>
    private static double Exact(MultiTokenModels models, Transformer model, Completion[] test) => 100 * models.Right(model, test)
        .Zip(test, (right, text) => right[(text.PromptLength - 1)..].All(r => r) ? 1.0 : 0.0).Average();
}
