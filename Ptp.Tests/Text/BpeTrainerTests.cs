// The trainer: 243 reference merges, the tie rule, and equality with a slow trainer that recounts every time.
// Generated corpora: 300 cases over small alphabets, where ties and overlaps abound.
// Negative control: the opposite tie rule must give other merges.

using System.Text;
using Ptp.Core;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public class BpeTrainerTests
{
    [DataFact("vectors/cs336/corpus.en")]
    public void Reference_merges_are_met()
    {
        var corpus = File.ReadAllBytes(TestData.Path("vectors/cs336/corpus.en"));
        var expected = File.ReadAllLines(TestData.Path("vectors/cs336/train-bpe-reference-merges.txt"));
        var trained = BpeTrainer.Train([(ReadOnlyMemory<byte>)corpus], 256 + 1 + expected.Length, ["<|endoftext|>"]);
        Assert.Equal(243, expected.Length);
        Assert.Equal(expected, trained.Merges.Select(m => Spell(trained, m)));
        Assert.Equal(500, trained.VocabularySize);
        Assert.Equal(499, trained.BeginToken);
        Assert.Equal([499], trained.EndTokens);
    }

    [Fact]
    public void Incremental_counts_equal_recounting()
    {
        var differing = 0;
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var alphabet = "ab c1\n\u00e9"[..random.Next(1, 8)];
            var documents = Enumerable.Range(0, random.Next(1, 5))
                .Select(_ => new string([.. Enumerable.Range(0, random.Next(0, 40)).Select(_ => alphabet[random.Next(alphabet.Length)])]))
                .ToArray();
            var trained = BpeTrainer.Train(documents, 256 + 12, []);
            var actual = trained.Merges.Select(m => Spell(trained, m)).ToArray();
            Assert.True(Recount(documents, 12, greater: true).SequenceEqual(actual), $"seed {seed}");
            differing += Recount(documents, 12, greater: false).SequenceEqual(actual) ? 0 : 1;
        }

        Assert.True(differing > 100, $"the opposite tie rule differed in {differing} cases only");
    }

    [Theory]
    [InlineData(255)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void Impossible_sizes_are_refused(int size) =>
        Assert.Throws<PtpException>(() => BpeTrainer.Train(["text"], size, []));

    [Fact]
    public void Special_names_are_cut_out_of_the_corpus()
    {
        var trained = BpeTrainer.Train(["<|endoftext|><|endoftext|>ab"], 300, ["<|endoftext|>"]);
        Assert.Equal(["a b"], trained.Merges.Select(m => Spell(trained, m)));
        Assert.Equal(258, trained.VocabularySize);
    }

    private static string Spell(ByteLevelBpe bpe, BpeMerge merge) =>
        $"{ByteAlphabet.Spell(bpe.TokenBytes(merge.Left))} {ByteAlphabet.Spell(bpe.TokenBytes(merge.Right))}";

    /// <summary>The definition, without any bookkeeping.</summary>
    private static List<string> Recount(string[] documents, int limit, bool greater)
    {
        var words = new List<List<string>>();
        foreach (var document in documents)
        {
            ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(document);
            while (!rest.IsEmpty)
            {
                var length = WordSplit.PieceLength(rest, WordRules.Gpt2);
                words.Add([.. rest[..length].ToArray().Select(b => Encoding.Latin1.GetString([b]))]);
                rest = rest[length..];
            }
        }

        var merges = new List<string>();
        var tokens = 0;
        var known = new HashSet<string>();
        while (tokens < limit)
        {
            var pairs = words.SelectMany(w => w.Zip(w.Skip(1))).GroupBy(p => p).Select(g => (g.Key.First, g.Key.Second, Count: g.Count()));
            var sign = greater ? 1 : -1;
            var best = pairs.OrderByDescending(p => p.Count)
                .ThenByDescending(p => p.First, Comparer<string>.Create((x, y) => sign * string.CompareOrdinal(x, y)))
                .ThenByDescending(p => p.Second, Comparer<string>.Create((x, y) => sign * string.CompareOrdinal(x, y)))
                .FirstOrDefault();
            if (best.Count == 0)
            {
                break;
            }

            merges.Add($"{ByteAlphabet.Spell(Encoding.Latin1.GetBytes(best.First))} {ByteAlphabet.Spell(Encoding.Latin1.GetBytes(best.Second))}");
            tokens += known.Add(best.First + best.Second) ? 1 : 0;
            foreach (var word in words)
            {
                for (var i = 0; i + 1 < word.Count; i++)
                {
                    if (word[i] == best.First && word[i + 1] == best.Second)
                    {
                        word[i] += word[i + 1];
                        word.RemoveAt(i + 1);
                    }
                }
            }
        }

        return merges;
    }
}
