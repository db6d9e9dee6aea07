// Every head as a drafter of exact decoders, with weights that nobody has trained: same u, same tokens; and its laws are functions of
// text and path alone: the same on a branch of a tree as on a path of their own, on a text that follows another, and in training.
// Controls: a head told another token, a state of another row.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class HeadDecodingTests : IDisposable
{
    private const int CasesPerHead = 300;
    private readonly CpuBackend _backend = new(1);

    public static TheoryData<string> Names => [.. DraftHeads.Names];

    /// <summary>Heads whose training sums cross-entropies of the laws that decoding reads, over all rows, with these weights per depth.</summary>
    public static TheoryData<string, double, int> Summed => new()
    {
        { Medusa.Architecture, 0.8, 99 },
        { Gloeckle.Architecture, 1, 99 },
        { Hydra.Architecture, 1, 99 },
        { SequentialMtp.Architecture, 1, 99 },
        { RecursiveMtp.Architecture, 1, 3 },
        { Eagle3.Architecture, 0.8, 3 },
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Same_u_same_tokens(string name) => Cases.RunSeeds(CasesPerHead, seed =>
    {
        var drawn = new ExactnessCase(_backend, (ulong)seed);
        var difference = drawn.Difference(HeadCase.Decoder(drawn, name, seed % 3));
        Assert.True(difference is null, $"{drawn}: {difference}");
    });

    // 20 texts per head: chains of a second text on the same drafter are those of a fresh one.
    [Theory]
    [MemberData(nameof(Names))]
    public void A_drafter_keeps_nothing_of_another_text(string name) => Cases.RunSeeds(20, seed =>
    {
        var (head, session, random) = Draw(name, seed);
        var used = head.NewSteps();
        Start(session, head, Ids(random, head, 8), used);
        var text = Ids(random, head, 6);
        Start(session, head, text, used);
        var expected = Start(new ModelSession(head.Network, new SamplingOptions(), InverseCdf.Instance), head, text, head.NewSteps());
        var nodes = new DraftNodes(text[^1]);
        Assert.Equal(expected.Laws(nodes, [0]).Span.ToArray(), used.Laws(nodes, [0]).Span.ToArray());
    });

    // 20 trees per head: laws of all nodes of a depth at once, in a tree, and along a path of their own, to the bit.
    [Theory]
    [MemberData(nameof(Names))]
    public void A_law_knows_its_own_path_alone(string name) => Cases.RunSeeds(20, seed =>
    {
        var (head, session, random) = Draw(name, seed);
        var text = Ids(random, head, 2 + random.NextInt(6));
        var steps = head.NewSteps();
        var root = Start(session, head, text, steps, out var exact);
        var deepest = root.Slots - (exact ? 2 : 1);
        var tree = new DraftNodes(text[^1]);
        var laws = new Dictionary<int, float[]>();
        int[] level = [0];
        for (var depth = 0; depth <= deepest; depth++)
        {
            var values = steps.Laws(tree, level);
            for (var row = 0; row < level.Length; row++)
            {
                laws[level[row]] = values.Row(row).ToArray();
            }

            level = [.. level.Take(3).SelectMany(node => Ids(random, head, 2).Select(token => tree.Add(node, token, 1f)))];
        }

        var leaf = laws.Keys.Where(node => tree.Depth(node) == deepest).Order().Last();
        var path = new DraftNodes(text[^1]);
        var alone = Start(session, head, text, head.NewSteps());
        for (var depth = 0; depth <= deepest; depth++)
        {
            var node = depth == 0 ? 0 : tree.Path(leaf)[depth - 1];
            if (depth > 0)
            {
                path.Add(depth - 1, tree.Token(node), 1f);
            }

            Assert.Equal(laws[node], alone.Laws(path, [depth]).Span.ToArray());
        }
    });

    // 12 texts per head: cross-entropies of decoded laws, summed over rows and depths, are the loss of training.
    [Theory]
    [MemberData(nameof(Summed))]
    public void Decoding_reads_the_laws_that_training_taught(string name, double decay, int trained)
    {
        var told = 0;
        Cases.RunSeeds(12, seed => told += Compare(name, decay, trained, seed) ? 1 : 0);
        Assert.InRange(told, 10, 12); // the control may come near by chance
    }

    // 12 texts: a text with one generated token leaves training one slot to teach, the one that decoding reads first.
    [Theory]
    [InlineData(ProphetNet.Architecture)]
    [InlineData(DSpark.Architecture)]
    public void Slots_decode_as_they_were_taught(string name) => Cases.RunSeeds(12, seed =>
    {
        var (head, session, random) = Draw(name, seed);
        var text = Ids(random, head, 8);
        var (loss, weight) = head.Loss(new Tape(_backend), Batch(head, text, prompt: 7, seed));
        var steps = Start(session, head, text[..6], head.NewSteps());
        var law = steps.Laws(new DraftNodes(text[6]), [0]).Span.ToArray(); // the token found exactly is the text's in training
        var expected = CrossEntropy(law, text[7], head);
        Assert.InRange(loss / weight, expected - 1e-3 * (1 + expected), expected + 1e-3 * (1 + expected));
        Assert.NotEqual(CrossEntropy(law, (text[7] + 1) % head.Network.Config.VocabularySize, head), loss / weight, 3);
    });

    public void Dispose() => _backend.Dispose();

    /// <summary>Fails if training and decoding differ; true if the control, targets one place off, differs as it should.</summary>
    private bool Compare(string name, double decay, int trained, int seed)
    {
        var (head, session, random) = Draw(name, seed, minimum: 2);
        var text = Ids(random, head, 9);
        var batch = Batch(head, text, prompt: 3, seed);
        var (loss, weight) = head.Loss(new Tape(_backend), batch);
        var (sum, weights, control) = (0.0, 0.0, 0.0);
        for (var last = 1; last < text.Length - 1; last++)
        {
            var steps = Start(session, head, text[..(last + 1)], head.NewSteps());
            var nodes = new DraftNodes(text[last]);
            for (var depth = 0; depth < Math.Min(trained, head.Slots) && last + 1 + depth < text.Length; depth++)
            {
                var law = steps.Laws(nodes, [depth]).Span.ToArray();
                var share = last + 1 + depth >= 3 ? Math.Pow(decay, depth) : 0;
                (sum, weights) = (sum + share * CrossEntropy(law, text[last + 1 + depth], head), weights + share);
                control += share * CrossEntropy(law, text[last + depth], head);
                nodes.Add(depth, text[last + 1 + depth], 1f);
            }
        }

        Assert.Equal(weights, weight, 4);
        Assert.InRange(loss, sum - 2e-4 * (1 + sum), sum + 2e-4 * (1 + sum));
        return Math.Abs(loss - control) > 2e-3 * (1 + control);
    }

    private (DraftHead Head, ModelSession Session, RandomStream Random) Draw(string name, int seed, int minimum = 2)
    {
        var random = new RandomStream((ulong)seed, "heads");
        var config = ExactnessCase.RandomConfig(random) with { Layers = minimum + seed % 2 };
        var model = ExactnessCase.RandomModel(_backend, config, random);
        return (HeadCase.Head(name, model, random, 0.4, HeadTarget.Token), new ModelSession(model, new SamplingOptions(), InverseCdf.Instance), random);
    }

    private static HeadSteps Start(ModelSession session, DraftHead head, int[] text, HeadSteps steps) => Start(session, head, text, steps, out _);

    private static HeadSteps Start(ModelSession session, DraftHead head, int[] text, HeadSteps steps, out bool exact)
    {
        session.Start(text);
        session.KeepStates(head.Layers);
        exact = steps.Begin(session, Auxiliaries.FromSeed(1, 1), 0, steps.Slots) is not null;
        return steps;
    }

    private HeadBatch Batch(DraftHead head, int[] text, int prompt, int seed)
    {
        var cache = new KvCache(_backend, head.Network.Config, text.Length);
        foreach (var layer in head.Layers)
        {
            cache.KeepStates(layer);
        }

        return new HeadBatch(
            head.Network, new Tape(_backend), cache, new PackedTexts([new Completion(text, prompt, Auxiliaries.FromSeed(1, 1))]), new RandomStream((ulong)seed, "step"));
    }

    private static int[] Ids(RandomStream random, DraftHead head, int count) =>
        [.. Enumerable.Range(0, count).Select(_ => random.NextInt(head.Network.Config.VocabularySize))];

    private static double CrossEntropy(float[] logits, int token, DraftHead head)
    {
        var scaled = Array.ConvertAll(logits, x => x / head.Options.Temperature);
        var most = scaled.Max();
        return most + Math.Log(scaled.Sum(x => Math.Exp(x - most))) - scaled[token];
    }
}
