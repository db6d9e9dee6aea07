// What goes in comes out: 400 texts and 400 byte strings through the trained, GPT-2's and LLaMA's tokenizer; streaming
// equals decoding at once; special names are text unless asked for.
// Negative controls: bytes sent through a string are lost, and decoding token by token breaks characters.

using System.Diagnostics;
using System.Text;
using Ptp.Core;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public class RoundTripTests
{
    private const int Cases = 400;

    [Fact]
    public void Trained_tokenizer_returns_texts_and_bytes() => Check(Samples.Trained);

    [DataFact("tokenizers/gpt2")]
    public void Gpt2_returns_texts_and_bytes() => Check(Tokenizer.Load(TestData.Path("tokenizers/gpt2")));

    [DataFact("tokenizers/llama2")]
    public void Llama_returns_texts_and_bytes() =>
        Check(Tokenizer.Load(TestData.Path("tokenizers/llama2/tokenizer.model")), spaceSign: ' ');

    [Fact]
    public void Bytes_through_a_string_are_lost()
    {
        var lost = 0;
        for (var seed = 0; seed < Cases; seed++)
        {
            var bytes = Samples.Bytes(new Random(seed), 20);
            var ids = Samples.Trained.Encode(Encoding.UTF8.GetString(bytes));
            lost += Samples.Trained.DecodeBytes(ids).AsSpan().SequenceEqual(bytes) ? 0 : 1;
        }

        Assert.True(lost > Cases / 2, $"only {lost} of {Cases}");
    }

    [Fact]
    public void Streaming_equals_decoding_at_once()
    {
        var broken = 0;
        for (var seed = 0; seed < Cases; seed++)
        {
            var random = new Random(seed);
            // Half the cases are well-formed texts cut into tokens, half are any ids at all.
            var text = Samples.Text(random, 20);
            var ids = seed % 2 == 0
                ? Samples.Trained.Encode(text)
                : [.. Enumerable.Range(0, random.Next(40)).Select(_ => random.Next(Samples.Trained.VocabularySize))];
            var streaming = Samples.Trained.CreateStreamingDecoder();
            var parts = ids.Select(streaming.Append).ToList();
            Assert.True(seed % 2 == 1 || text.Contains('\ufffd') || !parts.Exists(p => p.Contains('\ufffd')), $"seed {seed}");
            parts.Add(streaming.Flush());
            Assert.True(string.Concat(parts) == Samples.Trained.Decode(ids), $"seed {seed}");
            broken += string.Concat(ids.Select(id => Samples.Trained.Decode([id]))) == string.Concat(parts) ? 0 : 1;
        }

        Assert.True(broken > Cases / 4, $"only {broken} of {Cases}");
    }

    [DataFact("tokenizers/tok512")]
    public void Streaming_drops_the_dummy_space_at_the_start_only()
    {
        var tokenizer = Tokenizer.Load(TestData.Path("tokenizers/tok512/tok512.bin"));
        var ids = tokenizer.Encode("Once upon a time");
        foreach (var atStart in (bool[])[true, false])
        {
            var streaming = tokenizer.CreateStreamingDecoder(atStart);
            var text = streaming.Append(1) + string.Concat(ids.Select(streaming.Append)) + streaming.Flush();
            Assert.Equal((atStart ? "" : " ") + "Once upon a time", text);
        }
    }

    [Fact]
    public void Special_names_are_text_unless_asked_for()
    {
        var tokenizer = Samples.Trained;
        var end = tokenizer.BeginToken!.Value;
        const string text = "one<|endoftext|>two<|pad|><|endoftext|><|endofte";
        Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text)));
        Assert.DoesNotContain(end, tokenizer.Encode(text));
        var parsed = tokenizer.Encode(text, parseSpecial: true);
        Assert.Equal(
            [.. tokenizer.Encode("one"), end, .. tokenizer.Encode("two"), end + 1, end, .. tokenizer.Encode("<|endofte")], parsed);
        Assert.Equal("onetwo<|endofte", tokenizer.Decode(parsed));
        Assert.Equal([end], tokenizer.EndTokens);
        Assert.True(tokenizer.TokenBytes(end).IsEmpty);
    }

    [Fact]
    public void One_piece_of_a_megabyte_takes_no_quadratic_time()
    {
        var random = new Random(7);
        var piece = new string([.. Enumerable.Range(0, 1 << 20).Select(_ => "thea"[random.Next(4)])]);
        var watch = Stopwatch.StartNew();
        Assert.Equal(piece, Samples.Trained.Decode(Samples.Trained.Encode(piece)));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(15), $"{watch.Elapsed}"); // quadratic would be hours
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void Ids_outside_the_vocabulary_are_refused(int id)
    {
        Assert.Throws<PtpException>(() => Samples.Trained.Decode([id]));
        Assert.Throws<PtpException>(() => Samples.Trained.CreateStreamingDecoder().Append(id));
    }

    [Fact]
    public void Unpaired_surrogates_become_the_replacement_character() =>
        Assert.Equal("a\ufffdb", Samples.Trained.Decode(Samples.Trained.Encode("a\ud800b")));

    private static void Check(Tokenizer tokenizer, char spaceSign = '\u2581')
    {
        for (var seed = 0; seed < Cases; seed++)
        {
            var text = Samples.Text(new Random(seed), 25);
            Assert.True(tokenizer.Decode(tokenizer.Encode(text)) == text.Replace('\u2581', spaceSign), $"text of seed {seed}");
            var bytes = Samples.Bytes(new Random(seed), 25);
            // LLaMA reads the three bytes of U+2581 as a space.
            if (spaceSign == '\u2581' || bytes.AsSpan().IndexOf("\u2581"u8) < 0)
            {
                Assert.True(tokenizer.DecodeBytes(tokenizer.EncodeBytes(bytes)).AsSpan().SequenceEqual(bytes), $"bytes of seed {seed}");
            }
        }
    }
}
