// Loads and saves a PTP model as an adapter folder beside its base: weights, and a manifest of base, slots and law.
// A gated adapter stores LoRA pairs, the auxiliary table and the sampler head if it has one; a student stores its whole network and its own sizes.
// Refuses: another base (by fingerprint) and weights that do not fit the manifest.

using Ptp.Core.Autograd;
using Ptp.Core.Decoding;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;
using Ptp.Core.Paper;

namespace Ptp.Core.Training;

/// <summary>Adapter folders.</summary>
public static class PtpAdapter
{
    private const string StudentFolder = "student";

    /// <summary>Loads an adapter for <paramref name="baseModel"/>.</summary>
    /// <param name="folder">The adapter's folder.</param>
    /// <param name="baseModel">The model it was trained for.</param>
    /// <param name="fingerprint">That model's fingerprint, see ModelFolder.</param>
    /// <param name="rule">How u picks; null for the rule it was trained with. Slots that do not see u serve any rule.</param>
    public static SlotModel Load(string folder, Transformer baseModel, string fingerprint, PickRule? rule = null)
    {
        var files = AdapterFolder.Read(folder);
        var manifest = files.Manifest;
        manifest.CheckBase(fingerprint);
        var embedding = AuxiliaryEmbedding.Parse(manifest.Embedding);
        Guard.Require(rule is null || rule.Name == manifest.PickRule || embedding is ConstantEmbedding, $"Load the adapter in {folder}",
            $"the pick rule {rule?.Name}", $"{manifest.PickRule}, as its slots carry the numbers of that rule",
            "Leave --pick-rule out, or distill an adapter for that rule.");
        var law = new SamplingOptions { Temperature = manifest.Temperature, TopK = manifest.TopK, TopP = manifest.TopP };
        var isStudent = manifest.Kind == AdapterManifest.Student;
        var network = isStudent
            ? ModelCheckpoint.Load(Path.Combine(folder, StudentFolder), baseModel.Backend)
            : baseModel;
        Guard.Require(network.Config.VocabularySize == baseModel.Config.VocabularySize, "Load an adapter",
            $"a student with {network.Config.VocabularySize} tokens", $"{baseModel.Config.VocabularySize} tokens",
            "Distill a student for this base.");
        var lora = isStudent
            ? null
            : new GatedLora(network.Backend, network.Config, manifest.Rank, manifest.Scale, seed: 0);
        var sampler = manifest.SamplerHistory > 0
            ? new SamplerHead(network, manifest.SamplerHistory, manifest.SamplerWidth, seed: 0, manifest.SamplerDepth)
            : null;
        var ptp = new SlotModel(
            network, lora, embedding, manifest.Slots, law,
            rule ?? PickRule.Parse(manifest.PickRule), seed: 0,
            manifest.SlotStart == AdapterManifest.LastToken ? SlotStart.LastToken : SlotStart.MeanToken,
            manifest.Reading == AdapterManifest.Categorical ? SlotReading.Categorical : SlotReading.OneHot, sampler)
        {
            PickSoftness = manifest.PickSoftness,
            Doubt = manifest.Doubt,
            Confidence = manifest.Confidence,
            TreeConfidence = manifest.TreeConfidence,
        };
        ModelCheckpoint.Restore(Own(ptp), files.Tensors, $"Load the adapter in {folder}");
        return ptp;
    }

    /// <summary>Saves an adapter.</summary>
    /// <param name="folder">Destination.</param>
    /// <param name="ptp">The model.</param>
    /// <param name="fingerprint">Fingerprint of its base.</param>
    /// <param name="baseName">Name of its base, for people.</param>
    /// <param name="steps">Steps it was trained.</param>
    /// <param name="type">Number format.</param>
    public static void Save(
        string folder, SlotModel ptp, string fingerprint, string baseName, long steps, StoredType type)
    {
        Directory.CreateDirectory(folder);
        var manifest = new AdapterManifest
        {
            BaseFingerprint = fingerprint,
            BaseName = baseName,
            Kind = ptp.SharesBase ? AdapterManifest.GatedLora : AdapterManifest.Student,
            Slots = ptp.Slots,
            Rank = ptp.Lora?.Rank ?? 0,
            Scale = ptp.Lora?.Scale ?? 1,
            Embedding = ptp.Embedding.Name,
            SlotStart = ptp.Start == SlotStart.LastToken ? AdapterManifest.LastToken : AdapterManifest.MeanToken,
            Reading = ptp.Reading == SlotReading.Categorical ? AdapterManifest.Categorical : AdapterManifest.OneHot,
            PickSoftness = ptp.Reading == SlotReading.Categorical ? ptp.PickSoftness : 0,
            Doubt = ptp.Doubt,
            Confidence = ptp.Confidence,
            TreeConfidence = ptp.TreeConfidence,
            SamplerHistory = ptp.Sampler?.History ?? 0,
            SamplerDepth = ptp.Sampler?.Depth ?? 0,
            SamplerWidth = ptp.Sampler?.Width ?? 0,
            PickRule = ptp.Rule.Name,
            Temperature = ptp.Law.Temperature,
            TopK = ptp.Law.TopK,
            TopP = ptp.Law.TopP,
            TrainedSteps = steps,
            HiddenSize = ptp.SharesBase ? null : ptp.Network.Config.HiddenSize,
        };
        if (!ptp.SharesBase)
        {
            ModelCheckpoint.Save(Path.Combine(folder, StudentFolder), ptp.Network, type);
        }

        AdapterFolder.Write(folder, manifest, Own(ptp).Select(ModelCheckpoint.Stored), type);
    }

    /// <summary>Parameters of the adapter file: all that is trained, less a student's network.</summary>
    private static IEnumerable<Parameter> Own(SlotModel ptp) =>
        [.. ptp.Lora?.Parameters ?? [], ptp.Table, .. ptp.Sampler?.Parameters ?? []];
}
