// Draft trees: laws behind a path are those of the text it spells, to the bit, and so is the cache once the path is kept; a drafted
// tree is the likeliest by its own chances.
// Controls: another path kept, a tree whose parents lie.

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Paper;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Exactness;

public sealed class DraftTreeTests : IDisposable
{
    private readonly CpuBackend _backend = new(1);

    // 60 random models, a random tree of up to 12 nodes on each.
    [Fact]
    public void Every_path_has_the_laws_of_its_text_and_can_be_kept()
    {
        var differ = 0;
        Cases.RunSeeds(60, seed =>
        {
            var drawn = new ExactnessCase(_backend, (ulong)seed);
            var random = new RandomStream((ulong)seed, "tree");
            var (vocabulary, prompt) = (drawn.Model.Config.VocabularySize, drawn.Prompt[..1]);
            var (tokens, parents, depths) = (new List<int> { random.NextInt(vocabulary) }, new List<int> { -1 }, new List<int> { 0 });
            while (tokens.Count < 12)
            {
                var parent = random.NextInt(tokens.Count);
                tokens.Add(random.NextInt(vocabulary));
                parents.Add(parent);
                depths.Add(depths[parent] + 1);
            }

            var tree = new DraftTree([.. tokens], [.. parents], [.. depths]);
            var (session, plain) = (new ModelSession(drawn.Model, drawn.Law, drawn.Rule), new ModelSession(drawn.Model, drawn.Law, drawn.Rule));
            void Start()
            {
                session.Start(prompt);
                session.Verify([prompt[^1]]);
                session.Verify(tree);
            }

            float[] Plain(int[] text)
            {
                plain.Start(text);
                plain.Verify([text[^1]]);
                return plain.Law(0).ToArray();
            }

            for (var node = 0; node < tokens.Count; node++)
            {
                List<int> path = [];
                for (var ancestor = node; ancestor >= 0; ancestor = parents[ancestor])
                {
                    path.Insert(0, ancestor);
                }

                int[] text = [.. prompt, .. path.Select(n => tokens[n])];
                Start();
                Assert.Equal(Plain(text), session.Law(node).ToArray());
                session.Cache.Keep(prompt.Length, path);
                Assert.Equal(text.Length, session.Cache.Length);
                session.Verify([5 % vocabulary]);
                var next = Plain([.. text, 5 % vocabulary]);
                Assert.Equal(next, session.Law(0).ToArray());

                // Control: as many nodes, but the last another one.
                if (node + 1 < tokens.Count && path.Count > 1)
                {
                    Start();
                    session.Cache.Keep(prompt.Length, [.. path[..^1], node + 1]);
                    session.Verify([5 % vocabulary]);
                    differ += next.AsSpan().SequenceEqual(session.Law(0)) ? 0 : 1;
                }
            }
        });
        Assert.True(differ > 200, $"control: {differ}");
    }

    // 40 random adapters.
    [Fact]
    public void A_tree_holds_its_likeliest_paths() => Cases.RunSeeds(40, seed =>
    {
        var drawn = new ExactnessCase(_backend, (ulong)seed);
        var ptp = drawn.Slotted(DrafterKind.Categorical);
        var session = new ModelSession(drawn.Model, drawn.Law, ptp.Rule);
        session.Start(drawn.Prompt);
        var depth = Math.Min(ptp.Slots, session.Room - 1);
        var small = new CategoricalTreeDrafter(ptp).Propose(session, drawn.U, 0, 4, depth);
        session.Start(drawn.Prompt);
        var large = new CategoricalTreeDrafter(ptp).Propose(session, drawn.U, 0, 12, depth);
        Assert.InRange(large.Tokens.Length, 1, 12);
        if (ptp.Slots >= 4)
        {
            Assert.Equal(small.Tokens, large.Tokens[..small.Tokens.Length]); // best first: more nodes change none before
        }

        for (var node = 1; node < large.Tokens.Length; node++)
        {
            Assert.InRange(large.Parents[node], 0, node - 1);
            Assert.InRange(large.Depths[node], 1, depth - 1);
            Assert.Equal(node, large.Child(large.Parents[node], large.Tokens[node])); // siblings differ
        }
    });

    [Fact]
    public void A_tree_that_lies_is_refused()
    {
        var drawn = new ExactnessCase(_backend, 3);
        var session = new ModelSession(drawn.Model, drawn.Law, drawn.Rule);
        session.Start(drawn.Prompt);
        session.Verify([drawn.Prompt[^1]]);
        Assert.Throws<PtpException>(() => session.Verify(new DraftTree([1, 2], [-1, 0], [0, 2])));
        Assert.Throws<PtpException>(() => session.Verify(new DraftTree([1, 2], [-1, 1], [0, 1])));
        Assert.Throws<PtpException>(() => session.Verify(new DraftTree([1, 2], [-1, -1], [0, 0])));
        session.Verify(new DraftTree([1, 2, 3], [-1, 0, 0], [0, 1, 1]));
        Assert.Throws<PtpException>(() => session.Cache.Keep(drawn.Prompt.Length, [0, 0]));
        Assert.Throws<PtpException>(() => session.Cache.Keep(drawn.Prompt.Length, [0, 3]));
    }

    public void Dispose() => _backend.Dispose();
}
