// Loads and saves a PTP model as an adapter folder beside its base: weights, and a manifest of base, slots and law.
// A gated adapter stores LoRA pairs, the auxiliary table and the sampler head if it has one; a student stores its whole network and its own sizes.
// A flow head stores its own weights alone, and where the adapter is whose slots it bends.
// Refuses: another base or other slots (by fingerprint) and weights that do not fit the manifest.

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
        if (manifest.Flow is { } size)
        {
            return LoadFlow(folder, files, size, baseModel, fingerprint, rule);
        }

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

    /// <summary>Slots of another adapter, on which a flow head is to be trained: they must be of its base, its law, and see no u.</summary>
    /// <param name="folder">Their folder.</param>
    /// <param name="baseModel">The model they were trained for.</param>
    /// <param name="fingerprint">That model's fingerprint.</param>
    /// <param name="law">The law that the head is for.</param>
    /// <param name="rule">How u picks.</param>
    public static SlotModel LoadSlots(string folder, Transformer baseModel, string fingerprint, SamplingOptions law, PickRule rule)
    {
        var manifest = AdapterFolder.ReadManifest(folder);
        manifest.CheckLaw(law.Temperature, law.TopK, law.TopP);
        Guard.Require(manifest is { Kind: not AdapterManifest.FlowHead, SamplerHistory: 0 } && manifest.Embedding == "constant",
            "Put a flow head on slots", $"{folder}: {manifest.Kind}, embedding {manifest.Embedding}", "slots that see neither u nor earlier tokens",
            "Distill some with --embedding constant first.");
        return Load(folder, baseModel, fingerprint, rule);
    }

    private static SlotModel LoadFlow(
        string folder, AdapterFiles files, FlowHeadSize size, Transformer baseModel, string fingerprint, PickRule? rule)
    {
        var manifest = files.Manifest;
        var slots = Path.GetFullPath(Path.Combine(folder, manifest.FlowSlots!));
        var found = AdapterFolder.Exists(slots) ? AdapterFolder.Read(slots).Fingerprint() : "nothing";
        Guard.Require(found == manifest.FlowSlotsFingerprint, $"Load the flow head in {folder}", $"slots in {slots} with fingerprint {found}",
            $"{manifest.FlowSlotsFingerprint}, which it was trained on", "Put that adapter there, or train a head on this one with 'ptp distill --flow'.");
        var ptp = LoadSlots(
            slots, baseModel, fingerprint, new SamplingOptions { Temperature = manifest.Temperature, TopK = manifest.TopK, TopP = manifest.TopP },
            rule ?? PickRule.Parse(manifest.PickRule));
        ptp.Flow = FlowHead.On(ptp, size, seed: 0);
        (ptp.PickSoftness, ptp.Confidence) = (manifest.PickSoftness, manifest.Confidence);
        ModelCheckpoint.Restore(ptp.Flow.Parameters, files.Tensors, $"Load the flow head in {folder}");
        return ptp;
    }

    /// <summary>Saves an adapter.</summary>
    /// <param name="folder">Destination.</param>
    /// <param name="ptp">The model.</param>
    /// <param name="fingerprint">Fingerprint of its base.</param>
    /// <param name="baseName">Name of its base, for people.</param>
    /// <param name="steps">Steps it was trained.</param>
    /// <param name="type">Number format.</param>
    /// <param name="slots">For a flow head: the folder of the adapter whose slots it bends.</param>
    public static void Save(
        string folder, SlotModel ptp, string fingerprint, string baseName, long steps, StoredType type, string? slots = null)
    {
        Guard.Require(ptp.Flow is null == slots is null, "Save an adapter", ptp.Flow is null ? "slots of another adapter" : "a flow head alone",
            "a flow head and the folder of its slots, or neither", "Name the folder that the slots came from.");
        Directory.CreateDirectory(folder);
        var manifest = new AdapterManifest
        {
            BaseFingerprint = fingerprint,
            BaseName = baseName,
            Kind = ptp.Flow is not null ? AdapterManifest.FlowHead : ptp.SharesBase ? AdapterManifest.GatedLora : AdapterManifest.Student,
            Slots = ptp.Slots,
            Rank = ptp.Lora?.Rank ?? 0,
            Scale = ptp.Lora?.Scale ?? 1,
            Embedding = ptp.Embedding.Name,
            SlotStart = ptp.Start == SlotStart.LastToken ? AdapterManifest.LastToken : AdapterManifest.MeanToken,
            Reading = ptp.Reading == SlotReading.Categorical ? AdapterManifest.Categorical : AdapterManifest.OneHot,
            PickSoftness = ptp.Reading == SlotReading.Categorical || ptp.Flow is not null ? ptp.PickSoftness : 0,
            Doubt = ptp.Doubt,
            Confidence = ptp.Confidence,
            TreeConfidence = ptp.TreeConfidence,
            SamplerHistory = ptp.Sampler?.History ?? 0,
            SamplerDepth = ptp.Sampler?.Depth ?? 0,
            SamplerWidth = ptp.Sampler?.Width ?? 0,
            FlowSlots = slots is null ? null : Path.GetRelativePath(folder, slots).Replace('\\', '/'),
            FlowSlotsFingerprint = slots is null ? null : AdapterFolder.Read(slots).Fingerprint(),
            Flow = ptp.Flow?.Size,
            PickRule = ptp.Rule.Name,
            Temperature = ptp.Law.Temperature,
            TopK = ptp.Law.TopK,
            TopP = ptp.Law.TopP,
            TrainedSteps = steps,
            HiddenSize = ptp.SharesBase ? null : ptp.Network.Config.HiddenSize,
        };
        if (!ptp.SharesBase && ptp.Flow is null)
        {
            ModelCheckpoint.Save(Path.Combine(folder, StudentFolder), ptp.Network, type);
        }

        AdapterFolder.Write(folder, manifest, Own(ptp).Select(ModelCheckpoint.Stored), type);
    }

    /// <summary>Parameters of the adapter file: all that is trained, less a student's network.</summary>
    private static IEnumerable<Parameter> Own(SlotModel ptp) => ptp.Flow is { } flow ? flow.Parameters :
        [.. ptp.Lora?.Parameters ?? [], .. ptp.EmbeddingParameters, .. ptp.Sampler?.Parameters ?? []];
}
