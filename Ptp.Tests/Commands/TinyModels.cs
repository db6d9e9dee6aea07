// Small random models, adapters and corpora in a temporary folder, made once for all tests of the command line.
// Width 16, one block, byte-level tokenizer with 257 ids; the adapters are random too: exactness must not need training.
// Not here: quality. Texts are noise, which tests decoding on odd bytes as well.

using Ptp.Core.Autograd;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Text;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Xunit;

namespace Ptp.Tests.Commands;

public sealed class TinyModels : IDisposable
{
    public const string Separator = "<|endoftext|>";
    private readonly string _root = Directory.CreateTempSubdirectory("ptp-cli-").FullName;

    public TinyModels()
    {
        using var backend = new CpuBackend(1);
        var tokenizer = BpeTrainer.Train([""], 257, [Separator]);
        var config = Config(tokenizer);
        var model = new Transformer(backend, config, seed: 1);
        Widen(model.Parameters, 1);
        WriteModel(Base, model, tokenizer);
        WriteModel(Other, new Transformer(backend, config, seed: 2), tokenizer);
        WriteModel(NoBegin, new Transformer(backend, config with { BeginToken = null, EndTokens = [] }, seed: 3), null);
        WriteModel(Loud, Loudened(backend, config), tokenizer);
        BpeTrainer.Train([""], 256, []).Save(Path.Combine(NoBegin, "tokenizer.json"));

        var fingerprint = ModelFolder.Fingerprint(ModelFolder.Read(Base));
        var law = new SamplingOptions { Temperature = 0.7, TopP = 0.9 };
        var lora = new GatedLora(backend, config, 4, 1, 5);
        Widen(lora.Parameters, 5);
        Save(Adapter, new SlotModel(model, lora, new FixedPointEmbedding(), 6, law, InverseCdf.Instance, 5, SlotStart.LastToken), fingerprint);
        var sampler = new SamplerHead(model, 2, 12, 7, depth: 1);
        Widen(sampler.Parameters, 7);
        Save(Categorical, new SlotModel(
            model, lora, new FixedPointEmbedding(), 6, law, InverseCdf.Instance, 5, SlotStart.LastToken, SlotReading.Categorical, sampler), fingerprint);
        var student = new Transformer(backend, config with { HiddenSize = 8, HeadSize = 0 }, 6);
        Save(Student, new SlotModel(student, null, new BinaryFloatEmbedding(), 5, law, InverseCdf.Instance, 6), fingerprint);
        var independent = new SlotModel(model, lora, new ConstantEmbedding(), 6, law, InverseCdf.Instance, 5, SlotStart.LastToken);
        Save(Path.Combine(Adapters, ModelChoice.Independent), independent, fingerprint);
        independent.Flow = FlowHead.On(independent, new FlowHeadSize(Layers: 2, History: 2, Width: 8), 6);
        Widen(independent.Flow.Parameters, 6);
        PtpAdapter.Save(Flow, independent, fingerprint, "base", 0, StoredType.F32, Path.Combine(Adapters, ModelChoice.Independent));
        foreach (var name in DraftHeads.Names)
        {
            var head = HeadCase.Head(name, model, new RandomStream(8, name), deviation: 0.4);
            head.Accuracy = [.. Enumerable.Range(0, head.Slots).Select(_ => (double[])[0.5, 0.3])];
            HeadFolder.Save(Path.Combine(Heads, name), head, name, fingerprint, "base", 0, StoredType.F32);
        }

        foreach (var name in (string[])[DraftShelf.Smallest, DraftShelf.Small])
        {
            var small = new Transformer(backend, config with { HiddenSize = 8, HeadSize = 0 }, 9);
            Widen(small.Parameters, 9);
            WriteModel(Path.Combine(Drafts, name), small, null);
        }

        WriteCorpus();
    }

    public string Base => At("base");

    public string Other => At("other");

    public string NoBegin => At("no-begin");

    /// <summary>A model whose logits overflow.</summary>
    public string Loud => At("loud");

    public string Adapter => At("ptp");

    /// <summary>C-PTP slots with a sampler head.</summary>
    public string Categorical => At("cptp");

    public string Student => At("student");

    /// <summary>A folder with slots that see no u, and a flow head on them.</summary>
    public string Adapters => At("adapters");

    public string Flow => Path.Combine(Adapters, ModelChoice.Flow);

    /// <summary>A random head of every architecture.</summary>
    public string Heads => At("heads");

    /// <summary>A random small model of every name that is asked for.</summary>
    public string Drafts => At("drafts");

    public string Corpus => At("corpus");

    public string Text => At("text.txt");

    public string At(string name) => Path.Combine(_root, name);

    /// <summary>A copy of a folder that a test may damage.</summary>
    public string Copy(string folder, string name)
    {
        foreach (var file in Directory.GetFiles(folder))
        {
            Directory.CreateDirectory(At(name));
            File.Copy(file, Path.Combine(At(name), Path.GetFileName(file)), overwrite: true);
        }

        return At(name);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static TransformerConfig Config(ByteLevelBpe tokenizer) =>
        TransformerConfig.Named("4k", tokenizer.VocabularySize) with
        {
            MaxContext = 96,
            BeginToken = tokenizer.BeginToken,
            EndTokens = tokenizer.EndTokens,
        };

    /// <summary>Larger weights than training starts from, so that laws are far from even and depend on the context.</summary>
    private static void Widen(IEnumerable<Parameter> parameters, ulong seed)
    {
        var random = new RandomStream(seed, "widen");
        foreach (var parameter in parameters.Where(p => !p.IsVector))
        {
            Initialise.Gaussian(parameter, random, 0.4);
        }
    }

    private static Transformer Loudened(CpuBackend backend, TransformerConfig config)
    {
        var model = new Transformer(backend, config with { TieEmbeddings = false }, 4);
        Initialise.Constant(model.Head, 3e38f);
        return model;
    }

    private static void WriteModel(string folder, Transformer model, ByteLevelBpe? tokenizer)
    {
        ModelCheckpoint.Save(folder, model, StoredType.F32);
        tokenizer?.Save(Path.Combine(folder, "tokenizer.json"));
    }

    private static void Save(string folder, SlotModel ptp, string fingerprint) =>
        PtpAdapter.Save(folder, ptp, fingerprint, "base", 0, StoredType.F32);

    private void WriteCorpus()
    {
        var random = new Random(1);
        var words = "cat dog sees the a big red runs".Split(' ');
        string Sentence() => string.Join(' ', Enumerable.Range(0, 12).Select(_ => words[random.Next(8)])) + ".";
        var stories = Enumerable.Range(0, 60).Select(_ => Sentence() + "\n" + Sentence());
        File.WriteAllText(Text, string.Join($"\n{Separator}\n", stories) + $"\n{Separator}\n");
        new CorpusBuilder().Add(CorpusSources.Stories(Text)).Build(Corpus);
    }
}

[CollectionDefinition(Name)]
public sealed class SharedTinyModels : ICollectionFixture<TinyModels>
{
    public const string Name = "tiny models";
}
