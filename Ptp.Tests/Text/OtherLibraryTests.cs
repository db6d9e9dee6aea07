// GPT-2 ids against Microsoft.ML.Tokenizers, an independent implementation: 300 texts.
// It splits with .NET's expressions, which see letters beyond U+FFFF as surrogates, so texts stay below.
// Skips where GPT-2's vocabulary is absent.

using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;
using Xunit;

namespace Ptp.Tests.Text;

public partial class OtherLibraryTests
{
    [DataFact("tokenizers/gpt2")]
    public void Gpt2_ids_are_equal()
    {
        var folder = TestData.Path("tokenizers/gpt2");
        var ours = Ptp.Core.Text.Tokenizer.Load(folder);
        var theirs = BpeTokenizer.Create(new BpeOptions(Path.Combine(folder, "vocab.json"), Path.Combine(folder, "merges.txt"))
        {
            ByteLevel = true,
            PreTokenizer = new RegexPreTokenizer(Pattern(), specialTokens: null),
        });
        for (var seed = 0; seed < 300; seed++)
        {
            var text = string.Concat(Samples.Text(new Random(seed), 30).EnumerateRunes().Where(r => r.IsBmp));
            Assert.True(theirs.EncodeToIds(text).SequenceEqual(ours.Encode(text)), $"seed {seed}");
        }
    }

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Pattern();
}
