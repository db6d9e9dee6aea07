// Saves a model folder, and the optimiser beside it, so that training can stop at any step and go on.
// Moments are stored as F32 safetensors named "m." and "v." plus the parameter's name; the step count is metadata.
// Refuses: moments of another model. Writing is atomic: a run that dies while saving keeps its last checkpoint.

using System.Globalization;
using Ptp.Core.Autograd;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Tensors;

namespace Ptp.Core.Training;

/// <summary>Models and optimisers as files.</summary>
public static class ModelCheckpoint
{
    /// <summary>Name of the optimiser's file in a run folder.</summary>
    public const string OptimiserName = "optimiser.safetensors";

    /// <summary>Writes a Hugging Face folder.</summary>
    public static void Save(string folder, Transformer model, StoredType type) =>
        ModelFolder.Write(folder, model.Config, model.Parameters.Select(Stored), type);

    /// <summary>Reads a Hugging Face folder.</summary>
    public static Transformer Load(string folder, IBackend backend) => FromFiles(ModelFolder.Read(folder), backend);

    /// <summary>A model from files that were read.</summary>
    public static Transformer FromFiles(ModelFiles files, IBackend backend)
    {
        var model = new Transformer(backend, files.Config);
        Restore(model.Parameters, files.Tensors, "Load a model");
        return model;
    }

    /// <summary>A parameter as it is stored.</summary>
    public static StoredTensor Stored(Parameter parameter) =>
        new(parameter.Name, parameter.StoredShape, Host(parameter.Backend, parameter.Value));

    /// <summary>Sets parameters from stored tensors of the same names.</summary>
    public static void Restore(
        IEnumerable<Parameter> parameters, IReadOnlyDictionary<string, StoredTensor> tensors, string asked)
    {
        foreach (var parameter in parameters)
        {
            Guard.Require(
                tensors.TryGetValue(parameter.Name, out var stored) && stored.Shape.SequenceEqual(parameter.StoredShape),
                asked, $"no {parameter.Name} of shape [{string.Join(", ", parameter.StoredShape)}]",
                "every tensor of the model, in the shape its configuration gives",
                "Check that the weights and the configuration belong together.");
            Initialise.Set(parameter, stored!.Values);
        }
    }

    /// <summary>Writes the moments and the step count.</summary>
    public static void SaveOptimiser(string folder, AdamW optimiser)
    {
        var tensors = optimiser.State.SelectMany(s => new[]
        {
            new StoredTensor("m." + s.Parameter.Name, s.Parameter.StoredShape, Host(s.Parameter.Backend, s.First)),
            new StoredTensor("v." + s.Parameter.Name, s.Parameter.StoredShape, Host(s.Parameter.Backend, s.Second)),
        });
        var steps = optimiser.StepsTaken.ToString(CultureInfo.InvariantCulture);
        Safetensors.Write(
            Path.Combine(folder, OptimiserName), tensors, StoredType.F32,
            new Dictionary<string, string> { ["steps"] = steps });
    }

    /// <summary>Reads the moments and the step count; false if there are none.</summary>
    public static bool LoadOptimiser(string folder, AdamW optimiser)
    {
        var path = Path.Combine(folder, OptimiserName);
        if (!File.Exists(path))
        {
            return false;
        }

        using var file = SafetensorsFile.Open(path);
        Guard.Require(
            file.Metadata.TryGetValue("steps", out var text)
            && int.TryParse(text, CultureInfo.InvariantCulture, out var steps) && steps >= 0,
            "Resume training", $"'{path}' without a step count", "the optimiser file of a run",
            "Start the run anew, or restore the file.");
        foreach (var (parameter, first, second) in optimiser.State)
        {
            foreach (var (prefix, tensor) in new[] { ("m.", first), ("v.", second) })
            {
                var name = prefix + parameter.Name;
                Guard.Require(
                    file.Names.Contains(name) && file.ShapeOf(name).SequenceEqual(parameter.StoredShape),
                    "Resume training", $"no {name} in '{path}'", "the moments of this model",
                    "Resume with the sizes that the run was started with.");
                parameter.Backend.Upload(file.Read(name), tensor);
            }
        }

        optimiser.StepsTaken = int.Parse(text, CultureInfo.InvariantCulture);
        return true;
    }

    private static float[] Host(IBackend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }
}
