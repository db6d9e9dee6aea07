// Everything a user can get wrong: exit code 2, four parts on standard error, the same as JSON, no stack trace.
// Models are tiny and random; damage is done to copies of their folders.
// Not here: damage to the inside of files, which the tests of formats cover.

using Ptp.Core.Formats;
using Ptp.Core.Text;
using Xunit;

namespace Ptp.Tests.Commands;

[Collection(SharedTinyModels.Name)]
public sealed class BadInputTests(TinyModels tiny)
{
    [Theory]
    [InlineData("did you mean generate", "generat")]
    [InlineData("did you mean --temperature", "generate", "--tempurature", "1")]
    [InlineData("--seed", "generate", "--seed", "x")]
    [InlineData("--seed", "demo", "--seed", "-1")]
    [InlineData("--seed", "demo", "--seed", "1.5")]
    [InlineData("--top-k", "eval", "--top-k", "many")]
    [InlineData("--max-new", "generate", "--max-new", "0")]
    [InlineData("--max-new", "generate", "--max-new", "99999999999")]
    [InlineData("--threads", "info", "--threads", "-2")]
    [InlineData("--decoder", "generate", "--decoder", "magic")]
    [InlineData("--size", "train", "--corpus", "c", "--output", "o", "--size", "5M")]
    [InlineData("--corpus", "train", "--output", "o")]
    [InlineData("no source", "corpus", "--output", "o")]
    [InlineData("no text", "tokenizer", "train")]
    [InlineData("corpus.json", "train", "--corpus", "nowhere", "--output", "nowhere-model")]
    [InlineData("name=value", "train", "--corpus", "c", "--output", "o", "--share", "stories")]
    [InlineData("nowhere", "corpus", "--output", "o", "--stories", "nowhere.txt")]
    [InlineData("name=value", "corpus", "--output", "o", "--plain", "book.txt")]
    [InlineData("embedding", "distill", "--corpus", "c", "--output", "o", "--embedding", "hexadecimal")]
    [InlineData("--stop", "generate", "--stop", "")]
    public void Arguments_that_make_no_sense(string expected, params string[] args) => CliRun.Refuses(expected, args);

    [Theory]
    [InlineData("temperature = -1", "--temperature", "-1")]
    [InlineData("temperature = NaN", "--temperature", "NaN")]
    [InlineData("temperature = Infinity", "--temperature", "Infinity")]
    [InlineData("a number with a point", "--temperature", "0,7")]
    [InlineData("top-p = 0", "--top-p", "0")]
    [InlineData("top-p = 1.5", "--top-p", "1.5")]
    [InlineData("top-p = NaN", "--top-p", "NaN")]
    [InlineData("top-k = -1", "--top-k", "-1")]
    [InlineData("no adapter", "--decoder", "ptp")]
    public void Laws_that_are_none(string expected, string option, string value) =>
        CliRun.Refuses(expected, "generate", "--model", tiny.Base, "--prompt", "a", option, value);

    [Fact]
    public void Models_that_are_not_there_or_do_not_fit()
    {
        CliRun.Refuses("no folder", "generate", "--model", tiny.At("nowhere"), "--prompt", "a");
        CliRun.Refuses("fewer than the model's context", "generate", "--model", tiny.Base, "--prompt", new string('a', 200));
        CliRun.Refuses("begin token", "generate", "--model", tiny.NoBegin, "--prompt", "");
        CliRun.Refuses("begin token", "generate", "--model", tiny.NoBegin);
        CliRun.Refuses("logit", "generate", "--model", tiny.Loud, "--prompt", "a");

        var noTokenizer = tiny.Copy(tiny.Base, "no-tokenizer");
        File.Delete(Path.Combine(noTokenizer, "tokenizer.json"));
        CliRun.Refuses("--tokenizer", "generate", "--model", noTokenizer, "--prompt", "a");
        BpeTrainer.Train(["abababab"], 258, [TinyModels.Separator]).Save(tiny.At("large.json"));
        CliRun.Refuses("at most the model's 257", "generate", "--model", tiny.Base, "--tokenizer", tiny.At("large.json"), "--prompt", "a");
    }

