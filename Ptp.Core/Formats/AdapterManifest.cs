// What a PTP adapter says about itself: its base model, its slots and embedding, the law it was trained for.
// Source: the adapter folder of this project, ptp_adapter.json.
// Refuses: other versions and kinds, values out of range, another base model, another law.

using System.Globalization;
using System.Text.Json;
using Ptp.Core.Decoding;

namespace Ptp.Core.Formats;

/// <summary>The content of ptp_adapter.json.</summary>
public sealed record AdapterManifest
{
    /// <summary>The kind that adds gated low-rank products to the base model's own matrices.</summary>
    public const string GatedLora = "gated-lora";

    /// <summary>The kind that is a small model of its own.</summary>
    public const string Student = "student";

    /// <summary>The kind that is a flow head on the slots of another adapter.</summary>
    public const string FlowHead = "flow-head";

    /// <summary>Slots that start alike, from the auxiliary alone.</summary>
    public const string MeanToken = "mean-token";

    /// <summary>Slots that start as the last known token.</summary>
    public const string LastToken = "last-token";

    /// <summary>O-PTP: a slot's likeliest token is the draft.</summary>
    public const string OneHot = "one-hot";

    /// <summary>C-PTP: a slot's law and the next u give the draft.</summary>
    public const string Categorical = "categorical";

    /// <summary>The version of the format that this code writes and reads.</summary>
    public const int CurrentVersion = 1;

    /// <summary>Version of the format.</summary>
    public int FormatVersion { get; init; } = CurrentVersion;

    /// <summary><see cref="ModelFolder.Fingerprint"/> of the base model.</summary>
    public required string BaseFingerprint { get; init; }

    /// <summary>The base model's name, for messages.</summary>
    public required string BaseName { get; init; }

    /// <summary><see cref="GatedLora"/>, <see cref="Student"/> or <see cref="FlowHead"/>.</summary>
    public required string Kind { get; init; }

    /// <summary>N, tokens proposed in one call.</summary>
    public required int Slots { get; init; }

    /// <summary>Rank of the low-rank products; 0 for a student.</summary>
    public int Rank { get; init; }

    /// <summary>s of s * B(Ax).</summary>
    public double Scale { get; init; } = 1;

    /// <summary>How an auxiliary enters, such as "binary-float", "fixed-point", "linear:3" or "constant".</summary>
    public required string Embedding { get; init; }

    /// <summary>What a slot is before the auxiliary is added: <see cref="MeanToken"/> or <see cref="LastToken"/>.</summary>
    public string SlotStart { get; init; } = MeanToken;

    /// <summary>What a slot's output means: <see cref="OneHot"/> or <see cref="Categorical"/>.</summary>
    public string Reading { get; init; } = OneHot;

    /// <summary>For categorical slots: how far their cells may be off when u picks from them.</summary>
    public double PickSoftness { get; init; }

    /// <summary>For categorical slots: how far their laws are doubted when alternatives are weighed.</summary>
    public double Doubt { get; init; } = 0.6;

    /// <summary>Stated confidence of a draft token to the rate at which it is right; null = not measured.</summary>
    public ConfidenceCalibration? Confidence { get; init; }

    /// <summary>The same for children of draft trees.</summary>
    public ConfidenceCalibration? TreeConfidence { get; init; }

    /// <summary>Earlier tokens that the sampler head reads; 0 = no such head.</summary>
    public int SamplerHistory { get; init; }

    /// <summary>Width of the sampler head.</summary>
    public int SamplerWidth { get; init; }

    /// <summary>Blocks of the base that the latest token runs through before the sampler head reads it.</summary>
    public int SamplerDepth { get; init; }

    /// <summary>Of a flow head: the folder of the adapter whose slots it bends, as seen from its own.</summary>
    public string? FlowSlots { get; init; }

    /// <summary>Hash of that adapter's weights, see <see cref="AdapterFiles.Fingerprint"/>.</summary>
    public string? FlowSlotsFingerprint { get; init; }

