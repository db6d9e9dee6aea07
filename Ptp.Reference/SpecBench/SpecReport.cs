// Speed and equality of answer files, as Spec-Bench defines them: tokens per second are the mean over questions of sum tokens / sum seconds,
// the speed-up is the ratio of two such means, mean accepted tokens are pooled over all rounds.
// Tokens are counted once, for the baseline as for all others. Refuses: files of other questions, or of fewer: a short file is no equal one.

using Ptp.Core;

namespace Ptp.Reference.SpecBench;

/// <summary>A system against the baseline.</summary>
/// <param name="System">Who answered.</param>
/// <param name="SpeedupByTask">Ratio of mean tokens per second by task.</param>
/// <param name="Speedup">Over all questions.</param>
/// <param name="MeanAccepted">Tokens per round, pooled.</param>
/// <param name="Different">Questions whose texts differ from the baseline's.</param>
/// <param name="Questions">Questions in all.</param>
internal sealed record SpecReport(
    string System, IReadOnlyDictionary<string, double> SpeedupByTask, double Speedup, double MeanAccepted, int Different, int Questions)
{
    /// <summary>Compares two sets of answers.</summary>
    /// <param name="system">Who answered.</param>
    /// <param name="baseline">Plain decoding's answers.</param>
    /// <param name="answers">Answers to the same questions.</param>
    public static SpecReport Compare(string system, IReadOnlyList<SpecAnswer> baseline, IReadOnlyList<SpecAnswer> answers)
    {
        var own = answers.ToDictionary(a => a.Id);
        var missing = baseline.Select(a => a.Id).Where(id => !own.ContainsKey(id)).ToList();
        Guard.Require(missing.Count == 0 && answers.Count == baseline.Count, $"Compare the answers of '{system}'",
            missing.Count > 0 ? $"no answer to question {missing[0]} ({missing.Count} missing)" : $"{answers.Count} answers",
            $"answers to the baseline's {baseline.Count} questions", "Run the command again: it goes on where it was stopped.");
        var pairs = baseline.Select(a => (Plain: a, Own: own[a.Id], Task: SpecQuestion.TaskOf(a.Category))).ToList();
        return new SpecReport(
            system,
            pairs.GroupBy(p => p.Task).ToDictionary(g => g.Key, g => g.Average(p => p.Own.Speed) / g.Average(p => p.Plain.Speed)),
            pairs.Average(p => p.Own.Speed) / pairs.Average(p => p.Plain.Speed),
            pairs.SelectMany(p => p.Own.AcceptLengths).DefaultIfEmpty().Average(), // a model may end every answer at once
            pairs.Count(p => !p.Plain.Turns.SequenceEqual(p.Own.Turns)),
            pairs.Count);
    }
}
