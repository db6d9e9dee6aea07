// Ids of 46 strings under two real vocabularies, as another implementation computed them.
// The strings hold every trap of a tokenizer: repeated symbols, runs of blanks, joined emoji, Khmer, long digits.
// Skips where the real data is absent.

using System.Text.Json;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Text;

public class VectorTests
{
    [DataFact("tokenizers/gpt2", "vectors/llamacpp-tokenizer")]
    public void Gpt2_ids_are_exact() => Check(Tokenizer.Load(TestData.Path("tokenizers/gpt2")), "gpt-2");

    [DataFact("tokenizers/llama2", "vectors/llamacpp-tokenizer")]
    public void Llama_ids_are_exact_from_tokenizer_json() => Check(Tokenizer.Load(TestData.Path("tokenizers/llama2")), "llama-spm");

    [DataFact("tokenizers/llama2", "vectors/llamacpp-tokenizer")]
    public void Llama_ids_are_exact_from_scores() =>
        Check(Tokenizer.Load(TestData.Path("tokenizers/llama2/tokenizer.bin")), "llama-spm");

    [DataFact("tokenizers/llama2", "vectors/llamacpp-tokenizer")]
    public void Llama_ids_are_exact_from_the_protocol_buffer() =>
        Check(Tokenizer.Load(TestData.Path("tokenizers/llama2/tokenizer.model")), "llama-spm");

    [DataFact("tokenizers/llama2")]
    public void Llama_merges_equal_scores_on_generated_text()
    {
        // 300 texts of hard fragments; ids must not depend on the form the tokenizer was read from.
        var forms = ((string[])["tokenizer.json", "tokenizer.bin", "tokenizer.model"])
            .Select(f => Tokenizer.Load(TestData.Path("tokenizers/llama2/" + f))).ToArray();
        Assert.All(forms, f => Assert.Equal((32000, 1, 2), (f.VocabularySize, f.BeginToken, f.EndTokens[0])));
        for (var seed = 0; seed < 300; seed++)
        {
            // U+2028 is a piece of the vocabulary, but the stored tokenizer.json lost its character.
            var text = Samples.Text(new Random(seed), maxParts: 30).Replace("\u2028", "", StringComparison.Ordinal);
            var expected = forms[0].Encode(text);
            Assert.True(forms.All(f => f.Encode(text).SequenceEqual(expected)), $"seed {seed}: ids");
            Assert.True(forms.All(f => f.Decode(expected) == text.Replace('\u2581', ' ')), $"seed {seed}: text");
        }
    }

    [DataFact("tokenizers/tok512", "vectors/llama2c")]
    public void Tokens_of_a_real_model_decode_to_its_text()
    {
        var tokenizer = Tokenizer.Load(TestData.Path("tokenizers/tok512/tok512.bin"));
        foreach (var name in (string[])["greedy200", "sampling.seed42.topp100"])
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(TestData.Path($"vectors/llama2c/stories260K.{name}.json")));
            var ids = json.RootElement.GetProperty("tokens").EnumerateArray().Select(t => t.GetInt32()).ToArray();
            Assert.Equal(json.RootElement.GetProperty("text").GetString(), tokenizer.Decode(ids));
        }
    }

    private static void Check(Tokenizer tokenizer, string name)
    {
        var (texts, ids) = Read(name);
        Assert.Equal(46, ids.Length);
        for (var i = 0; i < ids.Length; i++)
        {
            Assert.Equal(ids[i], tokenizer.Encode(texts[i]));
            Assert.Equal(texts[i], tokenizer.Decode(ids[i]));
        }
    }

    private static (string[] Texts, int[][] Ids) Read(string name)
    {
        var folder = TestData.Path("vectors/llamacpp-tokenizer");
        var texts = File.ReadAllText(Path.Combine(folder, $"ggml-vocab-{name}.gguf.inp")).Split("\n__ggml_vocab_test__\n");
        var lines = File.ReadAllText(Path.Combine(folder, $"ggml-vocab-{name}.gguf.out")).Split('\n');
        var ids = lines.SkipLast(1)
            .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).ToArray()).ToArray();
        return (texts, ids);
    }
}