    /// <summary>Its sizes; null for other kinds.</summary>
    public Heads.FlowHeadSize? Flow { get; init; }

    /// <summary>How an auxiliary picks a token of a law.</summary>
    public string PickRule { get; init; } = "inverse-cdf";

    /// <summary>Temperature of the law it was trained for.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Top-k of that law; 0 keeps all tokens.</summary>
    public int TopK { get; init; }

    /// <summary>Top-p of that law; 1 keeps all tokens.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Optimiser steps it was trained for.</summary>
    public long TrainedSteps { get; init; }

    /// <summary>D of a student.</summary>
    public int? HiddenSize { get; init; }

    /// <summary>Throws unless the model at hand is the base this adapter was trained on.</summary>
    /// <param name="fingerprint"><see cref="ModelFolder.Fingerprint"/> of the model at hand.</param>
    public void CheckBase(string fingerprint) => Guard.Require(
        string.Equals(fingerprint, BaseFingerprint, StringComparison.OrdinalIgnoreCase), "Use an adapter",
        $"a base model with fingerprint {fingerprint}", $"{BaseFingerprint} ({BaseName}), which it was trained on",
        "Load that model, or train an adapter for this one with 'ptp distill'.");

    /// <summary>Throws unless the law at hand is the one this adapter was trained for.</summary>
    /// <param name="temperature">Temperature at hand.</param>
    /// <param name="topK">Top-k at hand.</param>
    /// <param name="topP">Top-p at hand.</param>
    public void CheckLaw(double temperature, int topK, double topP) => Guard.Require(
        temperature.Equals(Temperature) && topK == TopK && topP.Equals(TopP), "Use an adapter",
        $"the law {Law(temperature, topK, topP)}", $"the law it was trained for, {Law(Temperature, TopK, TopP)}",
        "Ask for that law, or train an adapter for this one with 'ptp distill'.");

    /// <summary>This manifest, checked.</summary>
    /// <param name="asked">The operation, for messages.</param>
    public AdapterManifest Validated(string asked = "Check an adapter")
    {
        Require(FormatVersion == CurrentVersion, asked, "format_version", Text(FormatVersion), Text(CurrentVersion));
        Require(BaseFingerprint is { Length: > 0 and <= 128 }, asked, "base_fingerprint", BaseFingerprint,
            "a fingerprint");
        Require(BaseName is not null, asked, "base_name", BaseName, "a text");
        Require(Kind is GatedLora or Student or FlowHead, asked, "kind", Kind, $"{GatedLora}, {Student} or {FlowHead}");
        Require(Kind == FlowHead == Flow is not null, asked, "flow_layers", Flow is null ? null : Text(Flow.Layers), $"sizes for a {FlowHead}, none for other kinds");
        Require(Kind != FlowHead || (!string.IsNullOrWhiteSpace(FlowSlots) && FlowSlotsFingerprint is { Length: > 0 and <= 128 }), asked, "flow_slots",
            FlowSlots, "the folder of the slots it bends, and their fingerprint");
        Require(Slots is >= 1 and <= 4096, asked, "slots", Text(Slots), "a number from 1 to 4096");
        Require(Rank <= 1 << 16 && Rank >= (Kind == GatedLora ? 1 : 0), asked, "rank", Text(Rank),
            Kind == GatedLora ? "a number from 1 to 65536" : "0 or more");
        Require(double.IsFinite(Scale), asked, "scale", Guard.Text(Scale), "a finite number");
        Require(!string.IsNullOrWhiteSpace(Embedding), asked, "embedding", Embedding, "the name of an embedding");
        Require(SlotStart is MeanToken or LastToken, asked, "slot_start", SlotStart, $"{MeanToken} or {LastToken}");
        Require(Reading is OneHot or Categorical, asked, "reading", Reading, $"{OneHot} or {Categorical}");
        Require(PickSoftness is >= 0 and <= 10, asked, "pick_softness", Guard.Text(PickSoftness), "a number from 0 to 10");
        Require(Doubt is > 0 and <= 10, asked, "doubt", Guard.Text(Doubt), "a number above 0, at most 10");
        Require(SamplerHistory is >= 0 and <= 8 && (SamplerHistory == 0 || (Reading == Categorical && Kind != FlowHead)), asked,
            "sampler_history", Text(SamplerHistory), $"a number from 0 to 8, and 0 for {OneHot} slots or a {FlowHead}");
        Require(SamplerHistory == 0 ? SamplerWidth == 0 : SamplerWidth is >= 1 and <= 1 << 16, asked, "sampler_width",
            Text(SamplerWidth), "a number from 1 to 65536, or 0 without a sampler head");
        Require(SamplerDepth is >= 0 and <= 1 << 10 && (SamplerDepth == 0 || SamplerHistory > 0), asked, "sampler_depth",
            Text(SamplerDepth), "a number from 0 to the base's blocks, and 0 without a sampler head");
        Require(Paper.PickRule.Find(PickRule) is not null, asked, "pick_rule", PickRule, Paper.PickRule.Choices);
        Require(double.IsFinite(Temperature) && Temperature >= 0, asked, "temperature", Guard.Text(Temperature),
            "0 or more");
        Require(TopK >= 0, asked, "top_k", Text(TopK), "0 or more");
        Require(TopP is > 0 and <= 1, asked, "top_p", Guard.Text(TopP), "a number in (0, 1]");
        Require(TrainedSteps >= 0, asked, "trained_steps", Text(TrainedSteps), "0 or more");
        Require(HiddenSize is null or > 0, asked, "hidden_size", Text(HiddenSize ?? 0), "1 or more");
        return this;
    }

