// Model folders: real weights are read, what is written is read back, and every mismatch is an error that names it.
// Source: the Hugging Face layout; stories260K as a real model.
// Not here: damage to single files (SafetensorsDamageTests).

using Ptp.Core;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class ModelFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [DataFact("models/stories260K-hf")]
    public void Real_weights_are_read_and_survive_every_format()
    {
        var model = ModelFolder.Read(TestData.Path("models/stories260K-hf"));
        Assert.Equal(260_032, model.Config.Parameters);
        Assert.Equal(260_032, model.Tensors.Values.Sum(tensor => (long)tensor.Values.Length));
        Assert.Equal((1, 2, true), (model.Config.BeginToken, model.Config.EndTokens[0], model.Config.TieEmbeddings));
        var fingerprint = ModelFolder.Fingerprint(model);
        foreach (var (type, shard) in ((StoredType, long)[])[(StoredType.F32, 1L << 40), (StoredType.BF16, 100_000)])
        {
            ModelFolder.Write(_folder, model.Config, model.Tensors.Values, type, shard);
            var again = ModelFolder.Read(_folder);
            Assert.Equal(fingerprint, ModelFolder.Fingerprint(again));
            Assert.Equal(model.Config with { EndTokens = [] }, again.Config with { EndTokens = [] });
        }
    }

    [Fact]
    public void Exact_round_trip_and_fingerprint()
    {
        var model = Example(1);
        ModelFolder.Write(_folder, model.Config, model.Tensors.Values.Reverse());
        var again = ModelFolder.Read(_folder);
        Assert.Equal(model.Config with { EndTokens = [] }, again.Config with { EndTokens = [] });
        Assert.Equal(model.Config.EndTokens, again.Config.EndTokens);
        foreach (var (name, tensor) in model.Tensors)
        {
            Assert.Equal(tensor.Values, again.Tensors[name].Values);
            Assert.Equal(tensor.Shape, again.Tensors[name].Shape);
        }

        Assert.Equal(ModelFolder.Fingerprint(model), ModelFolder.Fingerprint(again));
    }

    // Negative control of the equality above: 65 models that differ in one weight or in one field.
    [Fact]
    public void A_changed_model_has_another_fingerprint()
    {
        var model = Example(2);
        var seen = new HashSet<string> { ModelFolder.Fingerprint(model) };
        foreach (var (name, tensor) in model.Tensors)
        {
            foreach (var at in (int[])[0, tensor.Values.Length / 2, tensor.Values.Length - 1])
            {
                var old = tensor.Values[at];
                tensor.Values[at] = old + (0.02f * MathF.Abs(old)) + 0.001f; // more than one BF16 step
                Assert.True(seen.Add(ModelFolder.Fingerprint(model)), $"{name}[{at}]");
                tensor.Values[at] = old;
            }
        }

        var config = model.Config;
        Assert.True(seen.Add(ModelFolder.Fingerprint(model with { Config = config with { RopeTheta = 10_001 } })));
        Assert.True(seen.Add(ModelFolder.Fingerprint(model with { Config = config with { NormEpsilon = 1e-6f } })));
        Assert.False(seen.Add(ModelFolder.Fingerprint(model)));
    }

    [Fact]
    public void A_single_save_replaces_shards_and_shards_replace_a_single_save()
    {
        var (first, second) = (Example(3), Example(4));
        ModelFolder.Write(_folder, first.Config, first.Tensors.Values, StoredType.F32, maxShardBytes: 2000);
        Assert.True(Directory.GetFiles(_folder, "*.safetensors").Length > 2);
        Assert.True(File.Exists(Path.Combine(_folder, Safetensors.IndexName)));
        Assert.Equal(ModelFolder.Fingerprint(first), ModelFolder.Fingerprint(ModelFolder.Read(_folder)));

        ModelFolder.Write(_folder, second.Config, second.Tensors.Values);
        var files = Directory.GetFiles(_folder).Select(Path.GetFileName).Order();
        Assert.Equal(["config.json", "model.safetensors"], files);
        Assert.Equal(ModelFolder.Fingerprint(second), ModelFolder.Fingerprint(ModelFolder.Read(_folder)));

        ModelFolder.Write(_folder, first.Config, first.Tensors.Values, StoredType.F32, maxShardBytes: 3000);
        Assert.False(File.Exists(Path.Combine(_folder, Safetensors.SingleName)));
        Assert.Equal(ModelFolder.Fingerprint(first), ModelFolder.Fingerprint(ModelFolder.Read(_folder)));
    }

    [Fact]
    public void Every_mismatch_names_the_tensor()
    {
        var model = Example(5);
        var expected = TensorNames.Expected(model.Config);
        foreach (var (name, shape) in expected)
        {
            WriteRaw(model, tensor => tensor.Name == name ? null : tensor);
            AssertNames(name);
            int[] larger = [shape[0] + 1, .. shape[1..]];
            WriteRaw(model, tensor => tensor.Name == name
                ? new StoredTensor(name, larger, new float[larger.Aggregate(1, (product, size) => product * size)])
                : tensor);
            AssertNames(name);
            foreach (var bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity])
            {
                WriteRaw(model, tensor => tensor.Name == name ? Poisoned(tensor, bad) : tensor);
                AssertNames(name);
            }
        }

        WriteRaw(model, tensor => tensor); // control: unchanged, it is read
        Assert.Equal(expected.Count, ModelFolder.Read(_folder).Tensors.Count);
    }

    [Fact]
    public void Harmless_extras_are_ignored_and_others_refused()
    {
        var model = Example(6);
        var tied = model.Config with { TieEmbeddings = true };
        var head = model.Tensors[TensorNames.Head];
        var table = new StoredTensor("model.layers.0.self_attn.rotary_emb.inv_freq", [2], [1, 0.5f]);
        WriteRaw(model with { Config = tied }, tensor => tensor, table);
        var read = ModelFolder.Read(_folder);
        Assert.DoesNotContain(head.Name, read.Tensors.Keys);
        Assert.DoesNotContain(table.Name, read.Tensors.Keys);

        WriteRaw(model, tensor => tensor, new StoredTensor("model.layers.0.self_attn.q_proj.bias", [2], [1, 2]));
        AssertNames("model.layers.0.self_attn.q_proj.bias");
    }

    [Fact]
    public void Folders_that_are_no_models_are_refused()
    {
        Assert.Throws<PtpException>(() => ModelFolder.Read(Path.Combine(_folder, "absent")));
        Assert.Throws<PtpException>(() => ModelFolder.Read(_folder));
        File.WriteAllText(Path.Combine(_folder, "config.json"), """{"model_type": "llama"}""");
        Assert.Contains("num_attention_heads", Assert.Throws<PtpException>(() => ModelFolder.Read(_folder)).Message,
            StringComparison.Ordinal);
    }

    internal static ModelFiles Example(int seed)
    {
        var config = new TransformerConfig
        {
            VocabularySize = 19,
            HiddenSize = 12,
            IntermediateSize = 20,
            Layers = 2,
            Heads = 4,
            KeyValueHeads = 2,
            HeadSize = 6,
            MaxContext = 77,
            RopeTheta = 12_345.678,
            NormEpsilon = 3e-6f,
            BeginToken = 3,
            EndTokens = [4, 5],
        };
        var random = new Random(seed);
        var tensors = TensorNames.Expected(config).ToDictionary(
            expected => expected.Name,
            expected => new StoredTensor(expected.Name, expected.Shape, RandomTensors.Values(random, expected.Shape)));
        return new ModelFiles(config, tensors);
    }

    // Past the checks of ModelFolder.Write, as a foreign or broken writer would.
    private void WriteRaw(ModelFiles model, Func<StoredTensor, StoredTensor?> change, params StoredTensor[] more)
    {
        Safetensors.WriteFolder(_folder, [.. model.Tensors.Values.Select(change).OfType<StoredTensor>(), .. more]);
        AtomicFile.Write(Path.Combine(_folder, "config.json"), stream => HuggingFaceConfig.Write(stream, model.Config));
    }

    private static StoredTensor Poisoned(StoredTensor tensor, float bad)
    {
        var values = (float[])tensor.Values.Clone();
        values[values.Length / 3] = bad;
        return tensor with { Values = values };
    }

    private void AssertNames(string name)
    {
        var error = Assert.Throws<PtpException>(() => ModelFolder.Read(_folder));
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
    }
}
