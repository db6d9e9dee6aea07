// The hand-written pre-tokenizers against the patterns they stand for, run by .NET's regular expressions: 600 texts each.
// Texts for the comparison hold nothing beyond U+FFFF, where .NET's expressions see surrogates.
// Negative control: each pattern against the rules of another must differ.

using System.Text;
using System.Text.RegularExpressions;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public partial class WordSplitTests
{
    [Fact]
    public void Rules_equal_their_patterns()
    {
        var differing = 0;
        for (var seed = 0; seed < 600; seed++)
        {
            var text = string.Concat(Samples.Text(new Random(seed), 30).EnumerateRunes().Where(r => r.IsBmp));
            var gpt2 = Matches(Gpt2Pattern(), text);
            var digits = Digits().Split(text).SelectMany(part => Digits().IsMatch(part) ? [part] : Matches(Gpt2Pattern(), part)).ToArray();
            var llama3 = Matches(Llama3Pattern(), text);
            var qwen2 = Matches(Qwen2Pattern(), text);
            Assert.True(Split(text, WordRules.Gpt2).SequenceEqual(gpt2), $"GPT-2, seed {seed}");
            Assert.True(Split(text, WordRules.Gpt2Digits).SequenceEqual(digits), $"digits, seed {seed}");
            Assert.True(Split(text, WordRules.Llama3).SequenceEqual(llama3), $"LLaMA 3, seed {seed}");
            Assert.True(Split(text, WordRules.Qwen2).SequenceEqual(qwen2), $"Qwen 2, seed {seed}");
            differing += gpt2.SequenceEqual(digits) || digits.SequenceEqual(llama3) || llama3.SequenceEqual(qwen2) ? 0 : 1;
        }

        Assert.True(differing > 50, $"the rules differed from each other in {differing} cases only");
    }

    [Fact]
    public void Letters_beyond_the_first_plane_are_letters() =>
        Assert.Equal(["a\U0001D400\U00020000b", "!"], Split("a\U0001D400\U00020000b!", WordRules.Gpt2));

    [Fact]
    public void Bytes_that_are_no_utf8_stand_apart()
    {
        ReadOnlySpan<byte> bytes = [(byte)'a', (byte)' ', (byte)' ', 0xFF, 0xC3, (byte)' ', (byte)'b'];
        foreach (var rules in Enum.GetValues<WordRules>())
        {
            var lengths = new List<int>();
            for (var rest = bytes; !rest.IsEmpty; rest = rest[lengths[^1]..])
            {
                lengths.Add(WordSplit.PieceLength(rest, rules));
            }

            Assert.Equal([1, 2, 2, 2], lengths);
        }
    }

    private static string[] Split(string text, WordRules rules)
    {
        var pieces = new List<string>();
        ReadOnlySpan<byte> rest = Encoding.UTF8.GetBytes(text);
        while (!rest.IsEmpty)
        {
            var length = WordSplit.PieceLength(rest, rules);
            pieces.Add(Encoding.UTF8.GetString(rest[..length]));
            rest = rest[length..];
        }

        return [.. pieces];
    }

    private static string[] Matches(Regex pattern, string text) => [.. pattern.Matches(text).Select(m => m.Value)];

    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")]
    private static partial Regex Gpt2Pattern();

    [GeneratedRegex(@"(\p{N})")]
    private static partial Regex Digits();

    [GeneratedRegex(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")]
    private static partial Regex Llama3Pattern();

    [GeneratedRegex(@"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")]
    private static partial Regex Qwen2Pattern();
}