    /// <summary>Parses the bytes of ptp_adapter.json.</summary>
    internal static AdapterManifest From(JsonFile json, string asked)
    {
        var version = json.Int("format_version"); // before the rest, which another version may spell differently
        Require(version == CurrentVersion, asked, "format_version", Text(version), Text(CurrentVersion));
        return new AdapterManifest
        {
            FormatVersion = version,
            BaseFingerprint = json.String("base_fingerprint"),
            BaseName = json.String("base_name"),
            Kind = json.String("kind"),
            Slots = json.Int("slots"),
            Rank = json.Int("rank"),
            Scale = json.Number("scale"),
            Embedding = json.String("embedding"),
            SlotStart = json.Find("slot_start") is null ? MeanToken : json.String("slot_start"),
            Reading = json.Find("reading") is null ? OneHot : json.String("reading"),
            PickSoftness = json.Find("pick_softness") is null ? 0 : json.Number("pick_softness"),
            Doubt = json.Find("doubt") is null ? 0.6 : json.Number("doubt"),
            Confidence = Knots(json, "confidence", asked),
            TreeConfidence = Knots(json, "tree_confidence", asked),
            SamplerHistory = json.Find("sampler_history") is null ? 0 : json.Int("sampler_history"),
            SamplerWidth = json.Find("sampler_width") is null ? 0 : json.Int("sampler_width"),
            SamplerDepth = json.Find("sampler_depth") is null ? 0 : json.Int("sampler_depth"),
            FlowSlots = json.Find("flow_slots") is null ? null : json.String("flow_slots"),
            FlowSlotsFingerprint = json.Find("flow_slots_fingerprint") is null ? null : json.String("flow_slots_fingerprint"),
            Flow = json.Find("flow_layers") is null ? null : new Heads.FlowHeadSize(
                json.Int("flow_layers"), json.Int("flow_history"), json.Int("flow_width"), json.Int("flow_clusters"),
                json.Find("flow_bins") is null ? 0 : json.Int("flow_bins"), json.Flag("flow_tied", false)),
            PickRule = json.String("pick_rule"),
            Temperature = json.Number("temperature"),
            TopK = json.Int("top_k"),
            TopP = json.Number("top_p"),
            TrainedSteps = json.Long("trained_steps"),
            HiddenSize = json.Find("hidden_size") is null ? null : json.Int("hidden_size"),
        }.Validated(asked);
    }