    [Fact]
    public void Weights_that_are_missing_or_misshapen()
    {
        var files = ModelFolder.Read(tiny.Base);
        const string name = "model.layers.0.mlp.up_proj.weight";
        var folder = tiny.Copy(tiny.Base, "damaged");
        var path = Path.Combine(folder, Safetensors.SingleName);
        var others = files.Tensors.Values.Where(t => t.Name != name).ToList();
        var tensor = files.Tensors[name];

        Safetensors.Write(path, others, StoredType.F32);
        CliRun.Refuses(name, "generate", "--model", folder, "--prompt", "a");
        Safetensors.Write(path, [.. others, tensor with { Shape = [tensor.Shape[1], tensor.Shape[0]] }], StoredType.F32);
        CliRun.Refuses(name, "generate", "--model", folder, "--prompt", "a");
        Safetensors.Write(path, [.. others, tensor], StoredType.F32);
        var bytes = File.ReadAllBytes(path);
        var type = bytes.AsSpan().IndexOf("\"F32\""u8);
        "\"I32\""u8.CopyTo(bytes.AsSpan(type));
        File.WriteAllBytes(path, bytes);
        CliRun.Refuses("I32", "generate", "--model", folder, "--prompt", "a");
        File.WriteAllBytes(path, bytes[..200]);
        CliRun.Refuses(Safetensors.SingleName, "generate", "--model", folder, "--prompt", "a");
    }

    [Fact]
    public void Adapters_of_another_base_or_law()
    {
        string[] generate = ["generate", "--prompt", "a", "--max-new", "4"];
        CliRun.Refuses("fingerprint", [.. generate, "--model", tiny.Other, "--adapter", tiny.Adapter]);
        CliRun.Refuses("no folder", [.. generate, "--model", tiny.Base, "--adapter", tiny.At("nowhere")]);
        CliRun.Refuses("ptp_adapter.json", [.. generate, "--model", tiny.Base, "--adapter", tiny.Other]);
        CliRun.Refuses("at most the adapter's 6", [.. generate, "--model", tiny.Base, "--adapter", tiny.Adapter, "--slots", "7"]);
        string[] otherLaw = [.. generate, "--model", tiny.Base, "--adapter", tiny.Adapter, "--temperature", "1"];
        CliRun.Refuses("--allow-other-law", otherLaw);
        Assert.Equal(0, CliRun.Of([.. otherLaw, "--allow-other-law"]).Code);
    }

    [Fact]
    public void Places_that_cannot_be_written_to()
    {
        var underFile = Path.Combine(tiny.Text, "x");
        CliRun.Refuses("folder", "tokenizer", "train", "--text", tiny.Text, "--vocab", "260", "--output", Path.Combine(underFile, "t.json"));
        CliRun.Refuses("write", "corpus", "--output", underFile, "--stories", tiny.Text);
        CliRun.Refuses("path", "train", "--corpus", tiny.Corpus, "--output", underFile, "--size", "4k", "--vocab", "260",
            "--steps", "1", "--rows", "16", "--context", "32");
        CliRun.Refuses("finished model", "train", "--corpus", tiny.Corpus, "--output", tiny.Base);
        CliRun.Refuses("finished model", "distill", "--model", tiny.Base, "--corpus", tiny.Corpus, "--output", tiny.Adapter);
    }

    [Fact]
    public void Text_to_evaluate_on_that_is_not_there()
    {
        CliRun.Refuses("text file", "eval", "--model", tiny.Base, "--data", tiny.At("nowhere"));
        CliRun.Refuses("--decoder pqd", "generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x", "--budget", "4");
        CliRun.Refuses("categorical slots", "generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x", "--decoder", "tree");
        CliRun.Refuses("race:K", "generate", "--model", tiny.Base, "--prompt", "x", "--pick-rule", "race:0");
        CliRun.Refuses("distill an adapter for that rule", "generate", "--model", tiny.Base, "--adapter", tiny.Adapter, "--prompt", "x",
            "--pick-rule", "tree");
        CliRun.Refuses("--incompatible", "eval", "--model", tiny.Base, "--adapter", tiny.Adapter, "--data", tiny.Corpus,
            "--budget", "4", "--incompatible");
        CliRun.Refuses("--prompt-tokens", "eval", "--model", tiny.Base, "--adapter", tiny.Adapter, "--data", tiny.Corpus,
            "--prompt-tokens", "5000");
    }
}
