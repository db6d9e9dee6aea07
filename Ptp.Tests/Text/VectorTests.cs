// Ids of 46 strings under two real vocabularies, as another implementation computed them.
// The strings hold every trap of a tokenizer: repeated symbols, runs of blanks, joined emoji, Khmer, long digits.
// Skips where the real data is absent.

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
