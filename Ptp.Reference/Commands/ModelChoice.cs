// Which model, tokenizer and adapter a command uses: what was named, else the models that come with ptp.
// The default folder is "models" with base/config.json in it: here, in a folder above, or beside the program.
// Refuses: a tokenizer with more ids than the model, an adapter of another base or another sampling law.

using Ptp.Core;
using Ptp.Core.Formats;
using Ptp.Core.Model;
using Ptp.Core.Tensors;
using Ptp.Core.Text;
using Ptp.Core.Training;

namespace Ptp.Reference.Commands;

/// <summary>A model that is ready to run.</summary>
/// <param name="Folder">Where it came from.</param>
/// <param name="Model">The network.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Fingerprint">What adapters know it by.</param>
internal sealed record ModelChoice(string Folder, Transformer Model, Tokenizer Tokenizer, string Fingerprint)
{
    private Transformer? _twin;

    /// <summary>The model with its weights rounded to bytes, for drafts.</summary>
    public Transformer Twin => _twin ??= Model.Twin(WeightFormat.Int8);

    /// <summary>How its matrices are kept, in the words of <see cref="WeightsOption"/>.</summary>
    public string Weights { get; private init; } = WeightsOption.Exact;

    /// <summary>What measured times of its calls hold for.</summary>
    public string Machine => $"{Environment.MachineName}; {Model.Backend.Name}; weights {Weights}";

    /// <summary>Names of the folders under "models".</summary>
    public const string Base = "base";
    public const string Ptp = "ptp";
    public const string OneHot = "one-hot";
    public const string Independent = "independent";
    public const string Flow = "flow";

    /// <summary>The token that opens a text, if there is one.</summary>
    public int? BeginToken => Model.Config.BeginToken ?? Tokenizer.BeginToken;

    /// <summary>Tokens that end a text, by the model's configuration or the tokenizer.</summary>
    public IReadOnlyList<int> EndTokens => [.. Model.Config.EndTokens.Concat(Tokenizer.EndTokens).Distinct()];

    /// <summary>Loads what was named, or the default model.</summary>
    /// <param name="folder">The model's folder, or null.</param>
    /// <param name="tokenizer">The tokenizer's file or folder, or null for the one in the model's folder.</param>
    /// <param name="backend">The device.</param>
    /// <param name="weights">How to keep its matrices.</param>
    public static ModelChoice Load(string? folder, string? tokenizer, IBackend backend, string weights = WeightsOption.Exact)
    {
        var (path, files, text) = Read(folder, tokenizer);
        var model = ModelCheckpoint.FromFiles(files, backend);
        WeightsOption.Apply(model, weights);
        return new ModelChoice(path, model, text, ModelFolder.Fingerprint(files)) { Weights = weights };
    }

    /// <summary>Reads what was named, or the default model, without putting it on a device.</summary>
    /// <param name="folder">The model's folder, or null.</param>
    /// <param name="tokenizer">The tokenizer's file or folder, or null for the one in the model's folder.</param>
    public static (string Folder, ModelFiles Files, Tokenizer Tokenizer) Read(string? folder, string? tokenizer)
    {
        folder ??= Default(Base) ?? throw new PtpException(
            "Find the default model", "no folder models/base here, in a folder above, or beside ptp",
            "the models that come with ptp, or a model of your own",
            "Name one with --model FOLDER, run ptp inside the repository, or train one with 'ptp train'.");
        var files = ModelFolder.Read(folder);
        var text = LoadTokenizer(folder, tokenizer);
        Guard.Require(text.VocabularySize <= files.Config.VocabularySize, "Use a tokenizer",
            $"{text.VocabularySize} ids", $"at most the model's {files.Config.VocabularySize}",
            "Name the tokenizer that belongs to this model with --tokenizer FILE.");
        return (folder, files, text);
    }

    /// <summary>A folder under the default "models", or null.</summary>
    public static string? Default(string name) => ModelsFolder() is { } models
        && Directory.Exists(Path.Combine(models, name)) ? Path.Combine(models, name) : null;

    /// <summary>A folder that belongs to a model, an adapter or a shelf of heads: the named one, none, or the one that comes with the default model.</summary>
    /// <param name="named">A folder, 'none', or null.</param>
    /// <param name="name">Its name under the default "models".</param>
    /// <param name="isDefault">True if the model is the default one.</param>
    public static string? Shelf(string? named, string name, bool isDefault) => named switch
    {
        "none" => null,
        null => isDefault ? Default(name) : null,
        _ => named,
    };

    /// <summary>Ids of a prompt, with the begin token before it.</summary>
    /// <exception cref="PtpException">The prompt is empty and no begin token can stand in for it, or it is too long.</exception>
    public int[] Encode(string prompt, bool addBegin = true)
    {
        var ids = Tokenizer.Encode(prompt);
        if (BeginToken is { } begin && (addBegin || ids.Length == 0))
        {
            ids = [begin, .. ids];
        }

        Guard.Require(ids.Length > 0, "Start a text", "an empty prompt", "a prompt, as this model has no begin token",
            "Give --prompt TEXT.");
        Guard.Require(ids.Length < Model.Config.MaxContext, "Start a text", $"a prompt of {ids.Length} tokens",
            $"fewer than the model's context of {Model.Config.MaxContext}", "Shorten the prompt.");
        return ids;
    }

    private static Tokenizer LoadTokenizer(string folder, string? named)
    {
        if (named is not null)
        {
            return Tokenizer.Load(named);
        }

        try
        {
            return Tokenizer.Load(folder);
        }
        catch (PtpException e) when (!File.Exists(Path.Combine(folder, "tokenizer.json")))
        {
            throw new PtpException(e.Asked, e.Received, e.Expected,
                "Name the model's tokenizer with --tokenizer FILE.", e);
        }
    }

    private static string? ModelsFolder()
    {
        foreach (var start in (string[])[Directory.GetCurrentDirectory(), AppContext.BaseDirectory])
        {
            for (var at = new DirectoryInfo(start); at is not null; at = at.Parent)
            {
                var models = Path.Combine(at.FullName, "models");
                if (File.Exists(Path.Combine(models, Base, HuggingFaceConfig.FileName)))
                {
                    return models;
                }
            }
        }

        return null;
    }
}
