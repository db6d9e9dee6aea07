// What models/heads, models/drafts and models/flow hold works with models/base: every folder loads, drafts, and leaves the text as it is.
// A file of an older form, of another base or of an unfinished run is found here. Control: the same weights on another base.
// Not here: how much is accepted (docs/09-family.md).

using Ptp.Core;
using Ptp.Core.Cpu;
using Ptp.Core.Decoding;
using Ptp.Core.Decoding.Drafters;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;
using Ptp.Core.Text;
using Ptp.Core.Training;
using Ptp.Reference.Commands;
using Ptp.Tests.Repository;
using Xunit;

namespace Ptp.Tests.Heads;

public sealed class ShippedHeadTests : IDisposable
{
    private const long MostBytes = 20_000_000;
    private const long MostFlowBytes = 3_000_000;
    private static readonly SamplingOptions s_law = new() { Temperature = 0.7 };
    private static readonly PickRule s_rule = PickRule.Parse("race:46");
    private static readonly DecodeLimits s_limits = new(24, []);
    private readonly CpuBackend _backend = new(1);

    [DocumentFact("models/heads/hydra/head.json")]
    public void Every_head_loads_drafts_and_leaves_the_text_as_it_is()
    {
        var story = new Story(_backend);
        foreach (var folder in Directory.GetDirectories(Models("heads")))
        {
            Assert.False(HeadRun.Resumes(folder), folder);
            var (head, architecture) = HeadFolder.Load(folder, story.Model, story.Fingerprint);
            Assert.Equal(Path.GetFileName(folder), architecture);
            Assert.NotNull(head.Accuracy);
            story.IsTheSame(new HeadTreeDrafter(head, s_rule), folder);
            Assert.Throws<PtpException>(() => HeadFolder.Load(folder, story.Model, story.Fingerprint + "0"));
        }
    }

    [DocumentFact("models/drafts/66k/config.json")]
    public void Every_small_model_loads_drafts_and_leaves_the_text_as_it_is()
    {
        var story = new Story(_backend);
        foreach (var folder in Directory.GetDirectories(Models("drafts")))
        {
            var small = ModelCheckpoint.Load(folder, _backend);
            story.IsTheSame(new ModelDrafter(small, story.Model.Config.VocabularySize, s_law, s_rule, [1, 1, 1], draws: false), folder);
        }
    }

    [DocumentFact("models/heads/hydra/head.json")]
    public void Heads_and_small_models_are_small() => Assert.True(
        ((string[])["heads", "drafts"]).SelectMany(name => Directory.GetFiles(Models(name), "*", SearchOption.AllDirectories))
            .Sum(file => new FileInfo(file).Length) <= MostBytes);

    [DocumentFact("models/flow/ptp_adapter.json")]
    public void The_flow_head_finds_its_slots_drafts_and_leaves_the_text_as_it_is()
    {
        var (story, folder) = (new Story(_backend), Models("flow"));
        var flow = PtpAdapter.Load(folder, story.Model, story.Fingerprint);
        Assert.False(DistillationRun.Resumes(folder));
        Assert.True(flow is { Flow: not null, Confidence: not null });
        Assert.Equal(s_rule.Name, flow.Rule.Name);
        story.IsTheSame(new ChainTree(flow.NewDrafter()), folder);
        Assert.True(new FileInfo(Path.Combine(folder, AdapterFolder.WeightsName)).Length <= MostFlowBytes);
        Assert.Throws<PtpException>(() => PtpAdapter.Load(folder, story.Model, story.Fingerprint + "0"));
    }

    public void Dispose() => _backend.Dispose();

    private static string Models(string name) => Path.Combine(TestData.RepositoryRoot, "models", name);

    /// <summary>The base, what its heads know it by, and plain decoding's end of a story.</summary>
    private sealed class Story
    {
        private readonly int[] _prompt;
        private readonly Auxiliaries _u;
        private readonly Decoded _expected;

        public Story(CpuBackend backend)
        {
            var files = ModelFolder.Read(Models("base"));
            (Model, Fingerprint) = (ModelCheckpoint.FromFiles(files, backend), ModelFolder.Fingerprint(files));
            _prompt = [Model.Config.BeginToken!.Value, .. Tokenizer.Load(Models("base")).Encode(DemoVerb.BuiltInPrompts[0])];
            _u = Auxiliaries.FromSeed(42, s_rule.NumbersPerToken(Model.Config.VocabularySize));
            _expected = new Autoregressive(Model, s_law, s_rule).Decode(_prompt, _u, s_limits);
        }

        public Transformer Model { get; }

        public string Fingerprint { get; }

        public void IsTheSame(ITreeDrafter drafter, string folder)
        {
            var decoded = new TreeDecoding(Model, drafter, s_law, s_rule, 12).Decode(_prompt, _u, s_limits);
            Assert.Equal(_expected.Tokens, decoded.Tokens);
            Assert.True(decoded.Stats.AcceptedPerRound > 1, folder); // never right = not trained, or read wrongly
        }
    }
}
