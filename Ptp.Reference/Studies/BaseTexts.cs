// Texts that the embedded base writes by itself: what studies of its heads and small models are measured on.
// Source: BatchedSampling from the begin token alone, u of seeds that no training used.
// Refuses: nothing. Not here: text of people, which ptp compare --data continues.

using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;

namespace Ptp.Reference.Studies;

/// <summary>Texts of the base.</summary>
internal static class BaseTexts
{
    /// <summary>Seed of the first text that a study trains on.</summary>
    public const ulong TrainingSeed = 900_000;

    private const ulong MeasuringSeed = 800_000;
    private const int Batch = 64;

    /// <summary>The rule of the default adapter, by which the shipped heads were trained.</summary>
    public static PickRule Rule { get; } = PickRule.Parse("race:46");

    /// <summary>Texts with the u that wrote them; the first tokens count as their prompts.</summary>
    /// <param name="model">The base.</param>
    /// <param name="law">The law.</param>
    /// <param name="count">How many.</param>
    /// <param name="tokens">Most tokens of each.</param>
    /// <param name="seed">Of the first text's u.</param>
    public static IReadOnlyList<Completion> Written(ModelChoice model, SamplingOptions law, int count, int tokens, ulong seed = MeasuringSeed)
    {
        var begin = model.Encode("");
        var width = Rule.NumbersPerToken(model.Model.Config.VocabularySize);
        SamplingJob[] jobs = [.. Enumerable.Range(0, count).Select(i => new SamplingJob(begin, Auxiliaries.FromSeed(seed + (ulong)i, width), tokens))];
        var sampling = new BatchedSampling(model.Model, law, Rule, Batch);
        return [.. jobs.Chunk(Batch).SelectMany(batch => sampling.Run(batch).Zip(batch, (text, job) => new Completion(text, begin.Length, job.U)))];
    }
}
