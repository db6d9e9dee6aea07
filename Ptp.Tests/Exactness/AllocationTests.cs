// A token, a round and a training step allocate nothing once memory has grown to its size: 0 bytes over all threads; a text only what is handed out.
// Source: the runtime's own count of allocated bytes, read between rounds and around steps; a second run of the same work.
// Controls: a drafter that makes an array per draft, a caller that boxes, a data set that copies. Not here: what a text costs to start.

using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Verification;
using Ptp.Core.Formats;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

/// <summary>Runs alone: the count is of the whole process.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone in the process";
}

[Collection(Alone.Name)]
public sealed class AllocationTests : IDisposable
{
    // The test runner's own threads allocate now and then, but not in the same round of every window; on a busy machine rounds are long, and
    // it takes more windows to see each of them undisturbed. What a round itself allocates is there in every window.
    private const int Windows = 5;
    private const int MostWindows = 60;
    private readonly CpuBackend _backend = new(2);

    public enum Decoder
    {
        Plain,
        Gated,
        Categorical,
        Student,
        Tree,
        Verified,
    }

    // 25 random models each, adapters, pick rules, draft lengths and trees among them.
    [Theory]
    [InlineData(Decoder.Plain)]
    [InlineData(Decoder.Gated)]
    [InlineData(Decoder.Categorical)]
    [InlineData(Decoder.Student)]
    [InlineData(Decoder.Tree)]
    [InlineData(Decoder.Verified)]
    public void A_round_allocates_nothing(Decoder kind) => Cases.RunSeeds(25, seed =>
    {
        var drawn = new ExactnessCase(_backend, (ulong)seed);
        IDecoder decoder = kind switch
        {
            Decoder.Plain => new Autoregressive(drawn.Model, drawn.Law, drawn.Rule),
            Decoder.Gated => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Gated)),
            Decoder.Categorical => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Categorical)),
            Decoder.Student => drawn.ErrorCorrected(drawn.Drafter(DrafterKind.Student)),
            Decoder.Verified => drawn.Verified(drawn.Drafter(DrafterKind.Categorical), ExactRule.Instance),
            _ => drawn.Tree(scripted: false),
        };
        Assert.Equal(0, OfRounds(decoder, drawn.Prompt, drawn.U, drawn.Limits));
    });

    // The embedded model and adapter, drafts of the best length, all slots, and trees, with a text of 100 tokens.
    [Fact]
    public void A_round_of_the_embedded_adapter_allocates_nothing()
    {
        var files = ModelFolder.Read(Path.Combine(TestData.RepositoryRoot, "models", "base"));
        var model = ModelCheckpoint.FromFiles(files, _backend);
        var ptp = PtpAdapter.Load(Path.Combine(TestData.RepositoryRoot, "models", "ptp"), model, ModelFolder.Fingerprint(files));
        int[] prompt = [model.Config.BeginToken!.Value, 40, 50, 60];
        var u = Auxiliaries.FromSeed(1, ptp.NumbersPerToken);
        var costs = new CallCosts([new CallCost(1, 0, 1), new CallCost(17, 0, 1.2)]);
        IDecoder[] decoders =
        [
            new Autoregressive(model, ptp.Law, ptp.Rule),
            new ErrorCorrectedDecoding(model, ptp.NewDrafter(), ptp.Law, ptp.Rule),
            new ErrorCorrectedDecoding(model, ptp.NewDrafter(), ptp.Law, ptp.Rule, length: new PayingLength(costs, costs, ptp.Slots)),
            new TreeDecoding(model, new CategoricalTreeDrafter(ptp), ptp.Law, ptp.Rule),
        ];
        foreach (var decoder in decoders)
        {
            var bytes = OfRounds(decoder, prompt, u, new DecodeLimits(100, []));
            Assert.True(bytes == 0, $"{decoder.GetType().Name}: {bytes} bytes");
        }
    }

    // 25 random models: what a text costs besides its start is the array that is handed out, four bytes a token.
    [Fact]
    public void A_longer_text_costs_its_own_tokens_and_no_more() => Cases.RunSeeds(25, seed =>
    {
        var drawn = new ExactnessCase(_backend, (ulong)seed);
        var decoder = new Autoregressive(drawn.Model, drawn.Law, drawn.Rule);
        int[] prompt = [drawn.Prompt[0]];
        long Bytes(int tokens)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var decoded = decoder.Decode(prompt, drawn.U, new DecodeLimits(tokens, []));
            var bytes = GC.GetAllocatedBytesForCurrentThread() - before;
            Assert.Equal(tokens, decoded.Tokens.Length);
            return bytes;
        }

        Bytes(20); // whatever grows has grown
        Assert.Equal(sizeof(int) * 16, Bytes(20) - Bytes(4));
    });

    [Fact]
    public void A_step_of_language_model_training_allocates_nothing()
    {
        var (trainer, _) = Trainer();
        Assert.Equal(0, OfSteps(() => trainer.Step()));
    }

    [Theory]
    [InlineData(DrafterKind.Gated, null)]
    [InlineData(DrafterKind.Gated, 1.0)]
    [InlineData(DrafterKind.Categorical, null)]
    [InlineData(DrafterKind.Student, null)]
    public void A_step_of_distillation_allocates_nothing(DrafterKind kind, double? inferredU)
    {
        var drawn = new ExactnessCase(_backend, 5, new RacePick(3)); // 5: a sampler head that reads hidden states
        var ptp = kind == DrafterKind.Student
            ? new SlotModel(drawn.Model, null, new FixedPointEmbedding(), 6, drawn.Law, drawn.Rule, 1)
            : drawn.Slotted(kind);
        Completion[] texts = [.. Enumerable.Range(0, 40).Select(i => new Completion(
            [.. Enumerable.Range(0, 8 + i % 9).Select(t => (3 * t + i) % drawn.Model.Config.VocabularySize)], 2,
            Auxiliaries.FromSeed((ulong)i, ptp.NumbersPerToken)))];
        var options = new DistillationOptions { ContextTokens = 60, SlotRows = 48, InferredU = inferredU };
        var distillation = new Distillation(ptp, texts, options, new AdamWOptions(), new LearningRate());
        Assert.Equal(0, OfSteps(() => distillation.Step()));
    }

    [Fact]
    public void Control_an_array_per_draft_is_seen()
    {
        var drawn = new ExactnessCase(_backend, 3);
        Assert.True(drawn.Expected.Tokens.Length > 8, "The case must have several rounds.");
        var drafter = drawn.Drafter(DrafterKind.Wrong); // makes its arrays anew
        Assert.InRange(OfRounds(drawn.ErrorCorrected(drafter, allSlots: true), drawn.Prompt, drawn.U, drawn.Limits), 1, long.MaxValue);
    }

    [Fact]
    public void Control_a_caller_that_boxes_is_seen()
    {
        var drawn = new ExactnessCase(_backend, 3);
        var plain = new Autoregressive(drawn.Model, drawn.Law, drawn.Rule);
        object? kept = null;
        Assert.InRange(OfRounds(plain, drawn.Prompt, drawn.U, drawn.Limits, round => kept = round), 1, long.MaxValue);
        Assert.NotNull(kept);
    }

    [Fact]
    public void Control_a_step_that_copies_its_data_is_seen()
    {
        var (trainer, documents) = Trainer();
        object? kept = null;
        Assert.InRange(OfSteps(() =>
        {
            kept = documents[trainer.Optimiser.StepsTaken % documents.Length].Clone();
            trainer.Step();
        }), 1, long.MaxValue);
        Assert.NotNull(kept);
    }

    public void Dispose() => _backend.Dispose();

    private (LanguageModelTrainer Trainer, int[][] Documents) Trainer()
    {
        var random = new RandomStream(3, "allocations");
        var model = ExactnessCase.RandomModel(_backend, ExactnessCase.RandomConfig(random), random);
        int[][] documents = [.. Enumerable.Range(0, 12).Select(_ => Enumerable.Range(0, 3 + random.NextInt(60))
            .Select(_ => random.NextInt(model.Config.VocabularySize)).ToArray())];
        var batches = new PackedBatches([new WeightedDocuments("random", documents, 1)], 0, 1);
        return (new LanguageModelTrainer(model, batches, new AdamWOptions(), new LearningRate(), 100, accumulation: 2), documents);
    }

    /// <summary>
    /// Bytes of all rounds but the first of a text that was decoded before: of this thread in the best window (drafts of random
    /// lengths may still grow what they need), or, if that is more, of all threads in each round's best window.
    /// </summary>
    private static long OfRounds(
        IDecoder decoder, int[] prompt, Auxiliaries u, DecodeLimits limits, Action<Commitment>? also = null)
    {
        var ends = new (long Own, long All)[limits.MaxNewTokens];
        var least = new long[limits.MaxNewTokens];
        Array.Fill(least, long.MaxValue);
        var (own, count) = (long.MaxValue, 0);
        for (var window = 0; window < Windows || (window < MostWindows && Most() > 0); window++)
        {
            count = 0;
            decoder.Decode(prompt, u, limits, round =>
            {
                also?.Invoke(round);
                ends[count++] = (GC.GetAllocatedBytesForCurrentThread(), GC.GetTotalAllocatedBytes(precise: true));
                return true;
            });
            own = window == 0 ? own : Math.Min(own, ends[count - 1].Own - ends[0].Own);
            for (var round = 1; round < count && window > 0; round++)
            {
                least[round] = Math.Min(least[round], ends[round].All - ends[round - 1].All);
            }
        }

        return Most();

        long Most() => Math.Max(own, least.Skip(1).Where(bytes => bytes < long.MaxValue).Sum());
    }

    /// <summary>
    /// Bytes of 40 steps after as many: of this thread in the best window (what a thread needs to work on the largest task grows when
    /// chance first gives it that task, once), or, if that is more, of the least step of all threads.
    /// </summary>
    private static long OfSteps(Action step)
    {
        var (own, least) = (long.MaxValue, long.MaxValue);
        for (var window = 0; window < Windows || (window < MostWindows && Math.Max(own, least) > 0); window++)
        {
            var start = GC.GetAllocatedBytesForCurrentThread();
            for (var i = 0; i < 40; i++)
            {
                var all = GC.GetTotalAllocatedBytes(precise: true);
                step();
                least = window == 0 ? least : Math.Min(least, GC.GetTotalAllocatedBytes(precise: true) - all);
            }

            own = window == 0 ? own : Math.Min(own, GC.GetAllocatedBytesForCurrentThread() - start);
        }

        return Math.Max(own, least);
    }
}
