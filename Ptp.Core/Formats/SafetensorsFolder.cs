// Reads the weights of a folder: model.safetensors, or the shards that model.safetensors.index.json lists.
// Source: the index of Hugging Face: weight_map from tensor name to file name.
// Refuses: shards outside the folder, missing shards, tensors that their shard does not hold.

using System.Text.Json;

namespace Ptp.Core.Formats;

/// <summary>All tensors of a folder, wherever they lie.</summary>
public sealed class SafetensorsFolder : IDisposable
{
    private readonly Dictionary<string, SafetensorsFile> _shards = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafetensorsFile> _fileOf = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];

    private SafetensorsFolder()
    {
    }

    /// <summary>Names of all tensors.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>Opens the weights of a folder; a single file wins over an index, as elsewhere.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="PtpException">No weights are there, or they are damaged.</exception>
    public static SafetensorsFolder Open(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        var single = Path.Combine(folder, Safetensors.SingleName);
        var index = Path.Combine(folder, Safetensors.IndexName);
        var weights = new SafetensorsFolder();
        try
        {
            if (File.Exists(single))
            {
                var file = weights.Shard(folder, Safetensors.SingleName);
                foreach (var name in file.Names)
                {
                    weights.Add(name, file);
                }

                return weights;
            }

            if (!File.Exists(index))
            {
                throw new PtpException($"Read the weights in {folder}",
                    Directory.Exists(folder) ? "a folder without them" : "no such folder",
                    $"{Safetensors.SingleName} or {Safetensors.IndexName}",
                    "Check the path; weights in another format must be converted to safetensors.");
            }

            weights.ReadIndex(folder, index);
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>True if the tensor is there.</summary>
    /// <param name="name">Its name.</param>
    public bool Contains(string name) => _fileOf.ContainsKey(name);

    /// <summary>The file that holds a tensor.</summary>
    /// <param name="name">Its name.</param>
    public SafetensorsFile FileOf(string name) => _fileOf.TryGetValue(name, out var file)
        ? file
        : throw new PtpException("Read a tensor", $"the name '{name}'", $"one of {Names.Count} tensors",
            "List the names and check the spelling.");

    /// <summary>The sizes of a tensor.</summary>
    /// <param name="name">Its name.</param>
    public int[] ShapeOf(string name) => FileOf(name).ShapeOf(name);

    /// <summary>The number format of a tensor.</summary>
    /// <param name="name">Its name.</param>
    public StoredType TypeOf(string name) => FileOf(name).TypeOf(name);

    /// <summary>All values of a tensor.</summary>
    /// <param name="name">Its name.</param>
    public float[] Read(string name) => FileOf(name).Read(name);

    /// <summary>All values of a tensor, into a buffer of exactly their number.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="values">Receives the values.</param>
    public void Read(string name, Span<float> values) => FileOf(name).Read(name, values);

    /// <summary>Closes all files.</summary>
    public void Dispose()
    {
        foreach (var file in _shards.Values)
        {
            file.Dispose();
        }
    }

    private void ReadIndex(string folder, string index)
    {
        using var json = JsonFile.Open(index, SafetensorsHeader.MaxLength);
        foreach (var entry in json.Object("weight_map"))
        {
            var shard = entry.Value.ValueKind == JsonValueKind.String ? json.Text(entry.Value) : "";
            var name = json.Name(entry);
            if (shard.Length == 0 || shard != Path.GetFileName(shard) || shard is "." or ".." || shard.Contains('\\'))
            {
                throw json.Bad($"'{name}' in file '{shard}'", "the name of a file in the same folder");
            }

            var file = Shard(folder, shard);
            if (!file.Contains(name))
            {
                throw json.Bad($"'{name}' in {shard}, which does not hold it", "shards that belong to this index");
            }

            Add(name, file);
        }
    }

    private void Add(string name, SafetensorsFile file)
    {
        _fileOf.Add(name, file); // names are distinct: the header's and the index's readers refuse duplicates
        _names.Add(name);
    }

    private SafetensorsFile Shard(string folder, string name)
    {
        if (!_shards.TryGetValue(name, out var file))
        {
            file = SafetensorsFile.Open(Path.Combine(folder, name));
            _shards.Add(name, file);
        }

        return file;
    }
}
