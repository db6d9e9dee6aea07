// Makes the data of distillation (PTP section 3.2): prompts cut from documents, continued by the base model with known u.
// Shards of a fixed number of completions; shard i is a function of the seed, i and the model, so a stopped run goes on.
// Refuses: held-out documents, which the caller must not pass.

using Ptp.Core.Decoding;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>How completions are made.</summary>
public sealed record TeacherCompletionOptions
{
    /// <summary>Folder of the shards.</summary>
    public required string Folder { get; init; }

    /// <summary>Shards to make.</summary>
    public int Shards { get; init; } = 64;

    /// <summary>Completions per shard; also the batch.</summary>
    public int PerShard { get; init; } = 64;

    /// <summary>Longest continuation.</summary>
    public int MaxNewTokens { get; init; } = 192;

    /// <summary>Longest prompt.</summary>
    public int MaxPrompt { get; init; } = 96;

    /// <summary>The law to sample from, and to train the adapter for.</summary>
    public required SamplingOptions Law { get; init; }

    /// <summary>Seed of prompts and of u.</summary>
    public ulong Seed { get; init; } = 1;
}

/// <summary>Teacher completions in shards.</summary>
public static class TeacherCompletions
{
    /// <summary>Makes the missing shards and returns all completions.</summary>
    /// <param name="options">How.</param>
    /// <param name="model">The teacher.</param>
    /// <param name="rule">How u picks a token.</param>
    /// <param name="corpora">Training documents as tokens, with their shares.</param>
    /// <param name="progress">Told of shards done and of all.</param>
    /// <param name="cancellation">Stops after the current shard, which is kept.</param>
    public static IReadOnlyList<Completion> Make(
        TeacherCompletionOptions options, Transformer model, PickRule rule, IReadOnlyList<WeightedDocuments> corpora,
        Action<int, int>? progress, CancellationToken cancellation)
    {
        Guard.Require(options.MaxPrompt > 1 && options.MaxPrompt < model.Config.MaxContext && options.MaxNewTokens > 0,
            "Make teacher completions", $"prompts up to {options.MaxPrompt}, {options.MaxNewTokens} new tokens",
            $"prompts of 2 to {model.Config.MaxContext - 1} tokens", "Choose sizes that fit the model's context.");
        Directory.CreateDirectory(options.Folder);
        var width = rule.NumbersPerToken(model.Config.VocabularySize);
        var all = new List<Completion>();
        BatchedSampling? sampling = null;
        for (var shard = 0; shard < options.Shards && !cancellation.IsCancellationRequested; shard++)
        {
            var path = Path.Combine(options.Folder, $"shard-{shard:D5}.ptpc");
            if (!File.Exists(path))
            {
                sampling ??= new BatchedSampling(model, options.Law, rule, options.PerShard);
                var made = Shard(options, model, sampling, corpora, width, shard);
                CompletionFile.Write(path, model.Config.VocabularySize, width, made);
            }

            all.AddRange(CompletionFile.Read(path, model.Config.VocabularySize, width));
            progress?.Invoke(shard + 1, options.Shards);
        }

        return all;
    }

    /// <summary>Pieces of the documents themselves instead of completions: tokens without a u of their own, which must be inferred.</summary>
    /// <param name="options">Number (shards times completions), sizes and seed; the folder is not used.</param>
    /// <param name="config">For the context and the token that begins a text.</param>
    /// <param name="rule">Whose numbers are to be inferred.</param>
    /// <param name="corpora">Training documents as tokens, with their shares.</param>
    public static IReadOnlyList<Completion> FromDataset(
        TeacherCompletionOptions options, TransformerConfig config, PickRule rule, IReadOnlyList<WeightedDocuments> corpora)
    {
        var random = new RandomStream(options.Seed, "pieces of the dataset");
        var longest = options with { MaxPrompt = Math.Min(config.MaxContext - 1, options.MaxPrompt + options.MaxNewTokens) };
        var none = Auxiliaries.FromSeed(0, rule.NumbersPerToken(config.VocabularySize));
        var pieces = new List<Completion>();
        while (pieces.Count < options.Shards * options.PerShard)
        {
            var tokens = Prompt(longest, config, corpora, random);
            if (tokens.Length > 1)
            {
                pieces.Add(new Completion(tokens, 1 + random.NextInt(Math.Min(options.MaxPrompt, tokens.Length - 1)), none));
            }
        }

        return pieces;
    }

    private static Completion[] Shard(
        TeacherCompletionOptions options, Transformer model, BatchedSampling sampling,
        IReadOnlyList<WeightedDocuments> corpora, int width, int shard)
    {
        var random = new RandomStream(options.Seed, $"prompts of shard {shard}");
        var jobs = new SamplingJob[options.PerShard];
        for (var i = 0; i < jobs.Length; i++)
        {
            var u = Auxiliaries.FromSeed(random.NextBits(), width);
            jobs[i] = new SamplingJob(Prompt(options, model.Config, corpora, random), u, options.MaxNewTokens);
        }

        var texts = sampling.Run(jobs);
        return [.. jobs.Select((job, i) => new Completion(texts[i], job.Prompt.Length, job.U))];
    }

    /// <summary>Half the prompts begin a document, the others are cut from its middle.</summary>
    private static int[] Prompt(
        TeacherCompletionOptions options, TransformerConfig config, IReadOnlyList<WeightedDocuments> corpora,
        RandomStream random)
    {
        var total = corpora.Sum(c => c.Share);
        var place = random.NextDouble() * total;
        var corpus = corpora[^1];
        foreach (var candidate in corpora)
        {
            if (place < candidate.Share)
            {
                corpus = candidate;
                break;
            }

            place -= candidate.Share;
        }

        var document = corpus.Documents[random.NextInt(corpus.Documents.Count)];
        var length = 1 + random.NextInt(options.MaxPrompt - 1);
        var begins = random.NextInt(2) == 0 || document.Length <= length;
        var start = begins ? 0 : random.NextInt(document.Length - length + 1);
        var piece = document.AsSpan(start, Math.Min(length, document.Length - start));
        return begins ? [LanguageModelRun.Boundary(config), .. piece] : piece.ToArray();
    }
}
