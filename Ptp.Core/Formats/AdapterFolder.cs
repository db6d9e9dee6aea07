// A PTP adapter is a small folder beside a model: adapter.safetensors and ptp_adapter.json.
// Source: this project's own form; AdapterManifest says what the JSON holds.
// Refuses: missing files, unknown versions and kinds, NaN or infinite weights.

namespace Ptp.Core.Formats;

/// <summary>What an adapter folder holds.</summary>
/// <param name="Manifest">What the adapter says about itself.</param>
/// <param name="Tensors">Its weights by name.</param>
public sealed record AdapterFiles(AdapterManifest Manifest, IReadOnlyDictionary<string, StoredTensor> Tensors)
{
    /// <summary>A hash of all weights rounded to BF16, by which a flow head knows the slots it was trained on.</summary>
    public string Fingerprint()
    {
        var hash = new Hash64();
        foreach (var (name, tensor) in Tensors.OrderBy(t => t.Key, StringComparer.Ordinal))
        {
            hash.Add(name);
            hash.AddRounded(tensor.Values);
        }

        return hash.ToString();
    }
}

/// <summary>Reads and writes adapter folders.</summary>
public static class AdapterFolder
{
    /// <summary>The weights.</summary>
    public const string WeightsName = "adapter.safetensors";

    /// <summary>The manifest.</summary>
    public const string ManifestName = "ptp_adapter.json";

    /// <summary>True if the folder looks like an adapter.</summary>
    /// <param name="folder">The folder.</param>
    public static bool Exists(string folder) => File.Exists(Path.Combine(folder, ManifestName));

    /// <summary>Reads the manifest alone.</summary>
    /// <param name="folder">The folder.</param>
    public static AdapterManifest ReadManifest(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var path = Path.Combine(folder, ManifestName);
        Guard.Require(File.Exists(path), "Read an adapter",
            Directory.Exists(folder) ? $"'{folder}' without {ManifestName}" : $"'{folder}', which is no folder",
            $"a folder with {ManifestName} and {WeightsName}", "Check the path, or train one with 'ptp distill'.");
        using var json = JsonFile.Open(path);
        return AdapterManifest.From(json, $"Read {path}");
    }

    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="PtpException">A file is missing, damaged or of another version.</exception>
    public static AdapterFiles Read(string folder)
    {
        var manifest = ReadManifest(folder);
        using var file = SafetensorsFile.Open(Path.Combine(folder, WeightsName));
        var tensors = new Dictionary<string, StoredTensor>(file.Names.Count, StringComparer.Ordinal);
        foreach (var name in file.Names)
        {
            var values = file.Read(name);
            ModelFolder.RequireFinite($"Read the adapter in {folder}", name, values);
            tensors.Add(name, new StoredTensor(name, file.ShapeOf(name), values));
        }

        return new AdapterFiles(manifest, tensors);
    }

    /// <summary>Replaces the manifest of an adapter whose weights stay.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="manifest">What the adapter says about itself from now on.</param>
    public static void WriteManifest(string folder, AdapterManifest manifest)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        manifest.Validated($"Write the adapter in {folder}");
        AtomicFile.Write(Path.Combine(folder, ManifestName), manifest.WriteTo);
    }

    /// <summary>Writes a folder; an older adapter in it is replaced, or stays whole if writing fails.</summary>
    /// <param name="folder">The folder, made when missing.</param>
    /// <param name="manifest">What the adapter says about itself.</param>
    /// <param name="tensors">Its weights.</param>
    /// <param name="type">Their number format.</param>
    public static void Write(
        string folder, AdapterManifest manifest, IEnumerable<StoredTensor> tensors, StoredType type = StoredType.F32)
    {
        ArgumentNullException.ThrowIfNull(manifest);
        ArgumentNullException.ThrowIfNull(tensors);
        var asked = $"Write the adapter in {folder}";
        manifest.Validated(asked);
        var all = new List<StoredTensor>(tensors);
        foreach (var tensor in all)
        {
            ModelFolder.RequireFinite(asked, tensor.Name, tensor.Values);
        }

        var weights = Path.Combine(folder, WeightsName);
        AtomicFile.WriteAll(
        [
            (weights, stream => Safetensors.Write(stream, all, type)),
            (Path.Combine(folder, ManifestName), manifest.WriteTo),
        ]);
    }
}
