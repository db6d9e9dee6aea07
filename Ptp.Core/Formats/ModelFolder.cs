// A model is a folder: config.json and safetensors weights. Reads and checks both, writes both in one step.
// Source: the Hugging Face layout; the list of tensors is TensorNames'.
// Refuses: missing, unexpected or misshapen tensors before any value is read, and NaN or infinite weights after.

using System.Numerics.Tensors;
using Ptp.Core.Model;

namespace Ptp.Core.Formats;

/// <summary>What a model folder holds.</summary>
/// <param name="Config">The sizes.</param>
/// <param name="Tensors">Exactly the tensors of <see cref="TensorNames.Expected"/>, by name.</param>
public sealed record ModelFiles(TransformerConfig Config, IReadOnlyDictionary<string, StoredTensor> Tensors);

/// <summary>Reads, writes and fingerprints model folders.</summary>
public static class ModelFolder
{
    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="PtpException">A file is missing or damaged, or does not fit the others.</exception>
    public static ModelFiles Read(string folder)
    {
        ArgumentNullException.ThrowIfNull(folder);
        Guard.Require(Directory.Exists(folder), "Read a model", $"'{folder}', which is no folder",
            $"a folder with {HuggingFaceConfig.FileName} and {Safetensors.SingleName}", "Check the path.");
        var config = HuggingFaceConfig.Read(ConfigPath(folder));
        using var weights = SafetensorsFolder.Open(folder);
        var expected = TensorNames.Expected(config);
        CheckNames(folder, config, expected, weights);
        var tensors = new Dictionary<string, StoredTensor>(expected.Count, StringComparer.Ordinal);
        foreach (var (name, shape) in expected)
        {
            var values = weights.Read(name);
            RequireFinite($"Read the model in {folder}", name, values);
            tensors.Add(name, new StoredTensor(name, shape, values));
        }

        return new ModelFiles(config, tensors);
    }

    /// <summary>Writes a folder; an older model in it is replaced, or stays whole if writing fails.</summary>
    /// <param name="folder">The folder, made when missing.</param>
    /// <param name="config">The sizes.</param>
    /// <param name="tensors">Exactly the tensors of <see cref="TensorNames.Expected"/>.</param>
    /// <param name="type">The number format of the weights.</param>
    /// <param name="maxShardBytes">Most bytes of values in one file.</param>
    public static void Write(
        string folder, TransformerConfig config, IEnumerable<StoredTensor> tensors, StoredType type = StoredType.F32,
        long maxShardBytes = Safetensors.DefaultShardBytes)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        var byName = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
        foreach (var tensor in tensors)
        {
            Guard.Require(byName.TryAdd(tensor.Name, tensor), $"Write the model in {folder}", $"'{tensor.Name}' twice",
                "each tensor once", "Correct the model's list of tensors.");
        }

        var expected = TensorNames.Expected(config);
        foreach (var (name, shape) in expected)
        {
            Guard.Require(byName.TryGetValue(name, out var tensor), $"Write the model in {folder}", $"no '{name}'",
                $"shape {StoredTensor.Text(shape)}", "Give all tensors of TensorNames.Expected.");
            RequireShape($"Write the model in {folder}", name, tensor!.Shape, shape);
            RequireFinite($"Write the model in {folder}", name, tensor.Values);
        }

        Guard.Require(byName.Count == expected.Count, $"Write the model in {folder}", $"{byName.Count} tensors",
            $"the {expected.Count} tensors of TensorNames.Expected", "Leave the others out.");
        Safetensors.WriteFolder(
            folder, byName.Values, type, maxShardBytes, new Dictionary<string, string> { ["format"] = "pt" },
            [(ConfigPath(folder), stream => HuggingFaceConfig.Write(stream, config, type))]);
    }

    /// <summary>
    /// Sixteen hexadecimal digits that name a model: of what its numbers depend on (sizes, RoPE, norm) and of every
    /// weight rounded to BF16. The same before and after saving as F32 or BF16; saving as F16 may change it.
    /// </summary>
    /// <param name="files">The model.</param>
    public static string Fingerprint(ModelFiles files)
    {
        ArgumentNullException.ThrowIfNull(files);
        var config = files.Config.Validated();
        var hash = new Hash64();
        foreach (var size in (int[])[
            config.VocabularySize, config.HiddenSize, config.IntermediateSize, config.Layers, config.Heads,
            config.KeyValueHeads, config.HeadSize, config.TieEmbeddings ? 1 : 0])
        {
            hash.Add((ulong)size);
        }

        hash.Add(BitConverter.DoubleToUInt64Bits(config.RopeTheta));
        hash.Add(BitConverter.SingleToUInt32Bits(config.NormEpsilon));
        foreach (var (name, _) in TensorNames.Expected(config)) // a fixed order, whatever the dictionary's
        {
            Guard.Require(files.Tensors.TryGetValue(name, out var tensor), "Fingerprint a model", $"no '{name}'",
                "all tensors of its configuration", "Read the model from its folder.");
            hash.Add(name);
            hash.AddRounded(tensor!.Values);
        }

        return hash.ToString();
    }

    /// <summary>Refuses NaN and infinity, naming the first.</summary>
    internal static void RequireFinite(string asked, string name, float[] values)
    {
        // The greatest magnitude is infinite or NaN exactly if some value is; one vectorised pass finds it.
        if (values.Length == 0 || float.IsFinite(TensorPrimitives.MaxMagnitude(values)))
        {
            return;
        }

        var at = Array.FindIndex(values, value => !float.IsFinite(value));
        throw new PtpException(asked, $"{Guard.Text(values[at])} at value {at} of '{name}'", "finite weights",
            "The model diverged or the file is damaged: take an earlier checkpoint, or fetch it again.");
    }

    private static string ConfigPath(string folder) => Path.Combine(folder, HuggingFaceConfig.FileName);

    private static void CheckNames(
        string folder, TransformerConfig config, IReadOnlyList<ExpectedTensor> expected, SafetensorsFolder weights)
    {
        var asked = $"Read the model in {folder}";
        var known = new HashSet<string>(expected.Count, StringComparer.Ordinal);
        foreach (var (name, shape) in expected)
        {
            known.Add(name);
            Guard.Require(weights.Contains(name), asked, $"weights without '{name}'",
                $"one of shape {StoredTensor.Text(shape)}",
                name == TensorNames.Head
                    ? "If the head is the embedding table, set tie_word_embeddings in config.json."
                    : "Take config.json and weights of one model.");
            RequireShape(asked, name, weights.ShapeOf(name), shape);
            _ = weights.TypeOf(name); // refuses formats that hold no weights before the first value is read
        }

        foreach (var name in weights.Names)
        {
            Guard.Require(known.Contains(name) || TensorNames.IsHarmless(name, config), asked,
                $"a tensor '{name}'", "the tensors of a LLaMA-style decoder only",
                "Ptp would compute another model without it; choose a model without such weights.");
        }
    }

    private static void RequireShape(string asked, string name, int[] shape, int[] expected) => Guard.Require(
        shape.AsSpan().SequenceEqual(expected), asked, $"'{name}' of shape {StoredTensor.Text(shape)}",
        StoredTensor.Text(expected), "Take config.json and weights of one model.");
}
