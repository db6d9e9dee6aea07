// Adapter folders: round trip, refusal of every bad field, of another base model and of another law.
// Source: this project's own form.
// Not here: whether the tensors fit the base model; whoever loads them checks that.

using Ptp.Core;
using Ptp.Core.Formats;
using Xunit;

namespace Ptp.Tests.Formats;

public sealed class AdapterFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("ptp-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static AdapterManifest Good => new()
    {
        BaseFingerprint = "0123456789abcdef",
        BaseName = "größe \"base\"",
        Kind = AdapterManifest.GatedLora,
        Slots = 16,
        Rank = 8,
        Scale = 0.1 + 0.2,
        Embedding = "binary-float",
        Temperature = 0.7,
        TopK = 40,
        TopP = 0.9,
        TrainedSteps = 1L << 40,
        Reading = AdapterManifest.Categorical,
        PickSoftness = 0.125,
        Doubt = 0.75,
        Confidence = new([0.1, 0.25, 0.875], [0, 0.3, 1]),
        SamplerHistory = 2,
        SamplerWidth = 512,
        SamplerDepth = 1,
    };

    // 100 generated adapters.
    [Fact]
    public void What_is_written_is_read()
    {
        for (var seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            var manifest = Good with
            {
                Kind = seed % 2 == 0 ? AdapterManifest.GatedLora : AdapterManifest.Student,
                Slots = random.Next(1, 100),
                Reading = seed % 4 == 0 ? AdapterManifest.Categorical : AdapterManifest.OneHot,
                PickSoftness = seed % 4 == 0 ? random.NextDouble() : 0,
                Doubt = seed % 4 == 0 ? 0.1 + random.NextDouble() : 0.6,
                TreeConfidence = seed % 3 == 0 ? new([random.NextDouble()], [random.NextDouble()]) : null,
                SamplerDepth = seed % 16 == 0 ? random.Next(0, 4) : 0,
                SamplerHistory = seed % 8 == 0 ? random.Next(1, 9) : 0,
                SamplerWidth = seed % 8 == 0 ? random.Next(1, 1000) : 0,
                Scale = (random.NextDouble() * 10) - 5,
                Temperature = random.NextDouble() * 2,
                TopP = 1 - random.NextDouble(),
                HiddenSize = seed % 3 == 0 ? null : random.Next(1, 1000),
            };
            var tensors = RandomTensors.Some(seed);
            AdapterFolder.Write(_folder, manifest, tensors);
            var again = AdapterFolder.Read(_folder);
            Assert.True(AdapterFolder.Exists(_folder));
            Assert.Equal(manifest, again.Manifest);
            Assert.Equal(tensors.Count, again.Tensors.Count);
            Assert.All(tensors, tensor => Assert.Equal(tensor.Values, again.Tensors[tensor.Name].Values));
        }
    }

    [Fact]
    public void A_flow_head_keeps_its_sizes_and_its_slots_and_refuses_half_of_them()
    {
        var flow = Good with
        {
            Kind = AdapterManifest.FlowHead,
            Rank = 0,
            Reading = AdapterManifest.OneHot,
            PickSoftness = 0.05,
            Doubt = 0.6,
            SamplerHistory = 0,
            SamplerWidth = 0,
            SamplerDepth = 0,
            FlowSlots = "../independent",
            FlowSlotsFingerprint = "fedcba9876543210",
            Flow = new(3, 2, 96, 0, 5, true),
        };
        AdapterFolder.Write(_folder, flow, RandomTensors.Some(1));
        Assert.Equal(flow, AdapterFolder.ReadManifest(_folder));
        foreach (var bad in (AdapterManifest[])
            [flow with { Flow = null }, flow with { FlowSlots = " " }, flow with { FlowSlotsFingerprint = null }, Good with { Flow = flow.Flow }])
        {
            Assert.Contains("flow_", Assert.Throws<PtpException>(() => bad.Validated()).Received, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("\"format_version\": 1", "\"format_version\": 2", "format_version")]
    [InlineData("\"gated-lora\"", "\"magic\"", "kind")]
    [InlineData("\"slots\": 16", "\"slots\": 0", "slots")]
    [InlineData("\"slots\": 16", "\"slots\": \"many\"", "slots")]
    [InlineData("\"slots\": 16", "\"slot\": 16", "slots")]
    [InlineData("\"rank\": 8", "\"rank\": 0", "rank")]
    [InlineData("\"temperature\": 0.7", "\"temperature\": -1", "temperature")]
    [InlineData("\"temperature\": 0.7", "\"temperature\": NaN", "Read")]
    [InlineData("\"temperature\": 0.7", "\"temperature\": 1e999", "temperature")]
    [InlineData("\"top_k\": 40", "\"top_k\": -1", "top_k")]
    [InlineData("\"top_p\": 0.9", "\"top_p\": 0", "top_p")]
    [InlineData("\"top_p\": 0.9", "\"top_p\": 1.1", "top_p")]
    [InlineData("\"categorical\"", "\"psychic\"", "reading")]
    [InlineData("\"categorical\"", "\"one-hot\"", "sampler_history")]
    [InlineData("\"pick_softness\": 0.125", "\"pick_softness\": -1", "pick_softness")]
    [InlineData("\"doubt\": 0.75", "\"doubt\": 0", "doubt")]
    [InlineData("\"sampler_history\": 2", "\"sampler_history\": 9", "sampler_history")]
    [InlineData("\"sampler_width\": 512", "\"sampler_width\": 0", "sampler_width")]
    [InlineData("\"sampler_width\": 512", "\"sampler_width\": 2000000000", "sampler_width")]
    [InlineData("\"sampler_depth\": 1", "\"sampler_depth\": -1", "sampler_depth")]
    [InlineData("\"inverse-cdf\"", "\"race:1\"", "pick_rule")]
    [InlineData("\"binary-float\"", "\"\"", "embedding")]
    [InlineData("\"0123456789abcdef\"", "\"\"", "base_fingerprint")]
    public void A_bad_manifest_is_refused_by_name(string good, string bad, string named)
    {
        AdapterFolder.Write(_folder, Good, []);
        var path = Path.Combine(_folder, AdapterFolder.ManifestName);
        var text = File.ReadAllText(path);
        Assert.Contains(good, text, StringComparison.Ordinal);
        File.WriteAllText(path, text.Replace(good, bad, StringComparison.Ordinal));
        var error = Assert.Throws<PtpException>(() => AdapterFolder.Read(_folder));
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        File.WriteAllText(path, text); // control
        Assert.Equal(Good, AdapterFolder.Read(_folder).Manifest);
    }

    [Fact]
    public void Bad_values_are_not_written()
    {
        foreach (var bad in (AdapterManifest[])[
            Good with { Temperature = double.NaN }, Good with { Scale = double.PositiveInfinity },
            Good with { TopP = double.NaN }, Good with { Kind = "other" }, Good with { HiddenSize = 0 },
            Good with { FormatVersion = 2 }, Good with { TrainedSteps = -1 }])
        {
            Assert.Throws<PtpException>(() => AdapterFolder.Write(_folder, bad, []));
        }

        Assert.Throws<PtpException>(() => AdapterFolder.Write(_folder, Good, [new("a", [1], [float.NaN])]));
        Assert.Empty(Directory.GetFiles(_folder));
    }

    [Fact]
    public void Missing_files_and_NaN_weights_are_refused()
    {
        Assert.Throws<PtpException>(() => AdapterFolder.Read(Path.Combine(_folder, "absent")));
        Assert.Throws<PtpException>(() => AdapterFolder.Read(_folder));
        AdapterFolder.Write(_folder, Good, [new("a", [1], [1])]);
        Safetensors.Write(Path.Combine(_folder, AdapterFolder.WeightsName), [new("a.b", [2], [1, float.NaN])]);
        var error = Assert.Throws<PtpException>(() => AdapterFolder.Read(_folder));
        Assert.Contains("'a.b'", error.Message, StringComparison.Ordinal);
        File.Delete(Path.Combine(_folder, AdapterFolder.WeightsName));
        Assert.Throws<PtpException>(() => AdapterFolder.Read(_folder));
    }

    [Fact]
    public void Another_base_or_another_law_is_an_error_that_names_both()
    {
        Good.CheckBase("0123456789ABCDEF");
        var wrongBase = Assert.Throws<PtpException>(() => Good.CheckBase("feed"));
        Assert.Contains("feed", wrongBase.Received, StringComparison.Ordinal);
        Assert.Contains("0123456789abcdef", wrongBase.Expected, StringComparison.Ordinal);

        Good.CheckLaw(0.7, 40, 0.9);
        foreach (var (temperature, topK, topP) in ((double, int, double)[])[
            (1, 40, 0.9), (0.7, 0, 0.9), (0.7, 40, 1), (double.NaN, 40, 0.9)])
        {
            var wrongLaw = Assert.Throws<PtpException>(() => Good.CheckLaw(temperature, topK, topP));
            Assert.Contains($"top-k {topK}", wrongLaw.Received, StringComparison.Ordinal);
            Assert.Contains("temperature 0.7, top-k 40, top-p 0.9", wrongLaw.Expected, StringComparison.Ordinal);
        }
    }
}
