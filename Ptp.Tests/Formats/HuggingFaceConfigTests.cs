// config.json: round trip of generated configurations, files as others write them, and refusal of other mathematics.
// Source: the fields and defaults of LLaMA and Mistral configurations.
// Not here: whether sizes go together; TransformerConfig checks that.

using System.Text;
using Ptp.Core;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class HuggingFaceConfigTests
{
    private const string Sizes = """
        "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 16, "num_hidden_layers": 3, "vocab_size": 100
        """;

    // 300 generated configurations.
    [Fact]
    public void What_is_written_is_read()
    {
        for (var seed = 0; seed < 300; seed++)
        {
            var config = Generated(seed);
            using var stream = new MemoryStream();
            HuggingFaceConfig.Write(stream, config, (StoredType)(seed % 3));
            var again = HuggingFaceConfig.Parse(stream.ToArray());
            Assert.Equal(config.EndTokens, again.EndTokens);
            Assert.True(config with { EndTokens = [] } == again with { EndTokens = [] },
                $"seed {seed}: {config} became {again}");
        }
    }

    [Fact]
    public void Defaults_are_those_of_the_architecture()
    {
        var llama = Parse($$"""{"architectures": ["LlamaForCausalLM"], {{Sizes}}}""");
        Assert.Equal((16, 4, 2048, 10_000.0, 1e-6f, false), Facts(llama));
        Assert.Equal((1, 2), (llama.BeginToken, Assert.Single(llama.EndTokens)));
        var mistral = Parse($$"""{"model_type": "mistral", {{Sizes}}, "sliding_window": null}""");
        Assert.Equal((8, 4, 131_072, 10_000.0, 1e-6f, false), Facts(mistral));
        Assert.Equal(16, Parse($$"""{"model_type": "mistral", "num_key_value_heads": null, {{Sizes}}}""").KeyValueHeads);
    }

    [Fact]
    public void Forms_that_others_write_are_read()
    {
        var config = Parse($$"""
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", {{Sizes}}, "bos_token_id": null,
             "eos_token_id": [7, 9], "head_dim": 8, "num_key_value_heads": 4, "max_position_embeddings": 131072,
             "rope_parameters": {"rope_theta": 500000, "rope_type": "default"}, "dtype": "bfloat16",
             "tie_word_embeddings": true, "rms_norm_eps": 1e-05, "attention_bias": false, "other": "5.0"}
            """);
        Assert.Equal((4, 8, 131_072, 500_000.0, 1e-5f, true), Facts(config));
        Assert.Null(config.BeginToken);
        Assert.Equal([7, 9], config.EndTokens);
        Assert.Empty(Parse($$"""{"model_type": "llama", "eos_token_id": null, {{Sizes}}}""").EndTokens);
        Assert.Equal(4096, Parse($$"""
            {"model_type": "mistral", "sliding_window": 4096, "max_position_embeddings": 4096, {{Sizes}}}
            """).MaxContext);
        Assert.Equal(100, Parse("\uFEFF" + $$"""{"model_type": "llama", {{Sizes}}}""").VocabularySize);
    }

    [Theory]
    [InlineData("\"attention_bias\": true", "attention_bias")]
    [InlineData("\"mlp_bias\": true", "mlp_bias")]
    [InlineData("\"hidden_act\": \"gelu\"", "hidden_act")]
    [InlineData("\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0}", "rope_scaling")]
    [InlineData("\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}", "rope_scaling")]
    [InlineData("\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 10000}", "rope_parameters")]
    [InlineData("\"rope_parameters\": {\"rope_theta\": \"big\"}", "rope_theta")]
    [InlineData("\"partial_rotary_factor\": 0.5", "partial_rotary_factor")]
    [InlineData("\"sliding_window\": 1024", "sliding_window")]
    [InlineData("\"quantization_config\": {\"bits\": 4}", "quantised")]
    [InlineData("\"architectures\": [\"Qwen2ForCausalLM\"]", "Qwen2ForCausalLM")]
    [InlineData("\"architectures\": [\"GPT2LMHeadModel\"]", "GPT2LMHeadModel")]
    [InlineData("\"architectures\": \"LlamaForCausalLM\"", "architectures")]
    [InlineData("\"num_key_value_heads\": 5", "num_key_value_heads")]
    [InlineData("\"head_dim\": 7", "head_dim")]
    [InlineData("\"rms_norm_eps\": -1", "rms_norm_eps")]
    [InlineData("\"rms_norm_eps\": 1e999", "rms_norm_eps")]
    [InlineData("\"rope_theta\": 0", "rope_theta")]
    [InlineData("\"bos_token_id\": 100", "bos_token_id")]
    [InlineData("\"eos_token_id\": [2, -1]", "eos_token_id")]
    [InlineData("\"eos_token_id\": [\"</s>\"]", "eos_token_id")]
    [InlineData("\"tie_word_embeddings\": 1", "tie_word_embeddings")]
    [InlineData("\"vocab_size\": 100", "vocab_size")]
    public void What_Ptp_does_not_compute_is_refused_by_name(string field, string named)
    {
        var error = Assert.Throws<PtpException>(() => Parse($$"""{"model_type": "llama", {{Sizes}}, {{field}}}"""));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hidden_size")]
    [InlineData("intermediate_size")]
    [InlineData("num_attention_heads")]
    [InlineData("num_hidden_layers")]
    [InlineData("vocab_size")]
    [InlineData("model_type")]
    public void A_missing_size_is_named(string field)
    {
        var whole = $$"""{"model_type": "llama", {{Sizes}}}""";
        var text = whole.Replace($"\"{field}\"", "\"x\"", StringComparison.Ordinal);
        Assert.Contains(field, Assert.Throws<PtpException>(() => Parse(text)).Message, StringComparison.Ordinal);
    }

    // 500 generated files with 1 to 4 changed bytes.
    [Fact]
    public void Random_bytes_give_a_configuration_or_the_error()
    {
        var refused = 0;
        for (var seed = 0; seed < 500; seed++)
        {
            var random = new Random(seed);
            using var stream = new MemoryStream();
            HuggingFaceConfig.Write(stream, Generated(seed));
            var bytes = stream.ToArray();
            for (var change = random.Next(4); change >= 0; change--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(random.Next(2) == 0 ? 256 : 128);
            }

            var error = Record.Exception(() => HuggingFaceConfig.Parse(bytes));
            Assert.True(error is null or PtpException, $"seed {seed}: {error}");
            refused += error is null ? 0 : 1;
        }

        Assert.InRange(refused, 200, 499);
    }

    private static TransformerConfig Parse(string json) => HuggingFaceConfig.Parse(Encoding.UTF8.GetBytes(json));

    private static (int, int, int, double, float, bool) Facts(TransformerConfig config) =>
        (config.KeyValueHeads, config.HeadSize, config.MaxContext, config.RopeTheta, config.NormEpsilon,
            config.TieEmbeddings);

    private static TransformerConfig Generated(int seed)
    {
        var random = new Random(seed);
        var groups = random.Next(1, 5);
        var keys = random.Next(1, 9);
        var vocabulary = random.Next(1, 100_000);
        return new TransformerConfig
        {
            VocabularySize = vocabulary,
            HiddenSize = random.Next(1, 4096),
            IntermediateSize = random.Next(1, 4096),
            Layers = random.Next(1, 100),
            Heads = groups * keys,
            KeyValueHeads = keys,
            HeadSize = 2 * random.Next(1, 100),
            MaxContext = random.Next(1, 1 << 20),
            RopeTheta = 1 + (random.NextDouble() * 1e6),
            NormEpsilon = (float)(random.NextDouble() * 1e-4) + 1e-8f,
            TieEmbeddings = random.Next(2) == 0,
            BeginToken = random.Next(2) == 0 ? null : random.Next(vocabulary),
            EndTokens = [.. Enumerable.Range(0, random.Next(4)).Select(_ => random.Next(vocabulary))],
        }.Validated();
    }
}
