// Small models that draft for the base (speculative decoding): those that come with ptp, or a folder of one's own, a folder per model.
// They share the base's tokenizer, and need none of their own.
// Refuses: nothing; what is not there is null. ModelDrafter refuses another vocabulary.

using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Training;

namespace Ptp.Reference.Commands;

/// <summary>Finds small models by name.</summary>
/// <param name="backend">Where they run.</param>
/// <param name="folder">Folder with a folder per model, 'none', or null for what comes with the default model.</param>
/// <param name="isDefault">True if the base is the default model.</param>
internal sealed class DraftShelf(IBackend backend, string? folder, bool isDefault)
{
    /// <summary>The shipped sizes: names of the paper's ladder.</summary>
    public const string Smallest = "66k";
    public const string Small = "525k";

    private readonly Dictionary<string, Transformer?> _found = [];

    /// <summary>The model of a name, or null.</summary>
    public Transformer? Find(string name)
    {
        if (!_found.TryGetValue(name, out var model))
        {
            var shelf = ModelChoice.Shelf(folder, "drafts", isDefault);
            model = shelf is not null && File.Exists(Path.Combine(shelf, name, HuggingFaceConfig.FileName))
                ? ModelCheckpoint.Load(Path.Combine(shelf, name), backend)
                : null;
            _found[name] = model;
        }

        return model;
    }
}
