// tokenizer.json and its relatives: what is written reads back equal and writes again byte for byte, in every form of
// merges and split that is read; forms that are not read are refused by name.
// Negative control: a file with its merges reversed is a different tokenizer.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ptp.Core;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public sealed class TokenizerFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-text-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Saved_and_loaded_tokenizers_are_equal()
    {
        // 40 tokenizers of different sizes and special tokens.
        for (var seed = 0; seed < 40; seed++)
        {
            var random = new Random(seed);
            var specials = ((string[])["<|endoftext|>", "<|pad|>", "<\u00e9 \u4f60>"])[..random.Next(4)];
            var trained = BpeTrainer.Train([Samples.Text(random, 200), Samples.Text(random, 200)], 260 + random.Next(200), specials);
            var first = Bytes(trained);
            var loaded = Assert.IsType<ByteLevelBpe>(TokenizerJson.Read(first, "json", TokenizerMarks.None));
            Equal(trained, loaded, $"seed {seed}");
            Assert.Equal(trained.Merges, loaded.Merges);
            Assert.Equal(trained.AddedTokens, loaded.AddedTokens);
            Assert.Equal(first, Bytes(loaded));
        }

        Samples.Trained.SaveFolder(_folder);
        Equal(Samples.Trained, Tokenizer.Load(_folder), "folder");
        Assert.Equal(2, Directory.GetFiles(_folder).Length);
    }

    [Fact]
    public void Merges_as_arrays_read_the_same()
    {
        var json = Json();
        var merges = json["model"]!["merges"]!.AsArray();
        var pairs = merges.Select(m => m!.GetValue<string>().Split(' ')).Select(p => new JsonArray(p[0], p[1]));
        json["model"]!["merges"] = new JsonArray([.. pairs]);
        Equal(Samples.Trained, Load(json), "arrays");
    }

    [Fact]
    public void Reversed_merges_are_another_tokenizer()
    {
        var json = Json();
        var merges = json["model"]!["merges"]!.AsArray();
        var reversed = merges.Select(m => m!.GetValue<string>()).Reverse().Select(m => (JsonNode)m).ToArray();
        json["model"]!["merges"] = new JsonArray(reversed);
        var other = Load(json);
        Assert.Contains(
            Enumerable.Range(0, 20).Select(seed => Samples.Text(new Random(seed), 40)),
            text => !Samples.Trained.Encode(text).SequenceEqual(other.Encode(text)));
    }

    [Theory]
    [InlineData(WordRules.Gpt2Digits, false)]
    [InlineData(WordRules.Llama3, true)]
    [InlineData(WordRules.Qwen2, false)]
    internal void Other_splits_are_kept(WordRules rules, bool ignoreMerges)
    {
        var tokens = Enumerable.Range(0, Samples.Trained.VocabularySize).Select(i => Samples.Trained.TokenBytes(i).ToArray()).ToArray();
        var options = new ByteLevelOptions(rules, ignoreMerges, Compose: rules == WordRules.Qwen2);
        var other = new ByteLevelBpe(tokens, Samples.Trained.Merges, Samples.Trained.AddedTokens, options, 698, [699]);
        var path = Path.Combine(_folder, "tokenizer.json");
        other.Save(path);
        var loaded = Assert.IsType<ByteLevelBpe>(Tokenizer.Load(path));
        Assert.Equal(options, loaded.Options);
        Assert.NotEqual(Samples.Trained.Encode("In 12345"), loaded.Encode("In 12345"));
        other.SaveFolder(_folder);
        Assert.Equal((698, 699), (Tokenizer.Load(_folder).BeginToken, Tokenizer.Load(_folder).EndTokens[0]));
    }

    [Fact]
    public void A_whole_piece_wins_where_merges_are_ignored()
    {
        // "abc" is a token that no merge makes.
        byte[][] tokens = [.. Enumerable.Range(0, 256).Select(b => new[] { (byte)b }), "bc"u8.ToArray(), "abc"u8.ToArray()];
        BpeMerge[] merges = [new('b', 'c', 256)];
        Assert.Equal([257], new ByteLevelBpe(tokens, merges, [], new ByteLevelOptions(IgnoreMerges: true), null, null).Encode("abc"));
        Assert.Equal(['a', 256], new ByteLevelBpe(tokens, merges, []).Encode("abc"));
    }

    [Theory]
    [InlineData("normalizer", """{"type":"Lowercase"}""")]
    [InlineData("normalizer", """{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]}""")]
    [InlineData("pre_tokenizer", """{"type":"Whitespace"}""")]
    [InlineData("pre_tokenizer", "null")]
    [InlineData("pre_tokenizer", """{"type":"ByteLevel","add_prefix_space":true}""")]
    [InlineData("pre_tokenizer", """{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}""")]
    [InlineData("pre_tokenizer", """{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"x"},"behavior":"Isolated"},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}""")]
    [InlineData("model", """{"type":"WordPiece","vocab":{}}""")]
    [InlineData("model", """{"type":"BPE","vocab":{"a":0},"merges":[],"continuing_subword_prefix":"##"}""")]
    [InlineData("model", """{"type":"BPE","vocab":{"a":0},"merges":[]}""")]
    [InlineData("model", """{"type":"BPE","byte_fallback":true,"vocab":{"a":0},"merges":[]}""")]
    [InlineData("added_tokens", """[{"id":1,"content":"<m>","lstrip":true}]""")]
    [InlineData("added_tokens", """[{"id":1,"content":""}]""")]
    [InlineData("added_tokens", """[{"id":2000000,"content":"<far>"}]""")]
    [InlineData("added_tokens", """[{"id":-1,"content":"<far>"}]""")]
    public void Forms_that_are_not_read_are_refused(string field, string value)
    {
        var json = Json();
        json[field] = JsonNode.Parse(value);
        var error = Assert.Throws<PtpException>(() => Load(json));
        Assert.All([error.Asked, error.Received, error.Expected, error.WayOut], part => Assert.NotEmpty(part));
    }

    [Theory]
    [InlineData("first", "a<s>b", new[] { 259, 260, 1, 261 })]
    [InlineData("always", "a<s>b", new[] { 259, 260, 1, 259, 261 })]
    [InlineData("never", "a<s>b", new[] { 260, 1, 261 })]
    [InlineData("first", "<s>b", new[] { 1, 261 })]
    public void Metaspace_says_where_the_dummy_space_goes(string scheme, string text, int[] expected)
    {
        var vocabulary = string.Join(',', Enumerable.Range(0, 256).Select(b => $"\"<0x{b:X2}>\":{b + 3}"));
        var json = $$"""
            {"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
            "pre_tokenizer":{"type":"Metaspace","replacement":"\u2581","prepend_scheme":"{{scheme}}","split":false},
            "model":{"type":"BPE","byte_fallback":true,"vocab":{"<unk>":0,"<s>":1,"</s>":2,{{vocabulary}},"\u2581":259,"a":260,"b":261},"merges":[]} }
            """;
        var tokenizer = Tokenizer.Load(Write("tokenizer.json", Encoding.UTF8.GetBytes(json)));
        Assert.Equal(expected, tokenizer.Encode(text, parseSpecial: true));
        Assert.Equal((1, 2), (tokenizer.BeginToken, tokenizer.EndTokens[0]));
    }

    [Fact]
    public void Missing_tokenizers_are_named()
    {
        Assert.Contains("without a tokenizer", Assert.Throws<PtpException>(() => Tokenizer.Load(_folder)).Message, StringComparison.Ordinal);
        Assert.Throws<PtpException>(() => Tokenizer.Load(Path.Combine(_folder, "tokenizer.json")));
        Assert.Throws<PtpException>(() => Tokenizer.Load(Write("tokenizer.txt", [])));
    }

    private static void Equal(Tokenizer expected, Tokenizer actual, string what)
    {
        Assert.Equal(
            (expected.VocabularySize, expected.BeginToken, string.Join(' ', expected.EndTokens)),
            (actual.VocabularySize, actual.BeginToken, string.Join(' ', actual.EndTokens)));
        for (var seed = 0; seed < 10; seed++)
        {
            var text = Samples.Text(new Random(seed), 40);
            Assert.True(expected.Encode(text, parseSpecial: true).SequenceEqual(actual.Encode(text, parseSpecial: true)), $"{what}, text {seed}");
        }
    }

    private static byte[] Bytes(ByteLevelBpe tokenizer)
    {
        using var stream = new MemoryStream();
        TokenizerJsonWriter.Write(tokenizer, stream);
        return stream.ToArray();
    }

    private static JsonObject Json() => JsonNode.Parse(Bytes(Samples.Trained))!.AsObject();

    private static Tokenizer Load(JsonObject json) =>
        TokenizerJson.Read(JsonSerializer.SerializeToUtf8Bytes(json), "json", TokenizerMarks.None);

    private string Write(string name, byte[] content)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }
}
