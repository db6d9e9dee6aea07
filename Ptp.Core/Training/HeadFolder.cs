// A trained head is a small folder beside its base: head.safetensors and head.json, which names architecture, sizes and base.
// Source: this project's own form. The table of calibrated accuracies, which shapes static trees, is stored among the tensors.
// Refuses: another base (by fingerprint), unknown architectures and versions, weights that do not fit, NaN and infinite weights.

using System.Text.Json;
using Ptp.Core.Formats;
using Ptp.Core.Heads;
using Ptp.Core.Model;

namespace Ptp.Core.Training;

/// <summary>Head folders.</summary>
public static class HeadFolder
{
    /// <summary>The weights.</summary>
    public const string WeightsName = "head.safetensors";

    /// <summary>The manifest.</summary>
    public const string ManifestName = "head.json";

    private const string AccuracyName = "accuracy";
    private const int Version = 1;

    /// <summary>True if the folder looks like a head.</summary>
    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, ManifestName));

    /// <summary>Loads a head onto its base.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="network">The base.</param>
    /// <param name="fingerprint">The base's fingerprint, see <see cref="ModelFolder"/>.</param>
    /// <returns>The head, and the name of its architecture.</returns>
    /// <exception cref="PtpException">A file is missing or damaged, or the head was trained on another base.</exception>
    public static (DraftHead Head, string Architecture) Load(string folder, Transformer network, string fingerprint)
    {
        var path = Path.Combine(folder, ManifestName);
        Guard.Require(File.Exists(path), "Read a head",
            Directory.Exists(folder) ? $"'{folder}' without {ManifestName}" : $"'{folder}', which is no folder",
            $"a folder with {ManifestName} and {WeightsName}", "Check the path, or train one with 'ptp train-head'.");
        using var json = JsonFile.Open(path);
        var version = json.Int("format_version");
        Guard.Require(version == Version, $"Read {path}", $"format_version {version}", $"{Version}", "Train the head again with this version of ptp.");
        var (asked, architecture) = ($"Load the head in {folder}", json.String("architecture"));
        Guard.Require(string.Equals(json.String("base_fingerprint"), fingerprint, StringComparison.OrdinalIgnoreCase), asked,
            $"a base model with fingerprint {fingerprint}", $"{json.String("base_fingerprint")} ({json.String("base_name")}), which it was trained on",
            $"Load that model, or train a head for this one with 'ptp train-head {architecture}'.");
        var head = DraftHeads.Make(architecture, network, new HeadOptions
        {
            Slots = json.Int("slots"),
            Width = json.Int("width"),
            Rank = json.Int("rank"),
            Target = json.String("target") == "token" ? HeadTarget.Token : HeadTarget.Law,
            Temperature = json.Number("temperature"),
        });
        using var file = SafetensorsFile.Open(Path.Combine(folder, WeightsName));
        var tensors = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
        foreach (var name in file.Names)
        {
            var values = file.Read(name);
            ModelFolder.RequireFinite(asked, name, values);
            tensors.Add(name, new StoredTensor(name, file.ShapeOf(name), values));
        }

        ModelCheckpoint.Restore(head.Parameters, tensors, asked);
        if (tensors.TryGetValue(AccuracyName, out var table))
        {
            Guard.Require(table.Shape is [var depths, > 0] && depths > 0, asked, $"accuracies of shape [{string.Join(", ", table.Shape)}]",
                "a table of depths and ranks", "Train the head again.");
            head.Accuracy = [.. table.Values.Chunk(table.Shape[1]).Select(row => row.Select(a => (double)a).ToArray())];
        }

        return (head, architecture);
    }

    /// <summary>Saves a head.</summary>
    /// <param name="folder">Destination, made when missing; an older head in it is replaced, or stays whole if writing fails.</param>
    /// <param name="head">The head.</param>
    /// <param name="architecture">Its name in <see cref="DraftHeads"/>.</param>
    /// <param name="fingerprint">Fingerprint of its base.</param>
    /// <param name="baseName">Name of its base, for people.</param>
    /// <param name="steps">Steps it was trained.</param>
    /// <param name="type">Number format.</param>
    public static void Save(
        string folder, DraftHead head, string architecture, string fingerprint, string baseName, long steps, StoredType type)
    {
        Directory.CreateDirectory(folder);
        var tensors = head.Parameters.Select(ModelCheckpoint.Stored).ToList();
        foreach (var tensor in tensors)
        {
            ModelFolder.RequireFinite($"Save the head in {folder}", tensor.Name, tensor.Values);
        }

        if (head.Accuracy is { Count: > 0 } accuracy)
        {
            tensors.Add(new StoredTensor(
                AccuracyName, [accuracy.Count, accuracy[0].Length], [.. accuracy.SelectMany(row => row).Select(a => (float)a)]));
        }

        AtomicFile.WriteAll(
        [
            (Path.Combine(folder, WeightsName), stream => Safetensors.Write(stream, tensors, type)),
            (Path.Combine(folder, ManifestName), stream => Write(stream, head, architecture, fingerprint, baseName, steps)),
        ]);
    }

    private static void Write(Stream stream, DraftHead head, string architecture, string fingerprint, string baseName, long steps)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteNumber("format_version", Version);
        json.WriteString("architecture", architecture);
        json.WriteString("base_fingerprint", fingerprint);
        json.WriteString("base_name", baseName);
        json.WriteNumber("slots", head.Options.Slots);
        json.WriteNumber("width", head.Options.Width);
        json.WriteNumber("rank", head.Options.Rank);
        json.WriteString("target", head.Options.Target == HeadTarget.Token ? "token" : "law");
        json.WriteNumber("temperature", head.Options.Temperature);
        json.WriteNumber("trained_steps", steps);
        json.WriteEndObject();
    }
}