    /// <summary>Writes ptp_adapter.json.</summary>
    internal void WriteTo(Stream stream)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteNumber("format_version", FormatVersion);
        json.WriteString("base_fingerprint", BaseFingerprint);
        json.WriteString("base_name", BaseName);
        json.WriteString("kind", Kind);
        json.WriteNumber("slots", Slots);
        json.WriteNumber("rank", Rank);
        json.WriteNumber("scale", Scale);
        json.WriteString("embedding", Embedding);
        json.WriteString("slot_start", SlotStart);
        json.WriteString("reading", Reading);
        if (Reading == Categorical || Kind == FlowHead)
        {
            json.WriteNumber("pick_softness", PickSoftness);
        }

        if (Reading == Categorical)
        {
            json.WriteNumber("doubt", Doubt);
            json.WriteNumber("sampler_history", SamplerHistory);
            json.WriteNumber("sampler_width", SamplerWidth);
            json.WriteNumber("sampler_depth", SamplerDepth);
        }

        if (Flow is { } flow)
        {
            json.WriteString("flow_slots", FlowSlots);
            json.WriteString("flow_slots_fingerprint", FlowSlotsFingerprint);
            json.WriteNumber("flow_layers", flow.Layers);
            json.WriteNumber("flow_history", flow.History);
            json.WriteNumber("flow_width", flow.Width);
            json.WriteNumber("flow_clusters", flow.Clusters);
            json.WriteNumber("flow_bins", flow.Bins);
            json.WriteBoolean("flow_tied", flow.Tied);
        }

        WriteKnots(json, "confidence", Confidence);
        WriteKnots(json, "tree_confidence", TreeConfidence);
        json.WriteString("pick_rule", PickRule);
        json.WriteNumber("temperature", Temperature);
        json.WriteNumber("top_k", TopK);
        json.WriteNumber("top_p", TopP);
        json.WriteNumber("trained_steps", TrainedSteps);
        if (HiddenSize is { } width)
        {
            json.WriteNumber("hidden_size", width);
        }

        json.WriteEndObject();
    }

    /// <summary>A map as a list of pairs [stated, observed].</summary>
    private static void WriteKnots(Utf8JsonWriter json, string name, ConfidenceCalibration? map)
    {
        if (map is null)
        {
            return;
        }

        json.WriteStartArray(name);
        foreach (var (stated, observed) in map.Stated.Zip(map.Observed))
        {
            json.WriteStartArray();
            json.WriteNumberValue(stated);
            json.WriteNumberValue(observed);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static ConfidenceCalibration? Knots(JsonFile json, string name, string asked)
    {
        if (json.Find(name) is not { } list)
        {
            return null;
        }

        double[][] knots = list.ValueKind != JsonValueKind.Array ? [] : [.. list.EnumerateArray().Select(pair => pair.ValueKind != JsonValueKind.Array
            ? [] : pair.EnumerateArray().Select(number => JsonFile.Finite(number) ?? double.NaN).ToArray())];
        Require(knots.Length > 0 && knots.All(k => k.Length == 2), asked, name, list.ToString(), "pairs [stated, observed]");
        try
        {
            return new ConfidenceCalibration([.. knots.Select(k => k[0])], [.. knots.Select(k => k[1])]);
        }
        catch (PtpException e)
        {
            throw new PtpException(asked, $"{name}: {e.Received}", e.Expected, "Run 'ptp calibrate' on this adapter.", e);
        }
    }

    private static string Law(double temperature, int topK, double topP) =>
        $"(temperature {Guard.Text(temperature)}, top-k {Text(topK)}, top-p {Guard.Text(topP)})";

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    private static void Require(bool ok, string asked, string name, string? value, string expected) =>
        Guard.Require(ok, asked, $"{name} = {value ?? "null"}", expected,
            "Use a folder that this version of ptp wrote, or train the adapter again.");
}
