// ptp study induction: does predicting two tokens at once teach a small model to copy names? (Gloeckle et al. 2024, section 5.1)
//   accuracy at the second token of a name that returns, in new stories, where a guess is right once in eight; n = 1 against n = 2, equal parameters,
//   where a block leaves the trunk, or an equal trunk
// Published: children's stories, 1M to 1B parameters: n = 2 much better up to 30M, no difference from 100M on.
// Refuses: nothing. Not here: their 26 billion training tokens.

using Ptp.Core.Training;
using Ptp.Reference.Commands;
using static System.FormattableString;

namespace Ptp.Reference.Studies;

/// <summary>Induction by size.</summary>
internal static class InductionStudy
{
    private const int Texts = 40_000;
    private const int Tested = 400;
    private const int Steps = 600;
    private const double Rate = 4e-3;
    private static readonly (int Width, int Layers, int Heads)[] s_sizes = [(32, 3, 4), (64, 3, 4)];
    private static readonly (string Name, int Tokens, int More)[] s_models = [("1", 1, 0), ("2", 2, 0), ("2, and a block more", 2, 1)];

    public static void Run(StudySpace space)
    {
        var models = new MultiTokenModels(space);
        var stories = NameStories.Stories(space.Cases(Texts), "training stories");
        var tested = NameStories.Stories(space.Cases(Tested), "tested stories");
        var table = new StudyTable("Induction: the second token of a name that returns",
            Invariant($"Effort {space.Effort}; {stories.Count} stories of {NameStories.Length} tokens, {space.Steps(Steps)} steps of 1,024 rows; {tested.Count} tested stories; accuracy in percent, mean of {models.Seeds.Length} seeds (lowest to highest)."),
            "blocks' parameters", "tokens at once", "accuracy");
        var lines = s_models.Select(_ => new List<(double, double)>()).ToArray();
        foreach (var (width, layers, heads) in s_sizes)
        {
            for (var i = 0; i < s_models.Length; i++)
            {
                var (name, tokens, more) = s_models[i];
                var config = MultiTokenModels.Config(NameStories.Vocabulary, NameStories.Length, width, layers + more, heads);
                var trained = models.Seeds.Select(seed => models.Train($"induction-{width}-{layers + more}", config, tokens, stories, Steps, Rate, seed)).ToArray();
                double[] right = [.. trained.Select(m => Accuracy(models.Right(m, tested), tested))];
                table.Row(Invariant($"{MultiTokenModels.Parameters(config) / 1000}k"), name, MultiTokenModels.Cell(right));
                lines[i].Add((Math.Log10(MultiTokenModels.Parameters(config)), right.Average()));
                space.Note(Invariant($"{name} tokens at once, width {width}: {right.Average():0.0} %"));
            }
        }

        space.Write("induction", table.Note(
            "Published (children's stories, 26 billion tokens): n = 2 far above n = 1 from 1M to 30M parameters, no difference from 100M on.").ToString(),
            SvgPlot.Draw("Second token of a name that returns", "log10 of parameters", "accuracy (%)", [.. lines.Select((line, i) => new SvgLine($"n = {s_models[i].Name}", [.. line]))]));
    }

    /// <summary>Share of right second tokens among names that return, in percent.</summary>
    private static double Accuracy(bool[][] right, IReadOnlyList<Completion> stories) =>
        100 * stories.SelectMany((story, i) => NameStories.Returns(story.Tokens).Select(place => right[i][place - 1] ? 1.0 : 0.0)).DefaultIfEmpty(0).Average();
}
